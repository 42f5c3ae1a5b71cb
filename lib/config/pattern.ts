/**
 * Whether a name is the one that a pattern of the configuration means.
 *
 * @param pattern a name, or the beginning of names and a `*`
 */
export function matchesPattern(pattern: string, name: string): boolean {
  return pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : pattern === name;
}
