/** Terminals: of `create --console-socket`, as conmon and containerd call it, and of `run`. */
import assert from "node:assert/strict";
import {
  close,
  kill,
  O_RDWR,
  open,
  readAsync,
  SIGKILL,
  SIGSTOP,
  SIGTERM,
  SOCK_STREAM,
  socketpair,
} from "../../ffi/linux.ts";
import { doubleConfiguration, extraFds, parseReport } from "../support/double.ts";
import { isAlive, listPids, readStatus, waitFor } from "../support/process.ts";
import { ConsoleSocket, inspectTerminal, type Master, Terminal } from "../support/pty.ts";
import {
  assertFailed,
  assertNothingLeft,
  assertSucceeded,
  Container,
  type ContainerOptions,
  doubleContainer,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { uruncBinary } from "../support/urunc.ts";
import { SIGCONT } from "../support/kernel.ts";

const DOUBLE = { needs: ["root", "gcc"] };
const QEMU = { needs: ["root", "qemu-system-x86_64"] };
const MIB = 1024 * 1024;

/** A started container whose terminal the test holds. */
async function startOnTerminal(
  scope: Scope,
  container: Container,
): Promise<{ pid: number; master: Master; name: string }> {
  const console = await ConsoleSocket.listen(scope);
  const pid = await container.mustCreate({ args: ["--console-socket", console.path] });
  const taken = await console.take(scope);
  assertSucceeded(await container.start(), "start");
  return { pid, ...taken };
}

/** `urunc run` on a terminal at which the test sits. */
async function runOnTerminal(
  scope: Scope,
  options: ContainerOptions,
  fds: Parameters<Terminal["spawn"]>[2] = {},
) {
  const container = await Container.prepare(scope, { terminal: true, ...options });
  const terminal = new Terminal(scope);
  const before = terminal.modes();
  const { pid, ended } = terminal.spawn(scope, [
    await uruncBinary(),
    ...["--root", container.root],
    ...(options.config === undefined ? [] : ["--config", options.config]),
    ...["run", "--bundle", container.bundle, container.id],
  ], fds);
  return { container, terminal, master: terminal.master, before, pid, ended };
}

async function doubleOptions(scope: Scope, commands: string): Promise<ContainerOptions> {
  return { config: await doubleConfiguration(scope, 'accelerator = "tcg"'), args: [commands] };
}

/** Descriptors, of any process, that are on this devpts. */
function descriptorsOn(device: number): string[] {
  return listPids().flatMap((pid) => openFiles(pid)).filter((path) => {
    try {
      return Deno.statSync(path).dev === device;
    } catch {
      return false; // it has just been closed
    }
  });
}

function openFiles(pid: number): string[] {
  try {
    return [...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) => `/proc/${pid}/fd/${name}`);
  } catch {
    return []; // it has just ended
  }
}

function deviceOf(pid: number): number {
  return Deno.statSync(`/proc/${pid}/fd/0`).dev;
}

/** Field 7 of /proc/PID/stat: the controlling terminal, proc_pid_stat(5). */
function controllingTerminal(pid: number): number {
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[4]);
}

testIf(
  "the monitor's standard files are a terminal, its own, and nothing else is open",
  DOUBLE,
  async () => {
    await using scope = new Scope();
    const container = await doubleContainer(scope, "report; read", {
      terminal: true,
      user: { uid: 1234, gid: 5678 },
      edit: ({ process }) => process.consoleSize = { height: 33, width: 111 },
    });
    const { pid, master, name } = await startOnTerminal(scope, container);
    // Receivers take at most 4095 bytes of name, and some take none for the end of the connection.
    assert.equal(name, "/dev/ptmx");
    const report = parseReport(await master.waitForText("\n"));
    // The waiter has it, and the monitor pipes.
    assert.deepEqual(report.fds.slice(0, 3).map(({ type }) => type), ["fifo", "fifo", "fifo"]);
    assert.deepEqual(extraFds(report), []);
    assert.equal(descriptorsOn(deviceOf(pid)).length, 4, "the waiter's three, and the master");
    const { mode, uid, gid } = Deno.statSync(`/proc/${pid}/fd/0`);
    assert.deepEqual([mode! & 0o777, uid, gid], [0o600, 1234, 5678]);
    assert.deepEqual(report.dev.map((it) => it.name), [], "no path leads to it");
    assert.equal(report.sid, report.pid, "it leads a session");
    assert.equal(controllingTerminal(pid), 136 << 8, "whose controlling terminal the waiter's is");
    assert.equal(controllingTerminal(await container.monitorPid()), 0, "and the monitor has none");
    assert.deepEqual(inspectTerminal(pid)?.size, { rows: 33, columns: 111 });
    master.resize(50, 160);
    assert.deepEqual(inspectTerminal(pid)?.size, { rows: 50, columns: 160 });
  },
);

