/** The waiter with a guest's agent that connects, as on vsock, and is this test. */
import assert from "node:assert/strict";
import {
  AF_UNIX,
  close,
  kill,
  O_CREAT,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  open,
  readAsync,
  receiveDescriptor,
  SIGKILL,
  SIGTERM,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  socket,
  socketpair,
  spawn,
  waitpidAsync,
  writeAll,
} from "../../ffi/linux.ts";
import { connectAt, listenAt } from "../../lib/os/sockets.ts";
import { CONSOLE_BYTES } from "../../lib/plan/agent.ts";
import { childrenOf, waitFor } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { WAITER_KINDS, waiterProgram } from "../support/waiter.ts";

/** lib/build/guest_init/protocol.h */
const [HELLO, SIZE, DRAINED, READY, EXITED] = [1, 4, 5, 65, 66];
/** In the order of their descriptors. */
const SOCKETS = ["stdin", "stdout", "stderr", "control", "dns", "guests", "callers"] as const;
type Socket = typeof SOCKETS[number];
const FIRST_FD = 5;
const BACKLOG = 16;
/** signal(7) */
const SIGSTOP = 19;
const SIGCONT = 18;

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

function frame(type: number, payload: ArrayLike<number> = []): Uint8Array {
  return Uint8Array.of(type, 0, payload.length, 0, ...Array.from(payload));
}

async function readFrom(fd: number, size: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(size);
  for (let have = 0; have < size;) {
    const count = await readAsync(fd, bytes.subarray(have));
    assert.notEqual(count, 0, `the end after ${have} bytes`);
    have += count;
  }
  return bytes;
}

/** A waiter whose guest has not connected yet. */
class Guest {
  readonly #directory: string;
  readonly #scope: Scope;
  readonly pid: number;
  readonly ended: Promise<{ exitCode?: number; signal?: number }>;
  readonly ports = new Map<Socket, number>();

  private constructor(scope: Scope, directory: string, pid: number) {
    [this.#scope, this.#directory, this.pid] = [scope, directory, pid];
    this.ended = waitpidAsync(pid);
  }

  /** @param script a shell's, which is the monitor */
  static async start(scope: Scope, waiter: string, script: string): Promise<Guest> {
    const directory = await scope.temporaryDirectory("guest");
    await Deno.writeFile(`${directory}/console`, new Uint8Array(CONSOLE_BYTES));
    const flags = O_WRONLY | O_CREAT;
    const [start, theirStart] = socketpair(SOCK_STREAM);
    const theirs = [
      open("/dev/null", O_RDONLY),
      ...["stdout", "stderr"].map((name) => open(`${directory}/${name}`, flags, 0o600)),
      theirStart,
      open(`${directory}/console`, O_RDWR),
      ...SOCKETS.map((name) => listenAt(`${directory}/${name}.sock`, BACKLOG, SOCK_NONBLOCK)),
    ];
    const fd = (name: Socket) => FIRST_FD + SOCKETS.indexOf(name);
    const pid = spawn({
      path: waiter,
      argv: [
        ...[waiter, "start=3", "console=4", `ports=${FIRST_FD}`, `dns=${fd("dns")}`, "vsock"],
        ...[`exec=${fd("guests")}`, "input", "end=9", "--", "/bin/sh", "-c", script],
      ],
      env: ["PATH=/usr/bin:/bin"],
      fds: theirs.map((from, to) => ({ from, to })),
    });
    theirs.forEach(close);
    scope.defer("close the connection of start", () => close(start));
    return new Guest(scope, directory, pid);
  }

  connect(name: Socket): number {
    const fd = socket(AF_UNIX, SOCK_STREAM, 0);
    this.#scope.defer("close a connection", () => {
      if (!this.#closed.has(fd)) close(fd);
    });
    connectAt(fd, `${this.#directory}/${name}.sock`);
    this.ports.set(name, fd);
    return fd;
  }

  readonly #closed = new Set<number>();

  close(fd: number): void {
    close(fd);
    this.#closed.add(fd);
  }

  send(name: Socket, bytes: Uint8Array): void {
    writeAll(this.ports.get(name)!, bytes);
  }

  async expect(type: number): Promise<Uint8Array> {
    const control = this.ports.get("control")!;
    const [found, , size] = await readFrom(control, 4);
    assert.equal(found, type);
    return await readFrom(control, size!);
  }

  /** As an agent does that starts its program. */
  async open(): Promise<void> {
    for (const name of SOCKETS.slice(0, 4)) this.connect(name);
    const hello = await this.expect(HELLO);
    this.send("control", frame(READY, [1, 0, ...hello.subarray(8)]));
    await this.expect(SIZE);
  }

  exit(code: number, bytes: number): void {
    const payload = new Uint8Array(24);
    payload[0] = code;
    payload[8] = bytes;
    this.send("control", frame(EXITED, payload));
  }

  endMonitor(): void {
    for (const child of childrenOf(this.pid)) kill(child, SIGKILL);
  }

  text(name: "stdout" | "stderr"): string {
    return Deno.readTextFileSync(`${this.#directory}/${name}`);
  }

