/** What a guest's agent sends to the relay of a further process: the C source under sanitizers, and a model of it. */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import { WARNINGS } from "../../../lib/build/native/programs.ts";
import { run } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { damaged, joined, pieces } from "../bytes.ts";
import { target } from "../target.ts";

const SOURCE = new URL("../sanitized_relay.c", import.meta.url).pathname;
const SANITIZE = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

/** lib/build/guest_init/exec_protocol.h */
const [TAKEN, CLOSED, READY, STARTED, FAILED, OUTPUT, ERRORS, EXITED] = [
  ...[136, 137],
  ...[193, 194, 195, 196, 197, 198],
];
const MOST = 8192;
const VERSION = 1;
const PROGRAM_STAGE = 7;
/** lib/build/waiter/relay.h */
const [BROKEN, CONTAINER_ENDED] = [255, 137];
const NONCE = new Uint8Array(16).fill(7);

/** Least and most of a payload, in bytes. */
const SIZES: Readonly<Record<number, [least: number, most: number]>> = {
  ...{ 129: [18, 18], 130: [0, MOST], 131: [10, 10], 132: [0, MOST], 133: [0, 0] },
  ...{ 134: [4, 4], 135: [4, 4], 136: [6, 6], 137: [2, 2] },
  ...{ 193: [2, 2], 194: [0, 0], 195: [4, 4], 196: [0, MOST], 197: [0, MOST], 198: [8, 8] },
};

/** What one relay gets. */
export interface Hostility {
  /** Its program runs; otherwise it waits for the agent's first answer. */
  runs: boolean;
  /** Its caller reads when the agent has hung up. */
  isReadLate: boolean;
  /** Each is there when the one before was taken. At most 255 bytes each. */
  portions: Uint8Array[];
}

/** What becomes of it. */
export interface Outcome {
  code: number;
  /** Bytes that the caller gets. */
  received: number;
}

function frame(type: number, ...payload: number[]): Uint8Array {
  return Uint8Array.of(type, 0, payload.length & 255, payload.length >> 8, ...payload);
}

class BrokenProtocol extends Error {}
/** The relay has exited before the agent hung up. */
class Left extends Error {
  constructor(readonly code: number) {
    super();
  }
}

/** The relay's side as README.md of lib/build/guest_init has it, without a word of the C source. */
class Model {
  #state: "stale" | "ready" | "starting" | "running" | "exited";
  #bytes: number[] = [];
  received = 0;
  code = CONTAINER_ENDED;

  constructor(runs: boolean) {
    this.#state = runs ? "running" : "stale";
  }

  get hasExited(): boolean {
    return this.#state === "exited";
  }

