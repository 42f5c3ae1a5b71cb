import { InvalidConfigurationError, UnsupportedError } from "../../errors.ts";
import type { Property } from "./manager.ts";
import { property } from "./properties.ts";

/** Annotations that set a property of the scope; their values are GVariant text. */
const PROPERTY_ANNOTATION = "org.systemd.property.";

/** How a value's text becomes the value. */
interface Form {
  signature: string;
  pattern: RegExp;
  read: (match: RegExpExecArray) => string | number | bigint;
}

const TEXT: Form = { signature: "s", pattern: /^(?:'([\w-]+)'|"([\w-]+)")$/, read: readText };
const SIGNAL: Form = {
  signature: "i",
  pattern: /^(?:int32 )?(\d{1,2})$/,
  read: ([, digits]) => Number(digits),
};
const MICROSECONDS: Form = {
  signature: "t",
  pattern: /^uint64 (\d{1,18})$/,
  read: ([, digits]) => BigInt(digits!),
};

/**
 * Those that podman sets. Not more: an annotation may come from the image, and others
 * (`SuccessAction`, `Conflicts`, `OnFailure` …) stop services or the whole machine.
 */
const ALLOWED: Record<string, Form> = {
  CollectMode: TEXT,
  KillMode: TEXT,
  KillSignal: SIGNAL,
  TimeoutStopUSec: MICROSECONDS,
};

/**
 * The properties that annotations ask for.
 *
 * @throws UnsupportedError, InvalidConfigurationError naming the annotation
 * @see https://github.com/opencontainers/runc/blob/main/docs/systemd.md
 */
export function annotationProperties(annotations: Record<string, string>): Property[] {
  return Object.entries(annotations).flatMap(([key, value]) => {
    if (!key.startsWith(PROPERTY_ANNOTATION)) return [];
    const name = key.slice(PROPERTY_ANNOTATION.length);
    const form = Object.hasOwn(ALLOWED, name) ? ALLOWED[name] : undefined;
    if (form === undefined) {
      throw new UnsupportedError({
        operation: "plan cgroup",
        subject: `annotation ${key}`,
        reason: "an image may carry it, and it is not among the harmless ones",
        remedy: `these are: ${Object.keys(ALLOWED).join(", ")}`,
      });
    }
    const match = form.pattern.exec(value.trim());
    if (match === null) {
      throw new InvalidConfigurationError({
        operation: "plan cgroup",
        subject: `annotation ${key}`,
        reason: `${JSON.stringify(value)} is not a value of GVariant type ${form.signature}`,
      });
    }
    return [property(name, form.signature, form.read(match))];
  });
}

function readText([, single, double]: RegExpExecArray): string {
  return single ?? double!;
}
