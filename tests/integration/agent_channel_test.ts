/** The waiter with a guest's agent that is this test: what both say, and an agent that lies. */
import assert from "node:assert/strict";
import {
  close,
  kill,
  O_CREAT,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  open,
  readAsync,
  SIGKILL,
  SIGTERM,
  SOCK_STREAM,
  socketpair,
  spawn,
  waitpidAsync,
  writeAll,
} from "../../ffi/linux.ts";
import { lastBytes } from "../../lib/container/console.ts";
import { CONSOLE_BYTES } from "../../lib/plan/agent.ts";
import { childrenOf, waitFor } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { WAITER_KINDS, waiterProgram } from "../support/waiter.ts";

/** lib/build/guest_init/protocol.h */
const [HELLO, INPUT_END, SIGNAL, DRAINED, READY, EXITED] = [1, 2, 3, 5, 65, 66];
const PORTS = ["stdin", "stdout", "stderr", "control"] as const;
type Port = typeof PORTS[number] | "dns";
const [DATAGRAM, STREAM, END] = [1, 2, 3];
const READY_FRAME = (nonce: Uint8Array) => frame(READY, Uint8Array.of(1, 0, ...nonce));

function frame(type: number, payload: ArrayLike<number> = []): Uint8Array {
  return Uint8Array.of(type, 0, payload.length, 0, ...Array.from(payload));
}

function exited(code: number, signal: number, bytes: [number, number]): Uint8Array {
  const payload = new Uint8Array(24);
  const view = new DataView(payload.buffer);
  [code, signal].forEach((value, index) => view.setUint32(4 * index, value, true));
  bytes.forEach((value, index) => view.setBigUint64(8 + 8 * index, BigInt(value), true));
  return frame(EXITED, payload);
}

/** The guest's side of a waiter's channel. */
class Guest {
  readonly pid: number;
  readonly ended: Promise<{ exitCode?: number; signal?: number }>;
  readonly ports: Record<Port, number>;
  readonly #directory: string;

  private constructor(
    directory: string,
    { pid, ports }: { pid: number; ports: Guest["ports"] },
  ) {
    this.#directory = directory;
    this.pid = pid;
    this.ports = ports;
    this.ended = waitpidAsync(pid);
  }

  /** @param script a shell's, which is the monitor; its output is the console */
  static async start(
    scope: Scope,
    waiter: string,
    script: string,
    { input = "", wrapper = [] }: { input?: string; wrapper?: string[] } = {},
  ): Promise<Guest> {
    const directory = await scope.temporaryDirectory("guest");
    await Deno.writeTextFile(`${directory}/stdin`, input);
    const flags = O_WRONLY | O_CREAT;
    const files = [
      open(`${directory}/stdin`, O_RDONLY),
      ...["stdout", "stderr"].map((name) => open(`${directory}/${name}`, flags, 0o600)),
    ];
    const pairs = ["events", ...PORTS].map(() => socketpair(SOCK_STREAM));
    await Deno.writeFile(`${directory}/console`, new Uint8Array(CONSOLE_BYTES));
    const kept = open(`${directory}/console`, O_RDWR);
    const names = socketpair(SOCK_STREAM);
    const theirs = [...files, ...pairs.map(([, it]) => it), kept, names[1]];
    const words = [...wrapper, waiter];
    const pid = spawn({
      path: words[0]!,
      argv: [
        ...words,
        ...["events=3", "ports=4", "console=8", `dns=${DNS_FD}`],
        ...["input", "debug-exit", "--"],
        ...["/bin/sh", "-c", script],
      ],
      env: ["PATH=/usr/bin:/bin"],
      fds: theirs.map((from, to) => ({ from, to })),
    });
    theirs.forEach(close);
    const ours = [...pairs.map(([it]) => it), names[0]];
    scope.defer("close the waiter's sockets", () => ours.forEach(close));
    const ports = Object.fromEntries(
      [...PORTS, "dns" as const].map((name, index) => [name, ours[index + 1]!]),
    );
    return new Guest(directory, { pid, ports: ports as Guest["ports"] });
  }

  /** So many bytes of a port. */
  async read(port: Port, size: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(size);
    for (let have = 0; have < size;) {
      const count = await readAsync(this.ports[port], bytes.subarray(have));
      assert.notEqual(count, 0, `${port} ended after ${have} bytes`);
      have += count;
    }
    return bytes;
  }

