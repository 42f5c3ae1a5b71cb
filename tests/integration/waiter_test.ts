/** The container's process by itself: what it forwards, how it ends, and what it never does. */
import assert from "node:assert/strict";
import {
  close,
  kill,
  O_CREAT,
  O_NONBLOCK,
  O_RDONLY,
  O_WRONLY,
  open,
  pipe,
  read,
  readAsync,
  writeAll,
} from "../../ffi/linux.ts";
import { guestOf } from "../../lib/guest/families/registry.ts";
import type { UnikernelType } from "../../lib/guest/types.ts";
import { monitorByName } from "../../lib/monitor/registry.ts";
import { waiterArguments } from "../../lib/plan/waiter.ts";
import { ENDS } from "../support/ends.ts";
import { childrenOf, isAlive, run, waitFor } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { startWaiter, WAITER_KINDS, waiterProgram } from "../support/waiter.ts";

const MIB = 1024 * 1024;

/** What a test is called with: the program's path, and a scope. */
type Check = (waiter: string, scope: Scope) => Promise<void>;

function test(name: string, check: Check, needs: string[] = []): void {
  for (const kind of WAITER_KINDS) {
    testIf(`waiter, ${kind}: ${name}`, { needs: ["gcc", ...needs] }, async () => {
      await using scope = new Scope();
      await check(await waiterProgram(scope, kind), scope);
    });
  }
}

/** Runs one to its end with a shell's script as the monitor. */
async function shell(
  waiter: string,
  words: string[],
  script: string,
  stdin: "null" | Uint8Array<ArrayBuffer> = "null",
) {
  const child = new Deno.Command(waiter, {
    args: [...words, "--", "/bin/sh", "-c", script],
    stdin: stdin === "null" ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const fed = stdin === "null" ? undefined : feed(child, stdin);
  const { code, stdout, stderr } = await child.output();
  await fed;
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr), bytes: stdout };
}

async function feed(child: Deno.ChildProcess, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const writer = child.stdin.getWriter();
  await writer.write(bytes);
  await writer.close();
}

function noise(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 65536) {
    crypto.getRandomValues(bytes.subarray(at, Math.min(length, at + 65536)));
  }
  return bytes;
}

test(
  "the size of files is limited for the program, and not for what is done with its output",
  async (
    waiter,
    scope,
  ) => {
    const directory = await scope.temporaryDirectory("files");
    const script =
      'ulimit -f; dd if=/dev/zero bs=1k count=3 of="$0/image"; dd if=/dev/zero bs=4k count=1';
    const output = open(`${directory}/output`, O_WRONLY | O_CREAT, 0o600);
    const child = startWaiter(
      waiter,
      ["fsize=2048:18446744073709551615", "--", "/bin/sh", "-c", script, directory],
      [{ from: output, to: 1 }],
    );
    close(output);
    const { exitCode } = await child.ended;
    assert.equal(exitCode, 0);
    assert.equal(Deno.statSync(`${directory}/image`).size, 2048);
    assert.equal(Deno.statSync(`${directory}/output`).size, "4\n".length + 4096);
  },
);

test("every exit code is the table's", async (waiter) => {
  for (const { monitor, guest, exited, code } of ENDS) {
    const words = waiterArguments({
      monitor: monitorByName(monitor),
      guest: guestOf(guest as UnikernelType),
      createdFd: 3,
      startFd: 4,
      goFd: 100,
    }).slice(1).filter((it) => !/^(created|start)=/.test(it));
    const { code: actual } = await new Deno.Command("/bin/sh", {
      args: [
        ...["-c", 'exec "$@"', "sh", waiter, ...words],
        ...["--", "/bin/sh", "-c", `exit ${exited}`],
      ],
      stdin: "null",
    }).output();
    assert.equal(actual, code, `${guest} on ${monitor}, ${exited}`);
  }
});

