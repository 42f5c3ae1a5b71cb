/**
 * What a Linux kernel makes of its command line, after next_arg() in lib/cmdline.c, parse_args() in
 * kernel/params.c and unknown_bootoption(), set_init_arg(), init_setup() in init/main.c (6.12, with
 * CONFIG_IP_PNP and CONFIG_INIT_ENV_ARG_LIMIT=32). Strings here hold one byte per character, as the
 * kernel works on bytes.
 */
export interface Boot {
  /** The kernel's own parameters, in order. */
  parameters: [string, string | undefined][];
  init?: string;
  /** Without the name of init. */
  args: string[];
  env: string[];
}

interface Word {
  param: string;
  val?: string;
  /** What follows, white space skipped. */
  rest: string;
}

const limit = 32;
const ownParameters = [
  "panic",
  "console",
  "reboot",
  "root",
  "rootfstype",
  "ro",
  "rw",
  "ip",
  "init",
  "rdinit",
];

/** Boots on a command line; throws where the kernel would panic. */
export function boot(commandLine: string): Boot {
  const bytes = toBytes(commandLine);
  if (bytes.length + 1 > 2048) throw new Error("the command line is truncated");
  const argv: string[] = ["init"];
  const envp: string[] = ["HOME=/", "TERM=linux"];
  const result: Boot = { parameters: [], args: [], env: [] };
  const afterDashes = parseArgs(bytes, ({ param, val }) => {
    if (ownParameters.includes(param)) {
      result.parameters.push([param, val === undefined ? undefined : fromBytes(val)]);
      if (param === "init" || param === "rdinit") {
        result.init = val === undefined ? undefined : fromBytes(val);
        argv.length = 1;
      }
    } else if (param.includes(".")) {
      return;
    } else if (val !== undefined) {
      const at = envp.findIndex((it) => it.startsWith(`${param}=`));
      if (at < 0 && envp.length > limit) throw new Error("panic: Too many boot env vars");
      envp[at < 0 ? envp.length : at] = `${param}=${val}`;
    } else {
      push(argv, param);
    }
  });
  if (afterDashes !== undefined) {
    const lost = parseArgs(
      afterDashes,
      ({ param, val }) => push(argv, val === undefined ? param : `${param}=${val}`),
    );
    if (lost !== undefined) throw new Error(`the kernel dropped what follows: -- ${lost}`);
  }
  result.args = argv.slice(1).map(fromBytes);
  result.env = envp.map(fromBytes);
  return result;
}

function push(argv: string[], argument: string): void {
  if (argv.length > limit) throw new Error("panic: Too many boot init vars");
  argv.push(argument);
}

/** Calls `handle` for each word; returns what follows a `--`, if there is one. */
function parseArgs(line: string, handle: (word: Word) => void): string | undefined {
  let rest = skipSpaces(line);
  while (rest !== "") {
    const word = nextArg(rest);
    rest = word.rest;
    if (word.val === undefined && word.param === "--") return rest;
    handle(word);
  }
  return undefined;
}

/** One word off the front of a line, in the kernel's own way. */
export function nextArg(line: string): Word {
  const quoted = line.startsWith('"');
  const text = quoted ? line.slice(1) : line;
  let inQuote = quoted;
  let equals = 0;
  let end = 0;
  for (; end < text.length; end++) {
    const byte = text[end]!;
    if (isSpace(byte) && !inQuote) break;
    if (equals === 0 && byte === "=") equals = end;
    if (byte === '"') inQuote = !inQuote;
  }
  // The kernel writes NULs into the line: `last` is where the word ends after that.
  let last = end;
  let valueAt = equals + 1;
  if (equals > 0 && text[valueAt] === '"') {
    valueAt++;
    if (text[end - 1] === '"') last = end - 1;
  }
  if (quoted && last === end && end > 0 && text[end - 1] === '"') last = end - 1;
  const rest = skipSpaces(text.slice(end + 1));
  return equals === 0
    ? { param: text.slice(0, last), rest }
    : { param: text.slice(0, equals), val: text.slice(valueAt, Math.max(last, valueAt)), rest };
}

function isSpace(byte: string): boolean {
  return " \t\n\v\f\r\u00a0".includes(byte);
}

function skipSpaces(line: string): string {
  let at = 0;
  while (at < line.length && isSpace(line[at]!)) at++;
  return line.slice(at);
}

function toBytes(text: string): string {
  return Array.from(new TextEncoder().encode(text), (it) => String.fromCharCode(it)).join("");
}

function fromBytes(bytes: string): string {
  return new TextDecoder("utf-8", { fatal: true }).decode(
    Uint8Array.from(bytes, (it) => it.charCodeAt(0)),
  );
}
