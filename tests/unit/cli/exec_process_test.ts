import assert from "node:assert/strict";
import { processOf } from "../../../lib/cli/exec_process.ts";
import { parseProcess } from "../../../lib/oci/parse.ts";

const own = parseProcess(
  JSON.stringify({
    args: ["/bin/server"],
    cwd: "/srv",
    env: ["PATH=/bin"],
    terminal: true,
    consoleSize: { height: 24, width: 80 },
    user: { uid: 5, gid: 6, additionalGids: [7] },
    capabilities: { bounding: ["CAP_CHOWN"], effective: ["CAP_CHOWN"], ambient: [] },
    rlimits: [{ type: "RLIMIT_AS", soft: 1, hard: 18446744073709551615 }],
  }).replace("18446744073709552000", "18446744073709551615"),
);

const options = {
  rest: ["ls", "-l"],
  tty: false,
  user: undefined,
  cwd: undefined,
  env: [],
  additionalGids: [],
  cap: [],
  noNewPrivs: false,
};

Deno.test("exec: without options the process is as the container's, but for its terminal", () => {
  assert.deepEqual(processOf(own, options), {
    ...own,
    args: ["ls", "-l"],
    terminal: false,
    consoleSize: undefined,
  });
  assert.equal(own.rlimits[0]?.hard, 2n ** 64n - 1n);
});

Deno.test("exec: options change the user, the directory, what is in the environment, and capabilities", () => {
  const process = processOf(own, {
    ...options,
    user: "8",
    cwd: "/",
    env: ["A=1", "B="],
    additionalGids: ["9"],
    cap: ["CAP_KILL"],
    noNewPrivs: true,
  });
  assert.deepEqual(process.user, { ...own.user, uid: 8, gid: 6, additionalGids: [7, 9] });
  assert.deepEqual([process.cwd, process.env], ["/", ["PATH=/bin", "A=1", "B="]]);
  assert.deepEqual(process.capabilities, {
    ...own.capabilities,
    bounding: ["CAP_CHOWN", "CAP_KILL"],
    effective: ["CAP_CHOWN", "CAP_KILL"],
    permitted: ["CAP_KILL"],
  });
  assert.equal(process.noNewPrivileges, true);
  assert.equal(processOf(own, { ...options, user: "0:1" }).user.gid, 1);
});

Deno.test("exec: a wrong option is named", () => {
  const wrong: [object, RegExp][] = [
    [{ user: "root" }, /--user: "root" is not a numeric id/],
    [{ user: "1:2:3" }, /--user: "1:2:3" is not UID or UID:GID/],
    [{ additionalGids: ["4294967295"] }, /--additional-gids/],
    [{ env: ["A"] }, /--env: "A" is not NAME=VALUE/],
    [{ cap: ["KILL"] }, /--cap: "KILL" is no such capability/],
  ];
  for (const [change, message] of wrong) {
    assert.throws(() => processOf(own, { ...options, ...change } as never), {
      name: "UsageError",
      message,
    });
  }
});

Deno.test("exec: a process that config.json could not have is refused", () => {
  const wrong: [string, RegExp][] = [
    ["1", /process: /],
    ["{", /not JSON/],
    ['{"cwd":"/"}', /process\.args: found an empty list/],
    ['{"cwd":"x","args":["a"]}', /process\.cwd/],
    ['{"cwd":"/","args":["a"],"rlimits":[{"type":"RLIMIT_AS","soft":2,"hard":1}]}', /rlimits\[0\]/],
  ];
  for (const [text, message] of wrong) {
    assert.throws(() => parseProcess(text), { name: "InvalidConfigurationError", message });
  }
});
