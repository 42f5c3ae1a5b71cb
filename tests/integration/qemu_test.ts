/** What `qemu.argv` says, QEMU does: each fixture guest, both boot protocols, on KVM and TCG. */
import assert from "node:assert/strict";
import { close, setCloexec } from "../../ffi/linux.ts";
import { findFirmware } from "../../lib/host/binaries.ts";
import { processorVendor } from "../../lib/host/processor.ts";
import { qemu } from "../../lib/monitor/qemu/qemu.ts";
import type { MonitorInput } from "../../lib/monitor/types.ts";
import { attachTap } from "../../lib/network/tap.ts";
import {
  debianKernel,
  guestKernel,
  makeLinuxInitrd,
  multibootGuestKernel,
} from "../support/fixtures.ts";
import { type CommandOptions, run, waitFor } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { findProgram, testIf } from "../support/skip.ts";

const binary = findProgram("qemu-system-x86_64") ?? "/usr/bin/qemu-system-x86_64";
const needs = ["qemu-system-x86_64"];

function argv(input: Partial<MonitorInput>): string[] {
  return qemu.argv({
    binary,
    kernel: guestKernel,
    memoryMiB: 32,
    vcpus: 1,
    accelerator: "tcg",
    processorVendor: processorVendor(),
    firmwareDirectories: qemu.firmwareDirectories,
    firmware: findFirmware(qemu, undefined, false),
    ...input,
  });
}

/** Like the runtime's exec: no environment. Guests that should end but do not are killed. */
function boot(input: Partial<MonitorInput>, options: CommandOptions = {}) {
  return run(argv(input), { clearEnv: true, timeoutSeconds: 30, ...options });
}

const accelerators = [
  { accelerator: "kvm", needs: [...needs, "kvm"] },
  { accelerator: "tcg", needs },
] as const;

const kernels = [
  { protocol: "PVH", kernel: guestKernel },
  { protocol: "multiboot", kernel: multibootGuestKernel },
];

/** A command line of the fixture guest, and what comes of it. */
const behaviours: {
  commandLine?: string;
  stdin?: string;
  prints: string;
  code: number;
  memoryMiB?: number;
}[] = [
  { prints: "Hello from a urunc guest\n", code: 0 },
  { commandLine: "hello", prints: "Hello from a urunc guest\n", code: 0 },
  { commandLine: "hello from here 3", prints: "from here\n", code: 3 },
  { commandLine: 'hello "two  words" 127', prints: "two  words\n", code: 127 },
  {
    commandLine: "echo",
    stdin: "one\n\u0001x and \u0003 \n\nexit 5\n",
    prints: "echo\none\n\u0001x and \u0003 \n\n",
    code: 5,
  },
  {
    commandLine: "cmdline -S  ,a=,,b 'c'\n\"ü\"",
    prints: "cmdline -S  ,a=,,b 'c'\n\"ü\"\n",
    code: 0,
  },
  // The first pages below 1 MiB are the firmware's.
  { commandLine: "touch", memoryMiB: 100, prints: "touched 99 MiB\n", code: 0 },
  { commandLine: "--help", prints: "unknown command: --help\n", code: 127 },
];

