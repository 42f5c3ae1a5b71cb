/** A stream of bytes in both directions. Deno's connections are such. */
export interface Connection {
  /** @returns bytes that were put into the buffer; null at end of file */
  read(buffer: Uint8Array): Promise<number | null>;
  /** @returns bytes that were taken from the buffer */
  write(buffer: Uint8Array): Promise<number>;
  /** What waits for it ends, with an error or null. */
  close(): void;
}

/** Where connections come from. Deno's listeners are such. */
export interface Listener {
  accept(): Promise<Connection>;
  close(): void;
}

/**
 * @param address a path, or `unix://` and a path
 * @throws Deno.errors.NotFound, ConnectionRefused and other errors of Deno.connect
 */
export function connectUnix(address: string): Promise<Connection> {
  return Deno.connect({ transport: "unix", path: address.replace(/^unix:\/\//, "") });
}
