/**
 * fork(3) of this process, with V8 in it.
 * @module
 */
import { errnos } from "../constants/errno.ts";
import { MAP_ANONYMOUS, MAP_PRIVATE, PROT_EXEC, PROT_READ, PROT_WRITE } from "../constants/mman.ts";
import { SYS_exit_group } from "../constants/syscall.ts";
import { checked, LinuxError } from "../errors.ts";
import { FORK } from "../fork_bytes.ts";
import { functionAddress } from "../symbols/_library.ts";
import * as sysMman from "../symbols/sys_mman.ts";
import * as raw from "../symbols/syscall.ts";
import { keepEndedChildren } from "./signals.ts";

const DEFINITION = { parameters: [/* int (*fork)(void) */ "pointer"], result: "i32" } as const;

/** As mmap(2) returns it. */
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;

let forkAll: Deno.UnsafeFnPointer<typeof DEFINITION> | undefined;

/**
 * Forks this process. The child goes on here, with the calling thread alone: nothing asynchronous comes to
 * an end in it, and it must end by `exitNow` or an exec. Only where V8 runs without threads of its own
 * (lib/build/start_up.ts): they would be missing.
 *
 * The caller's descriptors, memory and signal handlers are the child's, too.
 *
 * @returns the child's pid; 0 in the child
 * @throws {LinuxError}
 * @see fork(2); lib/build/fork
 */
export function fork(): number {
  forkAll ??= loadForkAll();
  const address = functionAddress("fork");
  keepEndedChildren();
  const call = forkAll;
  return checked("fork", undefined, () => call.call(address));
}

/** Ends this process at once: nothing is written or called any more. @see exit_group(2) */
export function exitNow(code: number): never {
  raw.exit_group(BigInt(SYS_exit_group), code);
  throw new TypeError("exit_group returned");
}

function loadForkAll(): Deno.UnsafeFnPointer<typeof DEFINITION> {
  const size = BigInt(FORK.length);
  const writable = PROT_READ | PROT_WRITE;
  const pointer = sysMman.mmap(null, size, writable, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0n);
  if (pointer === null || Deno.UnsafePointer.value(pointer) === MAP_FAILED) {
    throw new LinuxError("mmap", undefined, errnos.ENOMEM as number);
  }
  new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer, FORK.length)).set(FORK);
  checked("mprotect", undefined, () => sysMman.mprotect(pointer, size, PROT_READ | PROT_EXEC));
  return new Deno.UnsafeFnPointer(pointer as Deno.PointerObject<typeof DEFINITION>, DEFINITION);
}
