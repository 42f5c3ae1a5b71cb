/**
 * What guests make of their command lines, after their own sources; strings here hold one byte per
 * character, as theirs do.
 */

/** What a guest is left with. */
export interface Booted {
  args: string[];
  env: string[];
  /** Everything else that it was told. */
  parameters: Record<string, unknown>;
}

export function toBytes(text: string): string {
  return Array.from(new TextEncoder().encode(text), (it) => String.fromCharCode(it)).join("");
}

export function fromBytes(bytes: string): string {
  return new TextDecoder().decode(Uint8Array.from(bytes, (it) => it.charCodeAt(0)));
}

/** mirage/parse-argv, src/parse_argv.ml; then the options that MirageOS itself defines. */
export function bootMirage(line: string): Booted {
  const words: string[] = [];
  let current = "";
  let quoted = false;
  let escaped = false;
  for (const char of toBytes(line)) {
    if (escaped) [current, escaped] = [current + char, false];
    else if (char === "\\") escaped = true;
    else if (char === '"') quoted = !quoted;
    else if (char === " " && !quoted) {
      if (current !== "") words.push(current);
      current = "";
    } else current += char;
  }
  if (quoted || escaped) throw new Error("bad input line");
  if (current !== "") words.push(current);
  const booted: Booted = { args: [], env: [], parameters: {} };
  for (const word of words.map(fromBytes)) {
    const [, name, value] = /^--(ipv4|ipv4-gateway|dns-servers)=(.*)$/s.exec(word) ?? [];
    if (name === undefined) booted.args.push(word);
    else if (name in booted.parameters) throw new Error(`option '--${name}' cannot be repeated`);
    else booted.parameters[name] = value;
  }
  return booted;
}

/** Mewz's src/param.zig and src/args.zig. */
export function bootMewz(line: string): Booted {
  const words = fromBytes(toBytes(line)).split(" ");
  const booted: Booted = { args: [], env: [], parameters: {} };
  for (const word of words) {
    const [name, value] = word.split("=");
    if (value === undefined || !["ip", "gateway", "dns", "epoch"].includes(name!)) continue;
    booted.parameters[name!] = value;
  }
  const separator = words.indexOf("--");
  const after = separator < 0 ? [] : words.slice(separator + 1);
  booted.args = after.filter((word) => word !== "" && word !== "--").slice(0, 64);
  return booted;
}

/** Rumprun's bmk-core/jsmn.c, librumprun_base/config.c and parseargs.c. */
export function bootRumprun(line: string): Booted {
  const bytes = toBytes(line);
  if (bytes.includes("_RUMPRUN_ROOTFSCFG=")) throw new Error("configured by a file");
  let at = bytes.indexOf("{");
  if (at < 0) throw new Error("no config");
  const booted: Booted = { args: [], env: [], parameters: {} };
  const members: [string, string | Record<string, string>][] = [];

  const string = (): string => {
    const start = ++at;
    for (; at < bytes.length; at++) {
      if (bytes[at] === '"') return bytes.slice(start, at++);
      if (bytes[at] === "\\" && !'"/\\bfrnt'.includes(bytes[++at] ?? "?")) {
        throw new Error("json parse failed");
      }
    }
    throw new Error("json parse failed");
  };
  const object = (): Record<string, string> => {
    const found: Record<string, string> = {};
    at++;
    while (bytes[at] !== "}") {
      const key = string();
      if (bytes[at++] !== ":") throw new Error("json parse failed");
      if (bytes[at] === "{") throw new Error("unexpected type");
      found[key] = string();
      if (bytes[at] === ",") at++;
    }
    at++;
    return found;
  };
  at++;
  while (bytes[at] !== "}") {
    const key = string();
    if (bytes[at++] !== ":") throw new Error("json parse failed");
    members.push([key, bytes[at] === "{" ? object() : string()]);
    if (bytes[at] === ",") at++;
  }
  for (const [key, value] of members) {
    if (key === "cmdline") booted.args = rumprunArguments(value as string).map(fromBytes);
    else if (key === "env") booted.env.push(fromBytes(value as string));
    else if (key === "net" || key === "blk") booted.parameters[key] = value;
    else throw new Error(`no match for key ${key}`);
  }
  return booted;
}

