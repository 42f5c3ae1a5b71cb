import { HostError, UnsupportedError } from "../errors.ts";
import { exists } from "../os/files.ts";
import { baseName, parentPath } from "../os/path.ts";
import { isLinked } from "../os/self.ts";
import {
  addContainerdRuntime,
  addDockerRuntime,
  crioDropIn,
  type Edit,
  podmanDropIn,
  removeInserted,
} from "./edits.ts";
import { bytesOf, isSame, makeDirectories, replaceFile, sha256 } from "./files.ts";
import { BACKUPS, type Installed, type InstallRecord, readRecord, RECORD } from "./record.ts";

/** Where the executable is put, unless a package has put it elsewhere. */
const EXECUTABLE = "/usr/local/bin/urunc";
const SHIM = "containerd-shim-urunc-v2";
const PACKAGED = "/usr/bin/urunc";

/** Programs that call this runtime. */
export type Engine = "containerd" | "docker" | "crio" | "podman";
export const ENGINES: readonly Engine[] = ["containerd", "docker", "crio", "podman"];

/** Where each is configured, and what it is when installed. */
const FILES: Record<Engine, { path: string; program: string }> = {
  containerd: { path: "/etc/containerd/config.toml", program: "containerd" },
  docker: { path: "/etc/docker/daemon.json", program: "dockerd" },
  crio: { path: "/etc/crio/crio.conf.d/50-urunc.conf", program: "crio" },
  podman: { path: "/etc/containers/containers.conf.d/50-urunc.conf", program: "podman" },
};

/** Where programs of the system are. */
const DIRECTORIES = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

export interface InstallOptions {
  /** None: those that are installed. */
  engines: Engine[];
  /** A directory in place of the root directory, without a slash at its end; empty: the root directory. */
  prefix: string;
  dryRun: boolean;
}

/** A file that is as it should be afterwards. */
export interface Outcome {
  path: string;
  /** `unchanged`: it was so before. */
  change: "written" | "unchanged";
  engine?: Engine;
  /** What was inserted, of a text. */
  inserted?: string;
}

/** A file to write, and how it is recorded. */
interface Wanted {
  path: string;
  engine?: Engine;
  bytes?: Uint8Array<ArrayBuffer>;
  target?: string;
  inserted?: string;
  mode: number;
}

/**
 * Installs the executable, the shim's name, and the runtime in the configuration of engines. Files as they
 * were before are kept, for `uninstall`. What is right already is left alone.
 *
 * @throws InvalidConfigurationError when a file cannot be added to; HostError when the engine itself does not
 *   accept the result, which has then been taken back
 */
export async function install(options: InstallOptions): Promise<Outcome[]> {
  const { prefix, dryRun } = options;
  const record = readRecord(prefix);
  const wanted = await planInstall(options);
  const outcomes: Outcome[] = [];
  for (const it of wanted) {
    const { path, engine, inserted } = it;
    const about = {
      path: prefix + path,
      ...(engine === undefined ? {} : { engine }),
      ...(inserted === undefined ? {} : { inserted }),
    };
    if (isAsWanted(prefix, it)) {
      outcomes.push({ ...about, change: "unchanged" });
      continue;
    }
    if (!dryRun) await write(prefix, it, record);
    outcomes.push({ ...about, change: "written" });
  }
  return outcomes;
}

async function planInstall({ engines, prefix }: InstallOptions): Promise<Wanted[]> {
  const executable =
    exists(PACKAGED) && Deno.realPathSync(Deno.execPath()) === PACKAGED && prefix === ""
      ? PACKAGED
      : EXECUTABLE;
  const chosen = engines.length > 0 ? engines : ENGINES.filter((it) => isInstalled(prefix, it));
  const link = `${parentPath(executable)}/${SHIM}`;
  const wanted: Wanted[] = [
    ...executable === PACKAGED ? [] : [{ path: executable, bytes: ownBytes(), mode: 0o755 }],
    { path: link, target: baseName(executable), mode: 0 },
  ];
  for (const engine of chosen) {
    const { path } = FILES[engine];
    const edit = await editOf(engine, prefix + path, executable);
    // The runtime is there, by this or by hand.
    const text = edit?.text ?? new TextDecoder().decode(bytesOf(prefix + path));
    wanted.push({
      path,
      engine,
      bytes: new TextEncoder().encode(text),
      mode: 0o644,
      ...(edit === undefined ? {} : { inserted: edit.inserted }),
    });
  }
  return wanted;
}

