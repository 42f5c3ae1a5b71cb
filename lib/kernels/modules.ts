import { matchesPattern } from "../config/pattern.ts";

/** A driver that a guest may need. */
interface Driver {
  /** The module's, with underscores. */
  name: string;
  /** What a guest cannot do without it; undefined: it does without. */
  required?: string;
}

/**
 * What a guest needs of a kernel: the devices that monitors give it, and the file systems of roots and
 * volumes. In this order they are loaded.
 */
const DRIVERS: readonly Driver[] = [
  { name: "virtio_pci", required: "QEMU's devices are on a PCI bus" },
  // Firecracker's bus.
  { name: "virtio_mmio" },
  { name: "virtio_console", required: "the channel to the guest's agent is one" },
  { name: "virtio_rng" },
  { name: "virtio_net" },
  { name: "virtio_blk" },
  { name: "af_packet" },
  { name: "fuse" },
  { name: "virtiofs" },
  // Firecracker's channel.
  { name: "vmw_vsock_virtio_transport" },
  { name: "overlay" },
  { name: "ext4" },
  { name: "xfs" },
  { name: "squashfs" },
];

/** The files that a kernel's build and depmod(8) write beside its modules. */
export interface ModuleIndex {
  /** modules.builtin */
  builtin: string;
  /** modules.dep */
  dependencies: string;
  /** modules.softdep */
  soft?: string;
  /** modules.alias */
  aliases?: string;
  /** modules.builtin.modinfo */
  builtinInformation?: string;
}

/** A module that is to be loaded. */
export interface Module {
  /** With underscores. */
  name: string;
  /** From the directory of modules.dep. */
  file: string;
  /** Names of all that it needs, in the order in which they are loaded. */
  needs: string[];
}

/** A module that is loaded when the guest's kernel asks for it, by its name or another one. */
export interface AskedModule {
  name: string;
  /** Which have no wildcards: those with are of devices. */
  aliases: string[];
}

/** What a kernel has of {@linkcode DRIVERS}, and of what an operator wants besides. */
export interface Choice {
  /** In the order in which they are loaded: each comes after what it needs. */
  modules: Module[];
  /** Of the modules; the others are loaded when a guest starts, or when its root needs them. */
  asked: AskedModule[];
  builtin: string[];
  missing: Driver[];
  /** Of what the operator wants, which is neither a module nor built in. */
  unknown: string[];
}

/**
 * Picks the modules that a guest may need, with all that these need.
 *
 * @param wanted further ones, by name, or by the beginning of names and a `*`
 *
 * @see modules.dep(5), modprobe.d(5) of softdep, and Documentation/kbuild/kbuild.rst of modules.builtin
 */
export function chooseModules(index: ModuleIndex, wanted: readonly string[] = []): Choice {
  const finder = new Finder(index);
  const chosen = new Map<string, Module>();
  for (const { name } of DRIVERS) finder.add(name, chosen);
  // Some of these are loaded for a root only.
  const drivers = new Set(chosen.keys());
  const unknown: string[] = [];
  for (const pattern of wanted) {
    const names = finder.namesOf(pattern);
    if (names.length === 0) unknown.push(pattern);
    for (const name of names) {
      finder.add(name, chosen);
      drivers.delete(name);
    }
  }
  const asked = [...chosen.keys()].filter((name) => !drivers.has(name));
  return {
    modules: [...chosen.values()],
    asked: asked.map((name) => ({ name, aliases: finder.aliasesOf(name) })),
    builtin: DRIVERS.map(({ name }) => name).filter((it) => finder.isBuiltin(it)),
    missing: DRIVERS.filter(({ name }) => !finder.isBuiltin(name) && !chosen.has(name)),
    unknown,
  };
}

/** `ALIAS MODULE`, a line each, as the guest's first program reads it. */
export function formatAliases(asked: readonly AskedModule[]): string {
  return asked.flatMap(({ name, aliases }) =>
    [name, ...aliases].map((alias) => `${alias} ${name}\n`)
  ).join("");
}

/** The modules.dep of the chosen ones, whose files are all in one directory, by their names. */
export function formatDependencies(modules: readonly Module[]): string {
  return modules.map(({ name, needs }) => {
    // The last is loaded first.
    const files = [...needs].reverse().map((it) => ` ${moduleFile(it)}`);
    return `${moduleFile(name)}:${files.join("")}\n`;
  }).join("");
}

