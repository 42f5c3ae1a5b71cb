import { errorMessage, InvalidConfigurationError } from "../errors.ts";

/**
 * Changes of other programs' configuration. Only text is inserted, in one piece, so that comments and layout
 * stay, and what was inserted can be found and taken out again.
 */

/** The runtime type by which containerd finds the shim. */
const RUNTIME_TYPE = "io.containerd.urunc.v2";

const RUNTIME = `"urunc": { "runtimeType": "${RUNTIME_TYPE}" }`;

/** Names of containerd's plugin for Kubernetes, by the version of the configuration. */
const CRI_PLUGINS: Readonly<Record<number, string>> = {
  1: "cri",
  2: '"io.containerd.grpc.v1.cri"',
  3: '"io.containerd.cri.v1.runtime"',
};

/** A text with something inserted. */
export interface Edit {
  text: string;
  /** What was inserted; it is in `text` once. */
  inserted: string;
}

/**
 * docker's daemon.json with this runtime.
 *
 * @param text of the file; empty when there is none
 * @returns undefined when the runtime is there already
 * @throws InvalidConfigurationError when the file is not an object of JSON, or has another runtime of that name
 */
export function addDockerRuntime(path: string, text: string): Edit | undefined {
  if (text.trim() === "") return wholeFile(`{\n  "runtimes": {\n    ${RUNTIME}\n  }\n}\n`, text);
  const document = parseJson(path, text);
  const runtimes = document.runtimes ?? {};
  if (!isTable(runtimes)) throw refuse(path, '"runtimes" is not an object');
  if (Object.hasOwn(runtimes, "urunc")) {
    const { urunc } = runtimes;
    if (isTable(urunc) && (urunc.runtimeType === RUNTIME_TYPE || urunc.path !== undefined)) return;
    throw refuse(path, 'it has another runtime "urunc"');
  }
  const at = document.runtimes === undefined ? 0 : valueOf(text, "runtimes");
  const open = text.indexOf("{", at) + 1;
  const isEmpty = Object.keys(document.runtimes === undefined ? document : runtimes).length === 0;
  const comma = isEmpty ? "" : ",";
  return document.runtimes === undefined
    ? insert(text, open, `\n  "runtimes": { ${RUNTIME} }${comma}`)
    : insert(text, open, `\n    ${RUNTIME}${comma}`);
}

/**
 * containerd's config.toml with this runtime for pods, and with its default runtime, which containerd adds by
 * itself only where no other is configured. Tables are appended: a file that it imports would discard what
 * this one has of the plugin.
 *
 * @param text of the file; empty when there is none
 * @returns undefined when the runtime is there already
 * @throws InvalidConfigurationError when the file is not TOML, or cannot be added to
 */
export async function addContainerdRuntime(path: string, text: string): Promise<Edit | undefined> {
  const document = await parseToml(path, text);
  const isEmpty = Object.keys(document).length === 0;
  // Without a version it is 1.
  const version = isEmpty ? 2 : Number(document.version ?? 1);
  const plugin = CRI_PLUGINS[version];
  if (plugin === undefined) throw refuse(path, `version ${version} of it is not known`);
  const containerd = tableAt(document, "plugins", plugin.replaceAll('"', ""), "containerd");
  const runtimes = tableAt(containerd, "runtimes");
  if (Object.hasOwn(runtimes, "urunc")) {
    if (tableAt(runtimes, "urunc").runtime_type === RUNTIME_TYPE) return;
    throw refuse(path, "it has another runtime urunc");
  }
  const table = `plugins.${plugin}.containerd.runtimes`;
  const systemd = tableAt(runtimes, "runc", "options").SystemdCgroup === true;
  const lines = [
    "# urunc install: begin",
    ...isEmpty ? ["version = 2", ""] : [],
    ...Object.keys(runtimes).length > 0 ? [] : [
      `[${table}.runc]`,
      '  runtime_type = "io.containerd.runc.v2"',
    ],
    `[${table}.urunc]`,
    `  runtime_type = "${RUNTIME_TYPE}"`,
    '  container_annotations = ["com.urunc.unikernel.*"]',
    '  pod_annotations = ["com.urunc.unikernel.*"]',
    "  privileged_without_host_devices = true",
    ...systemd ? [`[${table}.urunc.options]`, "  SystemdCgroup = true"] : [],
    "# urunc install: end",
    "",
  ];
  const gap = text === "" ? "" : text.endsWith("\n") ? "\n" : "\n\n";
  // The version stands before all tables: an empty file may have comments, and no tables.
  const edit = insert(text, text.length, gap + lines.join("\n"));
  // A table that the file writes inline cannot be added to.
  const merged = await parseToml(path, edit.text).catch(() => undefined);
  const found = tableAt(merged, "plugins", plugin.replaceAll('"', ""), "containerd", "runtimes");
  if (tableAt(found, "urunc").runtime_type === RUNTIME_TYPE) return edit;
  throw refuse(path, "its tables are written inline, and cannot be added to");
}

