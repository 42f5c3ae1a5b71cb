/**
 * Which functions V8 compiles together with their module.
 *
 * V8 only skims the functions of a module that it loads, and parses one again when it is called first. Of
 * the processor time of a start a third goes into that. A function in parentheses is taken for one that is
 * called right away, and compiled at once: it is read once. For a function that is never called that would
 * be a loss, so `early_functions.ts` names those that a start calls.
 */

/** What calls stand for until the code has been minified, since a minifier drops parentheses. */
const MARK = "early$";

/** The first function that a forked init calls when it is one: lib/launch/fork.ts. */
const FORKS_BEGIN = "lib/launch/init.ts runInit";

/** A function at the top level of a module as esbuild prints it; nothing else is printed like that. */
const FUNCTION = /^(async )?function(\*?) ([\w$]+)(\([^\n]*\}|\([^]*?\n\})$/gm;

/**
 * Marks functions of a module. A marked function is a variable, so it does not exist before its place has
 * been reached: what the module calls while it is loaded stays as it is.
 *
 * @param code as esbuild prints it without minifying
 * @param isWanted whether a function of that name is to be marked
 * @param record name of the module: the mark will be a call at run time, which {@linkcode recorder} answers
 * @returns code of the same lines
 */
export function markEarly(
  code: string,
  isWanted: (name: string) => boolean,
  record?: string,
): string {
  const functions = new Map<string, string>();
  const rest = code.replaceAll(FUNCTION, (text, _async, _star, name) => {
    functions.set(name, text);
    return "";
  });
  const used = usedAtLoad(rest, functions);
  return code.replaceAll(FUNCTION, (text, async = "", star, name, others) => {
    if (used.has(name) || !isWanted(name) || endsInTemplate(text)) return text;
    const label = record === undefined ? "" : `${JSON.stringify(`${record} ${name}`)}, `;
    return `var ${name} = ${MARK}(${label}${async}function${star} ${others});`;
  });
}

/** Whether it is a part of a function only: a template of it has a line that looks like the end. */
function endsInTemplate(text: string): boolean {
  return text.split("`").length % 2 === 0;
}

/**
 * Code for the loader of an executable that writes down which modules are loaded, and which functions are
 * called: a line each, the module and the function's name, in a file of each process.
 *
 * @param directory where; it exists
 */
export function recorder(directory: string): string {
  return `{
    const open = () =>
      Deno.openSync(${JSON.stringify(directory)} + "/" + crypto.randomUUID(), {
        createNew: true,
        write: true,
      });
    let file = open();
    const write = (label) => {
      // A fork has given up its parent's by then.
      if (label === ${JSON.stringify(FORKS_BEGIN)}) file = open();
      file.writeSync(new TextEncoder().encode(label + "\\n"));
    };
    globalThis.${MARK} = (label, called) => {
      let isKnown = false;
      return function (...values) {
        if (!isKnown) write(label);
        isKnown = true;
        return called.apply(this, values);
      };
    };
  }`;
}

/** Code for the beginning of a module: the loader's {@linkcode recorder} writes down its name when it is loaded. */
export function recordLoad(module: string): string {
  return `${MARK}(${JSON.stringify(module)}, function () {})();`;
}

/** Puts the parentheses in the place of marks. The length of the code, and so its source map, stays. */
export function finishEarly(minified: string): string {
  return minified.replaceAll(
    new RegExp(`${MARK.replace("$", "\\$")}\\((?=(?:async )?function\\b)`, "g"),
    `(${" ".repeat(MARK.length)}`,
  );
}

/**
 * Names that occur in what a module does while it is loaded, and in the functions that it may call for
 * that. What the module exports is no use: that is read when all of it was loaded.
 */
function usedAtLoad(rest: string, functions: ReadonlyMap<string, string>): Set<string> {
  const used = new Set<string>();
  const pending = [rest.replace(/^module\.exports = \{[^]*?\};$/m, "")];
  for (let text = pending.pop(); text !== undefined; text = pending.pop()) {
    for (const [name] of text.matchAll(/[\w$]+/g)) {
      if (used.has(name) || !functions.has(name)) continue;
      used.add(name);
      pending.push(functions.get(name)!);
    }
  }
  return used;
}