  send(port: Port, bytes: Uint8Array): void {
    writeAll(this.ports[port], bytes);
  }

  /** The payload of the next frame, which must be of this type. */
  async expect(type: number): Promise<Uint8Array> {
    const [found, , size] = await this.read("control", 4);
    assert.equal(found, type);
    return await this.read("control", size!);
  }

  /** Answers the waiter's hello, as an agent does that starts its program. */
  async open(): Promise<void> {
    const hello = await this.expect(HELLO);
    assert.deepEqual([...hello.subarray(0, 4)], [1, 0, 0, 0]);
    this.send("control", READY_FRAME(hello.subarray(8)));
    await this.expect(4);
  }

  /** As the agent does when the waiter has everything. */
  async powerOff(): Promise<void> {
    let type: number | undefined;
    while (type !== DRAINED) {
      const [found, , size] = await this.read("control", 4);
      await this.read("control", size!);
      type = found;
    }
    for (const child of childrenOf(this.pid)) kill(child, SIGKILL);
  }

  /** What is kept of the console. */
  console(): string {
    const file = Deno.readFileSync(`${this.#directory}/console`);
    assert.equal(file.length, CONSOLE_BYTES);
    const count = new DataView(file.buffer).getBigUint64(0, true);
    return new TextDecoder().decode(lastBytes(count, file, count));
  }

  text(name: "stdout" | "stderr"): string {
    return Deno.readTextFileSync(`${this.#directory}/${name}`);
  }

  async code(): Promise<number | undefined> {
    return (await this.ended).exitCode;
  }
}

type Check = (
  waiter: string,
  scope: Scope,
  kind: typeof WAITER_KINDS[number],
) => Promise<void>;

function test(
  name: string,
  check: Check,
  { needs = [], timeoutSeconds }: { needs?: string[]; timeoutSeconds?: number } = {},
): void {
  for (const kind of WAITER_KINDS) {
    testIf(
      `agent's channel, ${kind}: ${name}`,
      { needs: ["gcc", ...needs], timeoutSeconds },
      async () => {
        await using scope = new Scope();
        await check(await waiterProgram(scope, kind), scope, kind);
      },
    );
  }
}

const encode = (text: string) => new TextEncoder().encode(text);

test("files, their ends, a signal and the exit code, in this order", async (waiter, scope) => {
  const guest = await Guest.start(scope, waiter, "echo booting; exec sleep 1000", {
    input: "in",
  });
  await guest.open();
  assert.deepEqual(await guest.read("stdin", 2), encode("in"));
  assert.deepEqual([...await guest.expect(INPUT_END)], [2, 0, 0, 0, 0, 0, 0, 0]);
  kill(guest.pid, SIGTERM);
  assert.deepEqual([...await guest.expect(SIGNAL)], [15, 0, 0, 0]);
  guest.send("control", exited(7, 0, [3, 6]));
  guest.send("stdout", encode("out"));
  guest.send("stderr", encode("err"));
  // Not before the last of what there is.
  guest.send("stderr", encode("ors"));
  await guest.powerOff();
  assert.deepEqual([guest.text("stdout"), guest.text("stderr")], ["out", "errors"]);
  assert.equal(await guest.code(), 7);
});

test("a program that a signal ended is 128 and the signal", async (waiter, scope) => {
  const guest = await Guest.start(scope, waiter, "exec sleep 1000");
  await guest.open();
  guest.send("control", exited(0, 9, [0, 0]));
  await guest.powerOff();
  assert.equal(await guest.code(), 137);
});

