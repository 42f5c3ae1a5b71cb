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
 * The ids of `ids.range` that containers have: for each container a symbolic link with the number as its name,
 * or the first and the last one, which leads to the container's directory. It is made in one step, so there is
 * none without its container.
 *
 * A container has its ids until `delete` has ended all of its processes, and gives them back before its
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
   * Gives ids to a container. They are given in turn, so that one that was given back rests as long as
   * possible: something of that user may have been overlooked.
   *
   * @param container its directory, which is locked
   * @param count how many, one after the other
   * @returns the first: uids and gids, which no other container has
   * @throws HostError when all are taken, when a user of this host has one of them, or when others can write
   *   to the ledger
   */
  async claim(range: IdRange, container: string, count = 1): Promise<number> {
    const subject = `ids.range "${range.first}-${range.last}"`;
    const owner = otherOwner(range);
    if (owner !== undefined) {
      const remedy = "choose a range that is nobody's, beside those of /etc/subuid and /etc/subgid";
      throw new HostError({ operation: OPERATION, subject, reason: `${owner} has some`, remedy });
    }
    using _lock = await this.#lock();
    const taken = this.#taken(container);
    const given = Number(readIfThere(this.#path(LOCK_FILE)));
    const first = nextOf(range, taken, { given, count });
    if (first === undefined) {
      const all = range.last - range.first + 1;
      const reason = count === 1
        ? `containers have all of its ${all}`
        : `containers have so many of its ${all} that no ${count} are left in a row`;
      throw new HostError({ operation: OPERATION, subject, reason, remedy: "choose a longer one" });
    }
    const last = first + count - 1;
    Deno.symlinkSync(container, this.#path(nameOf({ first, last })));
    Deno.writeTextFileSync(this.#path(LOCK_FILE), `${last}`);
    return first;
  }

  /**
   * Takes back what a container has, unless a process has it still: then `claim` does. An id that is
   * another's by now stays that one's.
   *
   * @param container its directory, which is locked and about to be removed
   * @param first of its ids; undefined when it is not known: its creator was killed before it wrote it down
   */
  async release(container: string, first?: number): Promise<void> {
    if (!isThere(this.#directory)) return;
    using _lock = await this.#lock();
    for (const ids of this.#given()) {
      const isMeant = first === undefined || ids.first === first;
      if (isMeant && this.#holder(ids) === container && !hasProcess(ids)) this.#remove(ids);
    }
  }

  #given(): IdRange[] {
    return [...Deno.readDirSync(this.#directory)].flatMap(({ name }) => {
      const [, first, last = first] = NAME.exec(name) ?? [];
      return first === undefined ? [] : [{ first: Number(first), last: Number(last) }];
    });
  }

  /** Those that are taken. Others are removed, among them what an earlier container of this name has left. */
  #taken(container: string): IdRange[] {
    const [taken, left] = [[] as IdRange[], [] as IdRange[]];
    for (const ids of this.#given()) {
      const holder = this.#holder(ids);
      const isHeld = holder !== undefined && holder !== container && isThere(holder);
      (isHeld ? taken : left).push(ids);
    }
    for (const ids of left) {
      // One that `release` left, or somebody removed a directory of a container that still runs.
      if (hasProcess(ids)) taken.push(ids);
      else this.#remove(ids);
    }
    return taken;
  }

  #remove(ids: IdRange): void {
    removeIfThere(this.#path(nameOf(ids)));
  }

  #holder(ids: IdRange): string | undefined {
    try {
      return Deno.readLinkSync(this.#path(nameOf(ids)));
    } catch (error) {
      if (isCode(error, "ENOENT")) return undefined;
      throw error;
    }
  }

  #path(name: string): string {
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

/** The ids of a container: one, or the first and the last. */
const NAME = /^(\d+)(?:-(\d+))?$/;

function nameOf({ first, last }: IdRange): string {
  return first === last ? `${first}` : `${first}-${last}`;
}

/** The first of so many that are free after the last one that was given, then from the beginning. */
function nextOf(
  { first, last }: IdRange,
  taken: readonly IdRange[],
  { given, count }: { given: number; count: number },
): number | undefined {
  const inOrder = taken.toSorted((one, other) => one.first - other.first);
  const freeFrom = (start: number) => {
    let from = start;
    for (const each of inOrder) {
      if (each.last >= from && each.first < from + count) from = each.last + 1;
    }
    return from + count - 1 <= last ? from : undefined;
  };
  const isIn = given >= first && given < last;
  return (isIn ? freeFrom(given + 1) : undefined) ?? freeFrom(first);
}
