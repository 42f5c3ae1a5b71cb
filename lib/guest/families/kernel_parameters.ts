import { arch } from "../../arch/arch.ts";

let parameters: Set<string> | undefined;

/**
 * Whether the kernel would use `name=value` itself, or drop it.
 *
 * @param name a variable's name
 */
export function isKernelParameter(name: string): boolean {
  parameters ??= new Set(arch.linux.parameterNames().trim().split(/\s+/));
  return parameters.has(name.replaceAll("-", "_"));
}