test("an end without a word is 255, with what was on the console", async (waiter, scope) => {
  const guest = await Guest.start(scope, waiter, "printf 'first\\r\\n\\033[2Jlast\\r\\n'; exit 0");
  assert.equal(await guest.code(), 255);
  assert.equal(guest.text("stdout"), "");
  assert.match(guest.text("stderr"), /^urunc: the guest ended without .*:\nfirst\n\?\[2Jlast\n$/);
});

test("a signal before the first word ends the monitor", async (waiter, scope) => {
  const guest = await Guest.start(scope, waiter, "exec sleep 1000");
  await guest.expect(HELLO);
  kill(guest.pid, SIGTERM);
  assert.equal(await guest.code(), 143);
});

test(
  "without ports the console is the program's, from the agent's word on",
  async (waiter, scope) => {
    const script = "echo booting; echo '[ 9.1] urunc-agent: serial line'; cat; exit 15";
    const guest = await Guest.start(scope, waiter, script, { input: "program\n" });
    assert.equal(await guest.code(), 7);
    assert.equal(guest.text("stdout"), "program\n");
    assert.match(guest.text("stderr"), /^urunc: the guest's kernel has no driver .*\n$/);
  },
);

const lies: [name: string, bytes: (nonce: Uint8Array) => Uint8Array][] = [
  ["a frame of 64 KiB", () => Uint8Array.of(READY, 0, 255, 255)],
  ["an unknown type", () => frame(67)],
  ["a frame of the waiter's", () => frame(DRAINED)],
  ["another nonce", (nonce) => READY_FRAME(nonce.map((byte) => byte ^ 1))],
  ["a later version", (nonce) => frame(READY, [2, 0, ...nonce])],
  ["an end before the beginning", () => exited(0, 0, [0, 0])],
  ["two answers", (nonce) => Uint8Array.of(...READY_FRAME(nonce), ...READY_FRAME(nonce))],
  ["exit code 256", (nonce) => Uint8Array.of(...READY_FRAME(nonce), ...exited(256, 0, [0, 0]))],
  ["signal 65", (nonce) => Uint8Array.of(...READY_FRAME(nonce), ...exited(0, 65, [0, 0]))],
  [
    "two ends",
    (nonce) =>
      Uint8Array.of(...READY_FRAME(nonce), ...exited(0, 0, [9, 0]), ...exited(1, 0, [9, 0])),
  ],
];

test("an agent that breaks the protocol ends its own guest", async (waiter, scope) => {
  for (const [name, bytes] of lies) {
    const guest = await Guest.start(scope, waiter, "exec sleep 1000");
    const hello = await guest.expect(HELLO);
    guest.send("control", bytes(hello.subarray(8)));
    assert.equal(await guest.code(), 255, name);
  }
});

test(
  "an agent that says less than it sends, or more, and one that stays",
  async (waiter, scope) => {
    const less = await Guest.start(scope, waiter, "sleep 1; kill -9 $$");
    await less.open();
    less.send("stdout", encode("more than that"));
    less.send("control", exited(4, 0, [1, 0]));
    const more = await Guest.start(scope, waiter, "exec sleep 1000");
    await more.open();
    more.send("control", exited(0, 0, [2 ** 50, 0]));
    const stays = await Guest.start(scope, waiter, "exec sleep 1000");
    await stays.open();
    stays.send("control", exited(6, 0, [0, 0]));
    assert.deepEqual([await less.code(), less.text("stdout")], [4, "more than that"]);
    // Ended after 10 seconds, both at the same time.
    assert.equal(await more.code(), 255);
    assert.equal(await stays.code(), 6);
  },
);

test("the last of the console is kept, in a file that does not grow", async (waiter, scope) => {
  const script = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; exit 0";
  const guest = await Guest.start(scope, waiter, script);
  assert.equal(await guest.code(), 255);
  const lines = guest.console().split("\n");
  const first = Number(/\d+$/.exec(lines[1]!)![0]);
  const expected = Array.from({ length: 20000 - first }, (_, index) => `line ${first + index}`);
  assert.deepEqual(lines.slice(1), [...expected, ""]);
  assert.equal(guest.console().length, CONSOLE_BYTES - 8);
  assert.ok(guest.text("stderr").endsWith("\nline 19998\nline 19999\n"));
});

test("a console that never ends costs nobody else", async (waiter, scope, kind) => {
  const guest = await Guest.start(scope, waiter, "head -c 100000000 /dev/zero; exec sleep 1000");
  await guest.open();
  guest.send("stdout", encode("here"));
  await waitFor(() => guest.text("stdout") === "here", { timeoutSeconds: 20, what: "output" });
  const status = await Deno.readTextFile(`/proc/${guest.pid}/status`);
  // KiB. Sanitizers reserve terabytes.
  const most = Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)![1]);
  assert.ok(kind === "sanitized" || most < 512, `${most} KiB`);
  guest.send("control", exited(0, 0, [4, 0]));
  await guest.powerOff();
  assert.equal(await guest.code(), 0);
});

const DNS_FD = 9;

function hasDescriptor(pid: number, fd: number): boolean {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].some(({ name }) => name === `${fd}`);
}