  take(portion: Uint8Array): void {
    for (const byte of portion) {
      if (this.#state === "stale") this.#discard(byte);
      else if (this.#bytes.length > 0 || byte !== 0) this.#add(byte);
    }
  }

  #discard(byte: number): void {
    this.#bytes = [...this.#bytes, byte].slice(-NONCE.length);
    if (this.#bytes.length < NONCE.length || this.#bytes.some((it, at) => it !== NONCE[at])) return;
    [this.#bytes, this.#state] = [[], "ready"];
  }

  #add(byte: number): void {
    this.#bytes.push(byte);
    if (this.#bytes.length < 4) return;
    const [type, size] = [this.#number(0, 2), this.#number(2, 2)];
    const [least, most] = SIZES[type] ?? [1, 0];
    if (size < least || size > most) throw new BrokenProtocol();
    if (this.#bytes.length < 4 + size) return;
    this.#handle(type, size);
    this.#bytes = [];
  }

  #number(at: number, size: number): number {
    return this.#bytes.slice(at, at + size).reduceRight((sum, byte) => 256 * sum + byte, 0);
  }

  #handle(type: number, size: number): void {
    const [first, second] = [this.#number(4, 2), this.#number(6, 2)];
    if (this.#state === "ready" && type === READY && first === VERSION) this.#state = "starting";
    else if (this.#state === "starting" && type === STARTED) this.#state = "running";
    else if (this.#state === "starting" && type === FAILED) throw failure(first, second);
    else if (this.#state !== "running") throw new BrokenProtocol();
    else this.#handleRunning(type, size);
  }

  #handleRunning(type: number, size: number): void {
    const [stream, count] = [this.#number(4, 2), this.#number(6, 4)];
    const [code, signal] = [this.#number(4, 4), this.#number(8, 4)];
    if (type === OUTPUT || type === ERRORS) this.received += size;
    // Of its input, which is empty, nothing was sent.
    else if (type === TAKEN && stream === 0 && count === 0) return;
    else if (type === CLOSED && stream === 0) return;
    else if (type === EXITED && code <= 255 && signal <= 64) {
      [this.#state, this.code] = ["exited", signal > 0 ? 128 + signal : code];
    } else throw new BrokenProtocol();
  }
}

function failure(stage: number, errno: number): Error {
  if (stage > PROGRAM_STAGE || errno > 4095) return new BrokenProtocol();
  return new Left(stage === PROGRAM_STAGE && (errno === 2 || errno === 20) ? 127 : 126);
}

/** What the relay is to make of a record, which has no more output than there is room for. */
export function outcomeOf({ runs, portions }: Hostility): Outcome {
  const model = new Model(runs);
  try {
    for (const portion of portions) {
      model.take(portion);
      if (model.hasExited) break;
    }
  } catch (error) {
    if (error instanceof BrokenProtocol) return { code: BROKEN, received: 0 };
    if (error instanceof Left) return { code: error.code, received: 0 };
    throw error;
  }
  return { code: model.code, received: model.received };
}

function encoded({ runs, isReadLate, portions }: Hostility): Uint8Array {
  const parts = portions.flatMap((it) => [Uint8Array.of(it.length), it]);
  const data = joined(Uint8Array.of(Number(runs), Number(isReadLate)), ...parts);
  return joined(new Uint8Array(Uint32Array.of(data.length).buffer), data);
}

let built: Promise<Uint8Array> | undefined;

async function build(): Promise<Uint8Array> {
  await using scope = new Scope();
  const program = `${await scope.temporaryDirectory("sanitized")}/relay`;
  await run(["gcc", ...WARNINGS, ...SANITIZE, SOURCE, "-o", program], { check: true });
  return await Deno.readFile(program);
}

/**
 * One relay after the other. Needs gcc.
 *
 * @throws Error when a sanitizer has found something, with its report
 */
export async function runRelays(records: readonly Hostility[]): Promise<Outcome[]> {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("relays");
  const program = `${directory}/relay`;
  await Deno.writeFile(program, await (built ??= build()), { mode: 0o755 });
  await Deno.writeFile(`${directory}/records`, joined(...records.map(encoded)));
  // Standard error is the relay's.
  const options = `detect_leaks=0:log_path=${directory}/report`;
  const { code, stdout } = await run(
    ["sh", "-c", 'exec "$0" <"$1"', program, `${directory}/records`],
    { env: { ASAN_OPTIONS: options, UBSAN_OPTIONS: options } },
  );
  if (code !== 0) throw new Error(`exit code ${code}: ${await reportIn(directory)}`);
  return stdout.trimEnd().split("\n").map((line) => {
    const [code, received] = line.split(" ").map(Number);
    return { code: code!, received: received! };
  });
}

async function reportIn(directory: string): Promise<string> {
  const names = [...Deno.readDirSync(directory)].map(({ name }) => name);
  const reports = names.filter((name) => name.startsWith("report"));
  return (await Promise.all(reports.map((it) => Deno.readTextFile(`${directory}/${it}`)))).join();
}

const numbers = (value: number, size: number) =>
  Array.from({ length: size }, (_, at) => Math.floor(value / 256 ** at) & 255);

const output = fc.tuple(fc.constantFrom(OUTPUT!, ERRORS!), fc.nat(400)).map(([type, size]) =>
  frame(type, ...new Uint8Array(size).fill(OUTPUT!))
);
const RUNNING = [
  frame(TAKEN!, 0, 0, ...numbers(0, 4)),
  frame(CLOSED!, 0, 0),
  frame(EXITED!, ...numbers(3, 4), ...numbers(0, 4)),
  frame(EXITED!, ...numbers(0, 4), ...numbers(9, 4)),
  frame(TAKEN!, 0, 0, ...numbers(2 ** 32 - 1, 4)),
  frame(EXITED!, ...numbers(256, 4), ...numbers(0, 4)),
];
const BEGINNING = joined(NONCE, frame(READY!, VERSION, 0), frame(STARTED!));
const BEGINNINGS = [
  BEGINNING,
  joined(new Uint8Array(9000), NONCE.subarray(3), Uint8Array.of(1), BEGINNING),
  joined(NONCE, frame(READY!, VERSION, 0), frame(FAILED!, 7, 0, 2, 0)),
  joined(NONCE, frame(READY!, 2, 0)),
  NONCE.subarray(1),
];

/** As often as the relay's buffer has to begin again (EXEC_WINDOW), then its exit; or a frame that is too long. */
const FLOODS = [
  [...Array<Uint8Array>(40).fill(frame(OUTPUT!, ...new Uint8Array(MOST).fill(1))), RUNNING[2]!],
  [frame(OUTPUT!, ...new Uint8Array(9000).fill(OUTPUT!))],
].map((frames): Hostility => ({
  runs: true,
  isReadLate: false,
  portions: pieces(joined(...frames), Array(9999).fill(255)),
}));

/** Mostly what the protocol allows, in any portions; mostly with a few bytes changed. */
const usual = fc.record({
  runs: fc.boolean(),
  isReadLate: fc.boolean(),
  frames: fc.array(fc.oneof({ arbitrary: output, weight: 4 }, fc.constantFrom(...RUNNING)), {
    maxLength: 6,
  }),
  beginning: fc.constantFrom(...BEGINNINGS),
  sizes: fc.array(fc.integer({ min: 1, max: 255 }), { maxLength: 40 }),
}).chain(({ runs, isReadLate, frames, beginning, sizes }) => {
  const bytes = joined(...runs ? [] : [beginning], ...frames, new Uint8Array(1));
  return fc.oneof(fc.constant(bytes), damaged(bytes), damaged(bytes)).map((bytes): Hostility => ({
    runs,
    isReadLate,
    portions: pieces(bytes, sizes).flatMap((it) => pieces(it, Array(99).fill(255))),
  }));
});

const record = fc.oneof(
  { arbitrary: usual, weight: 50 },
  { arbitrary: fc.constantFrom(...FLOODS), weight: 1 },
);

/** Of one run of the program. */
const RECORDS = 200;

export const RELAYS = [
  target({
    name: "what an agent sends to a relay",
    weight: 0.02,
    needs: ["gcc"],
    inputs: fc.array(record, { minLength: 1, maxLength: RECORDS, size: "max" }),
    async check(records) {
      const outcomes = await runRelays(records);
      assert.equal(outcomes.length, records.length);
      for (const [index, { code, received }] of outcomes.entries()) {
        const expected = outcomeOf(records[index]!);
        assert.equal(code, expected.code);
        // Of what a broken protocol leaves behind, nothing is said.
        if (code !== BROKEN) assert.equal(received, expected.received);
      }
    },
  }),
];