function rumprunArguments(line: string): string[] {
  const args: string[] = [];
  /** "" outside a word, "word" in one, or the quote that it is in. */
  let state = "";
  for (let at = 0;;) {
    const char = line[at++];
    const real = char === "\\" ? line[at++] : char;
    if (real === undefined || char === " " || char === "\n" || char === "\t") {
      if (real === undefined || state === "word") state = "";
      if (real === undefined) return args;
      if (state === "") continue;
    }
    if (state === "") [state] = ["word", args.push("")];
    if (state !== "word" && char === state) state = "word";
    else if (char === "'" || char === '"') state = char;
    else args[args.length - 1] += real;
  }
}

/** What QEMU passes to a multiboot kernel (hw/i386/multiboot.c): the kernel's path comes first. */
export function multibootLine(line: string): string {
  return `/guest/kernel ${line}`;
}

/**
 * Unikraft's lib/ukboot/boot.c, lib/ukargparse/argparse.c and lib/uklibparam/parser.c.
 *
 * @param line behind the monitor: {@linkcode multibootLine} or {@linkcode firecrackerLine}
 */
export function bootUnikraft(line: string): Booted {
  const words = unikraftWords(toBytes(line)).map(fromBytes);
  if (words.length > 60) throw new Error("words are dropped");
  const [name, ...rest] = words;
  const booted: Booted = { args: name === undefined ? [] : [name], env: [], parameters: {} };
  // A first pass only looks for the stop sequence; without one, or with nothing before it, there are
  // no parameters at all.
  if (stopOf(rest) <= 0) return { ...booted, args: words };
  const add = (parameter: string, value: string) => {
    if (parameter === "env.vars") booted.env.push(value);
    else booted.parameters[parameter] = value;
  };
  let list: string | undefined;
  for (const [index, word] of rest.entries()) {
    if (list !== undefined) {
      const ends = word.endsWith("]");
      const value = ends ? word.slice(0, -1) : word;
      if (value !== "") add(list, value);
      if (ends) list = undefined;
      continue;
    }
    if (word === "--") {
      booted.args.push(...rest.slice(index + 1));
      return booted;
    }
    if (word === "help") throw new Error("prints its usage and halts");
    // One without a dot is passed over.
    if (!word.includes(".")) continue;
    const [, parameter, value] = /^([^.=]+\.[^=]+)=(.*)$/s.exec(word) ?? [];
    if (parameter === undefined) throw new Error(`unknown parameter ${word}`);
    if (value!.startsWith("[")) list = parameter;
    else add(parameter, value!);
  }
  return booted;
}

function stopOf(words: string[]): number {
  let inList = false;
  for (const [index, word] of words.entries()) {
    if (inList) inList = !word.endsWith("]");
    else if (word === "--") return index;
    else inList = /^[^.=]+\.[^=]+=\[/.test(word) && !word.endsWith("]");
  }
  return -1;
}

/** What Firecracker makes of `boot_args`: linux-loader's src/cmdline, and a device for a network. */
export function firecrackerLine(bootArgs: string, hasNetwork: boolean): string {
  let [before, after] = [bootArgs, ""];
  for (const { index } of bootArgs.matchAll(/ -- /g)) {
    if ((bootArgs.slice(0, index).split('"').length - 1) % 2 !== 0) continue;
    [before, after] = [bootArgs.slice(0, index), bootArgs.slice(index + 4)];
    break;
  }
  before = before.trim();
  // Since 1.13 (src/vmm/src/builder.rs).
  before += " pci=off";
  if (hasNetwork) before += " virtio_mmio.device=4K@0xc0001000:5";
  return after.trim() === "" ? before : `${before} -- ${after.trim()}`;
}

function unikraftWords(line: string): string[] {
  const words: string[] = [];
  let outside = true;
  let escape = false;
  let quote = "";
  const put = (char: string) => {
    if (outside) words.push("");
    outside = false;
    words[words.length - 1] += char;
  };
  for (let at = 0; at < line.length; at++) {
    const char = line[at]!;
    if (escape) {
      escape = false;
      // In double quotes only a quote and a backslash lose theirs.
      if (quote === "" || char === '"' || char === "\\") put(char);
      else put(`\\${char}`);
    } else if (char === "\\" && quote !== "'") escape = true;
    else if (" \r\n\t\v".includes(char) && quote === "") outside = true;
    else if ((char === "'" || char === '"') && quote === "") quote = char;
    else if (char === quote) quote = "";
    else put(char);
  }
  return words;
}
