import { type Document, Place } from "../decode/decode.ts";
import { InvalidConfigurationError } from "../errors.ts";

const CONFIG_JSON: Document = {
  error: (path, reason, remedy) =>
    new InvalidConfigurationError({
      operation: "read config.json",
      subject: path === "" ? undefined : path,
      reason,
      remedy,
    }),
};

/** A place in config.json; without a path all of it. */
export function configJson(path = ""): Place {
  return new Place(CONFIG_JSON, path);
}
