import { arch } from "../arch/arch.ts";
import { HostError } from "../errors.ts";

/** The one Deno executable that the linker and the stub are written for and tested with. */
export const KNOWN_BASE = {
  version: "2.9.6",
  /** SHA-256 of `deno` in the npm package `arch.denoPackage` of that version. */
  sha256: "bceb5b6a6239b0b010418406d8c77a508f67cf4337d94288f1c19fe71304aab0",
} as const;

/**
 * Reads the executable that programs are linked into, and checks that it is the known one.
 * @param path by default the Deno that runs this
 * @param version of that Deno
 * @throws HostError when it is another version or build, or a linked program
 */
export async function readBase(
  path: string = Deno.execPath(),
  version: string = Deno.version.deno,
): Promise<Uint8Array<ArrayBuffer>> {
  const operation = "read Deno executable";
  const remedy = `run the task with npx --yes deno@${KNOWN_BASE.version} task compile`;
  if (version !== KNOWN_BASE.version) {
    throw new HostError({
      operation,
      subject: path,
      reason: `its version is ${version}, the linker knows ${KNOWN_BASE.version}`,
      remedy,
    });
  }
  const bytes = await Deno.readFile(path);
  const sha256 = await sha256Hex(bytes);
  if (sha256 !== KNOWN_BASE.sha256) {
    throw new HostError({
      operation,
      subject: path,
      reason:
        `its SHA-256 is ${sha256}, that of the npm package ${arch.denoPackage} is ${KNOWN_BASE.sha256}`,
      remedy,
    });
  }
  return bytes;
}

async function sha256Hex(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}
