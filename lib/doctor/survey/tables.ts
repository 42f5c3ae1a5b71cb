/** Readers of other programs' documents, of whose shape nothing is certain. */

export type Table = Record<string, unknown>;

/** A table, or an empty one. */
export function tableAt(value: unknown, ...keys: string[]): Table {
  const found = keys.reduce<unknown>(
    (table, key) => isTable(table) && Object.hasOwn(table, key) ? table[key] : undefined,
    value,
  );
  return isTable(found) ? found : {};
}

/** A string, or an empty one. */
export function textAt(table: Table, key: string): string {
  const value = table[key];
  return typeof value === "string" ? value : "";
}

/** The strings of an array; none where it is none. */
export function textsAt(table: Table, key: string): string[] {
  const value = table[key];
  return Array.isArray(value) ? value.filter((it) => typeof it === "string") : [];
}

function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
