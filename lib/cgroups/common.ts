/**
 * The container's own directories among all that were made for it. The parents are shared: what
 * runs below them may be another container's and must not be killed.
 */
export function leavesOf(directories: string[]): string[] {
  return directories.filter((path) => !directories.some((other) => other.startsWith(`${path}/`)));
}
