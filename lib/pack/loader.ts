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
 * Runs a program whose modules are loaded when something of them is used. The text of this function
 * becomes part of every bundle: it uses nothing from outside of itself.
 *
 * @param sources expressions for {@linkcode ModuleBody}s; the first one is the program's entry
 * @param meta what all of them see as `import.meta`
 */
export function runModules(sources: readonly string[], meta: ImportMeta): void {
  const modules: { exports: Exports }[] = [];

  const require = (number: number): Exports => {
    let module = modules[number];
    if (module === undefined) {
      module = modules[number] = { exports: {} };
      // Indirect: it sees the global scope and not this one.
      const body: ModuleBody = (0, eval)(sources[number]!);
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
