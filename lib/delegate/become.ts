import {
  execve,
  getrlimit,
  resetSignalHandlers,
  RLIMIT_NOFILE,
  setrlimit,
  setSignalMask,
} from "../../ffi/linux.ts";
import { callersEnvironment } from "./environment.ts";

/**
 * Becomes another program, as if the caller had called that: same process, same files, same environment.
 *
 * @param path absolute
 * @param args after its name
 * @throws LinuxError
 */
export function become(path: string, args: string[]): never {
  const environment = callersEnvironment();
  restoreFileLimit();
  setSignalMask(0n);
  resetSignalHandlers();
  execve(path, [path, ...args], environment);
}

/** Deno has raised the soft limit to the hard one; the caller, who had the same before, still has it. */
function restoreFileLimit(): void {
  const { soft, hard } = getrlimit(RLIMIT_NOFILE);
  let limits: string;
  try {
    limits = Deno.readTextFileSync(`/proc/${Deno.ppid}/limits`);
  } catch {
    // The caller has ended: nobody can tell.
    return;
  }
  const told = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  if (told !== undefined && BigInt(told) < soft) {
    setrlimit(RLIMIT_NOFILE, { soft: BigInt(told), hard });
  }
}
