/**
 * What Deno runs first in the executable. The source of both functions becomes the one module that Deno
 * loads: neither may use anything outside of itself.
 */

/** A module of the program as the bundler writes it; it assigns `module.exports`. */
export type ModuleBody = (
  module: { exports: Exports },
  require: (module: number) => Exports,
  namespace: (module: number) => Exports,
  load: (module: number) => Promise<Exports>,
  meta: ImportMeta,
) => void;

type Exports = Record<string, unknown>;

/**
 * The program where the kernel has mapped it from the executable: nothing is read or copied, all processes share its
 * pages, and a fork finds it in any root.
 *
 * @param address of its first byte
 */
export function mappedProgram(address: bigint): Uint8Array {
  const pointer = Deno.UnsafePointer.create(address)!;
  const bytes = (length: number) => Deno.UnsafePointerView.getArrayBuffer(pointer, length);
  // The table ends where the first text begins; its last number is the end of all.
  const tableSize = new DataView(bytes(4)).getUint32(0, true);
  const length = new DataView(bytes(tableSize)).getUint32(tableSize - 4, true);
  return new Uint8Array(bytes(length));
}

/**
 * Runs a program whose modules are evaluated at their first use.
 *
 * @param program a table of 32-bit numbers (where the text of each module begins, and where the last one
 *   ends), then the texts (UTF-8): expressions for {@linkcode ModuleBody}s. The first one is the program's
 *   entry
 * @param meta what all of them see as `import.meta`
 */
export function runProgram(program: Uint8Array, meta: ImportMeta): void {
  const modules: { exports: Exports }[] = [];
  const table = new DataView(program.buffer, program.byteOffset);
  const decoder = new TextDecoder();

  const source = (number: number): string => {
    const position = (of: number) => table.getUint32(4 * of, true);
    return decoder.decode(program.subarray(position(number), position(number + 1)));
  };

  const require = (number: number): Exports => {
    let module = modules[number];
    if (module === undefined) {
      module = modules[number] = { exports: {} };
      // Indirect eval: in the global scope, not in this one.
      const body: ModuleBody = (0, eval)(source(number));
      body(module, require, namespace, load, meta);
    }
    return module.exports;
  };

  /** `import * as`: loads the module when a property is read. */
  const namespace = (number: number): Exports =>
    new Proxy({}, { get: (_, name) => require(number)[name as string] });

  /** `import()` */
  const load = (number: number): Promise<Exports> => Promise.resolve().then(() => require(number));

  require(0);
}
