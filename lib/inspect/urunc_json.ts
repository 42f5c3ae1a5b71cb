import { InvalidConfigurationError } from "../errors.ts";
import { maximumUruncJsonBytes } from "../guest/parse.ts";
import { isNamedInImage, readImageFile } from "./image.ts";

const PATH = "/urunc.json";

/**
 * Reads an image's description of its guest.
 *
 * @param imageRoot from `openImageRoot`
 * @returns undefined when the image has none: it describes no guest, unless annotations do
 * @throws InvalidConfigurationError when it exists and cannot be read. A dangling link
 *   in the image is one of those: taken for an ordinary container, the image would run without the
 *   isolation that it was built for.
 */
export function readUruncJson(imageRoot: number): Uint8Array | undefined {
  const json = readImageFile(imageRoot, PATH, maximumUruncJsonBytes);
  if (json !== undefined || !isNamedInImage(imageRoot, PATH)) return json;
  throw new InvalidConfigurationError({
    operation: "open in the image",
    subject: PATH,
    reason: "it is a symbolic link that leads to nothing in the image",
  });
}
