import { assembleFilter } from "./assemble.ts";
import { preparedProgram } from "./prepared.ts";
import type { CallFilter } from "./types.ts";

/**
 * The tables and the assembler are modules of their own: a filter that the operator has not changed
 * needs none of them, and init loads this one, with what it imports, for every container.
 *
 * @returns the filter's program: struct sock_filter, one after the other
 * @throws {TypeError} when there is no call of a name
 */
export function programOf(filter: CallFilter): Uint8Array<ArrayBuffer> {
  return preparedProgram(filter) ?? assembleFilter(filter);
}