for (const { accelerator, needs } of accelerators) {
  for (const { protocol, kernel } of kernels) {
    for (const { commandLine, stdin, prints, code, memoryMiB = 32 } of behaviours) {
      const title = JSON.stringify(commandLine ?? "no command line");
      testIf(`a ${protocol} guest on ${accelerator}: ${title}`, { needs: [...needs] }, async () => {
        const result = await boot({ accelerator, kernel, commandLine, memoryMiB }, { stdin });
        assert.equal(result.stdout, prints);
        // The debug exit device's; a guest that succeeds powers off.
        assert.equal(result.code, code === 0 ? 0 : 2 * code + 1, result.stderr);
        assert.equal(result.stderr, "");
      });
    }
  }

  testIf(`a guest on ${accelerator} idles until SIGTERM`, { needs: [...needs] }, async () => {
    const [program, ...args] = argv({ accelerator, commandLine: "idle" });
    await using scope = new Scope();
    const child = new Deno.Command(program!, {
      args,
      clearEnv: true,
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    let ended = false;
    const status = child.status.finally(() => ended = true);
    scope.defer("kill the guest", () => ended || child.kill("SIGKILL"));
    const reader = child.stdout.getReader();
    scope.defer("close its output", () => reader.cancel());
    let printed = "";
    while (!printed.includes("\n")) {
      const { value, done } = await reader.read();
      assert.ok(!done, `the guest ended after ${JSON.stringify(printed)}`);
      printed += new TextDecoder().decode(value);
    }
    assert.equal(printed, "idle\n");
    assert.equal(ended, false);
    child.kill("SIGTERM");
    assert.equal((await status).code, 0);
  });

  testIf(`the smallest guest boots on ${accelerator}`, { needs: [...needs] }, async () => {
    const memoryMiB = qemu.minimumMemoryMiB;
    const { stdout, code } = await boot({ accelerator, memoryMiB, commandLine: "hello small" });
    assert.equal(stdout, "small\n");
    assert.equal(code, 0);
  });
}

testIf("a kernel's path is never read as options", { needs }, async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("qemu");
  const kernel = `${directory}/k,if=none -S ,,"x`;
  await Deno.copyFile(guestKernel, kernel);
  const { stdout, code } = await boot({ kernel, commandLine: "hello whole" });
  assert.equal(stdout, "whole\n");
  assert.equal(code, 0);
});

testIf("a guest gets a command line of 8000 bytes", { needs }, async () => {
  const commandLine = `cmdline ${"x".repeat(8000)}`;
  assert.equal((await boot({ commandLine })).stdout, `${commandLine}\n`);
});

testIf("a guest that panics has failed, whatever it does after it", { needs }, async () => {
  for (let round = 0; round < 20; round++) {
    const { code } = await boot({ kernel: multibootGuestKernel, commandLine: "crash" });
    assert.equal(code, 85);
  }
});

testIf("a guest that powers off ends with 0, or with what it writes after it", {
  needs,
}, async () => {
  const { code } = await boot({ kernel: multibootGuestKernel, commandLine: "poweroff" });
  assert.ok([0, 83].includes(code), `${code}`);
});

testIf(
  "a stock Linux that panics ends with a failure",
  { needs: [...needs, "root", "busybox", "cpio", "apt-get"], timeoutSeconds: 300 },
  async () => {
    await using scope = new Scope();
    const kernel = await debianKernel();
    const initrd = await makeLinuxInitrd({ script: "exit 3" });
    scope.defer("remove the initrd", () => initrd.cleanup());
    const commandLine = "console=ttyS0 panic=-1";
    const input = { kernel, initrd: initrd.path, memoryMiB: 256, commandLine };
    const { code, stdout } = await boot(input, { timeoutSeconds: 120 });
    assert.match(stdout, /Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000300/);
    assert.equal(code, 1);
  },
);

testIf(
  "a stock Linux takes its address, answers pings and serves on its network card",
  { needs: [...needs, "root", "ip", "ping", "busybox", "cpio", "apt-get"], timeoutSeconds: 300 },
  async () => {
    await using scope = new Scope();
    const kernel = await debianKernel();
    const initrd = await makeLinuxInitrd({ http: "served by a guest\n", line: "up" });
    scope.defer("remove the initrd", () => initrd.cleanup());
    const tap = `ut${crypto.randomUUID().slice(0, 8)}`;
    const ip = (...args: string[]) => run(["ip", ...args], { check: true });
    await ip("tuntap", "add", tap, "mode", "tap");
    scope.defer(`remove ${tap}`, () => ip("link", "del", tap));
    await ip("link", "set", tap, "mtu", "1400", "up");
    await ip("address", "add", "198.18.201.1/30", "dev", tap);
    const tapFd = attachTap(tap);
    scope.defer("close the tap", () => close(tapFd));
    setCloexec(tapFd, false);
    const [program, ...args] = argv({
      kernel,
      initrd: initrd.path,
      memoryMiB: 128,
      commandLine:
        "console=ttyS0 quiet panic=-1 ip=198.18.201.2::198.18.201.1:255.255.255.252:box:eth0:off",
      network: { tap, tapFd, mac: "02:42:0a:58:03:07", mtu: 1400 },
    });
    const child = new Deno.Command(program!, {
      args,
      clearEnv: true,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    scope.defer("end the guest", async () => {
      child.kill("SIGKILL");
      await child.status;
    });
    await waitFor(async () => {
      // 1400 bytes whole: header of IP and ICMP are 28 of them.
      const ping = ["ping", "-c1", "-W1", "-s1372", "-Mdo", "198.18.201.2"];
      return (await run(ping)).code === 0;
    }, { timeoutSeconds: 90, what: "the guest's answer to a ping", intervalMilliseconds: 200 });
    const body = await waitFor(
      () => fetch("http://198.18.201.2/").then((it) => it.text()).catch(() => undefined),
      { timeoutSeconds: 30, what: "the guest's HTTP server" },
    );
    assert.equal(body, "served by a guest\n");
    const neighbour = await run(["ip", "neighbour", "show", "198.18.201.2", "dev", tap]);
    assert.match(neighbour.stdout, /02:42:0a:58:03:07/);
  },
);
