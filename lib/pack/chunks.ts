/** A part of the program: CommonJS, its `require` knows the other parts by their numbers. */
export type Chunk = (
  module: { exports: unknown },
  require: (chunk: number) => unknown,
  meta: ImportMeta,
) => void;

/**
 * Runs a program that is given in parts, of which each is parsed when it is first required. The text of
 * this function becomes part of every bundle: it uses nothing from outside of itself.
 *
 * @param sources expressions for {@linkcode Chunk}s; the first one is the program's entry
 * @param meta what the parts see as `import.meta`
 */
export function runChunks(sources: readonly string[], meta: ImportMeta): void {
  const modules: { exports: unknown }[] = [];
  const require = (chunk: number): unknown => {
    let module = modules[chunk];
    if (module === undefined) {
      module = modules[chunk] = { exports: {} };
      // Indirect: the parts see the global scope and not this one.
      (0, eval)(sources[chunk]!)(module, require, meta);
    }
    return module.exports;
  };
  require(0);
}
