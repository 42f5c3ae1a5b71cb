/** containerd with the shim: real guests on real QEMU, terminals, and a root file system in an image. */
import assert from "node:assert/strict";
import { CONTAINERD_NEEDS, startContainerd } from "../../support/containerd.ts";
import { guestImage } from "../../support/guest_images.ts";
import { isAlive, monitorOf, readStatus, run, waitFor } from "../../support/process.ts";
import { Terminal } from "../../support/pty.ts";
import { Scope } from "../../support/scope.ts";
import { sitAtEcho, waitForSize } from "../../support/sitting.ts";
import { testIf } from "../../support/skip.ts";
import { loopDevice, SECTOR, SECTORS, textAt } from "../../support/volumes.ts";
import {
  assertNothingLeft,
  DOUBLE_NEEDS,
  GUEST,
  ORDINARY,
  startWithDouble,
  waitForStatus,
} from "./_common.ts";

const QEMU_NEEDS = [...CONTAINERD_NEEDS, "qemu-system-x86_64"];

for (const accelerator of ["kvm", "tcg"] as const) {
  testIf(`ctr run: a guest under ${accelerator} as 65534 prints its line and exits`, {
    needs: accelerator === "kvm" ? [...QEMU_NEEDS, "kvm"] : QEMU_NEEDS,
  }, async () => {
    await using scope = new Scope();
    const it = await startContainerd(scope);
    await it.makeImage(GUEST, guestImage(accelerator));
    const flags = ["--rm", "--user=65534:65534"];
    const hello = await it.ctrRun(flags, GUEST, "hello", ["hello", "Hello", "3"]);
    assert.equal(hello.stdout.replaceAll("\r", ""), "Hello\n", hello.stderr);
    assert.equal(hello.code, 3, hello.stderr);
    const command = it.ctrRunCommand(flags, GUEST, "told", ["echo"]);
    const typing = '{ sleep 1; printf "one\\rexit 5\\r"; } | "$@"';
    const told = await run(["sh", "-c", typing, "sh", ...command]);
    const said = told.stdout.replaceAll("\r", "");
    assert.deepEqual([said, told.code], ["echo\none\n", 5], told.stderr);

    const log = `${it.directory}/idle.log`;
    const detached = ["--detach", "--user=65534:65534", "--log-uri", `file://${log}`];
    await it.ctrRun(detached, GUEST, "idle", ["idle"]);
    const pid = await waitForStatus(it, "idle", "RUNNING");
    await waitFor(() => Deno.readTextFileSync(log).includes("idle"), {
      timeoutSeconds: 30,
      what: "the guest's line",
    });
    assert.match(await Deno.readLink(`/proc/${monitorOf(pid)}/exe`), /qemu-system-x86_64$/);
    const status = readStatus(pid);
    assert.deepEqual(status.uids, [65534, 65534, 65534, 65534]);
    assert.equal(status.capabilities.bounding, 0n);
    await it.ctr(["task", "kill", "idle"], { check: true });
    await waitFor(() => !isAlive(pid), { timeoutSeconds: 20, what: "the guest to end" });
    await it.ctr(["task", "delete", "idle"]);
    await it.ctr(["containers", "delete", "idle"], { check: true });

    // A monitor that has only begun handles no signals yet.
    await it.ctrRun(["--detach", "--null-io"], GUEST, "early", ["idle"]);
    await it.ctr(["task", "kill", "early"], { check: true });
    await waitForStatus(it, "early", "STOPPED");
    await it.ctr(["task", "delete", "early"]);
    await it.ctr(["containers", "delete", "early"], { check: true });
    await assertNothingLeft(it);
  });
}

testIf("ctr run --device: a guest has a block device as its disk", {
  needs: [...QEMU_NEEDS, "kvm", "losetup"],
}, async () => {
  await using scope = new Scope();
  const { device, backing } = await loopDevice(scope);
  const it = await startContainerd(scope);
  await it.makeImage(GUEST, guestImage("kvm"));
  const flags = ["--rm", "--user=65534:65534", `--device=${device}`];
  const commands = "disk 0 size read 1 write 2 by-a-device".split(" ");
  const { stdout, stderr } = await it.ctrRun(flags, GUEST, "device", commands);
  const serial = device.slice("/dev/".length);
  assert.equal(
    stdout.replaceAll("\r", ""),
    `disk 0: ${SECTORS} sectors, writable, serial ${serial}\nread 1: from the device\nwrote 2\n`,
    stderr,
  );
  await run(["blockdev", "--flushbufs", device], { check: true });
  assert.equal(textAt(backing, 2, 11), "by-a-device");
  await assertNothingLeft(it);
});

testIf("ctr run: a guest writes to a disk image of its image, unless its root is read-only", {
  needs: QEMU_NEEDS,
}, async () => {
  await using scope = new Scope();
  const it = await startContainerd(scope);
  const content = "\0".repeat(SECTOR) + "from the image\n".padEnd((SECTORS - 1) * SECTOR, "\0");
  await it.makeImage(GUEST, [
    ...guestImage("tcg", { block: "/disk.img" }),
    { path: "/disk.img", content, mode: 0o600 },
  ]);
  const commands = "disk 0 size read 1 write 2 by-the-guest".split(" ");
  const sizeAnd = (access: string) =>
    `disk 0: ${SECTORS} sectors, ${access}, serial block\nread 1: from the image\n`;
  // It is root's: the monitor opens it by its path, and as nobody has a descriptor of it.
  for (const user of ["0:0", "65534:65534"]) {
    const flags = [`--user=${user}`];
    const { stdout, stderr } = await it.ctrRun(flags, GUEST, "writes", commands);
    assert.equal(stdout.replaceAll("\r", ""), `${sizeAnd("writable")}wrote 2\n`, stderr);
    const upper = `${it.directory}/root/io.containerd.snapshotter.v1.overlayfs/snapshots`;
    const written = await run(["grep", "-rlF", "by-the-guest", upper], { check: true });
    assert.match(written.stdout, /fs\/disk\.img$/m);
    await it.ctr(["containers", "delete", "writes"], { check: true });
  }
  const { stdout, stderr } = await it.ctrRun(["--rm", "--read-only"], GUEST, "reads", commands);
  assert.equal(stdout.replaceAll("\r", ""), `${sizeAnd("read-only")}write 2 failed: 1\n`, stderr);
  await assertNothingLeft(it);
});

