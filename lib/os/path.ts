/**
 * Paths of Linux, for what runs in production. `pathe`, which build and tests use, asks Node's
 * `process` for the working directory, and merely reading that name costs Deno 15 ms.
 * @module
 */

/**
 * Makes a path absolute and plain: without `.`, `..`, empty components and a slash at its end. Text
 * only: symlinks are not resolved.
 *
 * @param directory absolute
 * @param path taken from `directory` unless it is absolute
 */
export function resolvePath(directory: string, path: string): string {
  const components: string[] = [];
  for (const component of (path.startsWith("/") ? path : `${directory}/${path}`).split("/")) {
    if (component === "..") components.pop();
    else if (component !== "" && component !== ".") components.push(component);
  }
  return `/${components.join("/")}`;
}

/** What comes after the last slash; trailing slashes do not count. */
export function baseName(path: string): string {
  const end = lastOtherThanSlash(path);
  return path.slice(path.lastIndexOf("/", end) + 1, end + 1);
}

/** The directory that an absolute path is in. */
export function parentPath(path: string): string {
  const slash = path.lastIndexOf("/", lastOtherThanSlash(path));
  return slash <= 0 ? "/" : path.slice(0, slash);
}

function lastOtherThanSlash(path: string): number {
  let last = path.length - 1;
  while (last >= 0 && path[last] === "/") last--;
  return last;
}
