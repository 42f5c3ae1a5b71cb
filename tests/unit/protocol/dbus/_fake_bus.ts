/**
 * A D-Bus server that answers as the test asks, on a real socket. It runs in a worker, because the
 * client under test blocks its thread.
 */
import {
  decodeMessage,
  encodeMessage,
  messageBytes,
} from "../../../../lib/protocol/dbus/message.ts";
import type { Message } from "../../../../lib/protocol/dbus/message.ts";

/** What it does about one call, in order. */
export type Action =
  | { reply: Pick<Message, "signature" | "body"> }
  | { error: string; text: string }
  | { signal: Partial<Message> }
  | { raw: string }
  | { close: true };

/** How it behaves. */
export interface Script {
  path: string;
  /** Its answer to AUTH; `OK …` by default. */
  authentication?: string;
  /** For each method, what is done at the first call, the second and so on; the last is repeated. */
  calls: Record<string, Action[][]>;
}

/** A call that came. */
export type Seen = Pick<Message, "member" | "destination" | "flags" | "signature" | "body">;

/** systemd's name on this bus, by which its messages are known. */
const SYSTEMD_NAME = ":1.0";

/** The test's side. */
export class FakeBus implements AsyncDisposable {
  readonly #worker: Worker;

  private constructor(worker: Worker) {
    this.#worker = worker;
  }

  static async listen(script: Script): Promise<FakeBus> {
    const worker = new Worker(import.meta.url, { type: "module", name: "fake-bus" });
    const bus = new FakeBus(worker);
    await bus.#ask({ script });
    return bus;
  }

  /** What was called until now, `Hello` and the like left out. */
  async calls(): Promise<Seen[]> {
    const calls = await this.#ask({ calls: true }) as Seen[];
    return calls.filter(({ member }) => member !== "Hello");
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#worker.terminate();
    return Promise.resolve();
  }

  #ask(question: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#worker.onmessage = ({ data }) => resolve(data);
      this.#worker.onerror = ({ message }) => reject(new Error(message));
      this.#worker.postMessage(question);
    });
  }
}

const scope = self as unknown as { name?: string; postMessage(data: unknown): void } & EventTarget;
if (scope.name === "fake-bus") {
  const seen: Seen[] = [];
  scope.addEventListener("message", (event) => {
    const { script } = (event as MessageEvent<{ script?: Script }>).data;
    if (script === undefined) return scope.postMessage(seen);
    const listener = Deno.listen({ transport: "unix", path: script.path });
    scope.postMessage("listening");
    accept(listener, script, seen);
  });
}

async function accept(listener: Deno.UnixListener, script: Script, seen: Seen[]): Promise<void> {
  const counts = new Map<string, number>();
  for await (const connection of listener) {
    serve(connection, script, seen, counts).catch(() => {
      // The client went away, as some tests have it.
    });
  }
}

async function serve(
  connection: Deno.UnixConn,
  script: Script,
  seen: Seen[],
  counts: Map<string, number>,
): Promise<void> {
  using _connection = connection;
  const input = new Input(connection);
  const auth = await input.line();
  if (!/^\0AUTH EXTERNAL (3\d)+$/.test(auth)) throw new Error(auth);
  await send(connection, new TextEncoder().encode(`${script.authentication ?? "OK 0123"}\r\n`));
  if (await input.line() !== "BEGIN") throw new Error("no BEGIN");
  for (;;) {
    const call = await input.message();
    const { member = "", destination, flags, signature, body } = call;
    seen.push({ member, destination, flags, signature, body });
    const count = counts.get(member) ?? 0;
    counts.set(member, count + 1);
    const scripted = script.calls[member] ?? [[]];
    for (const action of scripted[Math.min(count, scripted.length - 1)]!) {
      if ("close" in action) return;
      const bytes = "raw" in action ? Uint8Array.fromHex(action.raw) : answer(action, call.serial);
      await send(connection, bytes);
    }
  }
}

function answer(
  action: Exclude<Action, { raw: string } | { close: true }>,
  serial: number,
): Uint8Array {
  const common = { flags: 1, serial: 1000 + serial, sender: SYSTEMD_NAME, body: [] };
  if ("signal" in action) return encodeMessage({ ...common, kind: "signal", ...action.signal });
  const reply = { ...common, replySerial: serial };
  if ("reply" in action) return encodeMessage({ ...reply, kind: "return", ...action.reply });
  const { error, text } = action;
  return encodeMessage({ ...reply, kind: "error", errorName: error, signature: "s", body: [text] });
}

async function send(connection: Deno.UnixConn, bytes: Uint8Array): Promise<void> {
  // In pieces: a stream keeps no borders.
  for (let at = 0; at < bytes.length;) {
    at += await connection.write(bytes.subarray(at, at + 100));
  }
}

class Input {
  #bytes = new Uint8Array(0);
  readonly #connection: Deno.UnixConn;

  constructor(connection: Deno.UnixConn) {
    this.#connection = connection;
  }

  async line(): Promise<string> {
    for (;;) {
      const end = this.#bytes.indexOf(0x0a);
      if (end >= 0) return new TextDecoder().decode(this.#take(end + 1)).trimEnd();
      await this.#fill();
    }
  }

  async message(): Promise<Message> {
    while (this.#bytes.length < 16) await this.#fill();
    const length = messageBytes(this.#bytes);
    while (this.#bytes.length < length) await this.#fill();
    return decodeMessage(this.#take(length));
  }

  #take(count: number): Uint8Array {
    const taken = this.#bytes.slice(0, count);
    this.#bytes = this.#bytes.slice(count);
    return taken;
  }

  async #fill(): Promise<void> {
    const chunk = new Uint8Array(4096);
    const count = await this.#connection.read(chunk);
    if (count === null) throw new Error("the client went away");
    const joined = new Uint8Array(this.#bytes.length + count);
    joined.set(this.#bytes);
    joined.set(chunk.subarray(0, count), this.#bytes.length);
    this.#bytes = joined;
  }
}
