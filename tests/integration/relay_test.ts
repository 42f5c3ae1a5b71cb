/** The relay of a further process with a guest that is this test: what both say, and a guest that lies. */
import assert from "node:assert/strict";
import {
  close,
  kill,
  MSG_NOSIGNAL,
  pipe,
  read,
  readAsync,
  send,
  sendDescriptor,
  setNonblock,
  SIGKILL,
  SIGTERM,
  SOCK_STREAM,
  socketpair,
  spawn,
  waitpidAsync,
  write,
  writeAll,
} from "../../ffi/linux.ts";
import { sealedFile } from "../../lib/launch/sealed_file.ts";
import { assembleFilter } from "../../lib/seccomp/assemble.ts";
import { delay } from "../../lib/os/timer.ts";
import { readProcessStat } from "../../lib/os/process.ts";
import { waitFor } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { nativeProgram, WAITER_KINDS } from "../support/waiter.ts";

/** signal(7), x86 and Arm. */
const [SIGINT, SIGUSR1, SIGCONT] = [2, 10, 18];

/** lib/build/guest_init/exec_protocol.h */
const [HELLO, REQUEST, START, INPUT, INPUT_END, SIGNAL, TAKEN] = [
  129,
  130,
  131,
  132,
  133,
  134,
  136,
];
const [CLOSED, READY, STARTED, FAILED, OUTPUT, ERRORS, EXITED] = [
  137,
  193,
  194,
  195,
  196,
  197,
  198,
];
const PADDING = 8196;
const WINDOW = 262_144;

function frame(type: number, payload: ArrayLike<number> = []): Uint8Array<ArrayBuffer> {
  const { length } = payload;
  return Uint8Array.of(type, 0, length & 255, length >> 8, ...Array.from(payload));
}

const exited = (code: number, signal = 0) =>
  frame(EXITED, [code & 255, code >> 8, 0, 0, signal, 0, 0, 0]);
const taken = (stream: number, count: number) =>
  frame(TAKEN, [stream, 0, ...new Uint8Array(Uint32Array.of(count).buffer)]);
const encode = (text: string) => new TextEncoder().encode(text);

/** A relay, and the guest's side of its port. */
class Guest {
  readonly pid: number;
  readonly ended: Promise<{ exitCode?: number; signal?: number }>;
  readonly #port: number;
  readonly #start: number;
  /** The caller's ends of the standard files. */
  readonly input: number;
  readonly output: number;
  readonly errors: number;
  nonce = new Uint8Array();

