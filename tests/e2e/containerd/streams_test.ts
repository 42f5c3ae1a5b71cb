/** Streams that are under way while containerd is killed and started again. */
import assert from "node:assert/strict";
import type { Containerd } from "../../support/containerd.ts";
import { isAlive, waitFor } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import {
  assertNothingLeft,
  DOUBLE_NEEDS,
  GUEST,
  startWithDouble,
  waitForStatus,
} from "./_common.ts";

const BYTES = 3_000_000;
/** What is written into a file at a time. */
const PIECE = 20_000;
/** What has been taken when containerd is killed. */
const BEFORE = 1_000_000;
/** What is not taken before it is back: less than a pipe holds, so that the guest can end. */
const AFTER = 40_000;
/** What an echo owes when containerd is killed: in two pipes, and in the guest's own hands. */
const OWED = 120_000;

testIf("containerd restarted amid streams: no byte is lost", {
  needs: DOUBLE_NEEDS,
}, async () => {
  await using scope = new Scope();
  const it = await startWithDouble(scope);
  const logged = await LoggedGuest.start(it);
  const echo = await EchoGuest.start(scope, it);
  await logged.take(BEFORE);
  await echo.send(BEFORE, BEFORE - OWED);
  // Last: nobody holds it up, and its output is over after some seconds.
  const filed = await startFiledGuest(it);
  const pids = new Map<string, number>();
  for (const id of ["logged", "filed", "echo"]) {
    pids.set(id, await waitForStatus(it, id, "RUNNING"));
  }
  const written = await waitFor(() => sizeOf(filed), { timeoutSeconds: 10, what: "output" });
  assert.ok(written < BYTES, `${written} bytes are in the file already`);

  await it.kill();
  // Its other end is gone for a moment, too.
  echo.hangUp();
  await echo.call();
  await logged.take(BYTES - BEFORE - AFTER);
  await echo.send(BEFORE, BEFORE);
  for (const id of ["logged", "filed"]) {
    const what = `${id} to end without containerd`;
    await waitFor(() => !isAlive(pids.get(id)!), { timeoutSeconds: 20, what });
  }
  await it.start();

  await echo.send(BEFORE, BEFORE + OWED);
  await logged.take(AFTER);
  for (const id of ["logged", "filed"]) {
    await waitForStatus(it, id, "STOPPED");
    // The guest's 11 is the monitor's 2n + 1.
    assert.match((await it.ctr(["task", "delete", id])).stderr, /non-zero exit code 5\b/);
  }
  assert.equal(await waitForStatus(it, "echo", "RUNNING"), pids.get("echo"));
  await it.ctr(["task", "kill", "--signal", "SIGKILL", "echo"], { check: true });
  await waitForStatus(it, "echo", "STOPPED");
  assert.match((await it.ctr(["task", "delete", "echo"])).stderr, /non-zero exit code 137\b/);

  await assertContent(logged.file, output(BYTES));
  await assertContent(filed, output(PIECE).repeat(BYTES / PIECE));
  await assertNothingLeft(it);
});

/** A guest whose output a logging program takes, as much at a time as it is asked to. */
class LoggedGuest {
  readonly file: string;
  readonly #directory: string;
  #taken = 0;

  private constructor(directory: string) {
    this.#directory = directory;
    this.file = `${directory}/taken`;
  }

  static async start(it: Containerd): Promise<LoggedGuest> {
    const directory = `${it.directory}/logged`;
    await Deno.mkdir(directory);
    const script = [
      "#!/bin/sh",
      'exec 5>&-; cd "$2"',
      // The test's directory goes with the test, however that ends.
      'until [ -e end ]; do [ -e "$0" ] || exit 1',
      "  if [ -s take ]; then mv take taking; head -c $(cat taking) <&3 >>taken; rm taking; fi",
      "  sleep 0.02",
      "done",
      "cat <&3 >>taken",
    ];
    const program = `${directory}/log-it`;
    await Deno.writeTextFile(program, `${script.join("\n")}\n`, { mode: 0o755 });
    const flags = ["--detach", "--log-uri", `binary://${program}?directory=${directory}`];
    await it.ctrRun(flags, GUEST, "logged", [`output ${BYTES}; exit 11`], { check: true });
    return new LoggedGuest(directory);
  }