const dnsLies: [name: string, bytes: Uint8Array][] = [
  ["an unknown type", frame(9, [0])],
  ["a message of 64 KiB", Uint8Array.of(DATAGRAM, 0, 255, 255)],
  ["an empty one", frame(DATAGRAM)],
  ["an end with something behind it", frame(END, [1])],
];

test(
  "a guest that breaks the name server's protocol loses that, and nothing else",
  async (waiter, scope) => {
    for (const [name, bytes] of dnsLies) {
      const guest = await Guest.start(scope, waiter, "exec sleep 1000");
      await guest.open();
      guest.send("dns", bytes);
      await waitFor(() => !hasDescriptor(guest.pid, DNS_FD), { timeoutSeconds: 10, what: name });
      guest.send("control", exited(0, 0, [0, 0]));
      await guest.powerOff();
      assert.equal(await guest.code(), 0, name);
    }
  },
);

test(
  "a stream ends once for each side, and queries that nobody takes are lost",
  async (waiter, scope) => {
    const guest = await Guest.start(scope, waiter, "exec sleep 1000");
    await guest.open();
    const flood = frame(DATAGRAM, new Uint8Array(200).fill(1));
    for (let i = 0; i < 5000; i++) guest.send("dns", flood);
    for (let round = 0; round < 3; round++) {
      // No name server is there: the connection is refused.
      guest.send("dns", frame(STREAM, [0, 1, 2]));
      assert.deepEqual([...await guest.read("dns", 4)], [END, 0, 0, 0]);
      guest.send("dns", frame(STREAM, [3]));
      guest.send("dns", frame(END));
    }
    guest.send("control", exited(0, 0, [0, 0]));
    await guest.powerOff();
    assert.equal(await guest.code(), 0);
  },
);

/** A network namespace of its own, with a loopback. */
const IN_NETWORK = ["/usr/bin/unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"];

/**
 * A name server that answers with its client's port; then never again that one, as when the kernel
 * translates what comes from there to where nobody is.
 */
const SILENT_SERVER = `
  use IO::Socket::INET;
  my $server = IO::Socket::INET->new(LocalAddr => "127.0.0.11:53", Proto => "udp") or die;
  print "listening\\n"; STDOUT->flush();
  my %answered;
  while (my $from = recv($server, my $query, 4096, 0)) {
    my ($port) = sockaddr_in($from);
    send($server, "$port", 0, $from) unless $answered{$port}++;
  }`;

/** One that answers so, too, and is away for a second after its first answer. */
const RESTARTED_SERVER = `
  use IO::Socket::INET;
  for (my $first = 1;; $first = 0) {
    my $server = IO::Socket::INET->new(LocalAddr => "127.0.0.11:53", Proto => "udp") or die;
    print "listening\\n"; STDOUT->flush();
    while (my $from = recv($server, my $query, 4096, 0)) {
      my ($port) = sockaddr_in($from);
      send($server, "$port", 0, $from);
      last if $first;
    }
    close($server);
    sleep 1;
  }`;

const servers: [name: string, server: string][] = [
  ["is not answered", SILENT_SERVER],
  ["is refused", RESTARTED_SERVER],
];

for (const [name, server] of servers) {
  test(`a name server gets queries from another port when one ${name}`, async (waiter, scope) => {
    const script = `exec perl -e '${server}'`;
    const guest = await Guest.start(scope, waiter, script, { wrapper: IN_NETWORK });
    await guest.open();
    await waitFor(() => guest.console().includes("listening"), {
      timeoutSeconds: 10,
      what: "a name server",
    });
    const query = () => guest.send("dns", frame(DATAGRAM, [1]));
    query();
    const first = await readAnswer(guest);
    let other: string | undefined;
    const reading = readAnswer(guest).then((it) => other = it, String);
    const again = setInterval(query, 100);
    const wait = { timeoutSeconds: 15, what: "another answer" };
    await waitFor(() => other !== undefined, wait).finally(() => clearInterval(again));
    kill(guest.pid, SIGKILL);
    await reading;
    assert.notEqual(other, first);
  }, { needs: ["root", "perl", "unshare", "ip"], timeoutSeconds: 30 });
}

/** What the name server answers. */
async function readAnswer(guest: Guest): Promise<string> {
  const [type, , size] = await guest.read("dns", 4);
  assert.equal(type, DATAGRAM);
  return new TextDecoder().decode(await guest.read("dns", size!));
}
