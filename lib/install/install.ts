import { UnsupportedError } from "../errors.ts";
import { exists, removeIfThere } from "../os/files.ts";
import { baseName, parentPath } from "../os/path.ts";
import { isLinked } from "../os/self.ts";
import { requireAccepted } from "./accepted.ts";
import {
  addContainerdRuntime,
  addDockerRuntime,
  crioDropIn,
  type Edit,
  podmanDropIn,
} from "./edits.ts";
import {
  bytesOf,
  isLinkTo,
  isSame,
  makeDirectories,
  replaceFile,
  replaceLink,
  sha256,
  writeNew,
} from "./files.ts";
import {
  BACKUPS,
  type Engine,
  ENGINES,
  EXECUTABLE,
  fileOf,
  FILES,
  PACKAGED,
  SHIM,
} from "./places.ts";
import {
  freeBackup,
  type Installed,
  type InstallRecord,
  isAsRecorded,
  readRecord,
  writeRecord,
} from "./record.ts";
import { locate } from "./tree.ts";

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
 *   accept the result: that file is then left as it was
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
    const file = fileOf(prefix, path);
    const edit = await editOf(engine, file, executable);
    // The runtime is there, by this or by hand.
    const text = edit?.text ?? new TextDecoder().decode(bytesOf(file));
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
  return DIRECTORIES.some((it) => exists(locate(prefix, `${it}/${FILES[engine].program}`)));
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
  if (target !== undefined) return isLinkTo(fileOf(prefix, path), target);
  return isSame(bytesOf(locate(prefix, path, "followed")), bytes);
}

/** Recorded before it is done: what is half done is undone by `uninstall`. */
async function write(prefix: string, wanted: Wanted, record: InstallRecord): Promise<void> {
  const { path, bytes, target, inserted, mode, engine } = wanted;
  makeParents(prefix, path, record);
  const file = fileOf(prefix, path);
  if (engine !== undefined) await requireAccepted(engine, file, bytes!);
  const former = record.files.find((it) => it.path === path);
  // What others have written since is what `uninstall` is to restore.
  const isOurs = former !== undefined && await isAsRecorded(prefix, former);
  const backup = isOurs ? former.backup : keepFormer(prefix, path, file);
  const installed: Installed = {
    path,
    ...(target === undefined ? { sha256: await sha256(bytes!) } : { target }),
    ...(backup === undefined ? {} : { backup }),
    ...(inserted === undefined ? {} : { inserted }),
  };
  record.files = [...record.files.filter((it) => it.path !== path), installed];
  writeRecord(prefix, record);
  if (target === undefined) replaceFile(file, bytes!, mode);
  else replaceLink(file, target);
  if (former?.backup !== undefined && !isOurs) removeIfThere(locate(prefix, former.backup));
}

function makeParents(prefix: string, path: string, record: InstallRecord): void {
  const made = [BACKUPS, parentPath(path)].flatMap((it) => makeDirectories(prefix, it));
  if (made.length === 0) return;
  record.directories.push(...made);
  writeRecord(prefix, record);
}

/**
 * @param file where it really is, of a configuration
 * @returns where a file is kept as it is, without the prefix; undefined: there is none
 */
function keepFormer(prefix: string, path: string, file: string): string | undefined {
  if (!exists(file)) return undefined;
  const backup = freeBackup(prefix, path);
  const at = locate(prefix, backup);
  const { isSymlink, mode } = Deno.lstatSync(file);
  if (isSymlink) Deno.symlinkSync(Deno.readLinkSync(file), at);
  else writeNew(at, Deno.readFileSync(file), mode! & 0o7777);
  return backup;
}