/** What a module's file is called when it is unpacked. */
export function moduleFile(name: string): string {
  return `${name}.ko`;
}

class Finder {
  readonly #builtin: Set<string>;
  readonly #files: Map<string, { file: string; needs: string[] }>;
  readonly #before: Map<string, string[]>;
  readonly #aliases: Map<string, string[]>;
  readonly #builtinAliases: Set<string>;
  /** Modules that are being added: a damaged file may have circles. */
  readonly #adding = new Set<string>();

  constructor(index: ModuleIndex) {
    this.#builtin = new Set(linesOf(index.builtin).map(moduleName));
    this.#files = new Map(linesOf(index.dependencies).map(dependency));
    this.#before = softDependencies(index.soft ?? "");
    this.#aliases = aliasesOf(index.aliases ?? "");
    this.#builtinAliases = builtinAliases(index.builtinInformation ?? "");
  }

  isBuiltin(name: string): boolean {
    return this.#builtin.has(name);
  }

  /** Names, of modules and of what is built in, that a name, or the beginning of names, stands for. */
  namesOf(pattern: string): string[] {
    return [...this.#files.keys(), ...this.#builtin]
      .filter((name) => matchesPattern(underscored(pattern), name));
  }

  aliasesOf(name: string): string[] {
    return [...this.#aliases].filter(([, names]) => names.includes(name)).map(([alias]) => alias);
  }

  /** Adds a module after what it needs; nothing when there is none. */
  add(name: string, chosen: Map<string, Module>): void {
    const found = this.#files.get(name);
    if (found === undefined || this.#adding.has(name) || this.isBuiltin(name)) return;
    this.#adding.add(name);
    const soft = (this.#before.get(name) ?? []).flatMap((it) => this.#meantBy(it));
    // In the file the last is loaded first.
    const direct = [...soft, ...found.needs.map(moduleName).reverse()];
    for (const it of direct) this.add(it, chosen);
    const needs = direct.flatMap((it) => [...chosen.get(it)?.needs ?? [], it])
      .filter((it) => it !== name && chosen.has(it));
    chosen.set(name, { name, file: found.file, needs: [...new Set(needs)] });
  }

  /** A soft dependency may be an alias, and be there already. */
  #meantBy(name: string): string[] {
    const plain = underscored(name);
    if (this.#files.has(plain)) return [plain];
    return this.#builtinAliases.has(name) ? [] : this.#aliases.get(name) ?? [];
  }
}

function linesOf(text: string): string[] {
  return text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
}

function moduleName(path: string): string {
  return underscored(path.slice(path.lastIndexOf("/") + 1).replace(/\.ko(\.\w+)?$/, ""));
}

/** The kernel's own form: a file's name may have hyphens (scripts/Makefile.lib, name-fix). */
function underscored(name: string): string {
  return name.replaceAll("-", "_");
}

function dependency(line: string): [string, { file: string; needs: string[] }] {
  const [file = "", rest = ""] = line.split(":");
  return [moduleName(file), { file, needs: rest.split(" ").filter(Boolean) }];
}

/** `softdep NAME pre: A B post: C` */
function softDependencies(text: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const line of linesOf(text)) {
    const [, name, before] = /^softdep (\S+) .*?\bpre: ([^:]*)(?: post:|$)/.exec(line) ?? [];
    if (name === undefined || before === undefined) continue;
    const known = found.get(underscored(name)) ?? [];
    found.set(underscored(name), [...known, ...before.split(" ").filter(Boolean)]);
  }
  return found;
}

/** `alias NAME MODULE`; those with wildcards are of devices. */
function aliasesOf(text: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const line of linesOf(text)) {
    const [, alias, name] = /^alias ([^\s*?[]+) (\S+)$/.exec(line) ?? [];
    if (alias === undefined || name === undefined) continue;
    found.set(alias, [...found.get(alias) ?? [], underscored(name)]);
  }
  return found;
}

/** `MODULE.alias=NAME`, each ended by a NUL. */
function builtinAliases(text: string): Set<string> {
  const matches = text.split("\0").map((entry) => /^[^.=]+\.alias=(.*)$/s.exec(entry)?.[1]);
  return new Set(matches.filter((alias) => alias !== undefined));
}
