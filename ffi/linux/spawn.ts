/**
 * Starting a program as a child: posix_spawn(3), because `Deno.Command` passes no descriptors above 2.
 * @module
 */
import { errnos } from "../constants/errno.ts";
import { RLIMIT_NOFILE } from "../constants/resource.ts";
import {
  POSIX_SPAWN_SETSID,
  POSIX_SPAWN_SETSIGDEF,
  POSIX_SPAWN_SETSIGMASK,
} from "../constants/spawn.ts";
import { LinuxError } from "../errors.ts";
import { allocate, cString, cStringVector } from "../memory.ts";
import { allocateStruct, POSIX_SPAWN_FILE_ACTIONS, POSIX_SPAWNATTR, SIGSET } from "../structs.ts";
import * as symbols from "../symbols/spawn.ts";
import { getrlimit, setrlimit } from "./credentials.ts";
import { keepEndedChildren } from "./signals.ts";

export interface SpawnOptions {
  /** Of the program; no PATH is searched. */
  path: string;
  argv: string[];
  /** `NAME=value`. */
  env: string[];
  /** The child's descriptor `to` is our `from`. 0 to 2 are inherited by default, all others closed. */
  fds: { from: number; to: number }[];
  /** Whether the child starts a session. */
  setsid?: boolean;
  cwd?: string;
  /** The child's soft RLIMIT_NOFILE, no higher than the hard one; by default the caller's. */
  fileLimit?: bigint;
}

/**
 * Starts a child of the calling thread: in its namespaces, and as PID 1 after its
 * `unshare(CLONE_NEWPID)`. No signal is blocked or ignored in the child.
 *
 * @returns its pid
 * @throws {LinuxError} the error of posix_spawn, which includes failures of the child up to its exec
 * @see posix_spawn(3)
 */
export function spawn(options: SpawnOptions): number {
  const [path, argv, env] = [
    cString(options.path, "posix_spawn"),
    cStringVector(options.argv, "posix_spawn"),
    cStringVector(options.env, "posix_spawn"),
  ];
  const subject = options.path;
  refuseTwice(options, subject);
  keepEndedChildren();
  const attributes = allocateStruct(POSIX_SPAWNATTR).bytes;
  succeed(subject, symbols.posix_spawnattr_init(attributes));
  try {
    const actions = allocateStruct(POSIX_SPAWN_FILE_ACTIONS).bytes;
    succeed(subject, symbols.posix_spawn_file_actions_init(actions));
    try {
      setAttributes(attributes, options, subject);
      addActions(actions, options, subject);
      const pid = allocate(4);
      withFileLimit(
        options.fileLimit,
        () => succeed(subject, symbols.posix_spawn(pid, path, actions, attributes, argv, env)),
      );
      return new DataView(pid.buffer).getInt32(0, true);
    } finally {
      symbols.posix_spawn_file_actions_destroy(actions);
    }
  } finally {
    symbols.posix_spawnattr_destroy(attributes);
  }
}

function setAttributes(
  attributes: Uint8Array<ArrayBuffer>,
  options: SpawnOptions,
  subject: string,
): void {
  const none = allocateStruct(SIGSET).bytes;
  // Not by sigfillset(3): it leaves out 32 and 33, which would then stay ignored.
  const all = allocateStruct(SIGSET).bytes.fill(0xff);
  succeed(subject, symbols.posix_spawnattr_setsigmask(attributes, none));
  succeed(subject, symbols.posix_spawnattr_setsigdefault(attributes, all));
  const session = options.setsid ? POSIX_SPAWN_SETSID : 0;
  const flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | session;
  succeed(subject, symbols.posix_spawnattr_setflags(attributes, flags));
}

/**
 * The child inherits the limit of this process, so it is lowered for the duration of the call. Not
 * earlier: the preparations fail for descriptors above the limit.
 */
function withFileLimit(soft: bigint | undefined, action: () => void): void {
  if (soft === undefined) return action();
  const own = getrlimit(RLIMIT_NOFILE);
  setrlimit(RLIMIT_NOFILE, { ...own, soft });
  try {
    action();
  } finally {
    setrlimit(RLIMIT_NOFILE, own);
  }
}

/** What the child does before its exec, in this order. */
function addActions(
  actions: Uint8Array<ArrayBuffer>,
  { fds, cwd }: SpawnOptions,
  subject: string,
): void {
  const copy = (from: number, to: number) =>
    succeed(subject, symbols.posix_spawn_file_actions_adddup2(actions, from, to));

  if (cwd !== undefined) {
    const directory = cString(cwd, "posix_spawn");
    succeed(subject, symbols.posix_spawn_file_actions_addchdir_np(actions, directory));
  }
  // First to other numbers, or 3 → 4 would overwrite the source of 4 → 3. It also clears
  // close-on-exec where both numbers are the same.
  const free = freeNumbers(fds);
  fds.forEach(({ from }, index) => copy(from, free[index]!));
  fds.forEach(({ to }, index) => copy(free[index]!, to));

  const wanted = new Set(fds.map(({ to }) => to));
  const highest = Math.max(2, ...wanted);
  for (let fd = 3; fd < highest; fd++) {
    // Closing a descriptor that is not open is not an error here.
    if (!wanted.has(fd)) {
      succeed(subject, symbols.posix_spawn_file_actions_addclose(actions, fd));
    }
  }
  succeed(subject, symbols.posix_spawn_file_actions_addclosefrom_np(actions, highest + 1));
}

/** Low numbers: the child cannot copy to one above RLIMIT_NOFILE, though it can copy from one. */
function freeNumbers(fds: SpawnOptions["fds"]): number[] {
  const taken = new Set(fds.flatMap(({ from, to }) => [from, to]));
  const free: number[] = [];
  for (let fd = 3; free.length < fds.length; fd++) if (!taken.has(fd)) free.push(fd);
  return free;
}

function refuseTwice({ fds }: SpawnOptions, subject: string): void {
  const seen = new Set<number>();
  for (const { to } of fds) {
    if (seen.has(to)) {
      throw new LinuxError("posix_spawn", subject, errnos.EINVAL as number, `fd ${to} named twice`);
    }
    seen.add(to);
  }
}

/** These functions return the errno. */
function succeed(subject: string, errno: number): void {
  if (errno !== 0) throw new LinuxError("posix_spawn", subject, errno);
}
