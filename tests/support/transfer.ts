/** Bytes through a guest's program and back, with a reader that stalls. */
import assert from "node:assert/strict";
import type { Container } from "./runtime.ts";
import { uruncBinary } from "./urunc.ts";

const CHUNK = 65536;

/** What a transfer is. */
export interface Transfer {
  /** A multiple of 64 KiB. */
  bytes: number;
  /** How long the reader reads nothing when it has half of them. */
  stallSeconds: number;
}

/** How it went. */
export interface Transferred {
  /** From the first byte that came back to the last, without the stall. */
  seconds: number;
}

/**
 * Runs a container whose program copies its input to its output, and compares each byte.
 *
 * @throws AssertionError when one is missing, other, or in another place, or the exit code is not 0
 */
export async function transfer(
  container: Container,
  { bytes, stallSeconds }: Transfer,
): Promise<Transferred> {
  const child = new Deno.Command(await uruncBinary(), {
    args: ["--root", container.root, "run", "--bundle", container.bundle, container.id],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const fed = feed(child.stdin.getWriter(), bytes);
  let length = 0, began = 0, stalled = 0;
  for await (const part of child.stdout) {
    if (length === 0) began = performance.now();
    assert.ok(isAsSent(part, length), `another byte after ${length}`);
    length += part.length;
    if (length < bytes / 2 || stalled > 0) continue;
    stalled = stallSeconds;
    await new Promise((resolve) => setTimeout(resolve, stallSeconds * 1000));
  }
  const seconds = (performance.now() - began) / 1000 - stalled;
  await fed;
  assert.equal((await child.status).code, 0);
  assert.equal(length, bytes);
  return { seconds };
}

/** The byte at each place: of no period that buffers have, and so seen when any is lost or moved. */
const byteAt = (at: number) => (at ^ at >>> 8 ^ at >>> 16 ^ at >>> 24) % 251;

async function feed(writer: WritableStreamDefaultWriter<Uint8Array>, bytes: number) {
  for (let at = 0; at < bytes; at += CHUNK) {
    await writer.write(Uint8Array.from({ length: CHUNK }, (_, index) => byteAt(at + index)));
  }
  await writer.close();
}

function isAsSent(part: Uint8Array, from: number): boolean {
  for (let index = 0; index < part.length; index++) {
    if (part[index] !== byteAt(from + index)) return false;
  }
  return true;
}
