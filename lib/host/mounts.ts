import { HostError } from "../errors.ts";

/** One line of /proc/PID/mountinfo. */
export interface MountInfo {
  id: number;
  parentId: number;
  device: { major: number; minor: number };
  /** The directory of the mounted file system that is the root of this mount. */
  root: string;
  mountPoint: string;
  /** Per-mount options, such as `nosuid`. */
  options: string[];
  /** `shared:N`, `master:N`, `propagate_from:N`, `unbindable`, or what later kernels add. */
  optionalFields: string[];
  type: string;
  source: string;
  /** Per-superblock options, such as a cgroup hierarchy's controllers. */
  superOptions: string[];
}

/**
 * Parses /proc/PID/mountinfo.
 *
 * @throws HostError naming the line that is not of that form
 * @see proc_pid_mountinfo(5)
 */
export function parseMountInfo(text: string): MountInfo[] {
  return text.split("\n").filter((line) => line !== "").map(parseLine);
}

function parseLine(line: string): MountInfo {
  const fields = line.split(" ");
  // Optional fields end with a lone "-"; their number changes with the mount and the kernel.
  const separator = fields.indexOf("-", 6);
  const [id, parentId, device, root, mountPoint, options] = fields;
  const [type, source, superOptions] = separator < 0 ? [] : fields.slice(separator + 1);
  const numbers = /^(\d+):(\d+)$/.exec(device ?? "");
  if (
    numbers === null || root === undefined || mountPoint === undefined || options === undefined ||
    type === undefined || source === undefined || superOptions === undefined
  ) {
    throw new HostError({
      operation: "read the mount table",
      reason: `not a mountinfo line: ${JSON.stringify(line)}`,
    });
  }
  return {
    id: Number(id),
    parentId: Number(parentId),
    device: { major: Number(numbers[1]), minor: Number(numbers[2]) },
    root: unescapeOctal(root),
    mountPoint: unescapeOctal(mountPoint),
    options: options.split(","),
    optionalFields: fields.slice(6, separator),
    type: unescapeOctal(type),
    source: unescapeOctal(source),
    superOptions: superOptions.split(",").map(unescapeOctal),
  };
}

/** mangle() in fs/seq_file.c writes space, tab, newline, backslash (and `#`) as three octal digits. */
function unescapeOctal(text: string): string {
  return text.replace(
    /\\([0-3][0-7]{2})/g,
    (_, digits) => String.fromCharCode(parseInt(digits, 8)),
  );
}

/** The mount table that this process sees. */
export function readMounts(): MountInfo[] {
  return parseMountInfo(Deno.readTextFileSync("/proc/self/mountinfo"));
}

/**
 * The type of the file system that a file is in, as `overlay`.
 *
 * @returns undefined when no mount is of its device: btrfs has devices of its own for subvolumes
 */
export function fileSystemOf(path: string): string | undefined {
  const { dev } = Deno.statSync(path);
  return readMounts().find(({ device }) => deviceNumber(device) === dev)?.type;
}

/** dev_t of the kernel's system calls: new_encode_dev(), linux/kdev_t.h. */
function deviceNumber({ major, minor }: MountInfo["device"]): number {
  return (minor & 0xff) + major * 0x100 + (minor >>> 8) * 0x10_0000;
}
