/** What signals do to guests: asked, ended; on real ones, and in front of a stubborn monitor. */
import assert from "node:assert/strict";
import { extraFds } from "../support/double.ts";
import { STOP_SIGNAL_ANNOTATION } from "../../lib/monitor/signals.ts";
import { Stopwatch } from "../support/busy.ts";
import type { InitrdOptions } from "../support/fixtures.ts";
import { isAlive, readStatus, waitFor } from "../support/process.ts";
import {
  assertNothingLeft,
  assertSucceeded,
  Container,
  type ContainerOptions,
  doubleContainer,
  linuxContainer,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

const linuxNeeds = ["root", "qemu-system-x86_64", "busybox", "cpio", "apt-get"];

/** What docker's users wait for an idle guest, less what docker itself takes. */
const SOON = 1700;

/** A started stock Linux under emulation that has come up. */
async function linuxGuest(
  scope: Scope,
  initrd: InitrdOptions,
  options: ContainerOptions = {},
): Promise<{ container: Container; pid: number }> {
  const container = await prepareLinux(scope, initrd, options);
  const pid = await container.mustStart();
  await container.waitForOutput("the guest is up", 60);
  return { container, pid };
}

async function prepareLinux(
  scope: Scope,
  options: InitrdOptions,
  containerOptions: ContainerOptions = {},
): Promise<Container> {
  return await linuxContainer(scope, {
    disk: { line: "the guest is up", ...options },
    args: ["/init"],
    unikernel: { agent: "none" },
    ...containerOptions,
  });
}

/** Fails the test when it takes longer than docker's users wait. */
async function assertSoon(action: () => Promise<unknown>, what = "it"): Promise<void> {
  const watch = new Stopwatch();
  await action();
  watch.assertWithin(SOON, what);
}

testIf("stop: a Linux guest that listens to its power button shuts down in its own time", {
  needs: linuxNeeds,
}, async () => {
  await using scope = new Scope();
  const { container } = await linuxGuest(scope, {
    // Longer than anybody watches, and without doing anything meanwhile.
    onPowerButton: "echo asked; sleep 3; echo all is saved; poweroff -f",
  });
  await assertSoon(async () => {
    assertSucceeded(await container.kill("TERM"), "kill");
  }, "kill");
  assert.equal((await container.state()).status, "running");
  await container.waitForStatus("stopped");
  assert.match(container.output(), /asked\r?\nall is saved/);
  assert.match(container.output(), /Power down/);
});

testIf(
  "stop: a guest without an agent that listens to nothing has the time that its caller grants",
  {
    needs: linuxNeeds,
  },
  async () => {
    await using scope = new Scope();
    const { container, pid } = await linuxGuest(scope, {});
    assertSucceeded(await container.kill("TERM"), "kill");
    await new Promise((resolve) => setTimeout(resolve, 2000));
    assert.ok(isAlive(pid), "it has not been ended");
    await assertSoon(async () => {
      assertSucceeded(await container.kill("KILL"), "kill");
      await waitFor(() => !isAlive(pid), { timeoutSeconds: 5, what: "the end" });
    });
  },
);

testIf("run: the first Ctrl-C asks the guest, the second ends it", {
  needs: linuxNeeds,
}, async () => {
  await using scope = new Scope();
  const container = await prepareLinux(scope, { onPowerButton: "echo asked; sleep 60" });
  const { child, code } = await container.spawn(scope, "run");
  await container.waitForOutput("the guest is up", 60);
  const { pid } = await container.state();
  child.kill("SIGINT");
  await container.waitForOutput("asked");
  await new Promise((resolve) => setTimeout(resolve, 1500));
  assert.ok(isAlive(pid!), "asked only, it goes on");
  await assertSoon(async () => {
    child.kill("SIGINT");
    assert.equal(await code, 130);
  });
  assertNothingLeft(container, pid);
});

testIf("stop: a guest with an agent that still boots ends soon", {
  needs: linuxNeeds,
  timeoutSeconds: 120,
}, async () => {
  await using scope = new Scope();
  const args = ["busybox", "sh", "-c", "echo the guest is up; busybox sleep 1000"];
  const container = await prepareLinux(scope, {}, { args, env: ["PATH=/bin"], unikernel: {} });
  for (const delay of [0, 100, 800]) {
    const pid = await container.mustStart();
    await new Promise((resolve) => setTimeout(resolve, delay));
    await assertSoon(async () => {
      assertSucceeded(await container.kill("TERM"), "kill");
      await waitFor(() => !isAlive(pid), { timeoutSeconds: 5, what: `the end, after ${delay} ms` });
    }, `the end after ${delay} ms`);
    assert.ok(!container.output().includes("the guest is up"));
    assertSucceeded(await container.delete(), "delete");
  }
});

const elfNeeds = ["root", "qemu-system-x86_64"];

testIf("stop: right after start, before QEMU has a handler for any signal", {
  needs: elfNeeds,
}, async () => {
  await using scope = new Scope();
  const container = await Container.prepare(scope, { args: ["idle"], accelerator: "tcg" });
  for (const delay of [0, 5, 10, 20, 40, 80]) {
    const pid = await container.mustStart();
    await new Promise((resolve) => setTimeout(resolve, delay));
    assertSucceeded(await container.kill("TERM"), "kill");
    await waitFor(() => !isAlive(pid), { timeoutSeconds: 5, what: `the end, after ${delay} ms` });
    assertSucceeded(await container.delete(), "delete");
  }
});

testIf("stop: a monitor that is slow to handle signals is killed", {
  needs: ["root", "gcc"],
}, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "unhandle 15; print ready; idle");
  const pid = await container.mustStart();
  await container.waitForOutput("ready");
  await assertSoon(async () => {
    assertSucceeded(await container.kill("TERM"), "kill");
    await waitFor(() => !isAlive(pid), { timeoutSeconds: 5, what: "the end" });
  });
});