/** A file of CRI-O's directory of drop-ins. */
export function crioDropIn(executable: string): Edit {
  return wholeFile(
    `# urunc install\n[crio.runtime.runtimes.urunc]\nruntime_path = "${executable}"\n` +
      'runtime_type = "oci"\nruntime_root = "/run/urunc"\n' +
      "privileged_without_host_devices = true\n",
    "",
  );
}

/** A file of podman's directory of drop-ins. */
export function podmanDropIn(executable: string): Edit {
  return wholeFile(`# urunc install\n[engine.runtimes]\nurunc = ["${executable}"]\n`, "");
}

/** @returns undefined when what was inserted is not there exactly once */
export function removeInserted(text: string, inserted: string): string | undefined {
  const at = text.indexOf(inserted);
  if (at < 0 || text.indexOf(inserted, at + 1) >= 0) return undefined;
  return text.slice(0, at) + text.slice(at + inserted.length);
}

function wholeFile(content: string, before: string): Edit {
  return { text: before + content, inserted: content };
}

function insert(text: string, at: number, inserted: string): Edit {
  return { text: text.slice(0, at) + inserted + text.slice(at), inserted };
}

/**
 * Where the value of a member of the outermost object begins.
 *
 * @param text valid JSON whose outermost object has the member
 */
function valueOf(text: string, key: string): number {
  let depth = 0;
  for (const { 0: token, index } of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\]]/g)) {
    if ("{[".includes(token)) depth++;
    else if ("}]".includes(token)) depth--;
    else if (depth === 1 && JSON.parse(token) === key) {
      const end = index + token.length;
      const colon = /^\s*:/.exec(text.slice(end));
      // A string that is followed by no colon is a value.
      if (colon !== null) return end + colon[0].length;
    }
  }
  return -1;
}

function parseJson(path: string, text: string): Record<string, unknown> {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw refuse(path, `not JSON: ${errorMessage(error)}`);
  }
  if (!isTable(document)) throw refuse(path, "not an object");
  return document;
}

async function parseToml(path: string, text: string): Promise<Record<string, unknown>> {
  const { parse } = await import("smol-toml");
  try {
    return parse(text);
  } catch (error) {
    throw refuse(path, `not TOML: ${errorMessage(error).split("\n")[0]}`);
  }
}

function refuse(path: string, reason: string): InvalidConfigurationError {
  return new InvalidConfigurationError({
    operation: "add the runtime to",
    subject: path,
    reason,
    remedy: "correct the file, or add the runtime by hand: docs/non-root.md shows how",
  });
}

function tableAt(value: unknown, ...keys: string[]): Record<string, unknown> {
  const found = keys.reduce<unknown>(
    (table, key) => isTable(table) && Object.hasOwn(table, key) ? table[key] : undefined,
    value,
  );
  return isTable(found) ? found : {};
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