test("a monitor that a signal ends is 128 and the signal, and one code is mapped once", async (waiter) => {
  for (const [name, number] of [["KILL", 9], ["SEGV", 11], ["ABRT", 6], ["TERM", 15]] as const) {
    const script = `ulimit -c 0; kill -${name} $$`;
    assert.equal((await shell(waiter, ["debug-exit"], script)).code, 128 + number);
  }
  const mapped = ["code=83:7", "code=7:9", "debug-exit"];
  assert.equal((await shell(waiter, mapped, "exit 83")).code, 7);
  assert.equal((await shell(waiter, mapped, "exit 7")).code, 9);
  assert.equal((await shell(waiter, mapped, "exit 9")).code, 4);
});

const refused = [
  ...["start=", "start=2", "start=x", "start=3x", "start=99999999999", "start", "end=0", "end=65"],
  ...["events=-1", "code=1", "code=:1", "code=1:", "code=256:1", "code=1:256", "code=1:1x"],
  ...["inputs", "", "-", "blocking=1", "log=2", "failure=", "failures=x"],
  ...["monitor=0", "monitor=4194305", "go=2", "go=x"],
];

test("what it does not understand is refused, and named", async (waiter) => {
  for (const word of refused) {
    const { code, stderr, stdout } = await shell(waiter, [word], "echo started");
    assert.deepEqual([code, stdout], [125, ""], word);
    assert.ok(stderr.includes(`urunc-waiter ${word}`), stderr);
  }
  const many = Array.from({ length: 9 }, (_, i) => `code=${i}:1`);
  assert.equal((await shell(waiter, many, "echo started")).code, 125);
  const texts = Array.from({ length: 9 }, (_, i) => `failure=${i}`);
  assert.equal((await shell(waiter, texts, "echo started")).code, 125);
  // Without a program.
  for (const args of [[], ["input"], ["--"]]) {
    const { code } = await new Deno.Command(waiter, { args, stderr: "null" }).output();
    assert.equal(code, 125, args.join());
  }
});

test("standard files arrive whole, and apart", async (waiter) => {
  const script = "cat; echo to the other >&2; exit 5";
  const bytes = noise(40 * MIB + 1);
  const result = await shell(waiter, ["input"], script, bytes);
  assert.equal(result.code, 5);
  assert.equal(result.stderr, "to the other\n");
  assert.ok(Uint8Array.from(result.bytes).length === bytes.length, `${result.bytes.length}`);
  assert.deepEqual(
    await crypto.subtle.digest("SHA-256", Uint8Array.from(result.bytes)),
    await crypto.subtle.digest("SHA-256", bytes),
  );
});

test("input that is not for the monitor stays the caller's, and the monitor reads its end", async (waiter) => {
  const { stdout } = await new Deno.Command("/bin/sh", {
    args: ["-c", `printf 'one\\ntwo\\n' | { "$0" -- /bin/sh -c 'cat; echo end'; cat; }`, waiter],
  }).output();
  assert.equal(new TextDecoder().decode(stdout), "end\none\ntwo\n");
});

test("what goes to one file keeps its order", async (waiter, scope) => {
  const file = `${await scope.temporaryDirectory("output")}/file`;
  const script = "i=0; while [ $i -lt 300 ]; do echo $i; echo $i >&2; i=$((i+1)); done";
  await new Deno.Command("/bin/sh", {
    args: ["-c", `exec "$0" -- /bin/sh -c '${script}' >>"$1" 2>&1`, waiter, file],
  }).output();
  const expected = Array.from({ length: 300 }, (_, i) => `${i}\n${i}\n`).join("");
  assert.equal(await Deno.readTextFile(file), expected);
});

test("a slow reader is back-pressure, and loses nothing", async (waiter) => {
  const [out, theirs] = pipe();
  const progress = await Deno.makeTempFile();
  const script = `i=0; while [ $i -lt 64 ]; do head -c 65536 /dev/zero; i=$((i+1)); ` +
    `echo $i >${progress}; done`;
  const { ended } = startWaiter(waiter, ["--", "/bin/sh", "-c", script], [{ from: theirs, to: 1 }]);
  close(theirs);
  const written = () => Number(Deno.readTextFileSync(progress));
  await waitFor(() => written() >= 1, { timeoutSeconds: 10, what: "the first bytes" });
  await new Promise((resolve) => setTimeout(resolve, 500));
  // Two pipes of 64 KiB each, and what waiter and head hold.
  assert.ok(written() <= 4, `${written()} × 64 KiB are written`);
  const buffer = new Uint8Array(65536);
  let total = 0;
  for (let count; (count = await readAsync(out, buffer)) > 0;) total += count;
  assert.equal(total, 4 * MIB);
  assert.equal((await ended).exitCode, 0);
  close(out);
  await Deno.remove(progress);
});

