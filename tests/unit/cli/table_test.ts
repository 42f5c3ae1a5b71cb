import assert from "node:assert/strict";
import { formatTable } from "../../../lib/cli/table.ts";
import { formatGuestProcesses } from "../../../lib/cli/verbs/ps.ts";

const process = (pid: number, command: string) => ({
  uid: 0,
  pid,
  parentPid: 1,
  state: "S",
  command,
});

Deno.test("a table's columns are as wide as their cells, and no row ends in blanks", () => {
  const table = formatTable(["ID", "NAME", "NOTE"], [["1", "long name", "x"], ["22", "a", ""]]);
  assert.equal(table, "ID   NAME        NOTE\n1    long name   x\n22   a\n");
  assert.equal(formatTable(["ONLY"], []), "ONLY\n");
});

Deno.test("one long cell at the end of a row makes no other row longer, even meanwhile", () => {
  const { padEnd } = String.prototype;
  let longest = 0;
  try {
    String.prototype.padEnd = function (this: string, width: number) {
      longest = Math.max(longest, width);
      return padEnd.call(this, width);
    };
    formatTable(["PID", "CMD"], [["12345", "y".repeat(500_000)], ["1", "x"]]);
  } finally {
    String.prototype.padEnd = padEnd;
  }
  assert.equal(longest, 5);
});

Deno.test("a table may have more rows than a call has room for arguments", () => {
  const rows = Array.from({ length: 500_000 }, () => ["1", "x"]);
  assert.equal(formatTable(["PID", "CMD"], rows).length, 10 + rows.length * 8);
});

Deno.test("a hostile guest's list is printed in no more space than it takes", () => {
  const short = Array.from({ length: 200_000 }, (_, pid) => process(pid, "x"));
  const table = formatGuestProcesses([process(1, "y".repeat(500_000)), ...short]);
  assert.ok(table.length < 1_000_000, `${table.length}`);
  assert.equal(table.split("\n").length, 10_003);
  assert.match(table, /\nand 190001 more: --format json has all\n$/);
});

Deno.test("a command is cut as long as it is printed", () => {
  for (const command of ["y".repeat(4001), "\x1b".repeat(3000), "\u202e".repeat(3000)]) {
    const line = formatGuestProcesses([process(1, command)]).split("\n")[1]!;
    assert.equal(line.split(/ +/)[4]!.length, 4001);
    assert.ok(line.endsWith("…"));
  }
  const whole = "y".repeat(4000);
  assert.ok(formatGuestProcesses([process(1, whole)]).endsWith(` ${whole}\n`));
});
