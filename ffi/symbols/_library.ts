/**
 * How a C function becomes callable: found by dlsym(3) at its first call, so that a run pays only
 * for what it uses. `Deno.dlopen` would compile a machine code trampoline for each symbol, 50 to
 * 130 µs apiece; a function pointer costs 3 µs and then about 1 µs for each call, which suits a
 * process that makes most of its calls once.
 * @module
 */

/** The function that a definition describes; parameters of 64 bits are bigint. */
export type Callable<D extends Deno.ForeignFunction> = Deno.UnsafeFnPointer<D>["call"];

/** Any declared function. */
// deno-lint-ignore no-explicit-any -- arguments are checked against the definition where it is known
type AnyFunction = (...args: any[]) => any;

/** @see dlopen(3); bits/dlfcn.h */
const RTLD_NOW = 2;

/** The C library that Deno itself is linked with: always loaded, so no file is looked up after pivot_root. */
const LIBRARY = "libc.so.6";

/**
 * `void *`, returned as a structure of one pointer: in the calling conventions of x86-64 and arm64
 * they are the same, and Deno compiles no trampoline for functions with structures.
 */
const VOID_POINTER = { struct: ["pointer"] } as const;

let findSymbol: ((name: string) => Deno.PointerValue) | undefined;

/**
 * A C function's address, for C that calls it.
 *
 * @param name as the C library exports it
 * @throws TypeError when it has none of that name
 */
export function functionAddress(name: string): Deno.PointerObject {
  const pointer = (findSymbol ??= openLibrary())(name);
  if (pointer === null) throw new TypeError(`${LIBRARY} has no function ${name}`);
  return pointer;
}

/**
 * Declares a C function; nothing happens until it is called.
 *
 * @param name as the C library exports it
 * @param definition its parameters and result, with C's own widths
 * @returns the function; it throws `TypeError` at the first call when the library lacks the name
 */
export function declare<const D extends Deno.ForeignFunction>(
  name: string,
  definition: D,
): Callable<D> {
  let call: AnyFunction | undefined;
  const declared: AnyFunction = (...args) => {
    if (call === undefined) {
      const pointer = functionAddress(name) as Deno.PointerObject<D>;
      const resolved = new Deno.UnsafeFnPointer<D>(pointer, definition);
      call = resolved.call.bind(resolved) as AnyFunction;
    }
    return call(...args);
  };
  return declared as Callable<D>;
}

function openLibrary(): (name: string) => Deno.PointerValue {
  const { dlopen, dlsym } = Deno.dlopen(LIBRARY, {
    dlopen: {
      parameters: [/* const char *file */ "buffer", /* int mode */ "i32"],
      result: VOID_POINTER,
    },
    dlsym: {
      parameters: [/* void *handle */ "pointer", /* const char *name */ "buffer"],
      result: VOID_POINTER,
    },
  }).symbols;
  const encoder = new TextEncoder();
  const handle = toPointer(dlopen(encoder.encode(`${LIBRARY}\0`), RTLD_NOW));
  return (name) => toPointer(dlsym(handle, encoder.encode(`${name}\0`)));
}

function toPointer(structure: Uint8Array): Deno.PointerValue {
  const view = new DataView(structure.buffer, structure.byteOffset, structure.byteLength);
  return Deno.UnsafePointer.create(view.getBigUint64(0, true));
}
