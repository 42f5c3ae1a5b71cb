import assert from "node:assert/strict";
import { parseProcess } from "../../../lib/oci/parse.ts";
import { describeProcess, relayArguments } from "../../../lib/plan/relay.ts";

Deno.test("a relay becomes the container's user, and reads its filter", () => {
  const identity = { uid: 5, gid: 6, groups: [7, 8] };
  assert.deepEqual(relayArguments({ identity, terminal: true, filtered: true }), [
    ...["urunc-relay", "socket=3", "request=4", "start=5", "filter=7", "uid=5", "gid=6"],
    ...["group=7", "group=8", "terminal"],
  ]);
  const handed = relayArguments({ identity, terminal: false, filtered: true, handed: true });
  assert.equal(handed.at(-1), "handed");
  assert.deepEqual(
    relayArguments({ identity: { uid: 0, gid: 0, groups: [] }, terminal: false, filtered: false }),
    ["urunc-relay", "socket=3", "request=4", "start=5", "uid=0", "gid=0"],
  );
});

Deno.test("a further process is described by records, each with an end", () => {
  const process = parseProcess(JSON.stringify({
    cwd: "/srv",
    args: ["ls", "", "-l\n"],
    env: ["A=b=c", "D="],
    user: { uid: 1, gid: 2, additionalGids: [4, 3], umask: 0o77 },
    rlimits: [{ type: "RLIMIT_NOFILE", soft: 9, hard: 10 }],
    capabilities: { bounding: ["CAP_CHOWN", "CAP_KILL"] },
    noNewPrivileges: true,
  }));
  const text = new TextDecoder().decode(describeProcess(process));
  assert.deepEqual(text.split("\0"), [
    ...["uid=1", "gid=2", "groups=3,4", "umask=63", "cwd=/srv", "limit=7:9:10"],
    ...["capabilities=21:0:0:0:0", "no-new-privileges"],
    ...["arg=ls", "arg=", "arg=-l\n", "env=A=b=c", "env=D=", ""],
  ]);
});
