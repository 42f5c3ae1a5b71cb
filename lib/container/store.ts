import {
  close,
  flock,
  flockAsync,
  fstat,
  LinuxError,
  LOCK_EX,
  LOCK_NB,
  lstatPath,
  O_CLOEXEC,
  O_CREAT,
  O_NOFOLLOW,
  O_RDWR,
  open,
} from "../../ffi/linux.ts";
import { AlreadyExistsError, errorMessage, HostError, NotFoundError } from "../errors.ts";
import { timed } from "../watch.ts";
import { isId, validateId } from "./id.ts";
import { type ContainerState, formatState, parseState } from "./state.ts";
import {
  isDirectory,
  isThere,
  readIfThere,
  removeIfThere,
  requireOwnDirectory,
} from "../os/files.ts";
import { isCode } from "../os/os_error.ts";

const STATE_FILE = "state.json";
/** The state before the last one: for `delete --force`, should state.json be damaged. */
const PREVIOUS_STATE_FILE = "state.json.previous";
const LOCK_FILE = "lock";

/** In a container's directory: on which the waiter waits for `start`. */
export const START_SOCKET = "start.sock";
/** In a container's directory: on which the monitor takes commands, where it takes any. */
export const CONTROL_SOCKET = "control.sock";

/** In a container's directory: what is kept of the console of a guest with an agent. */
export const CONSOLE_FILE = "console";

/** In a container's directory: what further processes need, where its guest has an agent. */
export const EXEC_DIRECTORY = "exec";

/** Only the runtime's user has business in it. */
const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;

/** Milliseconds. */
const PASSING = 2000;

const REMOVE_ATTEMPTS = 100;

/** The containers of one `--root`: a directory for each. */
export class Store {
  readonly root: string;

  /** @param root absolute path; need not exist before the first `create` */
  constructor(root: string) {
    this.root = root;
  }

  /**
   * Whether an id could be taken now: to refuse early. Only `create` decides.
   *
   * @throws AlreadyExistsError when it is taken; InvalidConfigurationError for an impossible id;
   *   HostError when the root is open to others
   */
  requireFree(id: string): void {
    const directory = this.#directory(id);
    if (this.#holds(directory)) throw taken(id);
  }

  /**
   * Takes an id: of two that try at the same time one succeeds.
   *
   * @throws AlreadyExistsError when it is taken; InvalidConfigurationError for an impossible id;
   *   HostError when the root is open to others
   */
  create(id: string): ContainerDirectory {
    const directory = this.#directory(id);
    this.#makeRoot();
    this.#checkRoot();
    try {
      Deno.mkdirSync(directory.path, { mode: DIRECTORY_MODE });
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
      throw taken(id);
    }
    return directory;
  }

  /**
   * @throws NotFoundError when the container does not exist; InvalidConfigurationError for an
   *   impossible id; HostError when the root is open to others
   */
  open(id: string): ContainerDirectory {
    const directory = this.#directory(id);
    if (!this.#holds(directory)) throw notFound(id);
    return directory;
  }

  /**
   * For who acts as root on what stands there, without opening a container.
   *
   * @throws HostError when the root is open to others
   */
  requireTrusted(): void {
    this.#exists();
  }

  /**
   * Where a container's directory is, or would be.
   *
   * @throws InvalidConfigurationError for an impossible id
   */
  pathOf(id: string): string {
    validateId(id);
    return `${this.root}/${id}`;
  }

  /** Ids of all containers, sorted; also of those whose creator was killed before the first state. */
  list(): string[] {
    if (!this.#exists()) return [];
    return [...Deno.readDirSync(this.root)]
      .filter((entry) => entry.isDirectory && isId(entry.name))
      .map((entry) => entry.name)
      .sort();
  }

  #directory(id: string): ContainerDirectory {
    return new ContainerDirectory(id, this.pathOf(id));
  }

  #holds({ path }: ContainerDirectory): boolean {
    // What cannot be read is an error, not absent.
    return this.#exists() && isThere(path) && isDirectory(path);
  }

  #exists(): boolean {
    try {
      this.#checkRoot();
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error instanceof HostError ? error : this.#unusable(error);
    }
  }

  #makeRoot(): void {
    try {
      Deno.mkdirSync(this.root, { recursive: true, mode: DIRECTORY_MODE });
    } catch (error) {
      throw this.#unusable(error);
    }
  }

  #unusable(error: unknown): HostError {
    return new HostError({
      operation: "use state directory",
      subject: this.root,
      reason: errorMessage(error),
      remedy: "--root names it",
      cause: error,
    });
  }

  /** What state.json says is acted upon as root: no other user may be able to write it. */
  #checkRoot(): void {
    requireOwnDirectory(this.root, {
      operation: "use state directory",
      remedy: "if it is a symlink, name what it points to",
    });
  }
}

/** One container's directory. */
export class ContainerDirectory {
  readonly id: string;
  readonly path: string;

  constructor(id: string, path: string) {
    this.id = id;
    this.path = path;
  }

