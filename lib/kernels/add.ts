import { arch } from "../arch/arch.ts";
import { HostError, InvalidConfigurationError, UnsupportedError } from "../errors.ts";
import { archive, type ArchiveEntry } from "../guest/initrd/cpio.ts";
import { GUEST_MODULES } from "../guest/initrd/segment.ts";
import { readKernelFormat } from "../guest/kernel/format.ts";
import { isDirectory, readBounded, removeIfThere } from "../os/files.ts";
import { baseName, parentPath } from "../os/path.ts";
import {
  type Choice,
  chooseModules,
  formatAliases,
  formatDependencies,
  moduleFile,
  type ModuleIndex,
} from "./modules.ts";
import type { KernelRecord, StoredFile } from "./record.ts";
import { KERNEL_FILES, type KernelStore, type StoredKernel, writeFile } from "./store.ts";
import { compressionOf, MAGIC_BYTES, unpack, type UnpackOptions } from "./unpack.ts";

const MIB = 1024 * 1024;

/** Several times what distributions have: a kernel of 15 MiB is one of 80 when it is unpacked. */
const MAXIMUM_IMAGE_BYTES = 256 * MIB;
const MAXIMUM_ELF_BYTES = 1024 * MIB;
const MAXIMUM_MODULE_BYTES = 64 * MIB;
const MAXIMUM_INDEX_BYTES = 32 * MIB;

/** What {@linkcode Architecture.linux.readImageContent} asks for. */
const HEAD_BYTES = 64 * 1024;

/** Beside modules.dep, whether or not it is there: the kernel's package brings it. */
const BUILTIN = "modules.builtin";

const OPERATION = "add kernel";

/** A kernel that an operator wants to store. */
export interface NewKernel {
  /** Absolute path of the distribution's kernel. */
  file: string;
  /** Absolute path of its modules; undefined: where distributions have them. */
  modules?: string;
  /** Undefined: its release. */
  name?: string;
  /** Modules that guests are to have besides, by name, or by the beginning of names and a `*`. */
  with?: string[];
}

/**
 * Stores a distribution's kernel with the modules that a guest may need.
 *
 * @throws InvalidConfigurationError for files that are not a kernel and its modules; UnsupportedError for a
 *   kernel whose guests could not be reached; HostError for what is missing on this host
 */
export async function addKernel(
  store: KernelStore,
  { file, modules, name, with: wanted = [] }: NewKernel,
  options: UnpackOptions = {},
): Promise<StoredKernel> {
  const image = readBounded(file, MAXIMUM_IMAGE_BYTES, { operation: OPERATION });
  const { release, payload } = readImage(file, image);
  const directory = modules ?? findModules(file, release);
  const choice = chooseModules(readIndex(directory, release), wanted);
  requireDrivers(file, choice);
  requireWanted(directory, choice);
  return await store.add(name ?? release, async (path) => {
    const elf = await unpackKernel(`${path}/payload`, image, payload, options);
    const packed = await packModules(directory, choice, options);
    return {
      release,
      added: new Date().toISOString(),
      image: await keep(`${path}/${KERNEL_FILES.image}`, image),
      ...(elf && { elf: await keep(`${path}/${KERNEL_FILES.elf}`, elf) }),
      ...(packed && { modules: await keep(`${path}/${KERNEL_FILES.modules}`, packed) }),
      moduleNames: choice.modules.map((it) => it.name),
      ...(choice.asked.length > 0 && { askedNames: choice.asked.map((it) => it.name) }),
      builtin: choice.builtin,
      missing: choice.missing.map((it) => it.name),
    } satisfies KernelRecord;
  });
}

async function keep(path: string, content: Uint8Array): Promise<StoredFile> {
  writeFile(path, content);
  const digest = await crypto.subtle.digest("SHA-256", new Uint8Array(content));
  return { sha256: new Uint8Array(digest).toHex(), bytes: content.length };
}

/** Where a kernel's ELF file is in its image; compressed, mostly. */
interface Payload {
  offset: number;
  length: number;
}

function readImage(file: string, image: Uint8Array): { release: string; payload?: Payload } {
  const format = readKernelFormat((offset, length) => image.subarray(offset, offset + length));
  const { imageName } = arch.linux;
  const what = format.kind === "other"
    ? format.what
    : format.kind === "elf"
    ? "an ELF file"
    : undefined;
  if (what !== undefined) {
    throw invalid(
      file,
      `it is ${what}, not a ${imageName}`,
      "distributions have such a kernel as /boot/vmlinuz-RELEASE",
    );
  }
  const content = arch.linux.readImageContent(image.subarray(0, HEAD_BYTES));
  if (content?.release !== undefined) return { ...content, release: content.release };
  throw invalid(file, `its header does not say which release of Linux it is`);
}

/** `/boot/vmlinuz-RELEASE` and `/lib/modules/RELEASE`, also where a package was unpacked to. */
function findModules(file: string, release: string): string {
  const above = baseName(parentPath(file)) === "boot" ? parentPath(parentPath(file)) : "/";
  const root = above === "/" ? "" : above;
  const places = ["lib", "usr/lib"].map((it) => `${root}/${it}/modules/${release}`);
  const found = places.find(isDirectory);
  if (found !== undefined) return found;
  throw invalid(file, `its modules are not in ${places.join(" or ")}`, "--modules names them");
}