testIf(
  "a terminal is not the host's, and no path of the image has a part in it",
  DOUBLE,
  async () => {
    await using scope = new Scope();
    const victim = `${await scope.temporaryDirectory("victim")}/file`;
    await Deno.writeTextFile(victim, "untouched");
    const container = await doubleContainer(scope, "print hello; read", { terminal: true });
    await Deno.mkdir(`${container.rootfs}/dev`);
    await Deno.symlink(victim, `${container.rootfs}/dev/console`);
    await Deno.symlink("/dev/pts", `${container.rootfs}/dev/pts`);
    await Deno.symlink("/dev/ptmx", `${container.rootfs}/dev/ptmx`);
    const { pid, master } = await startOnTerminal(scope, container);
    await master.waitForText("hello\r\n");
    assert.notEqual(deviceOf(pid), Deno.statSync("/dev/pts").dev);
    assert.equal(await Deno.readTextFile(victim), "untouched");
    assert.deepEqual(
      [...Deno.readDirSync(`${container.rootfs}/dev`)].map((it) => it.name).sort(),
      ["console", "ptmx", "pts"],
    );
  },
);

testIf(
  "a mebibyte goes through the terminal and back, unchanged, and every key with it",
  DOUBLE,
  async () => {
    await using scope = new Scope();
    const container = await doubleContainer(scope, "read", { terminal: true });
    const { master } = await startOnTerminal(scope, container);
    // All bytes but the line feed, before which the terminal puts a carriage return.
    const sent = new Uint8Array(MIB).map((_, at) => (at * 7 + (at >> 8)) % 256)
      .map((byte) => byte === 10 ? 11 : byte);
    await master.type(sent);
    await waitFor(() => master.length >= MIB, {
      timeoutSeconds: 30,
      what: "all of it to come back",
    });
    assert.deepEqual(master.bytes(), sent);
  },
);

testIf("create's output ends with it: init keeps no copy of the caller's files", {
  ...DOUBLE,
  timeoutSeconds: 30,
}, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "exit 0", { terminal: true });
  const console = await ConsoleSocket.listen(scope);
  const line = await container.commandLine("create", { args: ["--console-socket", console.path] });
  const [program, ...args] = line.slice(line.indexOf(await uruncBinary()));
  // Reads both to their end, as containerd's shim for runc does before it goes on.
  const output = await new Deno.Command(program!, { args, stdin: "null" }).output();
  assert.equal(output.code, 0);
  await console.take(scope);
  const { pid } = await container.state();
  assert.deepEqual(
    openFiles(pid!).map((it) => Deno.readLinkSync(it)).filter((it) => /^pipe:/.test(it)),
    [],
  );
});

testIf("all output arrives, then end of file", DOUBLE, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, `output ${MIB}; exit 7`, { terminal: true });
  const { master } = await startOnTerminal(scope, container);
  await master.ended;
  // One more byte for each of its 16384 lines of 64.
  assert.equal(master.length, MIB + MIB / 64);
  assert.equal((await container.state()).status, "stopped");
});