  /**
   * Waits until no other command works on this container, and keeps others waiting until it is
   * released or this process ends. The thread is not blocked: a shim has other tasks to serve.
   *
   * @throws NotFoundError when the container is deleted meanwhile
   */
  async lockAsync(): Promise<Lock> {
    const fd = this.#openLock();
    try {
      await timed(`lock ${this.path}`, () => flockAsync(fd, LOCK_EX));
    } catch (error) {
      close(fd);
      throw error;
    }
    return this.#locked(fd);
  }

  /**
   * As `lockAsync`, without waiting.
   *
   * @returns undefined when another process has it
   * @throws NotFoundError when the container is deleted meanwhile
   */
  tryLock(): Lock | undefined {
    const fd = this.#openLock();
    try {
      flock(fd, LOCK_EX | LOCK_NB);
    } catch (error) {
      close(fd);
      if (error instanceof LinuxError && error.code === "EAGAIN") return undefined;
      throw error;
    }
    return this.#locked(fd);
  }

  #openLock(): number {
    try {
      const flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC;
      return open(`${this.path}/${LOCK_FILE}`, flags, FILE_MODE);
    } catch (error) {
      if (error instanceof LinuxError && error.code === "ENOENT") throw notFound(this.id);
      throw error;
    }
  }

  #locked(fd: number): Lock {
    try {
      // Its holder may have deleted the container, and another may have taken the id since:
      // then this is the lock of a deleted directory.
      if (!isSameFile(fd, `${this.path}/${LOCK_FILE}`)) throw notFound(this.id);
    } catch (error) {
      close(fd);
      throw error;
    }
    return new Lock(fd);
  }

  /**
   * @returns undefined when none was written: the creator was killed before it could
   * @throws UruncError when state.json is of another version or damaged
   */
  readState(): ContainerState | undefined {
    const text = this.readStateText();
    return text === undefined ? undefined : parseState(text, `${this.path}/${STATE_FILE}`);
  }

  /** What state.json holds, whatever it is; undefined when there is none. */
  readStateText(): string | undefined {
    return readIfThere(`${this.path}/${STATE_FILE}`);
  }

  /** What it held before it was last written; undefined when that is not known. */
  readPreviousStateText(): string | undefined {
    return readIfThere(`${this.path}/${PREVIOUS_STATE_FILE}`);
  }

  /**
   * Whether a directory without a state will have one in a moment, or will be gone: a creator writes
   * the first state right after it made the directory, a delete removes the directory right after the
   * state. One that stays so is a killed creator's.
   *
   * @throws NotFoundError when the container is deleted meanwhile
   */
  isPassing(): boolean {
    try {
      // When a file was last made in it or removed from it.
      return Date.now() - (Deno.lstatSync(this.path).mtime?.getTime() ?? 0) < PASSING;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) throw notFound(this.id);
      throw error;
    }
  }

  /**
   * Replaces the state as a whole: a reader sees the old or the new one. The caller holds the lock.
   *
   * Not synced to disk: a machine that lost power has lost the processes that the state is about.
   */
  writeState(state: ContainerState): void {
    const path = `${this.path}/${STATE_FILE}`;
    const temporary = `${path}.new`;
    // Over one that was being written when its writer was killed, if there is one.
    Deno.writeTextFileSync(temporary, formatState(state), { mode: FILE_MODE });
    this.#keepState(path);
    Deno.renameSync(temporary, path);
  }

  /** Another file than the one that will be at the path, so that the two are not damaged together. */
  #keepState(path: string): void {
    const previous = `${this.path}/${PREVIOUS_STATE_FILE}`;
    removeIfThere(previous);
    try {
      Deno.linkSync(path, previous);
    } catch {
      // It is the first state; or the file system has no hard links, and the state is good without.
    }
  }

  /**
   * Removes the directory; the id is free again. The caller holds the lock. Removing what is gone
   * is not an error.
   */
  remove(): void {
    for (let attempt = 1;; attempt++) {
      try {
        return removeIfThere(this.path, { recursive: true });
      } catch (error) {
        // Another command that waited for the lock made its file anew; it will find nothing else here.
        if (!isCode(error, "ENOTEMPTY") || attempt === REMOVE_ATTEMPTS) throw error;
      }
    }
  }
}

/** A held lock; `using` releases it. */
export class Lock implements Disposable {
  #fd: number | undefined;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Releasing twice is not an error. */
  release(): void {
    if (this.#fd !== undefined) close(this.#fd);
    this.#fd = undefined;
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

function taken(id: string): AlreadyExistsError {
  return new AlreadyExistsError({
    operation: "create container",
    reason: `container with id ${id} already exists`,
    remedy: `urunc delete ${id} removes it`,
  });
}

/** The error about an id that no container has. */
export function notFound(id: string): NotFoundError {
  return new NotFoundError({
    operation: "find container",
    reason: `container "${id}" does not exist`,
    remedy: "urunc list shows what there is; docker's containers are under another --root",
  });
}

function isSameFile(fd: number, path: string): boolean {
  const opened = fstat(fd);
  try {
    const named = lstatPath(path);
    return opened.ino === named.ino && opened.dev.major === named.dev.major &&
      opened.dev.minor === named.dev.minor;
  } catch (error) {
    if (error instanceof LinuxError && error.code === "ENOENT") return false;
    throw error;
  }
}
