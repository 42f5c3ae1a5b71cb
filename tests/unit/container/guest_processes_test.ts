import assert from "node:assert/strict";
import { parseList } from "../../../lib/container/guest_processes.ts";

Deno.test("a guest's list of processes is read by lines, and what is not one is left out", () => {
  const text = [
    "0 12 1 S sleep 1000",
    "1000 1 0 S /bin/program  with  spaces",
    "lies",
    "-1 3 1 S x",
    "0 99999999999 1 S x",
    "0 13 1 R ",
    "0 14",
  ].join("\n");
  assert.deepEqual(parseList(text), [
    { uid: 1000, pid: 1, parentPid: 0, state: "S", command: "/bin/program  with  spaces" },
    { uid: 0, pid: 12, parentPid: 1, state: "S", command: "sleep 1000" },
    { uid: 0, pid: 13, parentPid: 1, state: "R", command: "" },
  ]);
});
