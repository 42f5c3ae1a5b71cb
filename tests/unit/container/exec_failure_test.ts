import assert from "node:assert/strict";
import { execFailure } from "../../../lib/container/exec_failure.ts";
import { ExecFailedError, HostError, WrongStateError } from "../../../lib/errors.ts";
import { parseProcess } from "../../../lib/oci/parse.ts";

const processOf = (program: string) =>
  parseProcess(JSON.stringify({ cwd: "/srv", args: [program] }));

const PROGRAMS: [program: string, report: string, exitCode: number, message: string][] = [
  ["x", "failed 7 2", 127, 'exec: "x": executable file not found in $PATH'],
  ["/a/x", "failed 7 2", 127, 'exec: "/a/x": stat /a/x: no such file or directory'],
  ["/a/x", "failed 7 20", 127, 'exec: "/a/x": not a directory'],
  ["x", "failed 7 13", 126, 'exec: "x": permission denied'],
  ["x", "failed 7 8", 126, 'exec: "x": exec format error'],
  ["x", "failed 7 133", 126, 'exec: "x": errno 133'],
  [
    "x",
    "failed 4 2",
    126,
    'chdir to cwd ("/srv") set in config.json failed: no such file or directory',
  ],
  ["x", "failed 5 1", 126, "setting the user and its capabilities: operation not permitted"],
  ["x", "failed 2 12", 126, "the guest cannot start a process: cannot allocate memory"],
];

Deno.test("exec: a program that cannot be executed is an error in runc's words", () => {
  for (const [program, report, exitCode, message] of PROGRAMS) {
    const error = execFailure(report, "id", processOf(program));
    assert.ok(error instanceof ExecFailedError, report);
    assert.equal(error.exitCode, exitCode);
    const expected = `exec failed: unable to start container process: ${message}`;
    assert.equal(error.message, expected);
  }
});

Deno.test("exec: whatever else a relay reports is an error, too", () => {
  const process = processOf("x");
  const reports: [string, new (...args: never[]) => Error, RegExp][] = [
    ["ended", WrongStateError, /container not running/],
    ["silent", HostError, /does not answer/],
    ["broken", HostError, /does not keep to the protocol/],
    ["signal", HostError, /a signal/],
    // The relay was.
    ["", HostError, /it was killed before/],
    ["error connection 109", HostError, /cannot hand over .*: too many references/],
    ["error capset 1", HostError, /capset: operation not permitted/],
    ...["failed 8 1", "failed 7 12345", "started now", "error x\ny 1", "failed 7 2 "].map(
      (
        report,
      ): [string, typeof HostError, RegExp] => [report, HostError, /keep to the protocol|errno/],
    ),
  ];
  for (const [report, kind, message] of reports) {
    const error = execFailure(report, "id", process);
    assert.ok(error instanceof kind, report);
    assert.match(error.message, message);
  }
});
