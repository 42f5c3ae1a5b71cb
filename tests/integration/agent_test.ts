/** A Linux guest with an agent: what its program has, and what the caller gets of it. */
import assert from "node:assert/strict";
import { capabilityNames } from "../../lib/config/capabilities.ts";
import { isAlive, monitorOf, waitFor } from "../support/process.ts";
import { Terminal } from "../support/pty.ts";
import {
  assertNothingLeft,
  assertSucceeded,
  Container,
  type ContainerOptions,
  linuxContainer,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { transfer } from "../support/transfer.ts";
import { uruncBinary } from "../support/urunc.ts";

const QEMU = {
  needs: ["root", "qemu-system-x86_64", "busybox", "cpio", "apt-get"],
  timeoutSeconds: 120,
};
const MIB = 1024 * 1024;
const ROOT = { uid: 0, gid: 0 };

/** A guest whose program is a shell with this script. */
async function shellContainer(
  scope: Scope,
  script: string,
  options: ContainerOptions = {},
): Promise<Container> {
  return await linuxContainer(scope, {
    args: ["busybox", "sh", "-c", script],
    env: ["PATH=/bin"],
    ...options,
  });
}

/** `process.capabilities`, the same in every set. */
function withCapabilities(...names: string[]): ContainerOptions["edit"] {
  return ({ process }) => {
    process.capabilities = Object.fromEntries(
      ["bounding", "effective", "permitted"].map((set) => [set, names]),
    );
  };
}

const maskOf = (...names: string[]) =>
  names.reduce((mask, name) => mask | 1n << BigInt(capabilityNames.indexOf(name)), 0n).toString(16)
    .padStart(16, "0");

testIf(
  "agent: the program is who config.json says, where it says, with its input and no more",
  QEMU,
  async () => {
    await using scope = new Scope();
    const script = [
      "echo pid $$; busybox id; busybox pwd; busybox hostname; umask; ulimit -n; busybox env | busybox sort",
      "busybox grep -E 'NoNewPrivs|Cap(Eff|Bnd)' /proc/self/status",
      "busybox cat /etc/hostname /etc/hosts",
      "busybox ls /dev/fd/; busybox ls /proc/self/fd | busybox wc -l; busybox wc -c >&2; exit 3",
    ].join("\n");
    const hosts = `${await scope.temporaryDirectory("files")}/hosts`;
    await Deno.writeTextFile(hosts, "10.1.2.3 other\n");
    const container = await shellContainer(scope, script, {
      user: { uid: 1000, gid: 1001, additionalGids: [7, 8], umask: 0o027 },
      hostname: "small",
      env: ["PATH=/bin", "TWO=a b\nc"],
      edit: (config) => {
        withCapabilities("CAP_CHOWN")!(config);
        config.mounts = [{
          destination: "/etc/hosts",
          type: "bind",
          source: hosts,
          options: ["bind"],
        }];
        Object.assign(config.process, {
          cwd: "/made/here",
          noNewPrivileges: true,
          rlimits: [{ type: "RLIMIT_NOFILE", soft: 99, hard: 100 }],
        });
      },
    });
    const args = ["run", "--bundle", container.bundle, container.id];
    const { code, stdout, stderr } = await container.urunc(args, { stdin: "hello world\n" });
    assert.equal(stderr, "12\n");
    assert.deepEqual(stdout.split("\n"), [
      ...["pid 1", "uid=1000 gid=1001 groups=7,8", "/made/here", "small", "0027", "99"],
      ...["HOME=/", "PATH=/bin", "PWD=/made/here", "SHLVL=1", "TWO=a b", "c"],
      ...[`CapEff:\t${"0".repeat(16)}`, `CapBnd:\t${maskOf("CAP_CHOWN")}`, "NoNewPrivs:\t1"],
      ...["small", "10.1.2.3 other", "0", "1", "2", "3", "4", ""],
    ]);
    assert.equal(code, 3);
    assertNothingLeft(container);
  },
);

testIf("agent: output and errors that are one file keep their order", QEMU, async () => {
  await using scope = new Scope();
  const script = "i=0; while [ $i -lt 100 ]; do echo $i; echo $i >&2; i=$((i+1)); done; exit 143";
  const container = await shellContainer(scope, script);
  const command = await container.commandLine("run");
  // The last of the redirects counts.
  const both = ["sh", "-c", 'exec 2>&1; exec "$@"', "sh", ...command.slice(6)];
  const { code, stdout } = await new Deno.Command(both[0]!, { args: both.slice(1), stdin: "null" })
    .output();
  const expected = Array.from({ length: 100 }, (_, i) => `${i}\n${i}\n`).join("");
  assert.equal(new TextDecoder().decode(stdout), expected);
  assert.equal(code, 143);
});

testIf(
  "agent: TERM is the program's, which takes its time and gives the exit code",
  QEMU,
  async () => {
    await using scope = new Scope();
    const script = 'trap "echo trapped; busybox sleep 1; exit 3" TERM; echo up; ' +
      "while :; do busybox sleep 0.1; done";
    const container = await shellContainer(scope, script);
    const { code } = await container.spawn(scope, "run");
    await container.waitForOutput("up");
    assertSucceeded(await container.kill());
    assert.equal(await code, 3);
    assert.equal(container.output(), "up\ntrapped\n");
    assert.equal(container.errors(), "");
  },
);

testIf(
  "agent: a program that ignores TERM goes on, and KILL is 137; an early signal ends the guest",
  QEMU,
  async () => {
    await using scope = new Scope();
    const container = await shellContainer(scope, "echo up; busybox sleep 1000");
    const early = await shellContainer(scope, "echo up; busybox sleep 1000");
    await early.mustStart();
    assertSucceeded(await early.kill("INT"));
    await early.waitForStatus("stopped");
    const { code } = await container.spawn(scope, "run");
    await container.waitForOutput("up");
    assertSucceeded(await container.kill());
    assertSucceeded(await container.kill("USR1"));
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.equal((await container.state()).status, "running");
    assertSucceeded(await container.kill("KILL"));
    assert.equal(await code, 137);
    assert.equal(early.output(), "");
  },
);

testIf("agent: 16 MiB through the program and back, with a reader that stalls", QEMU, async () => {
  await using scope = new Scope();
  const container = await shellContainer(scope, "busybox cat");
  // Longer than what a monitor is given after its end.
  await transfer(container, { bytes: 16 * MIB, stallSeconds: 12 });
});

testIf("agent: the guest's clock is the host's, after a pause as well", QEMU, async () => {
  await using scope = new Scope();
  const script = "while :; do busybox date +%s; busybox sleep 0.2; done";
  const container = await shellContainer(scope, script);
  await container.spawn(scope, "run");
  await container.waitForOutput("1");
  assertSucceeded(await container.urunc(["pause", container.id]));
  const { length } = container.output();
  await new Promise((resolve) => setTimeout(resolve, 5000));
  const resumed = Date.now() / 1000;
  assertSucceeded(await container.urunc(["resume", container.id]));
  const found = await waitFor(() => {
    const [, ...lines] = container.output().slice(length).split("\n");
    return lines.length > 3 ? Number(lines[1]) : undefined;
  }, { timeoutSeconds: 20, what: "the time" });
  const late = Date.now() / 1000 - resumed;
  assert.ok(found > resumed - 2 && found < resumed + late + 2, `${found}, not ${resumed}`);
});

for (const victim of ["waiter", "monitor"] as const) {
  testIf(
    `agent: kill -9 of the ${victim} with the channel in use leaves nothing`,
    QEMU,
    async () => {
      await using scope = new Scope();
      const container = await shellContainer(
        scope,
        "while :; do echo up; busybox sleep 0.01; done",
      );
      const pid = await container.mustStart();
      await container.waitForOutput("up");
      const exec = new Deno.Command(await uruncBinary(), {
        args: [
          ...["--root", container.root, "exec", container.id],
          ...["busybox", "sh", "-c", "echo in; busybox sleep 1000"],
        ],
        stdout: "piped",
      }).spawn();
      const output = exec.stdout.getReader();
      assert.equal(new TextDecoder().decode((await output.read()).value), "in\n");
      const monitor = monitorOf(pid);
      Deno.kill(victim === "waiter" ? pid : monitor, "SIGKILL");
      await container.waitForStatus("stopped");
      assert.notEqual((await exec.status).code, 0);
      await output.cancel();
      assertSucceeded(await container.delete());
      assert.ok(!isAlive(monitor));
      assertNothingLeft(container, pid);
    },
  );
}

testIf(
  "agent: a program that powers off has succeeded; one that is not there is 127",
  QEMU,
  async () => {
    await using scope = new Scope();
    const off = await shellContainer(scope, "echo over; busybox poweroff -f", {
      user: ROOT,
      edit: withCapabilities("CAP_SYS_BOOT"),
    });
    assert.deepEqual(await off.run(), { code: 0, stdout: "over\n", stderr: "" });
    const missing = await shellContainer(scope, "", { args: ["nothing"] });
    const stderr = "urunc: cannot run nothing: errno 2\n";
    assert.deepEqual(await missing.run(), { code: 127, stdout: "", stderr });
  },
);

testIf("agent: a guest that crashes is 255, with the last lines of its console", QEMU, async () => {
  await using scope = new Scope();
  const script = "echo before; busybox sleep 1; echo c >/proc/sysrq-trigger";
  const container = await shellContainer(scope, script, { user: ROOT });
  const { code, stdout, stderr } = await container.run();
  assert.deepEqual([code, stdout], [255, "before\n"]);
  assert.match(stderr, /^urunc: the guest ended without its agent's report; .*:\n\[/);
  assert.match(stderr, /Kernel panic - not syncing: sysrq triggered crash/);
});

testIf("agent: the console of its kernel is kept, also when it has ended", QEMU, async () => {
  await using scope = new Scope();
  const script = "printf '\\033[2Jown words\\n' >/dev/console; echo up; exec busybox sleep 1000";
  const container = await shellContainer(scope, script, {
    user: ROOT,
    edit: withCapabilities("CAP_DAC_OVERRIDE"),
  });
  await container.mustStart();
  await container.waitForOutput("up");
  const running = await container.urunc(["logs", "--console", container.id], { check: true });
  assert.match(running.stdout, /^\[.*Linux version /m);
  assert.match(running.stdout, /^\?\[2Jown words$/m);
  assertSucceeded(await container.kill("KILL"));
  await container.waitForStatus("stopped");
  const stopped = await container.urunc(["logs", "--console", container.id], { check: true });
  assert.ok(stopped.stdout.startsWith(running.stdout));
  assertSucceeded(await container.urunc(["delete", container.id]));
  assertNothingLeft(container);
});

testIf(
  "agent: without the driver the serial line is used, and signals and exit codes arrive",
  QEMU,
  async () => {
    await using scope = new Scope();
    const container = await shellContainer(
      scope,
      'trap "exit 7" TERM; echo up; while :; do busybox sleep 0.1; done',
      {
        unikernel: { kernelParameters: "initcall_blacklist=virtio_console_init" },
      },
    );
    const { code } = await container.spawn(scope, "run");
    await container.waitForOutput("up", 60);
    assert.match(
      container.errors(),
      /^urunc: the guest's kernel has no driver for virtio-serial: .*\n$/,
    );
    assert.equal((await container.state()).annotations!["com.urunc.agent"], "serial");
    assertSucceeded(await container.kill());
    assert.equal(await code, 7);
    // The kernel may have something to say, too.
    assert.match(container.output(), /^up\r?$/m);
  },
);

testIf(
  "agent: a terminal has a size, which changes, and Ctrl-C ends what runs on it",
  QEMU,
  async () => {
    await using scope = new Scope();
    // The kernel signals first and echoes ^C then (n_tty_receive_signal_char()): the program waits for that.
    const trap = "trap 'busybox sleep 1; exit 5' INT";
    const script = `${trap}; while :; do busybox stty size; busybox sleep 0.2; done`;
    const container = await shellContainer(scope, script, { terminal: true });
    const terminal = new Terminal(scope);
    const { master } = terminal;
    master.resize(33, 99);
    const { ended } = terminal.spawn(scope, [
      await uruncBinary(),
      ...["--root", container.root, "run", "--bundle", container.bundle, container.id],
    ]);
    await master.waitForText("33 99\r\n", 60);
    master.resize(44, 111);
    await master.waitForText("44 111\r\n");
    await master.type("\x03");
    assert.equal((await ended).exitCode, 5);
    assert.match(master.text(), /^(33 99\r\n)+(44 111\r\n)+\^C$/);
  },
);
