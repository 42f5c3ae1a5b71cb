/**
 * Loads a module and the modules that it imports itself, while there is something to wait for. The linked
 * executable otherwise loads a module when it is used (`lib/build/bundle.ts`, which puts the modules in
 * place of such a call); in every other form of the program all were loaded before it ran, and nothing is
 * left to do.
 *
 * @param _module a literal, as in an import of the same file
 */
export function preload(_module: string): void {}