  async code(): Promise<number | undefined> {
    return (await this.ended).exitCode;
  }
}

type Check = (waiter: string, scope: Scope) => Promise<void>;

function test(name: string, check: Check): void {
  for (const kind of WAITER_KINDS) {
    testIf(`vsock, ${kind}: ${name}`, { needs: ["gcc"] }, async () => {
      await using scope = new Scope();
      await check(await waiterProgram(scope, kind), scope);
    });
  }
}

test(
  "a guest that connects has files, an exit code and is not listened for again",
  async (waiter, scope) => {
    const guest = await Guest.start(scope, waiter, "echo booting; exec sleep 1000");
    await guest.open();
    for (const name of SOCKETS.slice(0, 4)) {
      assert.throws(() => guest.connect(name), /ECONNREFUSED/, name);
    }
  },
);

test("files and the exit code arrive", async (waiter, scope) => {
  const guest = await Guest.start(scope, waiter, "echo booting; exec sleep 1000");
  await guest.open();
  assert.equal((await guest.expect(2)).length, 8, "the end of input");
  guest.send("stdout", encode("out"));
  guest.send("stderr", encode("err"));
  guest.exit(7, 3);
  await guest.expect(DRAINED);
  guest.endMonitor();
  assert.equal(await guest.code(), 7);
  assert.deepEqual([guest.text("stdout"), guest.text("stderr")], ["out", "err"]);
});

test(
  "a guest that connects to the control port only is ended, and nothing waits for it",
  async (waiter, scope) => {
    const guest = await Guest.start(scope, waiter, "exec sleep 1000");
    guest.connect("control");
    assert.equal(await guest.code(), 255);
  },
);

test("one that connects when it has said that it does not is ended", async (waiter, scope) => {
  const guest = await Guest.start(
    scope,
    waiter,
    "echo 'urunc-agent: serial line'; echo program; exec sleep 1000",
  );
  await waitFor(() => guest.text("stdout") === "program\n", { timeoutSeconds: 20, what: "output" });
  assert.equal(
    guest.text("stderr"),
    "urunc: the guest's kernel has no driver for vsock: its console is the serial line\n",
  );
  for (const name of SOCKETS.slice(0, 4)) guest.connect(name);
  assert.equal(await guest.code(), 137);
});

test(
  "on the serial line a signal ends the monitor, which has no keyboard",
  async (waiter, scope) => {
    const script = "echo 'urunc-agent: serial line'; echo program; exec sleep 1000";
    const guest = await Guest.start(scope, waiter, script);
    await waitFor(() => guest.text("stdout") === "program\n", {
      timeoutSeconds: 20,
      what: "output",
    });
    kill(guest.pid, SIGTERM);
    assert.equal(await guest.code(), 143);
  },
);

/** As a relay does. */
function receive(caller: number): number {
  const { descriptor } = receiveDescriptor(caller, new Uint8Array(1), 0);
  return descriptor!;
}

test("the guest's connections are handed over, each to one caller", async (waiter, scope) => {
  const guest = await Guest.start(scope, waiter, "exec sleep 1000");
  await guest.open();
  // A caller that comes first waits, also for the second of two.
  const callers = [guest.connect("callers"), guest.connect("callers")];
  for (const [index, caller] of callers.entries()) {
    const connection = guest.connect("guests");
    const handed = receive(caller);
    scope.defer("close what was handed over", () => close(handed));
    writeAll(handed, encode(`hello ${index}`));
    assert.equal(decode(await readFrom(connection, 7)), `hello ${index}`);
    writeAll(connection, encode("answer"));
    assert.equal(decode(await readFrom(handed, 6)), "answer");
    assert.equal(await readAsync(caller, new Uint8Array(1)), 0, "the waiter is done with it");
  }
});

test(
  "a connection that the guest gave up is no caller's, one that a caller gave up is the next one's",
  async (waiter, scope) => {
    const guest = await Guest.start(scope, waiter, "exec sleep 1000");
    await guest.open();
    guest.close(guest.connect("guests"));
    // In the queue when the waiter sees it.
    kill(guest.pid, SIGSTOP);
    guest.close(guest.connect("callers"));
    const caller = guest.connect("callers");
    const connection = guest.connect("guests");
    kill(guest.pid, SIGCONT);
    const handed = receive(caller);
    scope.defer("close what was handed over", () => close(handed));
    writeAll(handed, encode("x"));
    assert.equal(decode(await readFrom(connection, 1)), "x");
  },
);

test("the name server's port takes one connection", async (waiter, scope) => {
  const guest = await Guest.start(scope, waiter, "exec sleep 1000");
  await guest.open();
  const dns = guest.connect("dns");
  // A frame that is none: the waiter closes the port, which it had accepted.
  writeAll(dns, frame(9));
  assert.equal(await readAsync(dns, new Uint8Array(1)), 0);
  guest.exit(0, 0);
  await guest.expect(2);
  await guest.expect(DRAINED);
  guest.endMonitor();
  assert.equal(await guest.code(), 0);
});
