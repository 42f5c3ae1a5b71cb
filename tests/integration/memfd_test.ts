/** A host that lets nobody execute a file in memory: sysctl vm.memfd_noexec is 2. */
import assert from "node:assert/strict";
import { assertNothingLeft, doubleContainer } from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

/** Since Linux 6.3, for each PID namespace and those below it. */
const SYSCTL = "/proc/sys/vm/memfd_noexec";

/** Runs a command in a PID namespace where the sysctl has a value. */
function withSysctl(value: number): string[] {
  const script = `echo ${value} >${SYSCTL} && exec "$@"`;
  return ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", script, "sh"];
}

function missingSysctl(): string | undefined {
  try {
    Deno.statSync(SYSCTL);
    return undefined;
  } catch {
    return `needs ${SYSCTL}, of Linux 6.3`;
  }
}

for (const value of [0, 1, 2]) {
  testIf(`a guest runs where sysctl vm.memfd_noexec is ${value}`, {
    needs: ["root", "gcc", "unshare"],
    skip: missingSysctl(),
  }, async () => {
    await using scope = new Scope();
    // As uid 65534, who can only execute the container's process, and not read or write it.
    const container = await doubleContainer(scope, "print up; open /proc/1/exe r; exit 7", {
      user: { uid: 65534, gid: 65534 },
    });
    const { code, stdout, stderr } = await container.run({ wrapper: withSysctl(value) });
    assert.deepEqual([code, stdout, stderr], [3, 'up\n{"errno":2}\n', ""]);
    assertNothingLeft(container);
  });
}
