import { InvalidConfigurationError, UnsupportedError } from "../errors.ts";
import { configJson } from "./config_json.ts";
import { checkUserNamespace } from "./id_mappings.ts";
import { checkRlimits } from "./rlimits.ts";
import type { NamespaceType, Spec, UnsupportedProperty } from "./types.ts";

/**
 * Checks what depends on several properties, and rejects by name what this version does not support.
 *
 * @param spec as `parseSpec` returned it
 * @throws InvalidConfigurationError when the specification forbids it
 * @throws UnsupportedError when the specification allows it and urunc does not do it
 */
export function validate(spec: Spec): void {
  for (const check of checks) check(spec);
}

type Check = (spec: Spec) => void;

const checks: Check[] = [
  checkVersion,
  checkNamespacesAreUnique,
  checkUserNamespace,
  checkNoTimeNamespace,
  checkHostname,
  checkRlimits,
  checkSysctls,
  checkUnsupported,
];

/** runtime-spec versions are semantic versions: every 1.x reads alike. */
function checkVersion({ ociVersion }: Spec): void {
  if (!/^1\.\d+\.\d+([-+].*)?$/.test(ociVersion)) {
    throw configJson("ociVersion").invalid(JSON.stringify(ociVersion), "1.x.y");
  }
}

/** config-linux.md, "Namespaces": a duplicate of a type must be an error. */
function checkNamespacesAreUnique({ linux }: Spec): void {
  const types = linux.namespaces.map(({ type }) => type);
  types.forEach((type, index) => {
    if (types.indexOf(type) !== index) {
      throw configJson(`linux.namespaces[${index}].type`).invalid(
        `${type} again`,
        "each type once",
      );
    }
  });
}

/** What no guest can be given is rejected, not dropped. */
function checkUnsupported({ unsupported }: Spec): void {
  rejectFirst(
    unsupported.refused.filter(({ givenByAgent }) => !givenByAgent),
  );
}

/**
 * Checks what depends on the guest.
 *
 * @throws UnsupportedError when the container asks for what only an agent in its guest could do
 */
export function requireNoAgent({ unsupported }: Pick<Spec, "unsupported">): void {
  rejectFirst(unsupported.refused);
}

function rejectFirst([first]: UnsupportedProperty[]): void {
  if (first === undefined) return;
  throw new UnsupportedError({
    operation: "check config.json",
    subject: first.property,
    reason: first.reason,
    remedy: first.remedy,
  });
}

/** A guest has clocks of its own, so the monitor's would change nothing. */
function checkNoTimeNamespace({ linux }: Spec): void {
  const index = linux.namespaces.findIndex(({ type }) => type === "time");
  if (index < 0) return;
  throw new UnsupportedError({
    operation: "read config.json",
    subject: `linux.namespaces[${index}]`,
    reason: "time namespaces are not supported",
    remedy: "leave it out: a guest has its own clocks",
  });
}

/** Without a UTS namespace of its own the container would rename the host. */
function checkHostname({ hostname, domainname, linux }: Spec): void {
  for (const [key, name] of Object.entries({ hostname, domainname })) {
    if (name === undefined) continue;
    // __NEW_UTS_LEN in linux/utsname.h.
    if (new TextEncoder().encode(name).length > 64) {
      throw configJson(key).invalid("a longer name", "at most 64 bytes");
    }
    if (!has({ linux }, "uts")) {
      throw new InvalidConfigurationError({
        operation: "read config.json",
        subject: key,
        reason: "a name is given, but linux.namespaces has no uts",
        remedy: `add {"type": "uts"} or leave ${key} out`,
      });
    }
  }
}

/**
 * Which sysctls belong to a namespace; any other would change the host.
 *
 * @see https://docs.kernel.org/admin-guide/sysctl/ and namespaces(7), ipc_namespaces(7)
 */
const namespacedSysctls: { pattern: RegExp; namespace: NamespaceType }[] = [
  { pattern: /^net\./, namespace: "network" },
  { pattern: /^fs\.mqueue\./, namespace: "ipc" },
  {
    pattern: /^kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced)$/,
    namespace: "ipc",
  },
  { pattern: /^kernel\.domainname$/, namespace: "uts" },
];

function checkSysctls(spec: Spec): void {
  for (const key of Object.keys(spec.linux.sysctl)) {
    const at = configJson("linux.sysctl").child(key);
    // sysctl(8) writes names with either separator; the first one seen is the separator.
    const name = key[key.search(/[./]/)] === "/" ? swapSeparators(key) : key;
    if (!/^[A-Za-z0-9_-]+([./][A-Za-z0-9_-]+)+$/.test(name)) {
      throw at.invalid("that name", "a name as net.ipv4.ip_forward");
    }
    const namespace = namespacedSysctls.find(({ pattern }) => pattern.test(name))?.namespace;
    if (namespace === undefined) {
      throw at.invalid(
        "a setting of the whole host",
        "settings of the container's namespaces",
      );
    }
    if (!has(spec, namespace)) {
      throw at.invalid(
        `no ${namespace} namespace`,
        `only with ${namespace} in linux.namespaces`,
      );
    }
  }
}

function swapSeparators(key: string): string {
  return key.replace(/[./]/g, (separator) => separator === "/" ? "." : "/");
}

function has({ linux }: Pick<Spec, "linux">, type: NamespaceType): boolean {
  return linux.namespaces.some((namespace) => namespace.type === type);
}
