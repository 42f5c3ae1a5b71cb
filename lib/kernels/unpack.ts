import { errorMessage, HostError } from "../errors.ts";
import { after } from "../os/timer.ts";

/** A form of compression, and the program of the host that undoes it. */
interface Compression {
  /** How such a file begins. */
  magic: readonly number[];
  program: string;
  /** Debian's. */
  package: string;
}

/** Of modules and of kernels: Linux's scripts/extract-vmlinux, and lz4's Frame Format, "Legacy frame". */
const COMPRESSIONS: readonly Compression[] = [
  { magic: [0x1f, 0x8b, 0x08], program: "gzip", package: "gzip" },
  { magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], program: "xz", package: "xz-utils" },
  { magic: [0x28, 0xb5, 0x2f, 0xfd], program: "zstd", package: "zstd" },
  { magic: [0x02, 0x21, 0x4c, 0x18], program: "lz4", package: "lz4" },
];

/** How many bytes of a file {@linkcode compressionOf} needs. */
export const MAGIC_BYTES = 6;

/** Where the programs are searched: not along the caller's PATH. */
const DIRECTORIES: readonly string[] = ["/usr/bin", "/bin"];

/** For the largest: a kernel of 100 MiB takes xz some seconds. */
const SECONDS = 120;

const OPERATION = "unpack";

/** What may differ in tests. */
export interface UnpackOptions {
  directories?: readonly string[];
  seconds?: number;
}

/**
 * @param head the file's first {@linkcode MAGIC_BYTES}
 * @returns undefined for one that is not compressed, or in a way that Linux does not use
 */
export function compressionOf(head: Uint8Array): Compression | undefined {
  return COMPRESSIONS.find(({ magic }) => magic.every((byte, index) => head[index] === byte));
}

/**
 * Unpacks a file by a program of the host, which gets no environment, and is killed when it takes too long
 * or writes too much.
 *
 * @param path absolute
 * @param maximumBytes of the content
 * @throws HostError when the program is missing, fails, or is killed
 */
export async function unpack(
  path: string,
  compression: Compression,
  maximumBytes: number,
  { directories = DIRECTORIES, seconds = SECONDS }: UnpackOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const program = findProgram(path, compression, directories);
  const child = new Deno.Command(program, {
    args: ["-d", "-c", "--", path],
    clearEnv: true,
    cwd: "/",
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let isLate = false;
  const timer = after(seconds * 1000, () => {
    isLate = true;
    kill(child);
  });
  try {
    const said = new Response(child.stderr).text();
    const content = await readUpTo(child.stdout, maximumBytes, () => kill(child));
    const { success } = await child.status;
    if (isLate) throw failed(path, `${program} took more than ${seconds} s`);
    if (content === undefined) throw failed(path, `it has more than ${maximumBytes} bytes`);
    if (!success) throw failed(path, `${program}: ${(await said).trim().split("\n")[0]}`);
    return content;
  } finally {
    timer.cancel();
  }
}

function findProgram(
  path: string,
  { program, package: debianPackage }: Compression,
  directories: readonly string[],
): string {
  const candidates = directories.map((directory) => `${directory}/${program}`);
  const found = candidates.find((candidate) => {
    try {
      return Deno.statSync(candidate).isFile;
    } catch {
      return false;
    }
  });
  if (found !== undefined) return found;
  throw new HostError({
    operation: OPERATION,
    subject: path,
    reason: `it is compressed by ${program}, and ${candidates.join(" or ")} does not exist`,
    remedy: `install it (Debian: apt-get install ${debianPackage})`,
  });
}

/** @returns undefined when there is more than that; `tooLong` has been called then */
async function readUpTo(
  stream: ReadableStream<Uint8Array>,
  most: number,
  tooLong: () => void,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of stream) {
    length += part.length;
    if (length > most) {
      tooLong();
      continue;
    }
    parts.push(part);
  }
  if (length > most) return undefined;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function kill(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch (error) {
    // It has exited.
    if (!(error instanceof TypeError)) throw failed("a file", errorMessage(error));
  }
}

function failed(subject: string, reason: string): HostError {
  return new HostError({ operation: OPERATION, subject, reason });
}
