import { execve, resetSignalHandlers, setSignalMask } from "../../ffi/linux.ts";
import { restoreFileLimit } from "../os/programs.ts";
import { callersEnvironment } from "./environment.ts";

/**
 * Becomes another program, as if the caller had called that: same process, same files, same environment.
 *
 * @param path absolute
 * @param args after its name
 * @throws LinuxError
 */
export function execRuntime(path: string, args: string[]): never {
  const environment = callersEnvironment();
  restoreFileLimit();
  setSignalMask(0n);
  resetSignalHandlers();
  execve(path, [path, ...args], environment);
}
