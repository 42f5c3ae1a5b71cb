/** What the benchmarks make of times: tests/bench. */
import assert from "node:assert/strict";
import { parseOptions } from "../../bench/options.ts";
import { formatRow, ratiosOf, type Row, summarize, writeJson } from "../../bench/table.ts";

const TWENTY = Array.from({ length: 20 }, (_, index) => index + 1);
const value = (subject: string, ...values: number[]) => ({ subject, ...summarize(values) });
const ROW: Row = {
  name: "create",
  unit: "ms",
  values: [value("urunc", 50, 60, 1000), value("runc", 20, 30, 40), value("crun", 10)],
  bases: ["runc", "crun"],
  wanted: [{ subject: "urunc", base: "runc", atMost: 1.3 }],
};

Deno.test("bench: a summary is of any order, and its p95 is above nineteen of twenty", () => {
  assert.deepEqual(summarize([3, 1, 2]), { minimum: 1, median: 2, mean: 2, p95: 3 });
  assert.deepEqual(summarize(TWENTY), { minimum: 1, median: 10.5, mean: 10.5, p95: 19 });
  assert.throws(() => summarize([]), /nothing was measured/);
});

Deno.test("bench: medians are divided by those of the bases that were measured", () => {
  assert.deepEqual(ratiosOf(ROW), [
    { subject: "urunc", base: "runc", ratio: 2, atMost: 1.3 },
    { subject: "urunc", base: "crun", ratio: 6 },
  ]);
  assert.deepEqual(ratiosOf({ ...ROW, values: ROW.values.slice(0, 1) }), []);
});

Deno.test("bench: a row has a line for each subject, its name and ratios once", () => {
  const lines = formatRow(ROW).split("\n").map((line) => line.trim().replaceAll(/ {2,}/g, "|"));
  assert.deepEqual(lines, [
    "create, ms|urunc|50.0|60.0|1000|2.00 of runc (at most 1.3 wanted), 6.00 of crun",
    "runc|20.0|30.0|40.0",
    "crun|10.0|10.0|10.0",
  ]);
});

Deno.test("bench: the file has the machine, the rows with their ratios, and what is missing", async () => {
  const path = await Deno.makeTempFile();
  try {
    const missing = [{ name: "delete", reason: "none" }];
    await writeJson(path, { processors: 2 }, { rows: [ROW], missing });
    assert.deepEqual(JSON.parse(await Deno.readTextFile(path)), {
      machine: { processors: 2 },
      rows: [{ ...ROW, ratios: ratiosOf(ROW) }],
      missing,
    });
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("bench: rounds, a part, guests and a file are read, and nothing else", () => {
  const all = parseOptions([]);
  assert.equal(all.rounds, 25);
  assert.ok(all.parts.includes("command") && all.parts.includes("containerd"));
  assert.deepEqual(parseOptions(["3", "command", "--json", "f"]), {
    rounds: 3,
    parts: ["command"],
    json: "f",
  });
  assert.deepEqual(parseOptions(["--json", "f", "3"]).json, "f");
  assert.deepEqual(parseOptions(["2", "--guests"]), { rounds: 2, parts: [], guests: 200 });
  assert.equal(parseOptions(["--guests=8"]).guests, 8);
  for (const args of [["--guests=x"], ["3", "agent", "--guests"]]) {
    assert.throws(() => parseOptions(args), /usage: bench/, args.join(" "));
  }
  for (const args of [["0"], ["x"], ["3", "other"], ["3", "command", "more"], ["3", "--json"]]) {
    assert.throws(() => parseOptions(args), /usage: bench/, args.join(" "));
  }
});