test(
  "the caller's pipes are not made nonblocking, whatever the monitor does with its own",
  async (waiter) => {
    const [input, feeding] = pipe();
    const [out, output] = pipe();
    const script = "use Fcntl; $| = 1;" +
      "for my $f (*STDIN, *STDOUT, *STDERR) { fcntl($f, F_SETFL, O_NONBLOCK) or die }" +
      'print "set\\n"; select(undef, undef, undef, 0.05) until defined(my $n = sysread(STDIN, $_, 1))';
    const { ended } = startWaiter(waiter, ["input", "--", "/usr/bin/perl", "-e", script], [
      { from: input, to: 0 },
      { from: output, to: 1 },
    ]);
    const buffer = new Uint8Array(16);
    assert.equal(await readAsync(out, buffer), 4);
    for (const fd of [input, output]) {
      const flags = /^flags:\s+(\d+)$/m.exec(Deno.readTextFileSync(`/proc/self/fdinfo/${fd}`))?.[1];
      assert.equal(parseInt(flags!, 8) & O_NONBLOCK, 0);
    }
    writeAll(feeding, new Uint8Array(1));
    assert.equal((await ended).exitCode, 0);
    for (const fd of [input, feeding, out, output]) close(fd);
  },
  ["perl"],
);

/**
 * Writes 4 MiB in pieces, a while after the first, and what cannot be written at once is dropped:
 * Firecracker's way.
 */
const DROPPING = "use Fcntl; fcntl(STDOUT, F_SETFL, O_WRONLY | O_NONBLOCK) or die;" +
  "syswrite(STDOUT, 'x' x 1024); select(undef, undef, undef, 0.3);" +
  "syswrite(STDOUT, 'x' x 1024) for 2 .. 4096";

for (const [words, loses] of [[["blocking"], false], [[], true]] as const) {
  test(
    `a monitor that drops what nobody reads ${loses ? "loses it" : "is kept from it"}`,
    async (waiter) => {
      const [out, output] = pipe();
      const program = ["/usr/bin/perl", "-e", DROPPING];
      const { ended } = startWaiter(waiter, [...words, "--", ...program], [{
        from: output,
        to: 1,
      }]);
      close(output);
      await new Promise((resolve) => setTimeout(resolve, 700));
      const buffer = new Uint8Array(65536);
      let total = 0;
      for (let count; (count = await readAsync(out, buffer)) > 0;) total += count;
      assert.equal(total < 4 * MIB, loses, `${total} bytes`);
      assert.equal((await ended).exitCode, 0);
      close(out);
    },
    ["perl"],
  );
}

test("a reader that has gone changes nothing for the monitor", async (waiter, scope) => {
  const file = `${await scope.temporaryDirectory("output")}/file`;
  const script = `head -c 300000 /dev/zero && echo more && echo done >${file}; exit 4`;
  const { stdout } = await new Deno.Command("/bin/sh", {
    args: ["-c", `{ "$0" -- /bin/sh -c '${script}'; echo $? >&3; } 3>&1 | :`, waiter],
  }).output();
  void stdout;
  assert.equal(await Deno.readTextFile(file), "done\n");
});

test("what never ceases to write to the program's files does not keep it from ending", async (waiter) => {
  // So slow that what is read of them is there again before the next is read.
  const reader = "while dd bs=4096 count=1 status=none | grep -q y; do sleep 0.01; done";
  const script = "timeout 12 yes & sleep 0.3; exit 3";
  const began = performance.now();
  const { stderr } = await run([
    ...["sh", "-c", `{ "$0" -- /bin/sh -c '${script}'; echo "code $?" >&2; } | { ${reader}; }`],
    waiter,
  ]);
  assert.match(stderr, /^code 3$/m);
  assert.ok(performance.now() - began < 10_000, stderr);
});

