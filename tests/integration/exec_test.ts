/** Further processes in a Linux guest with an agent: `urunc exec`. */
import assert from "node:assert/strict";
import {
  assertNothingLeft,
  Container,
  type ContainerOptions,
  linuxContainer,
} from "../support/runtime.ts";
import { run, waitFor } from "../support/process.ts";
import { Terminal } from "../support/pty.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { lines } from "../support/streams.ts";
import { uruncBinary } from "../support/urunc.ts";

const QEMU = {
  needs: ["root", "qemu-system-x86_64", "busybox", "cpio", "apt-get"],
  timeoutSeconds: 180,
};

/** How often a relay is killed in mid-flood. */
const ROUNDS = 30;
const uruncPath = await uruncBinary();

/** A running guest with an agent, whose program waits. */
async function startGuest(scope: Scope, options: ContainerOptions = {}): Promise<Container> {
  const container = await linuxContainer(scope, {
    args: ["busybox", "sh", "-c", "echo up; busybox sleep 1000"],
    env: ["PATH=/bin", "OWN=1"],
    ...options,
    unikernel: { agent: "on", ...options.unikernel },
  });
  await container.mustStart();
  // On a busy machine a guest may boot for longer than a command waits for it.
  await container.waitForOutput("up", 120);
  return container;
}

testIf("exec: exit codes, output, input and its end, and who it is", QEMU, async () => {
  await using scope = new Scope();
  const container = await startGuest(scope, {
    user: { uid: 1000, gid: 1001, additionalGids: [7] },
    edit: (config) => {
      // EDOM, which nothing else is about.
      const syscalls = [{
        names: ["symlink", "symlinkat"],
        action: "SCMP_ACT_ERRNO",
        errnoRet: 33,
      }];
      Object.assign(config.linux!, { seccomp: { defaultAction: "SCMP_ACT_ALLOW", syscalls } });
    },
  });
  const exec = (args: string[], input?: string) =>
    container.urunc(["exec", ...args], input === undefined ? {} : { stdin: input });
  const sh = (script: string) => [container.id, "busybox", "sh", "-c", script];

  const first = await exec(sh("echo out; echo err >&2; exit 3"));
  assert.deepEqual([first.code, first.stdout, first.stderr], [3, "out\n", "err\n"]);
  assert.deepEqual(
    await exec([container.id, "busybox", "wc", "-c"], "hello world\n"),
    { ...first, code: 0, stdout: "12\n", stderr: "" },
  );
  const who = await exec([
    ...["--user", "5:6", "--additional-gids", "9", "--cwd", "/bin", "--env", "A=b c"],
    ...sh("busybox id; busybox pwd; echo $OWN $A; busybox ps | busybox grep -c 'slee[p] 1000'"),
  ]);
  assert.equal(who.stdout, "uid=5 gid=6 groups=7,9\n/bin\n1 b c\n1\n");
  const filtered = await exec(sh("busybox ln -s here /bin/link"));
  assert.match(filtered.stderr, /out of domain/);
  const killed = await exec(sh("kill -9 $$"));
  assert.equal(killed.code, 137);

  const missing = await exec([container.id, "nothing"]);
  assert.equal(missing.code, 127);
  assert.match(missing.stderr, /exec: \\?"nothing\\?": executable file not found in \$PATH/);
  const absolute = await exec([container.id, "/no/thing"]);
  assert.match(absolute.stderr, /stat \/no\/thing: no such file or directory/);
  const directory = await exec([container.id, "/bin"]);
  assert.equal(directory.code, 126);
  assert.match(directory.stderr, /exec: \\?"\/bin\\?": permission denied/);
  const nowhere = await exec(["--cwd", "/no/where", ...sh("true")]);
  assert.match(nowhere.stderr, /chdir to cwd \(\\?"\/no\/where\\?"\).*no such file or directory/);
  // As a shell's <(…).
  const piped = await run(
    [
      "bash",
      "-c",
      '"$1" --root "$2" exec --process <(cat) "$3"',
      "bash",
      uruncPath,
      container.root,
      container.id,
    ],
    { stdin: JSON.stringify({ user: { uid: 1 }, args: ["busybox", "id", "-u"], cwd: "/" }) },
  );
  assert.deepEqual([piped.code, piped.stdout], [0, "1\n"], piped.stderr);
  await container.kill("KILL");
  await container.waitForStatus("stopped");
  const stopped = await exec(sh("true"));
  assert.match(stopped.stderr, /cannot exec in a stopped container/);
  assert.equal((await container.delete()).code, 0);
  assertNothingLeft(container);
});

