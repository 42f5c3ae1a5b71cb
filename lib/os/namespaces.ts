import { isGone } from "./os_error.ts";

/** Which namespace it is; a number is used again only after the namespace is gone. */
export interface NamespaceIdentity {
  /** st_dev of nsfs as stat(2) gives it. */
  dev: number;
  ino: number;
}

/**
 * Looks at a namespace.
 *
 * @param path `/proc/PID/ns/TYPE`, `/proc/self/fd/N`, or what such a file was bind-mounted on
 * @returns undefined when there is nothing at that path
 * @see namespaces(7), "The /proc/pid/ns/ directory"
 */
export function readNamespace(path: string): NamespaceIdentity | undefined {
  try {
    const { dev, ino } = Deno.statSync(path);
    if (ino === null) throw new TypeError("stat gave no inode number");
    return { dev, ino };
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** Are both the same, known namespace? */
export function isSameNamespace(
  one: NamespaceIdentity | undefined,
  other: NamespaceIdentity | undefined,
): boolean {
  return one !== undefined && one.dev === other?.dev && one.ino === other.ino;
}
