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

/** Reads the program from the end of the running executable, before its length in 8 bytes. */
export function readProgram(): Uint8Array {
  // Not by path: the file may have been replaced.
  using file = Deno.openSync("/proc/self/exe");
  const readBack = (distance: number, length: number): Uint8Array => {
    file.seekSync(-distance, Deno.SeekMode.End);
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length;) {
      const count = file.readSync(bytes.subarray(done));
      if (count === null) throw new Error("the executable file is truncated");
      done += count;
    }
    return bytes;
  };
  const length = new DataView(readBack(8, 8).buffer).getUint32(0, true);
  return readBack(8 + length, length);
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
