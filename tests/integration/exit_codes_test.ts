/** What `run` exits with: the guest's own code, the monitor's failure, the signal that ended it. */
import assert from "node:assert/strict";
import {
  assertNothingLeft,
  Container,
  doubleContainer,
  linuxContainer,
  nodeDoubleContainer,
} from "../support/runtime.ts";
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

/** What Firecracker 1.16 logs, and its exit code: it is 0 or 1 by which of its threads is first. */
const FIRECRACKER_ENDS: [logged: string, exits: number, code: number][] = [
  ["Received KVM_EXIT_INTERNAL_ERROR signal", 0, 255],
  ["Received KVM_EXIT_INTERNAL_ERROR signal", 1, 255],
  ["Received KVM_EXIT_FAIL_ENTRY signal: 7 on cpu 0", 0, 255],
  ["Unexpected exit reason on vcpu run: Shutdown", 0, 255],
  ["Received KVM_SYSTEM_EVENT signal type: 3, flag: []", 0, 255],
  ["Received ENOSYS error because KVM failed to emulate an instruction.", 0, 255],
  ["Failure during vcpu run: Bad address (os error 14)", 1, 255],
  ["Failed to process queue: it is the guest's affair", 0, 0],
  ["Failed to trigger an interrupt", 148, 148],
];

for (const [logged, exits, code] of FIRECRACKER_ENDS) {
  testIf(`exit code: Firecracker that exits with ${exits} and logs "${logged}" is ${code}`, {
    needs: ["root", "gcc", "kvm"],
  }, async () => {
    await using scope = new Scope();
    const commands = `print up; log /guest/firecracker.log ${logged}; exit ${exits}`;
    const container = await nodeDoubleContainer(scope, commands);
    const result = await container.run();
    assert.deepEqual(result, { code, stdout: "up\n", stderr: `${logged}\n` });
    assertNothingLeft(container);
  });
}

for (const end of ["poweroff", "reboot"] as const) {
  testIf(`exit code: a Linux guest that does ${end} has succeeded`, {
    needs: linuxNeeds,
  }, async () => {
    await using scope = new Scope();
    const container = await linuxContainer(scope, {
      disk: { finally: end, line: "over" },
      args: ["/init"],
    });
    const { code, stdout } = await container.run();
    assert.match(stdout, /over/);
    assert.equal(code, 0);
  });
}
