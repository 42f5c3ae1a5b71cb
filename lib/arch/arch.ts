import type { Architecture } from "./types.ts";
import { x86_64 } from "./x86_64.ts";

/**
 * The processor that this program is for. One for the whole program, and not `Deno.build.arch`: the
 * executable that it is linked into runs on this one only (lib/build/base.ts).
 */
export const arch: Architecture = x86_64;