  /** Lets the program take so many more bytes, and then the end if there are no more. */
  async take(bytes: number): Promise<void> {
    await Deno.writeTextFile(`${this.#directory}/take.new`, String(bytes));
    await Deno.rename(`${this.#directory}/take.new`, `${this.#directory}/take`);
    this.#taken += bytes;
    await waitFor(() => sizeOf(this.file) === this.#taken, {
      timeoutSeconds: 20,
      what: `${this.#taken} bytes at the logging program, which has ${sizeOf(this.file)}`,
    });
    if (this.#taken === BYTES) await Deno.writeTextFile(`${this.#directory}/end`, "");
  }
}

/** A guest whose output the shim writes into a file, for three seconds. Returns the file. */
async function startFiledGuest(it: Containerd): Promise<string> {
  const file = `${it.directory}/filed.log`;
  const pieces = `output ${PIECE}; sleep 20; `.repeat(BYTES / PIECE);
  const flags = ["--detach", "--log-uri", `file://${file}`];
  await it.ctrRun(flags, GUEST, "filed", [`${pieces}exit 11`], { check: true });
  return file;
}

/** A guest that prints what it gets, and the other end of its fifos. */
class EchoGuest {
  readonly #fifos: string;
  #stdin!: Deno.FsFile;
  #stdout!: Deno.FsFile;
  /** In both directions the same. */
  readonly #words = crypto.getRandomValues(new Uint8Array(50_000));
  #sent = 0;
  #heard = 0;

  private constructor(fifos: string) {
    this.#fifos = fifos;
  }

  static async start(scope: Scope, it: Containerd): Promise<EchoGuest> {
    const directory = `${it.directory}/fifos`;
    await Deno.mkdir(directory);
    const flags = ["--detach", "--fifo-dir", directory];
    const [program, ...args] = it.ctrRunCommand(flags, GUEST, "echo", ["read"]);
    // ctr tells the guest of the end of its own input, which therefore has none.
    const ctr = new Deno.Command(program!, { args, stdin: "piped", stdout: "null" }).spawn();
    const { success } = await ctr.status;
    assert.ok(success);
    await ctr.stdin.close();
    const [inner] = [...Deno.readDirSync(directory)];
    const guest = new EchoGuest(`${directory}/${inner!.name}/echo`);
    await guest.call();
    scope.defer("hang up", () => guest.hangUp());
    return guest;
  }

  async call(): Promise<void> {
    this.#stdin = await Deno.open(`${this.#fifos}-stdin`, { write: true });
    this.#stdout = await Deno.open(`${this.#fifos}-stdout`, { read: true });
  }

  hangUp(): void {
    this.#stdin.close();
    this.#stdout.close();
  }

  /** Says so many bytes more to it, and hears so many. */
  async send(bytes: number, heard: number): Promise<void> {
    await Promise.all([this.#say(bytes), this.#hear(heard)]);
  }

  async #say(bytes: number): Promise<void> {
    for (const end = this.#sent + bytes; this.#sent < end;) {
      const at = this.#sent % this.#words.length;
      this.#sent += await this.#stdin.write(this.#words.subarray(at, at + end - this.#sent));
    }
  }

  async #hear(bytes: number): Promise<void> {
    const buffer = new Uint8Array(65536);
    for (const end = this.#heard + bytes; this.#heard < end;) {
      const at = this.#heard % this.#words.length;
      const most = Math.min(end - this.#heard, this.#words.length - at);
      const count = await this.#stdout.read(buffer.subarray(0, most));
      assert.ok(count !== null, `the stream ended after ${this.#heard} bytes`);
      assert.deepEqual(buffer.subarray(0, count), this.#words.subarray(at, at + count));
      this.#heard += count;
    }
  }
}

/** Says where the difference is, not all that is there. */
async function assertContent(file: string, wanted: string): Promise<void> {
  const text = await Deno.readTextFile(file);
  if (text === wanted) return;
  let at = 0;
  while (text[at] === wanted[at]) at++;
  assert.fail(`${file} has ${text.length} bytes of ${wanted.length}, and is wrong from ${at} on`);
}

/** What the double's `output` says. */
function output(bytes: number): string {
  const lines: string[] = [];
  for (let line = 0; line * 64 < bytes; line++) {
    const codes = Array.from({ length: 63 }, (_, column) => 48 + (line + column) % 75);
    lines.push(`${String.fromCharCode(...codes)}\n`);
  }
  return lines.join("").slice(0, bytes);
}

/** Bytes; 0 when there is no such file yet. */
function sizeOf(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch {
    return 0;
  }
}
