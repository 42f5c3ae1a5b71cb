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

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