testIf("a killed monitor leaves no terminal open anywhere", DOUBLE, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "print up; idle", { terminal: true });
  const { pid, master } = await startOnTerminal(scope, container);
  await master.waitForText("up");
  const device = deviceOf(pid);
  assert.equal(descriptorsOn(device).length, 4, "three of the monitor, one of the test");
  kill(pid, SIGKILL);
  await master.ended;
  await container.waitForStatus("stopped");
  await master.close();
  assert.deepEqual(descriptorsOn(device), []);
  assertSucceeded(await container.delete());
  assertNothingLeft(container, pid);
});

testIf("a terminal that is hung up ends the monitor", DOUBLE, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "print up; idle", { terminal: true });
  const { pid, master } = await startOnTerminal(scope, container);
  await master.waitForText("up");
  await master.close();
  await waitFor(() => !isAlive(pid), { timeoutSeconds: 10, what: "the monitor to end" });
});

testIf("the console socket may have a long path, or a relative one", DOUBLE, async () => {
  await using scope = new Scope();
  const console = await ConsoleSocket.listen(scope);
  const deep = `${await scope.temporaryDirectory("deep")}/${"d".repeat(120)}`;
  await Deno.mkdir(deep);
  await Deno.rename(console.path, `${deep}/console.sock`);
  const calls = [
    { args: ["--console-socket", `${deep}/console.sock`] },
    { args: ["--console-socket", "./console.sock"], cwd: deep },
  ];
  for (const call of calls) {
    const container = await doubleContainer(scope, "print hello", { terminal: true });
    assertSucceeded(await container.create(call));
    const { master } = await console.take(scope);
    assertSucceeded(await container.start());
    await master.ended;
    assert.equal(master.text(), "hello\r\n");
  }
});

testIf(
  "a terminal without a receiver, or that was not asked for, is rejected",
  DOUBLE,
  async () => {
    await using scope = new Scope();
    const console = await ConsoleSocket.listen(scope);
    const gone = `${await scope.temporaryDirectory("gone")}/console.sock`;
    const rows: ["create" | "run", boolean, string[], (string | RegExp)[]][] = [
      ["create", true, [], ["process.terminal", "--console-socket"]],
      ["run", true, ["--detach"], ["process.terminal", "--console-socket"]],
      ["run", true, ["--console-socket", console.path], ["--console-socket", "--detach"]],
      ["create", false, ["--console-socket", console.path], [
        "--console-socket",
        "process.terminal",
      ]],
      ["run", false, ["--console-socket", console.path], ["--console-socket", "process.terminal"]],
      ["create", true, ["--console-socket", gone], ["sendTerminal", gone, "ENOENT"]],
    ];
    for (const [verb, terminal, args, texts] of rows) {
      const container = await doubleContainer(scope, "exit 0", { terminal });
      assertFailed(await container[verb]({ args }), texts);
      assertNothingLeft(container);
    }
    // conmon takes a connection for the promise of a terminal, and reports nothing else then.
    assert.ok(!await console.isAsked(), "whatever was refused had not connected");
  },
);

testIf("run joins the caller's terminal: no doubled echo, whole lines, the guest's code", {
  ...QEMU,
  timeoutSeconds: 60,
}, async () => {
  await using scope = new Scope();
  const run = await runOnTerminal(scope, { accelerator: "tcg", args: ["echo"] });
  const { master } = run;
  await master.waitForText("echo\r\n");
  // A person's Return key is a carriage return.
  await master.type("hello there\r");
  await master.waitForText("hello there\r\n");
  await master.type("exit 5\r");
  assert.equal((await run.ended).exitCode, 5);
  assert.equal(master.text(), "echo\r\nhello there\r\n");
  assert.equal(run.terminal.modes(), run.before);
  assertNothingLeft(run.container);
});

