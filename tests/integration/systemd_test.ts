/** `--systemd-cgroup` where systemd does not run. Where it does: tests/vm/node/systemd_test.ts. */
import { assertFailed, assertNothingLeft, doubleContainer } from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

const options = {
  needs: ["root", "gcc"],
  skip: isBooted() ? "systemd runs this machine" : undefined,
};

for (const cgroupsPath of [undefined, "system.slice:docker:abc", "/a/b"]) {
  testIf(`--systemd-cgroup without systemd is refused: ${cgroupsPath}`, options, async () => {
    await using scope = new Scope();
    const container = await doubleContainer(scope, "idle", { globals: ["--systemd-cgroup"] });
    await container.editConfig((config) => {
      (config.linux as Record<string, unknown>).cgroupsPath = cgroupsPath;
    });
    const texts = ["use systemd's cgroup driver", "not booted with systemd", "cgroupfs driver"];
    assertFailed(await container.create(), texts);
    assertNothingLeft(container);
  });
}

function isBooted(): boolean {
  try {
    return Deno.lstatSync("/run/systemd/system").isDirectory;
  } catch {
    return false;
  }
}
