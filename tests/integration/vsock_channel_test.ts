/** The waiter with a guest's agent that connects, as on vsock, and is this test. */
import assert from "node:assert/strict";
import {
  AF_UNIX,
  close,
  kill,
  LinuxError,
  O_CREAT,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  open,
  pollAsync,
  POLLIN,
  readAsync,
  receiveDescriptor,
  setNonblock,
  SIGKILL,
  SIGTERM,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  socket,
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
const FIRST_FD = 4;
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

/** Lets it execute the program. */
async function asUser(uid: number, program: string): Promise<string[]> {
  await Deno.chmod(program.slice(0, program.lastIndexOf("/")), 0o755);
  const limit = ["/usr/bin/prlimit", `--nofile=${MOST_FILES}`];
  return [...limit, "setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
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

  /**
   * @param script a shell's, which is the monitor
   * @param uid of the waiter; by default the test's
   */
  static async start(scope: Scope, waiter: string, script: string, uid?: number): Promise<Guest> {
    const directory = await scope.temporaryDirectory("guest");
    await Deno.writeFile(`${directory}/console`, new Uint8Array(CONSOLE_BYTES));
    const flags = O_WRONLY | O_CREAT;
    const theirs = [
      open("/dev/null", O_RDONLY),
      ...["stdout", "stderr"].map((name) => open(`${directory}/${name}`, flags, 0o600)),
      open(`${directory}/console`, O_RDWR),
      ...SOCKETS.map((name) => listenAt(`${directory}/${name}.sock`, BACKLOG, SOCK_NONBLOCK)),
    ];
    const fd = (name: Socket) => FIRST_FD + SOCKETS.indexOf(name);
    const become = uid === undefined ? [] : await asUser(uid, waiter);
    const pid = spawn({
      path: become[0] ?? waiter,
      argv: [
        ...[
          ...become,
          waiter,
          "console=3",
          `ports=${FIRST_FD}`,
          `dns=${fd("dns")}`,
          "vsock",
        ],
        ...[`exec=${fd("guests")}`, "input", "end=9", "--", "/bin/sh", "-c", script],
      ],
      env: ["PATH=/usr/bin:/bin"],
      fds: theirs.map((from, to) => ({ from, to })),
    });
    theirs.forEach(close);
    return new Guest(scope, directory, pid);
  }

  connect(name: Socket): number {
    const fd = socket(AF_UNIX, SOCK_STREAM, 0);
    this.#closeLater(fd);
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

  /** What the waiter knows the agent by. */
  #secret = new Uint8Array();

  /** As an agent does that starts its program. */
  async open(): Promise<void> {
    for (const name of SOCKETS.slice(0, 4)) this.connect(name);
    const hello = await this.expect(HELLO);
    this.#secret = hello.slice(8);
    this.send("control", frame(READY, [1, 0, ...this.#secret]));
    await this.expect(SIZE);
  }

  /** The agent's next connection for a further process. */
  async connectAsAgent(): Promise<number> {
    const fd = await this.connectAsStranger();
    writeAll(fd, this.#secret);
    return fd;
  }

  /** As any process of the guest can; as Firecracker, it waits for room in the queue, but not for good. */
  async connectAsStranger(said: Uint8Array = new Uint8Array()): Promise<number> {
    const fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    this.#closeLater(fd);
    await waitFor(() => this.#tryToConnect(fd), { timeoutSeconds: 10, what: "room in the queue" });
    setNonblock(fd, false);
    if (said.length > 0) writeAll(fd, said);
    return fd;
  }

  #tryToConnect(fd: number): boolean {
    try {
      connectAt(fd, `${this.#directory}/guests.sock`);
      return true;
    } catch (error) {
      if (error instanceof LinuxError && error.code === "EAGAIN") return false;
      throw error;
    }
  }

  #closeLater(fd: number): void {
    this.#scope.defer("close a connection", () => {
      if (!this.#closed.has(fd)) close(fd);
    });
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
  for (const name of SOCKETS.slice(0, 3)) {
    assert.throws(() => guest.connect(name), /ECONNREFUSED/, name);
  }
  guest.connect("control");
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
    const connection = await guest.connectAsAgent();
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
    guest.close(await guest.connectAsAgent());
    // In the queue when the waiter sees it.
    kill(guest.pid, SIGSTOP);
    guest.close(guest.connect("callers"));
    const caller = guest.connect("callers");
    const connection = await guest.connectAsAgent();
    kill(guest.pid, SIGCONT);
    const handed = receive(caller);
    scope.defer("close what was handed over", () => close(handed));
    writeAll(handed, encode("x"));
    assert.equal(decode(await readFrom(connection, 1)), "x");
  },
);

/** That there is something to read in time, or an end. */
async function assertReadable(fd: number): Promise<void> {
  const [events] = await pollAsync([{ fd, events: POLLIN }], 10_000);
  assert.notEqual(events, 0, "nothing comes");
}

/** That it is closed by the waiter, without a byte of anybody's. */
async function assertClosed(fd: number): Promise<void> {
  await assertReadable(fd);
  assert.equal(await readAsync(fd, new Uint8Array(1)).catch(resetAsEnd), 0);
}

/** What it had sent was not read. */
function resetAsEnd(error: unknown): number {
  if (error instanceof LinuxError && error.code === "ECONNRESET") return 0;
  throw error;
}

test(
  "connections of others of the guest get no caller, though they were there before the agent's",
  async (waiter, scope) => {
    const guest = await Guest.start(scope, waiter, "exec sleep 1000");
    // Before there is a hello, nothing is a secret: not zeros, either.
    const early = await guest.connectAsStranger(new Uint8Array(16));
    await assertClosed(early);
    await guest.open();
    kill(guest.pid, SIGSTOP);
    const caller = guest.connect("callers");
    const silent = await guest.connectAsStranger();
    const liars = [];
    for (const size of [16, 40]) liars.push(await guest.connectAsStranger(new Uint8Array(size)));
    const short = await guest.connectAsStranger(new Uint8Array(15));
    const connection = await guest.connectAsAgent();
    kill(guest.pid, SIGCONT);
    const handed = receive(caller);
    scope.defer("close what was handed over", () => close(handed));
    writeAll(handed, encode("arguments"));
    await assertReadable(connection);
    assert.equal(decode(await readFrom(connection, 9)), "arguments");
    for (const liar of liars) await assertClosed(liar);
    // The last byte of another one's secret is none, either.
    writeAll(short, new Uint8Array(1));
    await assertClosed(short);
    assert.deepEqual(await pollAsync([{ fd: silent, events: POLLIN }], 0), [0]);
  },
);

test(
  "a guest connects as often as it likes, without a caller, and the agent's connection is handed over",
  async (waiter, scope) => {
    const guest = await Guest.start(scope, waiter, "exec sleep 1000");
    await guest.open();
    const strangers = [];
    for (let i = 0; i < 40; i++) strangers.push(await guest.connectAsStranger());
    const connection = await guest.connectAsAgent();
    // Also when there is a next one.
    for (let i = 0; i < 40; i++) await guest.connectAsStranger();
    const handed = receive(guest.connect("callers"));
    scope.defer("close what was handed over", () => close(handed));
    writeAll(handed, encode("x"));
    assert.equal(decode(await readFrom(connection, 1)), "x");
    // The waiter has no more of them than it has places.
    for (const stranger of strangers) await assertClosed(stranger);
  },
);

/** RLIMIT_NOFILE: more than the waiter needs, and less than the callers of the test below. */
const MOST_FILES = 128;
const ETOOMANYREFS = 109;

for (const kind of WAITER_KINDS) {
  testIf(
    `vsock, ${kind}: a caller that cannot be handed a connection gets the error, and the next one the connection`,
    { needs: ["root", "gcc", "setpriv", "prlimit"] },
    async () => {
      await using scope = new Scope();
      const waiter = await waiterProgram(scope, kind);
      const guest = await Guest.start(scope, waiter, "exec sleep 1000", 60_321);
      await guest.open();
      // unix(7), ETOOMANYREFS: nobody takes what is handed over.
      const callers: number[] = [];
      for (let i = 0; i < MOST_FILES + 2; i++) {
        callers.push(guest.connect("callers"));
        await guest.connectAsAgent();
        await pollAsync([{ fd: callers.at(-1)!, events: POLLIN }], -1);
      }
      assert.deepEqual([...await readFrom(callers.at(-1)!, 1)], [ETOOMANYREFS]);
      for (const caller of callers.slice(0, -1)) close(receive(caller));
      close(receive(guest.connect("callers")));
    },
  );
}

test("the name server's port takes one connection", async (waiter, scope) => {
  const guest = await Guest.start(scope, waiter, "exec sleep 1000");
  await guest.open();
  const dns = guest.connect("dns");
  // A frame that is none: the waiter closes the port, which it had accepted.
  writeAll(dns, frame(9));
  assert.equal(await readAsync(dns, new Uint8Array(1)), 0);
  assert.throws(() => guest.connect("dns"), /ECONNREFUSED/);
  guest.exit(0, 0);
  await guest.expect(2);
  await guest.expect(DRAINED);
  guest.endMonitor();
  assert.equal(await guest.code(), 0);
});