  constructor(
    scope: Scope,
    program: string,
    { filtered = false, words = [], connection }: {
      filtered?: boolean;
      words?: string[];
      /** What it gets as its socket, and the other end of its port. */
      connection?: { socket: number; port: number };
    } = {},
  ) {
    const [port, theirPort] = connection === undefined
      ? socketpair(SOCK_STREAM)
      : [connection.port, connection.socket];
    const [start, theirStart] = socketpair(SOCK_STREAM);
    const [theirInput, input] = pipe();
    const [output, theirOutput] = pipe();
    const [errors, theirErrors] = pipe();
    const request = sealedFile("request", encode("arg=x\0"));
    const tables: ["relay"] = ["relay"];
    const filter = sealedFile(
      "filter",
      assembleFilter({ tables, features: [], mode: "strict", allowed: [] }),
    );
    const theirs = [theirInput, theirOutput, theirErrors, theirPort, request, theirStart, filter];
    const own = ["socket=3", "request=4", "start=5", ...filtered ? ["filter=6"] : []];
    const argv = ["urunc-relay", ...own, ...words];
    this.pid = spawn({
      path: program,
      argv,
      env: [],
      fds: theirs.map((from, to) => ({ from, to })),
    });
    theirs.forEach(close);
    this.ended = waitpidAsync(this.pid);
    [this.#port, this.#start, this.output, this.errors] = [port, start, output, errors];
    this.input = input;
    scope.defer("end the relay", async () => {
      this.close(port, start, input, output, errors);
      await this.ended;
    });
  }

  readonly #closed = new Set<number>();

  close(...fds: number[]): void {
    fds.filter((fd) => !this.#closed.has(fd)).forEach(close);
    fds.forEach((fd) => this.#closed.add(fd));
  }

  hangUp(): void {
    this.close(this.#port);
  }

  async bytes(size: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(size);
    for (let have = 0; have < size;) {
      const count = await readAsync(this.#port, bytes.subarray(have));
      assert.notEqual(count, 0, `the relay is gone after ${have} bytes`);
      have += count;
    }
    return bytes;
  }

  send(...frames: Uint8Array<ArrayBuffer>[]): void {
    for (const bytes of frames) writeAll(this.#port, bytes);
  }

  /** One that has ended does not take it. */
  trySend(bytes: Uint8Array<ArrayBuffer>): void {
    try {
      send(this.#port, bytes, MSG_NOSIGNAL);
    } catch (error) {
      assert.match(`${error}`, /EPIPE|ECONNRESET/);
    }
  }

  /** The next frame's payload, which must be of this type. */
  async expect(type: number): Promise<Uint8Array> {
    const [found, , low, high] = await this.bytes(4);
    assert.equal(found, type);
    return await this.bytes(low! + 256 * high!);
  }

  async hear(): Promise<void> {
    assert.ok((await this.bytes(PADDING)).every((byte) => byte === 0));
    const hello = await this.expect(HELLO);
    assert.deepEqual([...hello.subarray(0, 2)], [1, 0]);
    this.nonce = hello.slice(2);
  }

  async begin(): Promise<void> {
    await this.hear();
    this.send(this.nonce as Uint8Array<ArrayBuffer>, frame(READY, [1, 0]));
    assert.deepEqual(await this.expect(REQUEST), encode("arg=x\0"));
    assert.deepEqual([...await this.expect(START)], [0, 0, 0, 0, 0, 0, 6, 0, 0, 0]);
  }

  async run(): Promise<void> {
    await this.begin();
    this.send(frame(STARTED));
    assert.equal(await this.report(), "started");
  }

  /** What it says to the runtime. */
  async report(): Promise<string> {
    const bytes = new Uint8Array(200);
    return new TextDecoder().decode(bytes.subarray(0, await readAsync(this.#start, bytes)));
  }

  text(fd: number, size = 65536): string {
    const bytes = new Uint8Array(size);
    return new TextDecoder().decode(bytes.subarray(0, read(fd, bytes)));
  }

  /** Fills one of the caller's files, and what the guest may have on its way to it. */
  flood(type: typeof OUTPUT | typeof ERRORS): void {
    for (let sent = 0; sent < WINDOW; sent += 8192) this.send(frame(type, new Uint8Array(8192)));
  }

  async code(): Promise<number | undefined> {
    return (await this.ended).exitCode;
  }
}

type Check = (program: string, scope: Scope, kind: typeof WAITER_KINDS[number]) => Promise<void>;

function test(name: string, check: Check): void {
  for (const kind of WAITER_KINDS) {
    testIf(`relay, ${kind}: ${name}`, { needs: ["gcc"] }, async () => {
      await using scope = new Scope();
      await check(await nativeProgram(scope, kind), scope, kind);
    });
  }
}

test("handed a connection by the waiter, it is as on a port", async (program, scope, kind) => {
  const [waiter, relays] = socketpair(SOCK_STREAM);
  const [port, handed] = socketpair(SOCK_STREAM);
  const guest = new Guest(scope, program, {
    filtered: kind === "shipped",
    words: ["handed"],
    connection: { socket: relays, port },
  });
  // Not a word before there is one.
  await delay(100);
  assert.equal(readProcessStat(guest.pid)?.state, "S");
  sendDescriptor(waiter, new Uint8Array(1), handed, MSG_NOSIGNAL);
  close(handed);
  close(waiter);
  await guest.run();
  guest.send(exited(3));
  assert.equal(await guest.code(), 3);
});

test(
  "a waiter that is gone, or hands nothing over, is the container's exit",
  async (program, scope, kind) => {
    for (const text of ["", "\0"]) {
      const [waiter, relays] = socketpair(SOCK_STREAM);
      const [port] = socketpair(SOCK_STREAM);
      const connection = { socket: relays, port };
      const guest = new Guest(scope, program, {
        filtered: kind === "shipped",
        words: ["handed"],
        connection,
      });
      if (text) writeAll(waiter, encode(text));
      close(waiter);
      assert.equal(await guest.report(), "ended");
      assert.equal(await guest.code(), 137);
    }
  },
);

test("a waiter that cannot hand a connection over says why", async (program, scope, kind) => {
  const [waiter, relays] = socketpair(SOCK_STREAM);
  const [port] = socketpair(SOCK_STREAM);
  const guest = new Guest(scope, program, {
    filtered: kind === "shipped",
    words: ["handed"],
    connection: { socket: relays, port },
  });
  writeAll(waiter, Uint8Array.of(109));
  close(waiter);
  assert.equal(await guest.report(), "error connection 109");
  assert.equal(await guest.code(), 125);
});

test("input, its end, output, a signal and the exit code", async (program, scope, kind) => {
  // Sanitizers make other calls.
  const guest = new Guest(scope, program, { filtered: kind === "shipped" });
  await guest.run();
  writeAll(guest.input, encode("in"));
  assert.deepEqual(await guest.expect(INPUT), encode("in"));
  guest.close(guest.input);
  assert.equal((await guest.expect(INPUT_END)).length, 0);
  kill(guest.pid, SIGTERM);
  assert.deepEqual([...await guest.expect(SIGNAL)], [15, 0, 0, 0]);
  guest.send(frame(OUTPUT, encode("out")), frame(ERRORS, encode("errors")), exited(7));
  assert.equal(await guest.code(), 7);
  assert.deepEqual([guest.text(guest.output), guest.text(guest.errors)], ["out", "errors"]);
});

test(
  "a signal's number, a program that is not there, and a guest that ends",
  async (program, scope) => {
    const killed = new Guest(scope, program);
    await killed.run();
    killed.send(exited(0, 9));
    assert.equal(await killed.code(), 137);

    const missing = new Guest(scope, program);
    await missing.begin();
    missing.send(frame(FAILED, [7, 0, 2, 0]));
    assert.deepEqual([await missing.report(), await missing.code()], ["failed 7 2", 127]);

    const gone = new Guest(scope, program);
    await gone.run();
    gone.send(frame(OUTPUT, encode("last")));
    gone.hangUp();
    assert.deepEqual([await gone.code(), gone.text(gone.output)], [137, "last"]);

    const early = new Guest(scope, program);
    early.hangUp();
    assert.deepEqual([await early.report(), await early.code()], ["ended", 137]);
  },
);

test(
  "what an earlier connection left is discarded, also parts of frames",
  async (program, scope) => {
    const guest = new Guest(scope, program);
    await guest.hear();
    const stale = new Uint8Array(100_000).fill(OUTPUT);
    guest.send(
      stale,
      guest.nonce.slice(0, 15) as Uint8Array<ArrayBuffer>,
      frame(EXITED, new Uint8Array(8)),
    );
    guest.send(guest.nonce.slice() as Uint8Array<ArrayBuffer>, frame(READY, [1, 0]));
    await guest.expect(REQUEST);
    await guest.expect(START);
    guest.send(frame(STARTED), exited(3));
    assert.equal(await guest.code(), 3);
  },
);

test("a stream that nobody reads stops no other, nor a signal", async (program, scope) => {
  const guest = new Guest(scope, program);
  await guest.run();
  guest.flood(OUTPUT);
  guest.send(frame(ERRORS, encode("heard")));
  assert.equal(
    await waitFor(() => guest.text(guest.errors), { timeoutSeconds: 5, what: "errors" }),
    "heard",
  );
  // What a pipe has room for: pipe(7).
  assert.deepEqual([...await guest.expect(TAKEN)], [1, 0, 0, 0, 1, 0]);
  kill(guest.pid, SIGTERM);
  assert.deepEqual([...await guest.expect(SIGNAL)], [15, 0, 0, 0]);
  let got = 0;
  guest.send(exited(0));
  while (got < WINDOW) got += guest.text(guest.output).length;
  assert.deepEqual([await guest.code(), got], [0, WINDOW]);
});

test(
  "output without a reader, and input that is not wanted, are closed",
  async (program, scope) => {
    const guest = new Guest(scope, program);
    await guest.run();
    guest.close(guest.output);
    guest.send(frame(OUTPUT, encode("lost")));
    assert.deepEqual([...await guest.expect(CLOSED)], [1, 0]);
    guest.send(frame(CLOSED, [0, 0]));
    await waitFor(() => {
      try {
        writeAll(guest.input, encode("x"));
      } catch {
        return true;
      }
    }, { timeoutSeconds: 5, what: "the end of the input" });
    guest.send(exited(0));
    assert.equal(await guest.code(), 0);
  },
);

const before: [name: string, bytes: Uint8Array<ArrayBuffer>[]][] = [
  ["a frame of 64 KiB", [Uint8Array.of(OUTPUT, 0, 255, 255)]],
  ["an unknown type", [frame(200)]],
  ["output of no process", [frame(OUTPUT, [1])]],
  ["a later version", [frame(READY, [2, 0])]],
  ["a frame of the relay's", [frame(INPUT, [1])]],
  ["an exit before the start", [frame(READY, [1, 0]), exited(0)]],
];
const later: [name: string, bytes: Uint8Array<ArrayBuffer>[]][] = [
  ["another start", [frame(STARTED)]],
  ["exit code 256", [exited(256)]],
  ["signal 65", [exited(0, 65)]],
  ["more input taken than sent", [taken(0, 1)]],
  ["output taken", [taken(1, 0)]],
  ["an end of output", [frame(CLOSED, [1, 0])]],
  ["a word after the exit", [Uint8Array.of(...exited(0), ...frame(OUTPUT, [1]))]],
];

test("a guest that breaks the protocol ends its relay", async (program, scope) => {
  for (const [name, frames] of before) {
    const guest = new Guest(scope, program);
    await guest.hear();
    guest.send(guest.nonce as Uint8Array<ArrayBuffer>, ...frames);
    assert.deepEqual([await guest.report(), await guest.code()], ["broken", 255], name);
  }
  for (const [name, frames] of later) {
    const guest = new Guest(scope, program);
    await guest.run();
    guest.send(...frames);
    assert.equal(await guest.code(), 255, name);
    assert.match(
      guest.text(guest.errors),
      /^urunc: the guest's agent does not keep to the protocol\n$/,
    );
  }
});

test("floods cost no memory, and silence a bounded time", async (program, scope, kind) => {
  const silent = new Guest(scope, program);
  await silent.hear();
  silent.send(Uint8Array.of(1));
  const began = performance.now();

  const flood = new Guest(scope, program);
  await flood.run();
  const output = frame(OUTPUT, new Uint8Array(8192));
  for (let sent = 0; sent < WINDOW; sent += 8192) flood.send(output);
  const status = await Deno.readTextFile(`/proc/${flood.pid}/status`);
  // KiB. Sanitizers reserve terabytes.
  const most = Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)![1]);
  assert.ok(kind === "sanitized" || most < 1024, `${most} KiB`);
  // The caller's pipe has taken 64 KiB, for which there was room again.
  for (let sent = 0; sent < WINDOW; sent += 8192) flood.trySend(output);
  assert.equal(await flood.code(), 255);

  assert.deepEqual([await silent.report(), await silent.code()], ["silent", 125]);
  const took = performance.now() - began;
  assert.ok(took > 4000 && took < 20_000, `${took} ms`);
});

test("a guest that fills errors and breaks the protocol ends its relay", async (program, scope) => {
  // The caller's time to read (DRAIN), or until it has enough.
  for (const [signal, least, most] of [[undefined, 5000, 30_000], [SIGTERM, 0, 5000]] as const) {
    const guest = new Guest(scope, program);
    await guest.run();
    guest.flood(ERRORS);
    await guest.expect(TAKEN);
    const began = performance.now();
    guest.send(frame(STARTED));
    if (signal !== undefined) kill(guest.pid, signal);
    assert.equal(await guest.code(), 255);
    const took = performance.now() - began;
    assert.ok(took >= least && took < most, `${took} ms`);
  }
});

/** A guest that takes nothing, when its relay has something to send. */
async function deafGuest(scope: Scope, program: string, filtered: boolean): Promise<Guest> {
  const guest = new Guest(scope, program, { filtered });
  await guest.run();
  setNonblock(guest.input, true);
  // It is stuck when it has taken nothing for so long.
  for (let failures = 0; failures < 5; failures++) {
    if (writeSome(guest.input)) failures = 0;
    else await delay(50);
  }
  return guest;
}

function writeSome(fd: number): boolean {
  try {
    return write(fd, new Uint8Array(4096)) > 0;
  } catch (error) {
    assert.match(`${error}`, /EAGAIN/);
    return false;
  }
}

test("a guest that takes nothing gets its signals later", async (program, scope, kind) => {
  const guest = await deafGuest(scope, program, kind === "shipped");
  for (const signal of [SIGTERM, SIGUSR1, SIGUSR1]) kill(guest.pid, signal);
  await delay(200);
  guest.close(guest.input);
  const signals: number[] = [];
  while (signals.length < 2) {
    const [type, , low, high] = await guest.bytes(4);
    const payload = await guest.bytes(low! + 256 * high!);
    if (type === SIGNAL) signals.push(payload[0]!);
    else assert.equal(type, INPUT);
  }
  assert.deepEqual(signals, [SIGUSR1, SIGTERM]);
  guest.send(exited(4));
  assert.equal(await guest.code(), 4);
});

test("a guest that takes nothing ends by the second signal", async (program, scope, kind) => {
  for (
    const [first, second] of [[SIGTERM, SIGTERM], [SIGTERM, SIGINT], [SIGINT, SIGTERM]] as const
  ) {
    const guest = await deafGuest(scope, program, kind === "shipped");
    kill(guest.pid, SIGUSR1);
    kill(guest.pid, first);
    await delay(200);
    assert.notEqual(readProcessStat(guest.pid)?.state ?? "Z", "Z");
    kill(guest.pid, second);
    assert.equal(await guest.code(), 128 + second);
  }
});

test("a signal ends the waiting for a slow reader, too", async (program, scope) => {
  const guest = new Guest(scope, program);
  await guest.run();
  guest.flood(OUTPUT);
  await guest.expect(TAKEN);
  guest.hangUp();
  await delay(500);
  assert.equal(guest.text(guest.output, 4096).length, 4096);
  const began = performance.now();
  kill(guest.pid, SIGCONT);
  kill(guest.pid, SIGTERM);
  assert.equal(await guest.code(), 137);
  const took = performance.now() - began;
  assert.ok(took < 5000, `${took} ms`);
});

for (const kind of WAITER_KINDS) {
  testIf(`relay, ${kind}: as many groups as there may be`, { needs: ["gcc", "root"] }, async () => {
    await using scope = new Scope();
    // NGROUPS_MAX, linux/limits.h
    const groups = Array.from({ length: 65_536 }, (_, index) => 100_000 + index);
    const user = ["uid=65534", "gid=65533", ...groups.map((group) => `group=${group}`)];
    const guest = new Guest(scope, await nativeProgram(scope, kind), { words: user });
    await guest.run();
    const status = await Deno.readTextFile(`/proc/${guest.pid}/status`);
    const found = /^Groups:\t(.*)$/m.exec(status)![1]!.trim().split(" ").map(Number);
    assert.deepEqual(found, groups);
    guest.send(exited(0));
    assert.equal(await guest.code(), 0);
  });
}

test("a relay that is killed hangs up", async (program, scope) => {
  const guest = new Guest(scope, program);
  await guest.run();
  kill(guest.pid, SIGKILL);
  await assert.rejects(() => guest.expect(EXITED), /the relay is gone after 0 bytes/);
});