async function editOf(engine: Engine, path: string, executable: string): Promise<Edit | undefined> {
  const text = new TextDecoder().decode(bytesOf(path) ?? new Uint8Array());
  switch (engine) {
    case "containerd":
      return await addContainerdRuntime(path, text);
    case "docker":
      return addDockerRuntime(path, text);
    case "crio":
      return crioDropIn(executable);
    case "podman":
      return podmanDropIn(executable);
  }
}

function isInstalled(prefix: string, engine: Engine): boolean {
  return DIRECTORIES.some((it) => exists(`${prefix}${it}/${FILES[engine].program}`));
}

function ownBytes(): Uint8Array<ArrayBuffer> {
  if (isLinked()) return Deno.readFileSync("/proc/self/exe");
  throw new UnsupportedError({
    operation: "install",
    reason: "this program runs from its sources",
    remedy: "deno task compile builds dist/urunc: call that",
  });
}

function isAsWanted(prefix: string, { path, bytes, target }: Wanted): boolean {
  const at = prefix + path;
  if (target === undefined) return isSame(bytesOf(at), bytes);
  try {
    return Deno.readLinkSync(at) === target;
  } catch {
    return false;
  }
}

/** Recorded before it is done: what is half done is undone by `uninstall`. */
async function write(prefix: string, wanted: Wanted, record: InstallRecord): Promise<void> {
  const { path, bytes, target, inserted, mode, engine } = wanted;
  const at = prefix + path;
  const made = [BACKUPS, parentPath(path)].flatMap((it) => makeDirectories(prefix + it));
  record.directories.push(...made.map((it) => it.slice(prefix.length)));
  const former = record.files.find((it) => it.path === path);
  const backup = former === undefined ? keepFormer(prefix, path, inserted) : former.backup;
  const installed: Installed = {
    path,
    ...(target === undefined ? { sha256: await sha256(bytes!) } : { target }),
    ...(backup === undefined ? {} : { backup }),
    ...(inserted === undefined ? {} : { inserted }),
  };
  record.files = [...record.files.filter((it) => it.path !== path), installed];
  writeRecord(prefix, record);
  if (target === undefined) replaceFile(fileOf(at, inserted), bytes!, mode);
  else replaceLink(at, target);
  if (engine === undefined) return;
  try {
    await requireAccepted(engine, at);
  } catch (error) {
    // As if it had not been called for this file.
    if (backup === undefined) Deno.removeSync(at);
    else replaceFile(fileOf(at, inserted), Deno.readFileSync(prefix + backup), mode);
    record.files = record.files.filter((it) => it !== installed);
    writeRecord(prefix, record);
    throw error;
  }
}

/** A configuration may be a link to where it really is; the executable's own name is replaced. */
function fileOf(path: string, inserted: string | undefined): string {
  return inserted !== undefined && exists(path) ? Deno.realPathSync(path) : path;
}

/** @returns where a file is kept as it was, without the prefix; undefined: there was none */
function keepFormer(
  prefix: string,
  path: string,
  inserted: string | undefined,
): string | undefined {
  if (!exists(prefix + path)) return undefined;
  const backup = `${BACKUPS}/${encodeURIComponent(path.slice(1))}`;
  const file = fileOf(prefix + path, inserted);
  if (Deno.lstatSync(file).isSymlink) Deno.symlinkSync(Deno.readLinkSync(file), prefix + backup);
  else Deno.copyFileSync(file, prefix + backup);
  return backup;
}

