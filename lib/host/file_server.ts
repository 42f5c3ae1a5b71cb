import { capget, getrlimit, RLIMIT_NOFILE } from "../../ffi/linux.ts";
import { capabilityNumber } from "../config/capabilities.ts";
import { HostError } from "../errors.ts";
import { findLibraries } from "./libraries.ts";

/** Of Debian and Fedora; of Ubuntu's QEMU; of Arch. No shell has it in its PATH. */
const PLACES = ["/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd", "/usr/lib/virtiofsd"];

/**
 * Finds virtiofsd, which serves files of the host to guests.
 *
 * @param places in order; others only in tests
 * @returns absolute paths, symlinks resolved: of the program, and of what it is loaded with
 * @throws HostError when it is not installed
 */
export function findFileServer(
  places: readonly string[] = PLACES,
): { binary: string; libraries: string[] } {
  const found = places.find(isFile);
  if (found !== undefined) {
    const binary = Deno.realPathSync(found);
    return { binary, libraries: findLibraries(binary) };
  }
  throw new HostError({
    operation: "find the file server",
    subject: "virtiofsd",
    reason: `none of ${places.join(", ")} is there, which serves guests the files of the host`,
    remedy: "install it (Debian: apt-get install virtiofsd)",
  });
}

/**
 * A descriptor for each file that the guest knows. What fs.nr_open is on every kernel that was not set
 * otherwise (fs/file_table.c, sysctl_nr_open): a limit above it cannot be set.
 */
const OPEN_FILES = 1024 * 1024;

/** How many files a process of this one may have open, of as many as a file server is given. */
export function mostOpenFiles(): number {
  const mayRaise =
    (capget().effective >> BigInt(capabilityNumber("CAP_SYS_RESOURCE")!) & 1n) === 1n;
  const { hard } = getrlimit(RLIMIT_NOFILE);
  if (mayRaise || hard > OPEN_FILES) return OPEN_FILES;
  return Number(hard);
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