/** How many processes of the guest have this text in their command line. */
async function countInGuest(
  { urunc, id }: ReturnType<typeof callerOf>,
  text: string,
): Promise<number> {
  const { stdout } = await urunc(["exec", id, "busybox", "ps", "-o", "args"]);
  return stdout.split("\n").filter((line) => line.includes(text)).length;
}

function callerOf(container: Container) {
  return { id: container.id, urunc: container.urunc.bind(container) };
}

testIf(
  "exec: a relay that is killed ends its process, and nothing of it is left",
  QEMU,
  async () => {
    await using scope = new Scope();
    const container = await startGuest(scope);
    const caller = callerOf(container);
    const pidFile = `${await scope.temporaryDirectory("pid")}/pid`;
    const detached = async (script: string) => {
      const args = ["exec", "--detach", "--pid-file", pidFile, container.id];
      const { code, stderr } = await container.urunc([...args, "busybox", "sh", "-c", script]);
      assert.equal(code, 0, stderr);
      return Number(await Deno.readTextFile(pidFile));
    };

    const pid = await detached("busybox sleep 555 & busybox sleep 556");
    const { uid, monitor } = await readUids(pid, await container.monitorPid());
    assert.deepEqual(uid, monitor);
    await waitFor(async () => await countInGuest(caller, "sleep 55") >= 2, {
      timeoutSeconds: 20,
      what: "both",
    });
    Deno.kill(pid, "SIGKILL");
    await waitFor(async () => await countInGuest(caller, "sleep 55") === 0, {
      timeoutSeconds: 20,
      what: "the end of its process",
    });

    // In the middle of a flood, which the next one on the same port must not see.
    for (let round = 0; round < ROUNDS; round++) {
      Deno.kill(await detached("while :; do echo stale; done"), "SIGKILL");
      if (round % 10 > 0) continue;
      const { stdout } = await container.urunc(["exec", container.id, "busybox", "echo", "new"]);
      assert.equal(stdout, "new\n");
    }
    assert.equal(await countInGuest(caller, "stale"), 0);

    // What exits by itself may leave something behind.
    await container.urunc(["exec", container.id, "busybox", "sh", "-c", "busybox sleep 444 &"]);
    assert.equal(await countInGuest(caller, "sleep 444"), 1);
  },
);

/** How often a foreground exec is killed, each time later than before. */
const KILLS = 8;