function readIndex(directory: string, release: string): ModuleIndex {
  const read = (name: string, remedy: string) =>
    new TextDecoder().decode(
      readBounded(`${directory}/${name}`, MAXIMUM_INDEX_BYTES, { operation: OPERATION, remedy }),
    );
  const optional = (name: string) => {
    try {
      return read(name, "");
    } catch (error) {
      if (error instanceof HostError && error.cause instanceof Deno.errors.NotFound) {
        return undefined;
      }
      throw error;
    }
  };
  const kernels = `the modules of ${release} have it; --modules names their directory`;
  return {
    builtin: read(BUILTIN, kernels),
    dependencies: read("modules.dep", `depmod -b ROOT ${release} makes it of ROOT/lib/modules`),
    soft: optional("modules.softdep"),
    aliases: optional("modules.alias"),
    builtinInformation: optional("modules.builtin.modinfo"),
  };
}

/** @throws UnsupportedError for a kernel whose guests the runtime could not talk to */
function requireDrivers(file: string, { missing }: Choice): void {
  const needed = missing.find(({ required }) => required !== undefined);
  if (needed === undefined) return;
  throw new UnsupportedError({
    operation: OPERATION,
    subject: file,
    reason: `it has no driver ${needed.name}, neither built in nor as a module: ${needed.required}`,
    remedy: `take a kernel that has it (Debian: linux-image-cloud-${arch.imageName})`,
  });
}

/** @throws InvalidConfigurationError naming what the kernel does not have */
function requireWanted(directory: string, { unknown: [first] }: Choice): void {
  if (first === undefined) return;
  throw invalid(
    `--with ${first}`,
    `the kernel has no such module, nor is one built in`,
    `${directory}/modules.dep has the names of all modules`,
  );
}

/** @returns undefined where it is compressed in another way, or the header does not say where it is */
async function unpackKernel(
  temporary: string,
  image: Uint8Array,
  payload: Payload | undefined,
  options: UnpackOptions,
): Promise<Uint8Array | undefined> {
  if (payload === undefined) return undefined;
  const packed = image.subarray(payload.offset, payload.offset + payload.length);
  const compression = compressionOf(packed.subarray(0, MAGIC_BYTES));
  if (compression === undefined) return isProgram(packed) ? packed : undefined;
  // The size follows, but for gzip, which has it itself (scripts/Makefile.lib, size_append).
  const end = compression.program === "gzip" ? packed.length : packed.length - 4;
  writeFile(temporary, packed.subarray(0, end));
  try {
    const elf = await unpack(temporary, compression, MAXIMUM_ELF_BYTES, options);
    if (isProgram(elf)) return elf;
  } finally {
    removeIfThere(temporary);
  }
  throw invalid("the kernel", "what is compressed in it is not an ELF file: it is damaged");
}

function isProgram(bytes: Uint8Array): boolean {
  const format = readKernelFormat((offset, length) => bytes.subarray(offset, offset + length));
  return format.kind === "elf" && format.isProgram;
}

/** @returns an archive for an initial RAM disk; undefined when there are no modules */
async function packModules(
  directory: string,
  { modules, asked }: Choice,
  options: UnpackOptions,
): Promise<Uint8Array | undefined> {
  if (modules.length === 0) return undefined;
  const files: ArchiveEntry[] = [];
  for (const { name, file } of modules) {
    requireBelow(directory, file);
    const content = await readModule(`${directory}/${file}`, options);
    files.push({ name: `${GUEST_MODULES}/${moduleFile(name)}`, mode: 0o100400, content });
  }
  const encoder = new TextEncoder();
  const dependencies = encoder.encode(formatDependencies(modules));
  // The guest's kernel executes it, as modprobe(8).
  const answering: ArchiveEntry[] = asked.length === 0 ? [] : [
    {
      name: `${GUEST_MODULES}/modules.alias`,
      mode: 0o100400,
      content: encoder.encode(formatAliases(asked)),
    },
    {
      name: `${parentName(GUEST_MODULES)}/modprobe`,
      mode: 0o120777,
      content: encoder.encode("init"),
    },
  ];
  return archive([
    { name: parentName(GUEST_MODULES), mode: 0o40700 },
    { name: GUEST_MODULES, mode: 0o40700 },
    ...files,
    { name: `${GUEST_MODULES}/modules.dep`, mode: 0o100400, content: dependencies },
    ...answering,
  ]);
}

/** The index may be of an image that others have made: no other file of this host is stored. */
function requireBelow(directory: string, file: string): void {
  if (!file.startsWith("/") && !file.split("/").includes("..")) return;
  throw invalid(`${directory}/modules.dep`, `it names ${file}, which is not below ${directory}`);
}

function parentName(name: string): string {
  return name.slice(0, name.lastIndexOf("/"));
}

async function readModule(path: string, options: UnpackOptions): Promise<Uint8Array> {
  const bytes = readBounded(path, MAXIMUM_MODULE_BYTES, { operation: OPERATION });
  const compression = compressionOf(bytes.subarray(0, MAGIC_BYTES));
  const module = compression === undefined
    ? bytes
    : await unpack(path, compression, MAXIMUM_MODULE_BYTES, options);
  const format = readKernelFormat((offset, length) => module.subarray(offset, offset + length));
  if (format.kind === "elf") return module;
  throw invalid(path, `it is ${format.kind === "other" ? format.what : "a kernel"}, not a module`);
}

function invalid(subject: string, reason: string, remedy?: string): InvalidConfigurationError {
  return new InvalidConfigurationError({ operation: OPERATION, subject, reason, remedy });
}
