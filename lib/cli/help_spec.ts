import { specTable, type Treatment } from "../oci/spec_table.ts";

const MEANINGS: Record<Treatment, string> = {
  honoured: "done as the specification says",
  "by design": "not applicable to guests; silently ignored",
  warned: "logged as a warning; the container starts",
  refused: "create fails and names the property",
};

/** What `urunc help spec` adds to the command's help: the whole table. */
export function specTableText(): string {
  const width = Math.max(...specTable.map(({ property }) => property.length)) + 2;
  const lines = ["How each property of config.json (runtime-spec 1.2) is handled:", ""];
  for (const [treatment, meaning] of Object.entries(MEANINGS)) {
    lines.push(`${treatment}: ${meaning}`);
    for (const row of specTable.filter((it) => it.treatment === treatment)) {
      lines.push(`  ${row.property.padEnd(width)}${row.how}`);
    }
    lines.push("");
  }
  return lines.join("\n");
}