test("what was written before the exit arrives, and nobody's child is waited for", async (waiter) => {
  const began = performance.now();
  const result = await shell(waiter, [], "sleep 30 & head -c 60000 /dev/zero; exit 3");
  assert.deepEqual([result.code, result.bytes.length], [3, 60000]);
  assert.ok(performance.now() - began < 10_000);
});

test("output that nobody takes is given up, and the exit code is the monitor's", async (waiter) => {
  const [out, output] = pipe();
  const began = performance.now();
  const script = "head -c 100000 /dev/zero; exit 3";
  const { ended } = startWaiter(waiter, ["--", "/bin/sh", "-c", script], [{ from: output, to: 1 }]);
  assert.equal((await ended).exitCode, 3);
  const took = performance.now() - began;
  assert.ok(took > 9_000 && took < 30_000, `${took} ms`);
  for (const fd of [out, output]) close(fd);
});

test("of a second signal then, at once", async (waiter) => {
  const [out, output] = pipe();
  const script = "head -c 100000 /dev/zero; exit 3";
  const { pid, start, ended } = startWaiter(waiter, ["--", "/bin/sh", "-c", script], [
    { from: output, to: 1 },
  ]);
  assert.equal(await readAsync(start, new Uint8Array(1)), 0);
  await waitFor(() => childrenOf(pid).length === 0 || undefined, {
    timeoutSeconds: 10,
    what: "the monitor's exit",
  });
  const began = performance.now();
  kill(pid, 15);
  assert.equal((await ended).exitCode, 3);
  assert.ok(performance.now() - began < 5000);
  for (const fd of [out, output]) close(fd);
});

/** One that runs a shell's script, which has printed `ready`. */
async function ready(waiter: string, words: string[], script: string) {
  const [out, output] = pipe();
  const running = startWaiter(waiter, [...words, "--", "/bin/sh", "-c", script], [
    { from: output, to: 1 },
  ]);
  close(output);
  const buffer = new Uint8Array(16);
  const count = await readAsync(out, buffer);
  assert.equal(new TextDecoder().decode(buffer.subarray(0, count)), "ready\n");
  return { ...running, out, monitor: childrenOf(running.pid)[0]! };
}

const IDLE = "while :; do sleep 0.05; done";

test("a signal ends the monitor in its own way, and the exit code has the signal", async (waiter) => {
  // RTMIN+3 and the last; QEMU exits with 0 when it is ended in order.
  for (const number of [1, 2, 3, 10, 12, 13, 15, 30, 34, 37, 64]) {
    const script = `trap 'exit 0' TERM; echo ready; ${IDLE}`;
    const { pid, ended, out } = await ready(waiter, ["end=15"], script);
    kill(pid, number);
    assert.equal((await ended).exitCode, 128 + number);
    close(out);
  }
  const deaf = `trap '' TERM HUP INT; echo ready; ${IDLE}`;
  const { pid, ended, out } = await ready(waiter, ["end=9"], deaf);
  kill(pid, 15);
  assert.equal((await ended).exitCode, 143);
  close(out);
});

test("the monitor's death is noticed however soon it comes", async (waiter) => {
  for (let round = 0; round < 100; round++) {
    const { pid, start, events, ended } = startWaiter(waiter, ["end=9", "--", "/bin/sleep", "60"]);
    assert.equal(await readAsync(start, new Uint8Array(1)), 0);
    kill(pid, 15);
    assert.equal((await ended).exitCode, 143);
    for (const fd of [start, events]) close(fd);
  }
});

test("signals that mean nothing do nothing; others stop it and let it go on", async (waiter) => {
  const script = `trap 'exit 6' TERM; echo ready; ${IDLE}`;
  const { pid, monitor, ended, out } = await ready(waiter, [], script);
  const stateOf = () =>
    /^State:\s+(\S)/m.exec(Deno.readTextFileSync(`/proc/${monitor}/status`))![1];
  for (const number of [17, 23, 28, 18]) kill(pid, number);
  for (const number of [20, 21, 22]) {
    kill(pid, number);
    await waitFor(() => stateOf() === "T", { timeoutSeconds: 5, what: `${number} to stop it` });
    kill(pid, 18);
    await waitFor(() => stateOf() !== "T", { timeoutSeconds: 5, what: "it to go on" });
  }
  kill(monitor, 15);
  assert.equal(
    (await ended).exitCode,
    6,
    "a signal that somebody else sent is the monitor's affair",
  );
  close(out);
});

