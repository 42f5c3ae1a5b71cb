import type { Timestamp } from "../../lib/protocol/protobuf/well_known.ts";
import type { Listener } from "../../lib/protocol/ttrpc/transport.ts";

/**
 * Listens on a socket that its owner alone can connect to, from the first moment on.
 *
 * @param path at most 107 bytes; nothing may be there
 * @throws Deno.errors.AddrInUse and other errors of Deno.listen
 */
export function listenUnix(path: string): Listener {
  const before = Deno.umask(0o177);
  try {
    return Deno.listen({ transport: "unix", path });
  } finally {
    Deno.umask(before);
  }
}

/** @returns milliseconds since 1970 */
export function millisecondsOf(timestamp: Timestamp): number {
  return Number(timestamp.seconds) * 1000 + timestamp.nanos / 1e6;
}
