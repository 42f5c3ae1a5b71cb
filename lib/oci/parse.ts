import {
  absolutePath,
  boolean,
  environmentEntry,
  Fields,
  id,
  integer,
  nonEmptyText,
  type Place,
  text,
} from "../decode/decode.ts";
import { configJson } from "./config_json.ts";
import { readIdMapping, readLinux } from "./parse_linux.ts";
import { findUnsupported } from "./unsupported.ts";
import { checkRlimits, readRlimit, withExactRlimits } from "./rlimits.ts";
import type { CapabilitySet, Hook, Hooks, Mount, Process, Root, Spec, User } from "./types.ts";

/**
 * Largest config.json that is read, in bytes. Arguments and environment together may hold 2 MiB
 * (execve(2), a quarter of the usual 8 MiB stack limit), so no container that could run needs more;
 * and parsing the worst document of this size stays below 200 MB and one second.
 */
export const maximumSpecBytes = 2 * 1024 * 1024;

/**
 * Reads the bytes of a config.json.
 *
 * @param bytes the file; a caller need not read more than {@linkcode maximumSpecBytes} + 1 of it
 * @returns typed data, absent sections filled with their defaults; not yet
 * {@link file://./validate.ts validated}
 * @throws InvalidConfigurationError when it is too large, no UTF-8, or {@linkcode parseSpec} refuses it
 */
export function decodeSpec(bytes: Uint8Array): Spec {
  checkSize(bytes.byteLength);
  let document: string;
  try {
    // A byte order mark is kept, and then refused: JSON has none (RFC 8259, section 8.1).
    document = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw configJson().invalid("bytes that are not UTF-8", "JSON in UTF-8");
  }
  return parseSpec(document);
}

/**
 * Reads the text of a config.json: types, ranges and forms of every property that urunc uses.
 * What depends on several properties, or is merely not supported, is for `validate`.
 *
 * @param document the whole text
 * @returns typed data, absent sections filled with their defaults
 * @throws InvalidConfigurationError naming the JSON path, what was found, what is allowed
 * @see https://github.com/opencontainers/runtime-spec/blob/v1.2.0/config.md
 */
export function parseSpec(document: string): Spec {
  checkSize(document.length);
  const json = parseJson(document);
  const spec = readSpec(new Fields(withExactRlimits(document, json), configJson()));
  return { ...spec, unsupported: findUnsupported(spec, json) };
}

/**
 * Reads the text of a `process` of config.json alone, as `exec` is given one: as {@linkcode parseSpec}
 * reads it there, and with what depends on several of its properties.
 *
 * @param document the whole text
 * @throws InvalidConfigurationError as `parseSpec`; also when there is no program
 */
export function parseProcess(document: string): Process {
  checkSize(document.length);
  parseJson(document);
  const text = `{"process":${document}}`;
  const json = withExactRlimits(text, parseJson(text));
  const process = new Fields(json, configJson()).required("process", readProcess);
  checkRlimits({ process });
  if (process.args.length > 0) return process;
  throw configJson("process.args").invalid("an empty list", "a program and its arguments");
}

function readSpec(spec: Fields): Spec {
  return {
    ociVersion: spec.required("ociVersion", nonEmptyText),
    hostname: spec.optionalText("hostname"),
    domainname: spec.optionalText("domainname"),
    root: spec.required("root", readRoot),
    process: spec.required("process", readProcess),
    mounts: spec.list("mounts", readMount),
    hooks: readHooks(spec.section("hooks")),
    annotations: spec.textRecord("annotations"),
    linux: readLinux(spec.section("linux")),
    unsupported: { refused: [], warned: [] },
  };
}

function checkSize(bytes: number): void {
  if (bytes <= maximumSpecBytes) return;
  throw configJson().invalid(`more than ${maximumSpecBytes} bytes`, "at most that");
}

function parseJson(document: string): unknown {
  try {
    return JSON.parse(document);
  } catch (cause) {
    throw configJson().error(`not JSON: ${(cause as Error).message}`);
  }
}

function readRoot(value: unknown, at: Place): Root {
  const root = new Fields(value, at);
  return {
    path: root.required("path", nonEmptyText),
    readonly: root.optional("readonly", boolean) ?? false,
  };
}

function readProcess(value: unknown, at: Place): Process {
  const fields = new Fields(value, at);
  return {
    terminal: fields.optional("terminal", boolean) ?? false,
    consoleSize: fields.optional("consoleSize", readConsoleSize),
    user: readUser(fields.section("user")),
    args: fields.list("args", text),
    env: fields.list("env", environmentEntry),
    cwd: fields.required("cwd", absolutePath),
    capabilities: fields.optional("capabilities", readCapabilities),
    rlimits: fields.list("rlimits", readRlimit),
    noNewPrivileges: fields.optional("noNewPrivileges", boolean) ?? false,
    apparmorProfile: fields.optionalText("apparmorProfile"),
    selinuxLabel: fields.optionalText("selinuxLabel"),
    // proc_pid_oom_score_adj(5)
    oomScoreAdj: fields.optional("oomScoreAdj", integer(-1000, 1000)),
  };
}

function readUser(user: Fields): User {
  return {
    uid: user.optional("uid", id) ?? 0,
    gid: user.optional("gid", id) ?? 0,
    umask: user.optional("umask", integer(0, 0o777)),
    additionalGids: user.list("additionalGids", id),
  };
}

function readConsoleSize(value: unknown, at: Place): { height: number; width: number } {
  const size = new Fields(value, at);
  // struct winsize holds unsigned shorts (ioctl_tty(2)).
  const characters = integer(0, 0xffff);
  return {
    height: size.required("height", characters),
    width: size.required("width", characters),
  };
}

const capabilitySets: CapabilitySet[] = [
  "bounding",
  "effective",
  "inheritable",
  "permitted",
  "ambient",
];

function readCapabilities(value: unknown, at: Place): Process["capabilities"] {
  const capabilities = new Fields(value, at);
  return Object.fromEntries(
    capabilitySets.map((set) => [set, capabilities.list(set, nonEmptyText)]),
  );
}

function readMount(value: unknown, at: Place): Mount {
  const mount = new Fields(value, at);
  const maps = {
    uids: mount.list("uidMappings", readIdMapping),
    gids: mount.list("gidMappings", readIdMapping),
  };
  return {
    destination: mount.required("destination", nonEmptyText),
    type: mount.optionalText("type"),
    source: mount.optionalText("source"),
    options: mount.list("options", text),
    ...(maps.uids.length + maps.gids.length === 0 ? {} : { maps }),
  };
}

function readHooks(hooks: Fields): Hooks {
  return {
    prestart: hooks.list("prestart", readHook),
    createRuntime: hooks.list("createRuntime", readHook),
    createContainer: hooks.list("createContainer", readHook),
    startContainer: hooks.list("startContainer", readHook),
    poststart: hooks.list("poststart", readHook),
    poststop: hooks.list("poststop", readHook),
  };
}

function readHook(value: unknown, at: Place): Hook {
  const hook = new Fields(value, at);
  return {
    path: hook.required("path", absolutePath),
    args: hook.list("args", text),
    env: hook.list("env", environmentEntry),
    timeout: hook.optional("timeout", integer(1, 2 ** 31 - 1)),
  };
}
