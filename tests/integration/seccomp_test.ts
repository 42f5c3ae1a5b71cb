/** What becomes of a system call that a monitor may not make, by the operator's configuration. */
import assert from "node:assert/strict";
import { doubleTable } from "../support/double.ts";
import { assertFailed, Container } from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

const needs = ["root", "gcc"];
/** errno.h, signal(7) */
const EPERM = 1;
const SIGSYS = 31;

/** A monitor that makes a socket, on no list when its tap is not opened by name, and prints the errno. */
async function prepare(scope: Scope, configuration: string, calls: string[]): Promise<Container> {
  const config = `${await scope.temporaryDirectory("config")}/config.toml`;
  const table = await doubleTable("qemu", calls);
  await Deno.writeTextFile(config, `accelerator = "tcg"\n${configuration}\n${table}`);
  // No port 1 of the container's own loopback is listened on.
  return await Container.prepare(scope, { args: ["connect-port 1; print after"], config });
}

const cases: {
  name: string;
  configuration: string;
  calls?: string[];
  code: number;
  refused?: boolean;
}[] = [
  { name: "by default it fails", configuration: "", code: 0, refused: true },
  { name: "log: it is allowed", configuration: 'seccomp = "log"', code: 0 },
  { name: "strict: it kills", configuration: 'seccomp = "strict"', code: 128 + SIGSYS },
  { name: "off: it is allowed", configuration: 'seccomp = "off"', code: 0 },
  {
    name: "the operator allows it",
    configuration: 'seccomp = "strict"',
    calls: ["socket", "connect"],
    code: 0,
  },
];

for (const { name, configuration, calls = [], code, refused } of cases) {
  testIf(`a system call that is not the monitor's: ${name}`, { needs }, async () => {
    await using scope = new Scope();
    const container = await prepare(scope, configuration, calls);
    const result = await container.run();
    assert.equal(result.code, code, result.stderr);
    assert.equal(result.stdout.endsWith("after\n"), code === 0, result.stdout);
    if (code === 0) assert.equal(result.stdout.startsWith(`{"errno":${EPERM}}`), refused === true);
  });
}

testIf(
  "a system call of that name there is not: the configuration is refused",
  { needs },
  async () => {
    await using scope = new Scope();
    const container = await prepare(scope, "", ["sockets"]);
    assertFailed(await container.create(), [
      "monitors.qemu.system_calls[0]",
      "a system call's name",
    ]);
  },
);