test("its death is the monitor's, and the monitor's its own", async (waiter) => {
  const first = await ready(waiter, [], `trap '' TERM; echo ready; ${IDLE}`);
  kill(first.pid, 9);
  assert.equal((await first.ended).signal, 9);
  await waitFor(() => !isAlive(first.monitor), { timeoutSeconds: 5, what: "the monitor's death" });
  const second = await ready(waiter, [], `echo ready; ${IDLE}`);
  kill(second.monitor, 9);
  assert.equal((await second.ended).exitCode, 137);
  for (const { out } of [first, second]) close(out);
});

test("start learns that the monitor was executed, or why not", async (waiter) => {
  const { start, ended } = startWaiter(waiter, ["--", "/bin/false"]);
  assert.equal(await readAsync(start, new Uint8Array(64)), 0);
  assert.equal((await ended).exitCode, 1);
  for (const [program, reason] of [["/missing", "No such file"], ["/etc/passwd", "Permission"]]) {
    const failed = startWaiter(waiter, ["--", program!]);
    const buffer = new Uint8Array(256);
    const count = await readAsync(failed.start, buffer);
    const text = new TextDecoder().decode(buffer.subarray(0, count));
    assert.match(text, new RegExp(`^execve ${program}: ${reason}`));
    assert.equal((await failed.ended).exitCode, 125);
  }
});

test("the monitor has its own descriptors and none of the waiter's", async (waiter) => {
  const file = open("/etc/passwd", O_RDONLY);
  const [out, output] = pipe();
  const list = "ls /proc/$$/fd; true";
  const pid = startWaiter(waiter, ["--", "/bin/sh", "-c", list], [
    { from: output, to: 1 },
    { from: file, to: 5 },
  ]);
  close(output);
  await pid.ended;
  const buffer = new Uint8Array(256);
  const count = read(out, buffer);
  const fds = new TextDecoder().decode(buffer.subarray(0, count)).trim().split("\n");
  assert.deepEqual(fds.filter((fd) => Number(fd) <= 9), ["0", "1", "2", "5"]);
  for (const fd of [file, out]) close(fd);
});

const GREETING = '{"QMP": {"version": {}, "capabilities": []}}\r\n{"return": {}}\r\n';
const RUNNING = '{"return": {"status": "running", "running": true}}\r\n';
const STOPPED = '{"timestamp": {"seconds": 1}, "event": "STOP"}\r\n';
const INTERNAL = '{"return": {"status": "internal-error", "running": false}}\r\n';

test("a monitor that reports an internal error is ended, with its words before", async (waiter) => {
  const script = `trap '' TERM; echo ready; echo 'KVM internal error' >&2; ${IDLE}`;
  const { ended, events, out } = await ready(waiter, ['failure="internal-error"'], script);
  const heard = lines(events);
  assert.equal(await heard(), '{"execute":"qmp_capabilities"}');
  assert.equal(await heard(), '{"execute":"query-status"}');
  // In pieces, as they may come.
  for (const byte of GREETING + RUNNING + STOPPED) writeAll(events, new TextEncoder().encode(byte));
  assert.equal(await heard(), '{"execute":"query-status"}');
  writeAll(events, new TextEncoder().encode(INTERNAL));
  assert.equal((await ended).exitCode, 255);
  for (const fd of [events, out]) close(fd);
});

test("a monitor that stops for another reason goes on, as does one that says anything", async (waiter) => {
  const words = ['failure="internal-error"'];
  const { pid, ended, events, out } = await ready(waiter, words, `echo ready; ${IDLE}`);
  const paused = '{"return": {"status": "paused", "running": false}}\r\n';
  const near = '"STO"STOP ""internal-erro"internal"-error" {{{{ \0\xff';
  for (const text of [GREETING, STOPPED, paused, near, RUNNING]) {
    writeAll(events, new TextEncoder().encode(text));
  }
  writeAll(events, noise(MIB));
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.ok(isAlive(pid));
  close(events);
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.ok(isAlive(pid), "the connection may end");
  kill(pid, 15);
  assert.equal((await ended).exitCode, 143);
  close(out);
});