testIf(
  "exec: one that is killed leaves its process, as runc's does, and a delete leaves nothing",
  QEMU,
  async () => {
    await using scope = new Scope();
    const container = await startGuest(scope);
    const caller = callerOf(container);
    const pidFile = `${await scope.temporaryDirectory("pid")}/pid`;
    assert.equal(await countInGuest(caller, "sleep 77"), 0);
    const spawn = (...words: string[]) =>
      new Deno.Command(uruncPath, {
        args: ["--root", container.root, "exec", ...words, container.id, "busybox", "sleep", "777"],
        stdin: "null",
        stdout: "null",
        stderr: "null",
      }).spawn();
    const exec = spawn("--pid-file", pidFile);
    await waitFor(() => Deno.stat(pidFile).then(() => true, () => false), {
      timeoutSeconds: 20,
      what: "its pid",
    });
    const relay = Number(await Deno.readTextFile(pidFile));
    exec.kill("SIGKILL");
    await exec.status;
    assert.equal(isAlive(relay), true);
    assert.equal(await countInGuest(caller, "sleep 777"), 1);

    for (let round = 0; round < KILLS; round++) {
      const other = spawn();
      await new Promise((resolve) => setTimeout(resolve, 25 * round));
      other.kill("SIGKILL");
      await other.status;
    }
    const { stdout } = await container.urunc(["exec", container.id, "busybox", "echo", "new"]);
    assert.equal(stdout, "new\n");
    await container.kill("KILL");
    await container.waitForStatus("stopped");
    await waitFor(() => !isAlive(relay), { timeoutSeconds: 20, what: "the relay's end" });
    assert.equal((await container.delete()).code, 0);
    assertNothingLeft(container);
  },
);

function isAlive(pid: number): boolean {
  try {
    return !/^State:\t[ZX]/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
  } catch {
    return false;
  }
}

/** Of each: real, effective, saved, file system. */
async function readUids(relay: number, monitor: number) {
  const uidOf = async (pid: number) =>
    /^Uid:\t(.*)$/m.exec(await Deno.readTextFile(`/proc/${pid}/status`))?.[1];
  return { uid: await uidOf(relay), monitor: await uidOf(monitor) };
}

/** In a guest with the default memory, and in a smaller one. Others than the first are added as they are needed. */
const MOST: [count: number, memoryMiB: number][] = [[16, 256], [8, 128]];

for (const [most, memoryMiB] of MOST) {
  testIf(`exec: ${most} at once, and one more is answered`, QEMU, async () => {
    await using scope = new Scope();
    const configuration = await scope.temporaryDirectory("configuration");
    const config = `${configuration}/config.toml`;
    await Deno.writeTextFile(config, `default_memory_mib = ${memoryMiB}\n`);
    const container = await startGuest(scope, { config });
    // The others are added to a guest that runs.
    assert.equal((await container.urunc(["exec", container.id, "busybox", "true"])).code, 0);
    const sleep = [container.id, "busybox", "sh", "-c", "echo up; read line; exit 5"];
    const running = Array.from({ length: most }, () =>
      new Deno.Command(uruncPath, {
        args: ["--root", container.root, "exec", ...sleep],
        stdin: "piped",
        stdout: "piped",
        stderr: "null",
      }).spawn());
    // Another would have one of their ports until then.
    const outputs = running.map(({ stdout }) => lines(stdout));
    for (const output of outputs) assert.equal((await output.next()).value, "up");
    const caller = callerOf(container);
    const refused = await caller.urunc(["exec", container.id, "busybox", "true"]);
    const reason = `resource exhausted: ${most} further processes run in it already`;
    assert.ok(refused.stderr.includes(reason), refused.stderr);
    for (const child of running) await child.stdin.close();
    for (const child of running) assert.equal((await child.status).code, 5);
    const { code } = await caller.urunc(["exec", container.id, "busybox", "true"]);
    assert.equal(code, 0);
  });
}

testIf(
  "exec: a terminal has a size, which changes, and Ctrl-C ends what runs on it",
  QEMU,
  async () => {
    await using scope = new Scope();
    const container = await startGuest(scope);
    const script = "trap 'exit 5' INT; while :; do busybox stty size; busybox sleep 0.2; done";
    const terminal = new Terminal(scope);
    const { master } = terminal;
    master.resize(33, 99);
    const { ended } = terminal.spawn(scope, [
      ...[uruncPath, "--root", container.root, "exec", "--tty", container.id],
      ...["busybox", "sh", "-c", script],
    ]);
    await master.waitForText("33 99\r\n", 60);
    master.resize(44, 111);
    await master.waitForText("44 111\r\n");
    await master.type("\x03");
    assert.equal((await ended).exitCode, 5);
  },
);
