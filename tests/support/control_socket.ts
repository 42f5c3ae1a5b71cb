/** A guest that is asked to stop by the control socket of a monitor that says whatever a test wants. */
import { stopGuest } from "../../lib/monitor/qemu/running/stop.ts";
import type { RunningGuest, StopOutcome } from "../../lib/monitor/types.ts";
import { Stopwatch } from "./busy.ts";
import { RUN_PREFIX } from "./mark.ts";

/** What a monitor says: to a connection, and to each line it gets. */
export interface FakeMonitor {
  greeting?: string;
  answer?: (line: string) => string | undefined | Promise<string | undefined>;
  /** How many connections it takes; all by default. */
  accepts?: number;
}

const GREETING = '{"QMP":{"version":{},"capabilities":[]}}\r\n';
export const OK = '{"return":{}}\r\n';

/** What came of it. */
export interface Asked<Outcome = StopOutcome> {
  outcome: Outcome;
  milliseconds: number;
  /** Of the machine meanwhile (`Stopwatch`). */
  allowance: number;
  /** What the monitor was sent, by its command. */
  lines: string[];
}

/** Asks a guest through a socket of this monitor. */
export async function askGuest(
  monitor: FakeMonitor,
): Promise<Asked> {
  return await askMonitor(monitor, stopGuest);
}

/** The same, for something else that a monitor can be asked. */
export async function askMonitor<Outcome>(
  { greeting = GREETING, answer = () => OK, accepts = Infinity }: FakeMonitor,
  ask: (guest: RunningGuest) => Promise<Outcome>,
): Promise<Asked<Outcome>> {
  const directory = await Deno.makeTempDir({ prefix: `${RUN_PREFIX}stop-` });
  const controlSocket = `${directory}/control.sock`;
  const listener = Deno.listen({ transport: "unix", path: controlSocket });
  const served: Promise<void>[] = [];
  const lines: string[] = [];
  const serving = (async () => {
    for (let count = 0; count < accepts; count++) {
      const connection = await listener.accept().catch(() => undefined);
      if (connection === undefined) return;
      served.push(serve(connection, lines, greeting, answer));
    }
  })();
  try {
    const watch = new Stopwatch();
    const outcome = await ask({ controlSocket });
    const [milliseconds, allowance] = [watch.milliseconds(), watch.allowance()];
    return { outcome, milliseconds, allowance, lines };
  } finally {
    listener.close();
    await serving;
    await Promise.all(served);
    await Deno.remove(directory, { recursive: true });
  }
}

/**
 * Speaks for a monitor to the end of the connection, whichever side ends it.
 *
 * @param lines that came, by their command, are added here
 */
async function serve(
  connection: Deno.Conn,
  lines: string[],
  greeting: string,
  answer: NonNullable<FakeMonitor["answer"]>,
): Promise<void> {
  const write = (text: string) => connection.write(new TextEncoder().encode(text));
  const buffer = new Uint8Array(4096);
  let rest = "";
  try {
    await write(greeting);
    for (;;) {
      const count = await connection.read(buffer);
      if (count === null) return;
      const parts = (rest + new TextDecoder().decode(buffer.subarray(0, count))).split("\n");
      rest = parts.pop()!;
      for (const line of parts) {
        lines.push(JSON.parse(line).execute);
        const text = await answer(line);
        if (text !== undefined) await write(text);
      }
    }
  } catch {
    // The other side has gone.
  } finally {
    connection.close();
  }
}
