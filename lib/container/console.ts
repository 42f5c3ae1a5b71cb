import { close, LinuxError, O_CLOEXEC, O_NOFOLLOW, O_RDONLY, open, read } from "../../ffi/linux.ts";
import { UnsupportedError } from "../errors.ts";
import { CONSOLE_BYTES } from "../plan/agent.ts";
import { requireState } from "./require.ts";
import { CONSOLE_FILE, type ContainerDirectory } from "./store.ts";

/** The file's first bytes, lib/build/waiter/channel.h. */
const HEADER_BYTES = 8;
const ROOM = BigInt(CONSOLE_BYTES - HEADER_BYTES);

/**
 * The last of what the kernel of a guest with an agent has written to its console, at most 64 KiB; also
 * after the guest has ended. The guest chooses the bytes.
 *
 * @throws NotFoundError, WrongStateError; UnsupportedError when the console is the container's output
 */
export function readConsole(directory: ContainerDirectory): Uint8Array {
  const state = requireState(directory);
  const kept = state.stop?.agent ? readKept(directory) : undefined;
  if (kept === undefined) throw withoutConsole(directory.id);
  return kept;
}

/** What an agent without a channel writes: SERIAL_WORDS in lib/build/guest_init/protocol.h. */
const SERIAL_WORDS = /urunc-agent: serial line\r?\n$/;

/**
 * Whether a guest's agent is reached by the serial line: nothing is kept of the console from there on. It is
 * the guest's word.
 */
export function isOnSerialLine(directory: Pick<ContainerDirectory, "path">): boolean {
  const kept = readKept(directory);
  return kept !== undefined && endsInSerialLine(kept);
}

/** @param console its last bytes */
export function endsInSerialLine(console: Uint8Array): boolean {
  return SERIAL_WORDS.test(new TextDecoder().decode(console.subarray(-64)));
}

/** mm/oom_kill.c, __oom_kill_process(), also for a cgroup of the guest's. */
const OUT_OF_MEMORY = /^.*out of memory.*: Killed process \d/im;

/**
 * Whether the kernel of a guest with an agent says that it ran out of memory and killed a process. It is the
 * guest's word.
 */
export function ranOutOfMemory(directory: Pick<ContainerDirectory, "path">): boolean {
  const kept = readKept(directory);
  return kept !== undefined && saysOutOfMemory(kept);
}

/** @param console its last bytes */
export function saysOutOfMemory(console: Uint8Array): boolean {
  return OUT_OF_MEMORY.test(new TextDecoder().decode(console));
}

/** What is kept of the console; undefined: nothing is, an older urunc has created the container. */
function readKept({ path }: Pick<ContainerDirectory, "path">): Uint8Array | undefined {
  const [before, file, after] = readStable(`${path}/${CONSOLE_FILE}`);
  return file && lastBytes(before!, file, after!);
}

/** Whatever is written while it is read is between these two positions. */
function readStable(path: string): [before: bigint, file: Uint8Array, after: bigint] | [] {
  try {
    const first = readFrom(path);
    const second = readFrom(path);
    return [positionOf(first), first, positionOf(second)];
  } catch (error) {
    // An older urunc has created it.
    if (error instanceof LinuxError && error.code === "ENOENT") return [];
    throw error;
  }
}

/** Never more than its size: what writes it cannot change that. */
function readFrom(path: string): Uint8Array {
  const bytes = new Uint8Array(CONSOLE_BYTES);
  const fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  try {
    for (let have = 0; have < bytes.length;) {
      const count = read(fd, bytes.subarray(have));
      if (count === 0) break;
      have += count;
    }
  } finally {
    close(fd);
  }
  return bytes;
}

function positionOf(file: Uint8Array): bigint {
  return new DataView(file.buffer).getBigUint64(0, true);
}

/**
 * The bytes of the file in their order.
 *
 * @param before how many bytes there had been when the file began to be read
 * @param after the same when it had been read: so many may have been overwritten
 */
export function lastBytes(before: bigint, file: Uint8Array, after: bigint): Uint8Array {
  const kept = file.subarray(HEADER_BYTES);
  const oldest = after > ROOM ? after - ROOM : 0n;
  const count = before > oldest ? Number(before - oldest) : 0;
  const start = Number(oldest % ROOM);
  // What writes the file may have been taken over by the guest, and these be any numbers.
  if (count > kept.length) return new Uint8Array();
  return Uint8Array.from({ length: count }, (_, index) => kept[(start + index) % kept.length]!);
}

function withoutConsole(id: string): UnsupportedError {
  return new UnsupportedError({
    operation: "read the console of",
    subject: id,
    reason: "nothing is kept of it: its guest has no agent, and the console is its standard output",
    remedy: "what has started it has its output: docker logs, kubectl logs",
  });
}
