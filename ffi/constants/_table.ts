/**
 * A table from C names to values that holds nothing else: names come from config files and command
 * lines, and `table["constructor"]` must be undefined.
 *
 * @param entries name → value
 * @returns the same entries in an object without a prototype
 */
export function table(entries: Record<string, number>): Readonly<Record<string, number>> {
  return Object.freeze(Object.assign(Object.create(null), entries));
}