testIf("ctr run --tty: the terminal of a guest, and of an ordinary container", {
  needs: [...DOUBLE_NEEDS, "script"],
}, async () => {
  await using scope = new Scope();
  const it = await startWithDouble(scope);
  // `script` gives ctr a terminal.
  const inTerminal = async (command: string[], input: string) => {
    const quoted = command.map((word) => `'${word}'`).join(" ");
    const typing = `{ sleep 1; printf '${input}'; sleep 1; } | script -qec "$0" /dev/null`;
    return await run(["sh", "-c", typing, quoted], { timeoutSeconds: 20 });
  };
  const guest = it.ctrRunCommand(["--rm", "--tty"], GUEST, "tty", ["print in a terminal; report"]);
  const output = (await inTerminal(guest, "")).stdout;
  assert.match(output, /in a terminal/);
  const report = JSON.parse(output.slice(output.indexOf('{"argv"'), output.lastIndexOf("}") + 1));
  const types = report.fds.slice(0, 3).map((it: { type: string }) => it.type);
  assert.deepEqual(types, ["fifo", "fifo", "fifo"], "the terminal is the waiter's");

  const ordinary = it.ctrRunCommand(["--rm", "--tty"], ORDINARY, "shell", ["/bin/sh"]);
  const shell = (await inTerminal(ordinary, "echo $((6*7)); exit 0\\n")).stdout;
  assert.match(shell, /\b42\b/);
  await assertNothingLeft(it);
});

testIf("ctr run --tty: sizes arrive in the terminal of a guest, and keys", {
  needs: QEMU_NEEDS,
  timeoutSeconds: 180,
}, async () => {
  await using scope = new Scope();
  const it = await startContainerd(scope);
  await it.makeImage(GUEST, guestImage("tcg"));
  const exitCode = await sitAtEcho({
    command: it.ctrRunCommand(["--rm", "--tty", "--user=65534:65534"], GUEST, "tty", ["echo"]),
    pid: () => waitForStatus(it, "tty", "RUNNING"),
    bootSeconds: 60,
    // ctr lets its own terminal go on with making two of a line's end.
    lineEnd: "\r\r\n",
  });
  assert.equal(exitCode, 5);
  await assertNothingLeft(it);
});

testIf("ctr run --tty, and exec: sizes arrive in the terminals of an ordinary container", {
  needs: DOUBLE_NEEDS,
}, async () => {
  await using scope = new Scope();
  const it = await startWithDouble(scope);
  const command = it.ctrRunCommand(["--rm", "--tty"], ORDINARY, "shell", ["/bin/sh"]);
  const shell = new Terminal(scope);
  const { ended } = shell.spawn(scope, command);
  const pid = await waitForStatus(it, "shell", "RUNNING");
  await waitForSize(pid, 24, 80);
  const added = new Terminal(scope);
  const exec = ["task", "exec", "--tty", "--exec-id=added", "shell", "/bin/sh"];
  const second = added.spawn(scope, it.ctrCommand(exec));
  // Only a terminal of its own has another size.
  for (const [terminal, rows] of [[shell, 43], [added, 25]] as const) {
    terminal.master.resize(rows, 132);
    await waitFor(async () => {
      await terminal.master.type("busybox stty size\r");
      return terminal.master.text().includes(`\n${rows} 132\r`);
    }, { timeoutSeconds: 20, what: `${rows} rows`, intervalMilliseconds: 200 });
  }
  await waitForSize(pid, 43, 132);
  await added.master.type("exit 3\r");
  assert.equal((await second.ended).exitCode, 3);
  await shell.master.type("exit 4\r");
  assert.equal((await ended).exitCode, 4);
  await assertNothingLeft(it);
});

testIf("a root file system in an image file: a loop device that goes with the container", {
  needs: [...DOUBLE_NEEDS, "mkfs.ext4", "losetup"],
}, async () => {
  await using scope = new Scope();
  const scratch = `${await scope.temporaryDirectory("scratch")}/scratch`;
  await run(["truncate", "--size=32M", scratch], { check: true });
  await run(["mkfs.ext4", "-q", scratch], { check: true });
  const it = await startWithDouble(scope, {
    configuration: `
[plugins."io.containerd.snapshotter.v1.blockfile"]
  scratch_file = "${scratch}"
  fs_type = "ext4"
  mount_options = []
`,
  });
  await it.makeImage(GUEST, guestImage("tcg"), undefined, "blockfile");
  const result = await it.ctrRun(["--rm", "--snapshotter=blockfile"], GUEST, "block", [
    "print from a block device; exit 5",
  ]);
  assert.deepEqual([result.code, result.stdout], [2, "from a block device\n"], result.stderr);
  await assertNothingLeft(it);
  const loops = (await run(["losetup", "--list", "--noheadings", "--output", "BACK-FILE"])).stdout;
  assert.ok(!loops.includes(it.directory), loops);
});
