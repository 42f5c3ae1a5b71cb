/** QEMU's monitor, as programs talk to it. */
import { lines } from "../support/streams.ts";

/** What the monitor is to do. */
export interface MonitorCommand {
  execute: string;
  arguments?: Record<string, unknown>;
}

/**
 * Has the commands done one after another. The monitor serves one connection at a time.
 *
 * @param path of the monitor's socket
 * @param seconds for all of them together; 10 by default
 * @returns what each of them returned
 * @throws Error when one is refused, or not all are answered in time
 * @see https://www.qemu.org/docs/master/interop/qmp-spec.html
 */
export async function askMonitor(
  path: string,
  commands: MonitorCommand[],
  seconds = 10,
): Promise<unknown[]> {
  const all = [{ execute: "qmp_capabilities" }, ...commands];
  const what = `ask QEMU's monitor ${path} for ${all.map((it) => it.execute).join(", ")}`;
  const connection = await Deno.connect({ transport: "unix", path });
  // A QEMU that is stopped says nothing at all.
  const timer = setTimeout(() => connection.close(), seconds * 1000);
  const answers: unknown[] = [];
  try {
    const text = all.map((it) => `${JSON.stringify(it)}\n`).join("");
    await connection.write(new TextEncoder().encode(text));
    for await (const line of lines(connection.readable)) {
      const message: { return?: unknown; error?: { desc: string } } = JSON.parse(line);
      if (message.error !== undefined) {
        throw new MonitorError(`${what}: ${all[answers.length]?.execute}: ${message.error.desc}`);
      }
      // The rest is a greeting, and events.
      if (!("return" in message)) continue;
      answers.push(message.return);
      if (answers.length === all.length) return answers.slice(1);
    }
    throw new MonitorError(`${what}: it ended the connection`);
  } catch (error) {
    if (error instanceof MonitorError) throw error;
    throw new MonitorError(`${what}: no answer within ${seconds} s`, { cause: error });
  } finally {
    clearTimeout(timer);
    try {
      connection.close();
    } catch { /* the end of reading, or the timer, has closed it */ }
  }
}

class MonitorError extends Error {}