testIf("run passes keys as bytes and sizes as they change", DOUBLE, async () => {
  await using scope = new Scope();
  const run = await runOnTerminal(scope, {
    ...await doubleOptions(scope, "print up; read"),
    // A new size is no request to stop, even where SIGWINCH is.
    annotations: { "org.opencontainers.image.stopSignal": "SIGWINCH" },
  });
  const { master, container } = run;
  await master.waitForText("up\r\n");
  const { pid } = await container.state();
  assert.deepEqual(inspectTerminal(pid!)?.size, { rows: 24, columns: 80 });
  // Interrupt, quit, stop, end of file, flow control: none means anything to a raw terminal.
  const keys = "\x03\x1c\x1a\x04\x13\x11";
  await master.type(`<${keys}>`);
  await master.waitForText(`<${keys}>`);
  assert.ok(isAlive(run.pid) && isAlive(pid!));
  master.resize(61, 203);
  await waitFor(() => inspectTerminal(pid!)?.size.rows === 61, {
    timeoutSeconds: 5,
    what: "the size to be passed on",
  });
  assert.deepEqual(inspectTerminal(pid!)?.size, { rows: 61, columns: 203 });
  await master.type("still here\r");
  await master.waitForText("still here");
});

for (const signal of ["TERM", "the monitor's death"] as const) {
  testIf(`run restores the caller's terminal after ${signal}`, DOUBLE, async () => {
    await using scope = new Scope();
    const run = await runOnTerminal(scope, await doubleOptions(scope, "print up; idle"));
    await run.master.waitForText("up\r\n");
    assert.notEqual(run.terminal.modes(), run.before, "it is raw meanwhile");
    const { pid } = await run.container.state();
    if (signal === "TERM") kill(run.pid, SIGTERM);
    else kill(pid!, SIGKILL);
    const { exitCode } = await run.ended;
    assert.equal(exitCode, signal === "TERM" ? 143 : 137);
    assert.equal(run.terminal.modes(), run.before);
    assertNothingLeft(run.container, pid);
  });
}

testIf("run makes the terminal raw again when it is continued", DOUBLE, async () => {
  await using scope = new Scope();
  const run = await runOnTerminal(scope, await doubleOptions(scope, "print up; read"));
  await run.master.waitForText("up\r\n");
  const raw = run.terminal.modes();
  kill(run.pid, SIGSTOP);
  await waitFor(() => readStatus(run.pid).state === "T", { timeoutSeconds: 5, what: "the stop" });
  run.terminal.makeSane();
  kill(run.pid, SIGCONT);
  await waitFor(() => run.terminal.modes() === raw, { timeoutSeconds: 5, what: "raw modes" });
});

testIf("run writes all output to a terminal that reads late", DOUBLE, async () => {
  await using scope = new Scope();
  const [ours, theirs] = socketpair(SOCK_STREAM);
  scope.defer("close", () => close(ours));
  const options = await doubleOptions(scope, `output ${MIB}; exit 7`);
  const run = await runOnTerminal(scope, options, { fds: { 1: theirs } });
  close(theirs);
  await new Promise((resolve) => setTimeout(resolve, 500));
  const output = await readToEnd(ours);
  assert.equal(output, MIB + MIB / 64);
  assert.equal((await run.ended).exitCode, 3);
  assert.equal(run.terminal.modes(), run.before);
});

testIf("run ends the guest when its terminal has no reader any more", DOUBLE, async () => {
  await using scope = new Scope();
  const [ours, theirs] = socketpair(SOCK_STREAM);
  const options = await doubleOptions(scope, `output ${16 * MIB}; idle`);
  const run = await runOnTerminal(scope, options, { fds: { 1: theirs } });
  close(theirs);
  close(ours);
  await run.ended;
  assert.equal(run.terminal.modes(), run.before);
  assertNothingLeft(run.container);
});

testIf("run without a terminal of its own passes on what it is given", DOUBLE, async () => {
  await using scope = new Scope();
  const nothing = open("/dev/null", O_RDWR);
  scope.defer("close", () => close(nothing));
  const options = await doubleOptions(scope, "print hello; exit 4");
  const run = await runOnTerminal(scope, options, { fds: { 0: nothing } });
  assert.equal((await run.ended).exitCode, 4);
  await run.master.waitForText("hello\r");
  assert.equal(run.terminal.modes(), run.before);
});

async function readToEnd(fd: number): Promise<number> {
  const buffer = new Uint8Array(65536);
  let total = 0;
  for (;;) {
    const count = await readAsync(fd, buffer);
    if (count === 0) return total;
    total += count;
  }
}
