import { validateInterfaceName } from "./names.ts";

/**
 * @param name of an interface in the calling thread's network namespace
 * @returns whether IPv4 packets that come in by it and are for another address are forwarded
 */
export function isForwarding(name: string): boolean {
  return Deno.readTextFileSync(file(name)).trim() === "1";
}

/**
 * @param name of an interface in the calling thread's network namespace
 * @param on as for `isForwarding`
 */
export function setForwarding(name: string, on: boolean): void {
  Deno.writeTextFileSync(file(name), on ? "1" : "0");
}

/** The files below /proc/sys/net are those of the namespace of the thread that looks. */
function file(name: string): string {
  return `/proc/sys/net/ipv4/conf/${validateInterfaceName(name)}/forwarding`;
}