testIf("stop: a monitor that blocks signals for a moment before it handles them ends", {
  needs: ["root", "gcc"],
}, async () => {
  await using scope = new Scope();
  const commands = "unhandle 15; block 15; print ready; sleep 200; unblock 15; idle";
  const container = await doubleContainer(scope, commands);
  const pid = await container.mustStart();
  await container.waitForOutput("ready");
  assertSucceeded(await container.kill("TERM"), "kill");
  await waitFor(() => !isAlive(pid), { timeoutSeconds: 5, what: "the end" });
});

testIf("stop: a monitor that blocks a signal for good gets it, and may wait for it", {
  needs: ["root", "gcc"],
}, async () => {
  await using scope = new Scope();
  const commands = "unhandle 15; block 15; print ready; idle";
  const container = await doubleContainer(scope, commands);
  await container.mustStart();
  const pid = await container.monitorPid();
  await container.waitForOutput("ready");
  assertSucceeded(await container.kill("TERM"), "kill");
  const isPending = () =>
    /^ShdPnd:\s+0000000000004000$/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
  await waitFor(isPending, { timeoutSeconds: 5, what: "the waiter to pass it on" });
  assert.ok(isAlive(pid));
});

const ENDING = { INT: 2, QUIT: 3, HUP: 1, PWR: 30, USR1: 10, "SIGRTMIN+3": 37, ABRT: 6, TERM: 15 };

for (const [signal, number] of Object.entries(ENDING)) {
  testIf(`stop: ${signal} ends a guest without power management at once, and is its exit code`, {
    needs: elfNeeds,
  }, async () => {
    await using scope = new Scope();
    const container = await Container.prepare(scope, { args: ["idle"], accelerator: "tcg" });
    const { code } = await container.spawn(scope, "run");
    await container.waitForOutput("idle");
    await assertSoon(async () => {
      assertSucceeded(await container.kill(signal), "kill");
      assert.equal(await code, 128 + number);
    });
  });
}

testIf(
  "stop: a signal to the container's pid itself, as conmon and containerd send it, ends the guest",
  {
    needs: elfNeeds,
  },
  async () => {
    await using scope = new Scope();
    const container = await Container.prepare(scope, { args: ["idle"], accelerator: "tcg" });
    const { code } = await container.spawn(scope, "run");
    await container.waitForOutput("idle");
    const { pid } = await container.state();
    Deno.kill(pid!, "SIGUSR1");
    try {
      Deno.kill(pid!, "SIGTERM");
    } catch (error) {
      // The first one was enough already.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    assert.equal(await code, 138, "the first one's");
  },
);

testIf("stop: signals that ask for nothing, and the image's own stop signal among them", {
  needs: elfNeeds,
}, async () => {
  await using scope = new Scope();
  const options: ContainerOptions = { args: ["idle"], accelerator: "tcg" };
  const plain = await Container.prepare(scope, options);
  const annotations = { [STOP_SIGNAL_ANNOTATION]: "SIGWINCH" };
  const web = await Container.prepare(scope, { ...options, annotations });
  for (const container of [plain, web]) {
    await container.mustStart();
    await container.waitForOutput("idle");
  }
  for (const signal of ["CHLD", "URG", "CONT", "0"]) {
    for (const container of [plain, web]) assertSucceeded(await container.kill(signal), signal);
  }
  for (const container of [plain, web]) assertSucceeded(await container.kill("WINCH"), "WINCH");
  await web.waitForStatus("stopped");
  assert.equal((await plain.state()).status, "running");
});

testIf("stop: SIGSTOP and SIGTSTP stop the guest, SIGCONT resumes it", {
  needs: ["root", "gcc"],
}, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "print ready; idle");
  await container.mustStart();
  await container.waitForOutput("ready");
  const pid = await container.monitorPid();
  const isStopped = () => readStatus(pid).state === "T";
  for (const signal of ["STOP", "TSTP"]) {
    assertSucceeded(await container.kill(signal), signal);
    await waitFor(isStopped, { timeoutSeconds: 5, what: `${signal} to stop it` });
    assertSucceeded(await container.kill("CONT"), "CONT");
    await waitFor(() => !isStopped(), { timeoutSeconds: 5, what: "CONT to let it go on" });
  }
});

testIf("stop: the control socket is passed to the monitor only", {
  needs: ["root", "gcc"],
}, async () => {
  await using scope = new Scope();
  const linux = await doubleContainer(scope, "", {
    unikernelType: "linux",
    args: ["/init", "report;", "idle"],
  });
  await linux.mustStart();
  const report = await linux.report();
  assert.deepEqual(extraFds(report).map(({ fd, type }) => [fd, type]), [[3, "socket"]]);
  const at = report.argv.indexOf("-mon");
  assert.equal(report.argv[at + 1], "chardev=control,mode=control");
  const socket = await Deno.lstat(`${linux.root}/${linux.id}/control.sock`);
  assert.equal(socket.mode! & 0o777, 0o600);
  assert.equal(socket.uid, 0);
  // The monitor never answers on it, and ends when that is clear, after 3 s.
  assertSucceeded(await linux.kill("TERM"), "kill");
  await linux.waitForStatus("stopped");

  const elf = await doubleContainer(scope, "report; idle");
  await elf.mustStart();
  assert.deepEqual(extraFds(await elf.report()), []);
});