function replaceLink(path: string, target: string): void {
  const unfinished = `${path}.urunc-${Deno.pid}`;
  Deno.symlinkSync(target, unfinished);
  Deno.renameSync(unfinished, path);
}

function writeRecord(prefix: string, record: InstallRecord): void {
  const text = JSON.stringify(record, null, 2) + "\n";
  replaceFile(prefix + RECORD, new TextEncoder().encode(text), 0o600);
}

/** How an engine itself reads a configuration, where it can. */
const DUMPS: Partial<Record<Engine, (path: string) => string[]>> = {
  containerd: (path) => ["--config", path, "config", "dump"],
  docker: (path) => ["--validate", "--config-file", path],
};

async function requireAccepted(engine: Engine, path: string): Promise<void> {
  const args = DUMPS[engine]?.(path);
  if (args === undefined) return;
  const { program } = FILES[engine];
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(program, { args, stdin: "null" }).output();
  } catch (error) {
    // Of a node that has its configuration only: an image, or another root directory.
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  if (output.success) return;
  const said = new TextDecoder().decode(output.stderr).trim();
  throw new HostError({
    operation: "add the runtime to",
    subject: path,
    reason: `${program} does not accept it: ${said || "it says nothing"}`,
    remedy: "the file is as it was; correct it first",
  });
}

/** What was left as it is, and why; or removed, or made as it was. */
export interface Removal {
  path: string;
  change: "removed" | "restored" | "left";
  reason?: string;
}

/**
 * Takes back what `install` did. A file that others have changed since keeps their changes.
 */
export async function uninstall(
  { prefix, dryRun }: Pick<InstallOptions, "prefix" | "dryRun">,
): Promise<Removal[]> {
  const record = readRecord(prefix);
  const removals: Removal[] = [];
  for (const installed of record.files.toReversed()) {
    removals.push(await takeBack(prefix, installed, dryRun));
  }
  if (dryRun) return removals;
  for (const { backup } of record.files) if (backup !== undefined) remove(prefix + backup);
  remove(prefix + RECORD);
  for (const directory of record.directories.toReversed()) removeEmpty(prefix + directory);
  return removals;
}

async function takeBack(prefix: string, installed: Installed, dryRun: boolean): Promise<Removal> {
  const { target, backup, inserted } = installed;
  const path = prefix + installed.path;
  if (!exists(path)) return { path, change: "left", reason: "it is gone" };
  const bytes = target === undefined ? bytesOf(path)! : undefined;
  const isOurs = bytes === undefined
    ? isAsWanted(prefix, { path: installed.path, target: target!, mode: 0 })
    : await sha256(bytes) === installed.sha256;
  if (isOurs) {
    if (!dryRun) {
      restore(fileOf(path, inserted), backup === undefined ? undefined : prefix + backup);
    }
    return { path, change: backup === undefined ? "removed" : "restored" };
  }
  const text = bytes === undefined || inserted === undefined
    ? undefined
    : removeInserted(new TextDecoder().decode(bytes), inserted);
  if (text === undefined) {
    return {
      path,
      change: "left",
      reason: "it has been changed since: remove the runtime by hand",
    };
  }
  if (!dryRun) replaceFile(fileOf(path, inserted), new TextEncoder().encode(text), 0o644);
  return {
    path,
    change: "restored",
    reason: "it has been changed since: only the runtime was removed",
  };
}

/** @param kept the file as it was; undefined: there was none */
function restore(path: string, kept: string | undefined): void {
  if (kept === undefined) Deno.removeSync(path);
  else if (Deno.lstatSync(kept).isSymlink) replaceLink(path, Deno.readLinkSync(kept));
  else replaceFile(path, Deno.readFileSync(kept), Deno.statSync(kept).mode! & 0o7777);
}

function remove(path: string): void {
  if (exists(path)) Deno.removeSync(path);
}

/** A directory that others use stays: rmdir(2), ENOTEMPTY. */
function removeEmpty(path: string): void {
  try {
    if ([...Deno.readDirSync(path)].length === 0) Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
