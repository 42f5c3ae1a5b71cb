import { archive } from "./cpio.ts";
import { GUEST_INIT } from "./init_bytes.ts";

/** What a guest runs, whole. */
export interface GuestProcess {
  /** The program and its arguments. */
  args: string[];
  /** `NAME=VALUE`. */
  env: string[];
}

/** The guest's first program, which becomes the container's own (lib/pack/guest_init/init.c). */
export const GUEST_INIT_PATH = "/urunc/init";

/**
 * The archive that is put before an image's initial RAM disk; the kernel unpacks one after the other
 * (Documentation/driver-api/early-userspace/buffer-format.rst). In front, since whatever an image has
 * after its last archive would keep the kernel from ours. It has
 *
 * - `/urunc/args`: the program and its arguments, each followed by a NUL, as in /proc/PID/cmdline;
 * - `/urunc/env`: `NAME=VALUE`, each followed by a NUL, as in /proc/PID/environ;
 * - `/urunc/init`: executes that program with exactly these.
 *
 * Only the guest's root may read them.
 */
export function initrdSegment({ args, env }: GuestProcess): Uint8Array<ArrayBuffer> {
  return archive([
    { name: "urunc", mode: 0o40700 },
    { name: "urunc/args", mode: 0o100400, content: strings(args) },
    { name: "urunc/env", mode: 0o100400, content: strings(env) },
    { name: "urunc/init", mode: 0o100700, content: GUEST_INIT },
  ]);
}

function strings(list: string[]): Uint8Array {
  return new TextEncoder().encode(list.map((it) => `${it}\0`).join(""));
}
