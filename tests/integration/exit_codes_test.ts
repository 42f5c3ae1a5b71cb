/** What `run` exits with: the guest's own code, the monitor's failure, the signal that ended it. */
import assert from "node:assert/strict";
import { debianKernel, makeLinuxInitrd } from "../support/fixtures.ts";
import { assertNothingLeft, Container, doubleContainer } from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

const needs = ["root", "qemu-system-x86_64"];
const linuxNeeds = [...needs, "busybox", "cpio", "apt-get"];

for (const code of [0, 1, 2, 42, 126, 127]) {
  testIf(`exit code: a guest that exits with ${code}`, { needs }, async () => {
    await using scope = new Scope();
    const args = ["hello", "over", String(code)];
    const container = await Container.prepare(scope, { args, accelerator: "tcg" });
    assert.deepEqual(await container.run(), { code, stdout: "over\n", stderr: "" });
    assertNothingLeft(container);
  });
}

testIf("exit code: a monitor that fails by itself is 1, with its own message", {
  needs,
}, async () => {
  await using scope = new Scope();
  const container = await Container.prepare(scope, { accelerator: "tcg" });
  // Its headers are right, and what they describe is not there.
  await Deno.truncate(`${container.rootfs}/unikernel/guest.elf`, 4608);
  const result = await container.run();
  assert.equal(result.code, 1);
  assert.match(result.stderr, /^qemu-system-x86_64: /);
  assertNothingLeft(container);
});

testIf("exit code: a monitor that is killed is 128 and the signal", { needs }, async () => {
  await using scope = new Scope();
  const container = await Container.prepare(scope, { args: ["idle"], accelerator: "tcg" });
  const { code } = await container.spawn(scope, "run");
  await container.waitForOutput("idle");
  await container.kill("KILL");
  assert.equal(await code, 137);
});

testIf("exit code: a monitor that reports an internal error is ended, with its own words", {
  needs: ["root", "gcc"],
}, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "print stopped; internal-error 3; idle");
  const { code, stdout } = await container.run();
  assert.deepEqual([code, stdout], [255, "stopped\n"]);
  assertNothingLeft(container);
});

for (const end of ["poweroff", "reboot"] as const) {
  testIf(`exit code: a Linux guest that does ${end} has succeeded`, {
    needs: linuxNeeds,
  }, async () => {
    await using scope = new Scope();
    const initrd = await makeLinuxInitrd({ finally: end, line: "over" });
    scope.defer("remove the initrd", () => initrd.cleanup());
    const container = await Container.prepare(scope, {
      unikernelType: "linux",
      kernel: await debianKernel(),
      initrd: initrd.path,
      accelerator: "tcg",
      args: ["/init"],
    });
    const { code, stdout } = await container.run();
    assert.match(stdout, /over/);
    assert.equal(code, 0);
  });
}
