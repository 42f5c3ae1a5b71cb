import {
  close,
  flock,
  flockAsync,
  LOCK_EX,
  LOCK_NB,
  O_CLOEXEC,
  O_CREAT,
  O_NOFOLLOW,
  O_RDWR,
  open,
} from "../../ffi/linux.ts";
import type { IdRange } from "../config/id_range.ts";
import { HostError } from "../errors.ts";
import { hasProcess, otherOwner } from "../host/id_owners.ts";
import { isThere, readIfThere, removeIfThere, requireOwnDirectory } from "../os/files.ts";
import { isCode } from "../os/os_error.ts";
import { timed } from "../watch.ts";
import { Lock } from "./store.ts";

/**
 * Where it is kept which container has which id. No container has such an id of its own, and `--root` names
 * no other place: a uid is the same one for all containers of the host. It is gone with what it is about
 * when the machine is started again.
 */
const LEDGER = "/run/urunc/~ids";

/** Only the runtime's user has business in it. */
const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;

/** Keeps others waiting, and has the id that was given last. */
const LOCK_FILE = "lock";

const OPERATION = "allocate a host id";

/**
 * The ids of `ids.range` that containers have: for each a symbolic link with the number as its name, which
 * leads to the container's directory. It is made in one step, so there is none without its container.
 *
 * A container has its id until `delete` has ended all of its processes, and gives it back before its
 * directory goes. An id whose container's directory is gone is free when no process has it any more: one that
 * `delete` does not find, as a relay of exec in its caller's cgroup, may end later.
 */
export class HostIds {
  readonly #directory: string;

  /** @param directory another in tests */
  constructor(directory: string = LEDGER) {
    this.#directory = directory;
  }

  /**
   * Gives an id to a container. Ids are given in turn, so that one that was given back rests as long as
   * possible: something of that user may have been overlooked.
   *
   * @param container its directory, which is locked
   * @returns uid and gid, which no other container has
   * @throws HostError when all are taken, when a user of this host has one of them, or when others can write
   *   to the ledger
   */
  async claim(range: IdRange, container: string): Promise<number> {
    const subject = `ids.range "${range.first}-${range.last}"`;
    const owner = otherOwner(range);
    if (owner !== undefined) {
      const remedy = "choose a range that is nobody's, beside those of /etc/subuid and /etc/subgid";
      throw new HostError({ operation: OPERATION, subject, reason: `${owner} has some`, remedy });
    }
    using _lock = await this.#lock();
    const taken = this.#taken(container);
    const id = nextOf(range, taken, Number(readIfThere(this.#path(LOCK_FILE))));
    if (id === undefined) {
      const reason = `containers have all of its ${range.last - range.first + 1}`;
      throw new HostError({ operation: OPERATION, subject, reason, remedy: "choose a longer one" });
    }
    Deno.symlinkSync(container, this.#path(id));
    Deno.writeTextFileSync(this.#path(LOCK_FILE), `${id}`);
    return id;
  }

  /**
   * Takes back what a container has, unless a process has it still: then `claim` does. An id that is
   * another's by now stays that one's.
   *
   * @param container its directory, which is locked and about to be removed
   * @param id undefined when it is not known: its creator was killed before it wrote it down
   */
  async release(container: string, id?: number): Promise<void> {
    if (!isThere(this.#directory)) return;
    using _lock = await this.#lock();
    for (const each of id === undefined ? this.#given() : [id]) {
      if (this.#holder(each) === container && !hasProcess(each)) removeIfThere(this.#path(each));
    }
  }

  #given(): number[] {
    return [...Deno.readDirSync(this.#directory)].map(({ name }) => Number(name))
      .filter(Number.isInteger);
  }

  /** Those that are taken. Others are removed, among them what an earlier container of this name has left. */
  #taken(container: string): Set<number> {
    const [taken, left] = [new Set<number>(), [] as number[]];
    for (const id of this.#given()) {
      const holder = this.#holder(id);
      const isHeld = holder !== undefined && holder !== container && isThere(holder);
      if (isHeld) taken.add(id);
      else left.push(id);
    }
    for (const id of left) {
      // One that `release` left, or somebody removed a directory of a container that still runs.
      if (hasProcess(id)) taken.add(id);
      else removeIfThere(this.#path(id));
    }
    return taken;
  }

  #holder(id: number): string | undefined {
    try {
      return Deno.readLinkSync(this.#path(id));
    } catch (error) {
      if (isCode(error, "ENOENT")) return undefined;
      throw error;
    }
  }

  #path(name: string | number): string {
    return `${this.#directory}/${name}`;
  }

  async #lock(): Promise<Lock> {
    Deno.mkdirSync(this.#directory, { recursive: true, mode: DIRECTORY_MODE });
    requireOwnDirectory(this.#directory, { operation: OPERATION });
    const path = this.#path(LOCK_FILE);
    const fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
    try {
      // Hardly ever does another have it, and a thread of its own to wait in takes a millisecond.
      if (!isFree(fd)) await timed(`lock ${path}`, () => flockAsync(fd, LOCK_EX));
    } catch (error) {
      close(fd);
      throw error;
    }
    return new Lock(fd);
  }
}

/** Takes the lock, if nobody has it. */
function isFree(fd: number): boolean {
  try {
    flock(fd, LOCK_EX | LOCK_NB);
    return true;
  } catch (error) {
    if (isCode(error, "EAGAIN")) return false;
    throw error;
  }
}

/** The first that is free after the last one that was given, then from the beginning; undefined without one. */
function nextOf({ first, last }: IdRange, taken: Set<number>, given: number): number | undefined {
  const isIn = given >= first && given < last;
  const free = (from: number, to: number) => {
    for (let id = from; id <= to; id++) if (!taken.has(id)) return id;
    return undefined;
  };
  const from = isIn ? given + 1 : first;
  return free(from, last) ?? free(first, from - 1);
}
