import assert from "node:assert/strict";
import { parseCommandLine } from "../../../lib/cli/parser/parse.ts";
import { resourcesOf } from "../../../lib/cli/update_resources.ts";
import { UnsupportedError, UsageError } from "../../../lib/errors.ts";

/** What `urunc update ARGS one` asks for. */
function resources(...args: string[]) {
  const parsed = parseCommandLine(["update", ...args, "one"]);
  if (parsed.kind !== "command" || parsed.command.verb !== "update") throw new Error("no update");
  return resourcesOf(parsed.command);
}

const MEMORY: [string, number][] = [
  ["0", 0],
  ["-1", -1],
  ["1000", 1000],
  ["1000b", 1000],
  ["4k", 4096],
  ["512m", 512 * 1024 ** 2],
  ["512M", 512 * 1024 ** 2],
  ["512MB", 512 * 1024 ** 2],
  ["1.5GiB", 1.5 * 1024 ** 3],
  ["2 g", 2 * 1024 ** 3],
  ["1t", 1024 ** 4],
];

for (const [text, bytes] of MEMORY) {
  Deno.test(`update: a memory limit of ${text} is ${bytes} bytes`, () => {
    assert.deepEqual(resources("--memory", text), { memory: { limit: bytes } });
  });
}

Deno.test("update: options become properties, no options become none", () => {
  assert.deepEqual(resources(), {});
  assert.deepEqual(
    resources(
      ...["--memory-swap=-1", "--memory-reservation=1k", "--cpu-shares=5", "--cpu-quota=-1"],
      ...["--cpuset-cpus", "0-1", "--pids-limit=-1", "--blkio-weight=10", "--cpu-idle=1"],
    ),
    {
      memory: { swap: -1, reservation: 1024 },
      cpu: { shares: 5, quota: -1, cpus: "0-1", idle: 1 },
      pids: { limit: -1 },
      blockIO: { weight: 10 },
    },
  );
});

for (const args of [["--memory", "much"], ["--memory=-2"], ["--cpu-share=1.5"], ["--memory=1x"]]) {
  Deno.test(`update: ${args.join(" ")} is not a number`, () => {
    assert.throws(() => resources(...args), UsageError);
  });
}

Deno.test("update: Intel RDT is refused by name", () => {
  assert.throws(() => resources("--mem-bw-schema", "MB:0=20"), (error: Error) => {
    assert.ok(error instanceof UnsupportedError);
    assert.match(error.message, /--mem-bw-schema/);
    return true;
  });
});