test("a monitor that exits with 0 and never said anything is another program", async (waiter) => {
  const cases: [script: string, greeting: string, code: number, says: RegExp][] = [
    ["exit 0", "", 255, /^urunc: run the monitor: it exited with 0 .* urunc doctor .* remedy\n$/],
    ["exit 0", GREETING, 0, /^$/],
    ["echo out", "", 0, /^out\n$/],
    ["echo error >&2", "", 0, /^error\n$/],
    ["exit 3", "", 3, /^$/],
  ];
  for (const [script, greeting, code, says] of cases) {
    const [out, output] = pipe();
    const fds = [{ from: output, to: 1 }, { from: output, to: 2 }];
    // The greeting is there before the program ends.
    const words = ["--", "/bin/sh", "-c", `read _; ${script}`];
    const [input, feed] = pipe();
    const { start, events, ended } = startWaiter(waiter, ["input", ...words], [
      { from: input, to: 0 },
      ...fds,
    ]);
    for (const fd of [output, input]) close(fd);
    writeAll(events, new TextEncoder().encode(greeting));
    close(feed);
    assert.equal((await ended).exitCode, code, `${script} ${greeting}`);
    const buffer = new Uint8Array(1024);
    assert.match(new TextDecoder().decode(buffer.subarray(0, read(out, buffer))), says);
    for (const fd of [start, events, out]) close(fd);
  }
});

/** Runs a shell's script whose descriptor 9 is a named pipe for a log, as a monitor would open it. */
async function logging(waiter: string, scope: Scope, words: string[], script: string) {
  const path = `${await scope.temporaryDirectory("log")}/fifo`;
  await run(["mkfifo", path], { check: true });
  // For reading and writing, so that the shell does not wait for a writer.
  const started = `exec 4<>"$1"; exec "$0" log=4 ${words.join(" ")} -- /bin/sh -c "$2" sh "$1"`;
  const { code, stdout, stderr } = await new Deno.Command("/bin/sh", {
    args: ["-c", started, waiter, path, `exec 9>"$1"; ${script}`],
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

test(
  "a log belongs to standard error, and a failure in it counts more than the exit code",
  async (waiter, scope) => {
    const words = ["'failure=Received KVM_EXIT_'", "'failure=vcpu run'"];
    const cases: [script: string, code: number, stderr: string][] = [
      ["echo said >&9; exit 3", 3, "said\n"],
      ["echo 'x Received KVM_EXIT_SHUTDOWN' >&9; exit 0", 255, "x Received KVM_EXIT_SHUTDOWN\n"],
      ["echo 'Unexpected exit reason on vcpu run: Shutdown' >&9; exec sleep 60", 255, ""],
      ["echo 'Received KVM_SYSTEM_EVENT; vcpu  run' >&9; exit 0", 0, ""],
      [
        "printf 'Received KVM' >&9; sleep 0.1; echo _EXIT_ >&9; exit 1",
        255,
        "Received KVM_EXIT_\n",
      ],
      ["echo 'Received KVM_EXIT_'; exit 0", 0, ""],
    ];
    for (const [script, code, stderr] of cases) {
      const result = await logging(waiter, scope, words, script);
      assert.equal(result.code, code, script);
      if (stderr !== "") assert.equal(result.stderr, stderr);
    }
    const long = "head -c 60000 /dev/zero | tr '\\0' x >&9; echo 'Received KVM_EXIT_' >&9";
    const { code, stderr } = await logging(waiter, scope, words, long);
    assert.deepEqual([code, stderr.length], [255, 60019]);
  },
);

/** Lines of a connection, one after the other. */
function lines(fd: number): () => Promise<string> {
  let rest = "";
  return async () => {
    while (!rest.includes("\n")) {
      const buffer = new Uint8Array(256);
      const count = await readAsync(fd, buffer);
      if (count === 0) throw new Error("the connection ended");
      rest += new TextDecoder().decode(buffer.subarray(0, count));
    }
    const at = rest.indexOf("\n");
    const line = rest.slice(0, at);
    rest = rest.slice(at + 1);
    return line;
  };
}
