import type { CallFilter } from "./types.ts";

/** The linker puts it in (lib/build/filters.ts): programs in base64 by their keys. */
declare const URUNC_FILTERS: Readonly<Record<string, string>> | undefined;

/** What a filter that the operator has not changed is known by; undefined for any other. */
export function preparedKey(filter: CallFilter): string | undefined {
  const { tables, features, mode, allowed } = filter;
  return mode === "on" && allowed.length === 0 ? `${tables} ${features}` : undefined;
}

/**
 * The program of a filter that was assembled when the executable was built: to do it when a container is
 * made takes 5 ms, because all that code then runs for the first time.
 *
 * @returns undefined when there is none
 */
export function preparedProgram(filter: CallFilter): Uint8Array<ArrayBuffer> | undefined {
  const key = preparedKey(filter);
  if (key === undefined || typeof URUNC_FILTERS === "undefined") return undefined;
  const text = URUNC_FILTERS[key];
  return text === undefined ? undefined : Uint8Array.fromBase64(text);
}
