import {
  AlreadyExistsError,
  HostError,
  InvalidConfigurationError,
  NotFoundError,
} from "../errors.ts";
import { kernelNameForm } from "../guest/kernel/name.ts";
import { isDirectory, readBounded, removeIfThere } from "../os/files.ts";
import { formatRecord, type KernelRecord, parseRecord } from "./record.ts";

/** Names in a kernel's directory. */
const RECORD = "kernel.json";
export const KERNEL_FILES = {
  image: "kernel",
  elf: "kernel.elf",
  modules: "modules.cpio",
} as const;

/** Everybody may read them: monitors run as users of their own. */
const DIRECTORY_MODE = 0o755;
const FILE_MODE = 0o644;

const MAXIMUM_RECORD_BYTES = 1024 * 1024;

/** What is being made or removed; no kernel has such a name. By then it is left behind. */
const UNFINISHED = ".unfinished-";
const UNFINISHED_MILLISECONDS = 60 * 60 * 1000;

/** A kernel that is stored. */
export interface StoredKernel {
  name: string;
  /** Absolute path of its directory. */
  path: string;
  record: KernelRecord;
}

/** The operator's kernels: a directory of root's with one for each. */
export class KernelStore {
  readonly root: string;

  /** @param root absolute */
  constructor(root: string) {
    this.root = root;
  }

  /**
   * All that can be read, by name.
   *
   * @param onDamaged is given the error of each of the others, which names it
   * @throws HostError when others than root could have changed any of them
   */
  list(onDamaged: (error: unknown) => void): StoredKernel[] {
    if (isDirectory(this.root)) requireOwn(this.root);
    return this.#names().flatMap((name) => {
      try {
        return [this.open(name)];
      } catch (error) {
        onDamaged(error);
        return [];
      }
    });
  }

  #names(): string[] {
    if (!isDirectory(this.root)) return [];
    return [...Deno.readDirSync(this.root)].filter((it) => it.isDirectory).map(({ name }) => name)
      .filter(kernelNameForm.accepts).sort();
  }

  /**
   * @throws NotFoundError when there is none of that name; HostError when others than root could have
   *   changed it
   */
  open(name: string): StoredKernel {
    const path = this.#pathOf(name);
    if (!isDirectory(path)) throw this.#missing(name);
    for (const it of [this.root, path]) requireOwn(it);
    const file = `${path}/${RECORD}`;
    const content = readBounded(file, MAXIMUM_RECORD_BYTES, {
      operation: "read the kernel's record",
    });
    return { name, path, record: parseRecord(new TextDecoder().decode(content), file) };
  }

  /**
   * Stores a kernel, whole or not at all.
   *
   * @param fill is given an empty directory for {@linkcode KERNEL_FILES}
   * @throws AlreadyExistsError when the name is taken
   */
  async add(
    name: string,
    fill: (directory: string) => Promise<KernelRecord>,
  ): Promise<StoredKernel> {
    const path = this.#pathOf(name);
    if (isDirectory(path)) throw taken(name);
    Deno.mkdirSync(this.root, { recursive: true, mode: DIRECTORY_MODE });
    requireOwn(this.root);
    this.#removeLeftovers();
    const unfinished = Deno.makeTempDirSync({ dir: this.root, prefix: UNFINISHED });
    try {
      const record = await fill(unfinished);
      writeFile(`${unfinished}/${RECORD}`, new TextEncoder().encode(formatRecord(record)));
      Deno.chmodSync(unfinished, DIRECTORY_MODE);
      rename(unfinished, path, name);
      return { name, path, record };
    } finally {
      removeIfThere(unfinished, { recursive: true });
      this.#removeEmpty();
    }
  }

  /**
   * Removes a kernel. Containers that run with it are not concerned: they keep its files.
   *
   * @throws NotFoundError when there is none of that name
   */
  remove(name: string): void {
    const path = this.#pathOf(name);
    if (!isDirectory(path)) throw this.#missing(name);
    // In one step: a container must not begin with half of it.
    const unfinished = Deno.makeTempDirSync({ dir: this.root, prefix: UNFINISHED });
    Deno.renameSync(path, unfinished);
    Deno.removeSync(unfinished, { recursive: true });
    this.#removeEmpty();
  }

  /** Without a kernel nothing is left of it. */
  #removeEmpty(): void {
    if ([...Deno.readDirSync(this.root)].length === 0) Deno.removeSync(this.root);
  }

  #pathOf(name: string): string {
    if (kernelNameForm.accepts(name)) return `${this.root}/${name}`;
    throw new InvalidConfigurationError({
      operation: "name a kernel",
      subject: JSON.stringify(name),
      reason: "no kernel has such a name",
      remedy: `allowed: ${kernelNameForm.allowed}`,
    });
  }

  #missing(name: string): NotFoundError {
    const names = this.#names();
    return new NotFoundError({
      operation: "use kernel",
      subject: name,
      reason: `it does not exist in ${this.root}`,
      remedy: names.length === 0
        ? "urunc kernel add stores one"
        : `there are: ${names.join(", ")}; urunc kernel add stores another`,
    });
  }

  /** Of processes that were killed. */
  #removeLeftovers(): void {
    const now = Date.now();
    for (const { name } of Deno.readDirSync(this.root)) {
      if (!name.startsWith(UNFINISHED)) continue;
      const path = `${this.root}/${name}`;
      const made = Deno.lstatSync(path).mtime?.getTime() ?? now;
      if (now - made > UNFINISHED_MILLISECONDS) removeIfThere(path, { recursive: true });
    }
  }
}

/** Writes a file of a kernel. */
export function writeFile(path: string, content: Uint8Array): void {
  Deno.writeFileSync(path, content, { createNew: true });
  // Whatever the caller's umask is.
  Deno.chmodSync(path, FILE_MODE);
}

/** A directory that is not empty is not replaced: rename(2). */
function rename(from: string, to: string, name: string): void {
  try {
    Deno.renameSync(from, to);
  } catch (error) {
    if (isDirectory(to)) throw taken(name);
    throw error;
  }
}

/** What guests boot is chosen by root alone. */
function requireOwn(path: string): void {
  const { uid, mode, isDirectory } = Deno.lstatSync(path);
  const reason = !isDirectory
    ? "it is not a directory"
    : uid !== Deno.uid()
    ? `it belongs to uid ${uid}, not ${Deno.uid()}`
    : ((mode ?? 0) & 0o022) !== 0
    ? "others than its owner can write it"
    : undefined;
  if (reason === undefined) return;
  throw new HostError({ operation: "use the directory of kernels", subject: path, reason });
}

function taken(name: string): AlreadyExistsError {
  return new AlreadyExistsError({
    operation: "add kernel",
    subject: name,
    reason: "there is one of that name already",
    remedy: `urunc kernel rm ${name} removes it; --name gives another name`,
  });
}
