import { InvalidConfigurationError } from "../errors.ts";

/** NAME_MAX, linux/limits.h: the id names a directory. */
const MAXIMUM_LENGTH = 255;

/**
 * Checks a container's id. It becomes a file name, so this is also what keeps a path out of it.
 *
 * @throws InvalidConfigurationError that says what is allowed
 */
export function validateId(id: string): void {
  const reason = objection(id);
  if (reason === undefined) return;
  throw new InvalidConfigurationError({
    operation: "use container id",
    subject: JSON.stringify(id.length > MAXIMUM_LENGTH ? `${id.slice(0, 32)}…` : id),
    reason,
    remedy: `ASCII letters, digits and _ + - . are allowed, 1 to ${MAXIMUM_LENGTH} of them`,
  });
}

/** Whether a word could be a container's id. */
export function isId(word: string): boolean {
  return objection(word) === undefined;
}

function objection(id: string): string | undefined {
  if (id === "") return "it is empty";
  if (id.length > MAXIMUM_LENGTH) return `it has ${id.length} characters`;
  if (id === "." || id === "..") return "it is a name of a directory itself";
  const foreign = /[^A-Za-z0-9_+\-.]/u.exec(id);
  return foreign === null ? undefined : `${JSON.stringify(foreign[0])} is not allowed`;
}
