import { InvalidConfigurationError, UnsupportedError } from "../errors.ts";
import { suggestion } from "../os/suggestion.ts";
import { kernelNameForm } from "./kernel/name.ts";
import { type Key, keyPrefix, keys, projectPrefix } from "./keys.ts";
import { describedInstead, ownAnnotations } from "./pod.ts";
import { guestTypes } from "./families/registry.ts";
import type { UnikernelConfig, UnikernelType } from "./types.ts";
import {
  decodeValue,
  deviceName,
  freeText,
  type Grammar,
  guestPath,
  imagePath,
  shorten,
  type Source,
  word,
} from "./value.ts";

/** Maximum size of `/urunc.json`, in bytes: it contains some paths and one command line. */
export const maximumUruncJsonBytes = 64 * 1024;

/** The sources of a guest's description. */
export interface UnikernelSources {
  /** The annotations of config.json. */
  annotations: Record<string, string>;
  /** The text of `/urunc.json` in the image, if there is one. */
  uruncJson?: string;
  monitors: MonitorSupport;
  /** Name of the node's kernel for images that bring none and name none. */
  defaultKernel?: string;
  /** Throws for a key that may not be set. */
  requireAllowed?(key: Key): void;
}

/** The monitors and what they boot. */
export interface MonitorSupport {
  /** Their names, for the `hypervisor` key. */
  names: readonly string[];
  /** The one for images that bring no kernel and name no monitor. */
  usual: string;
  /** The guest families that a monitor boots. */
  guestsOf(name: string): readonly UnikernelType[];
}

const operation = "read the unikernel's description";

/** The syntax of each key's value. */
type Grammars = Record<Key, Grammar>;

const grammarsOf = ({ names }: MonitorSupport): Grammars => ({
  unikernelType: word(guestTypes()),
  unikernelVersion: { ...word([]), allowed: "a version, at most 64 of A-Z a-z 0-9 . _ -" },
  binary: imagePath,
  kernel: { ...kernelNameForm, isPlain: () => false },
  cmdline: freeText,
  hypervisor: word(names),
  initrd: imagePath,
  accelerator: word(["kvm", "tcg"]),
  environment: word(["cmdline", "initrd"]),
  kernelParameters: freeText,
  stop: word(["auto", "button"]),
  agent: word(["on", "none"]),
  block: imagePath,
  blkMntPoint: guestPath,
  useDMBlock: word(["true", "false"]),
  mountRootfs: word(["true", "false"]),
  solo5NetDev: deviceName,
  solo5BlkDev: deviceName,
});

/**
 * Whether a container is a guest. It is when an annotation begins with `com.urunc.`, so that a misspelt
 * key is an error and does not make an ordinary container; or when the image has a `/urunc.json`. Annotations
 * that name another container of its pod do not count.
 */
export function isUnikernel(annotations: Record<string, string>, uruncJson?: string): boolean {
  if (uruncJson !== undefined) return true;
  if (describedInstead(annotations) !== undefined) return false;
  return Object.entries(annotations).some(([key, value]) =>
    key.startsWith(projectPrefix) && value !== ""
  );
}

/**
 * Parses the description of an image's guest: annotations override `/urunc.json`, key by key. An empty
 * value counts as absent, because older tools write one for every key that they do not use. How a value
 * may be encoded: {@linkcode decodeValue}.
 *
 * Keys, after `com.urunc.unikernel.`:
 *
 * - `unikernelType`, `hypervisor` (one that boots such guests) and `binary` are required; not so of a Linux
 *   guest with a kernel of the node, which `kernel` names, or the operator;
 * - `unikernelVersion`, `initrd` and `cmdline` are optional;
 * - `accelerator` is `kvm` (the default) or `tcg`, which must be asked for, because silent emulation
 *   would hide a broken node;
 * - `environment` is `cmdline` or `initrd`: how a guest gets arguments and environment
 *   (`families/linux.ts`);
 * - `kernelParameters` are additional parameters of a Linux kernel;
 * - `stop` is `auto` (the default) or `button`: then the power button asks the guest to stop, and it has no
 *   agent unless that is asked for;
 * - `agent` is `none`, or `on`: then urunc's agent stays process 1 of a Linux guest, and runs the program
 *   as a container's process (`lib/build/guest_init/README.md`); without the key it does where it can, and
 *   the program is not an init of its own;
 * - `solo5NetDev` and `solo5BlkDev` are the names of the devices in a Solo5 guest's manifest;
 * - `block` is a disk image in the image; `useDMBlock`, or `mountRootfs`, its newer name, makes the
 *   image's own root a disk; `blkMntPoint` is where the guest mounts either. With a kernel of the node and
 *   neither of these, nor an initial RAM disk, the root is a disk where it is on one, and shared otherwise.
 *
 * A pod's annotations may name the container that they describe (`pod.ts`).
 *
 * @throws InvalidConfigurationError naming the key, for a value that is malformed or missing
 * @throws UnsupportedError naming the key, for a value that this version cannot honour
 */
export function parseUnikernel(
  { annotations, uruncJson, monitors, defaultKernel, requireAllowed }: UnikernelSources,
): UnikernelConfig {
  const grammars = grammarsOf(monitors);
  const given = {
    ...decodeAll(uruncJson === undefined ? {} : parseUruncJson(uruncJson), "file", grammars),
    ...decodeAll(ownAnnotations(annotations), "annotation", grammars),
  };
  for (const key of Object.keys(given)) requireAllowed?.(key as Key);
  const values = withKernel(given, monitors, defaultKernel);
  return {
    ...supportedPair(values, monitors, grammars),
    unikernelVersion: values.unikernelVersion,
    ...values.kernel === undefined
      ? { binary: absolute(required(values, "binary", grammars)) }
      : { kernel: values.kernel },
    initrd: values.initrd === undefined ? undefined : absolute(values.initrd),
    cmdline: values.cmdline,
    accelerator: supported("accelerator", values.accelerator ?? "kvm", ["kvm", "tcg"] as const),
    environment: values.environment === undefined
      ? undefined
      : supported("environment", values.environment, ["cmdline", "initrd"] as const),
    kernelParameters: values.kernelParameters,
    stop: values.stop === undefined
      ? undefined
      : supported("stop", values.stop, ["auto", "button"] as const),
    agent: values.agent === undefined
      ? undefined
      : supported("agent", values.agent, ["on", "none"] as const),
    ...disks(values),
    ...(values.kernel === undefined ? {} : sharing(given)),
    solo5NetDev: values.solo5NetDev,
    solo5BlkDev: values.solo5BlkDev,
  };
}

/** An image that brings no kernel is a Linux guest, where the node has one for it. */
function withKernel(values: Values, { usual }: MonitorSupport, defaultKernel?: string): Values {
  const { binary, kernel = binary === undefined ? defaultKernel : undefined } = values;
  const type = values.unikernelType ?? "linux";
  if (kernel === undefined || (values.kernel === undefined && type !== "linux")) return values;
  if (binary !== undefined) {
    throw contradiction("kernel", `the image brings its own, by ${keyPrefix}binary`);
  }
  if (type !== "linux") {
    throw contradiction("kernel", `it is Linux, and ${keyPrefix}unikernelType is "${type}"`);
  }
  const hasRoot = [values.initrd, values.block, values.mountRootfs, values.useDMBlock]
    .some((value) => value !== undefined);
  // It finds its files on its root, then.
  const root: Values = hasRoot ? {} : { mountRootfs: "true" };
  return { hypervisor: usual, ...values, ...root, unikernelType: type, kernel };
}

function supportedPair(
  values: Values,
  monitors: MonitorSupport,
  grammars: Grammars,
): Pick<UnikernelConfig, "unikernelType" | "hypervisor"> {
  const unikernelType = supported(
    "unikernelType",
    required(values, "unikernelType", grammars),
    guestTypes(),
  );
  const hypervisor = supported(
    "hypervisor",
    required(values, "hypervisor", grammars),
    monitors.names,
  );
  if (monitors.guestsOf(hypervisor).includes(unikernelType)) return { unikernelType, hypervisor };
  throw new UnsupportedError({
    operation,
    subject: `${keyPrefix}hypervisor`,
    reason: `${unikernelType} on ${hypervisor} is not supported`,
    remedy: `supported: ${supportedPairs(monitors)}`,
  });
}

/** All supported pairs, for an error: `linux on qemu or firecracker; …`. */
function supportedPairs({ names, guestsOf }: MonitorSupport): string {
  return guestTypes().map((type) => {
    const monitors = names.filter((name) => guestsOf(name).includes(type));
    return `${type} on ${monitors.join(" or ")}`;
  }).join("; ");
}

type Values = Partial<Record<Key, string>>;

function decodeAll(raw: Record<string, string>, source: Source, grammars: Grammars): Values {
  const values: Values = {};
  for (const [name, value] of Object.entries(raw)) {
    // Image builders put labels of any name beside ours, and an empty value for every key of theirs.
    if (!name.startsWith(projectPrefix) || value === "") continue;
    const key = name.startsWith(keyPrefix) ? name.slice(keyPrefix.length) : "";
    if (!isKey(key)) throw unknownKey(name);
    values[key] = decodeValue(name, value, grammars[key], source);
  }
  return values;
}

function isKey(key: string): key is Key {
  return (keys as readonly string[]).includes(key);
}

function unknownKey(name: string): InvalidConfigurationError {
  const all = keys.map((key) => keyPrefix + key);
  return new InvalidConfigurationError({
    operation,
    subject: JSON.stringify(shorten(name)),
    reason: "no such key",
    remedy: suggestion(name, all),
  });
}

function parseUruncJson(text: string): Record<string, string> {
  const invalid = (reason: string, cause?: unknown) =>
    new InvalidConfigurationError({ operation, subject: "/urunc.json", reason, cause });
  if (text.length > maximumUruncJsonBytes) {
    throw invalid(`it has more than ${maximumUruncJsonBytes} bytes`);
  }
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (cause) {
    throw invalid(`not JSON: ${(cause as Error).message}`, cause);
  }
  if (typeof document !== "object" || document === null || Array.isArray(document)) {
    throw invalid("not a JSON object");
  }
  const ours = Object.entries(document).filter(([key]) => key.startsWith(projectPrefix));
  for (const [key, value] of ours) {
    if (typeof value === "string" || value === null) continue;
    throw invalid(`the value of ${JSON.stringify(shorten(key))} is not a string`);
  }
  return Object.fromEntries(ours.map(([key, value]) => [key, value ?? ""]));
}

/** The disks that are asked for. Throws for keys that contradict each other or need another key. */
function disks(
  values: Values,
): Pick<UnikernelConfig, "block" | "blockMountPoint" | "rootDisk"> {
  const rootKeys = (["useDMBlock", "mountRootfs"] as const).filter((key) =>
    values[key] !== undefined
  );
  const [wanted = "false", other = wanted] = rootKeys.map((key) =>
    supported(key, values[key]!, ["true", "false"] as const)
  );
  if (other !== wanted) {
    throw contradiction(
      "mountRootfs",
      `it is "${other}", and ${keyPrefix}useDMBlock is the opposite`,
    );
  }
  const rootDisk = wanted === "true";
  if (rootDisk && values.block !== undefined) {
    const reason = `${keyPrefix}${
      rootKeys[0]
    } makes a disk of the file system that it is a file of`;
    throw contradiction("block", reason);
  }
  if (!rootDisk && values.block === undefined && values.blkMntPoint !== undefined) {
    throw contradiction("blkMntPoint", "there is no disk to mount: no key asks for one");
  }
  return {
    block: values.block === undefined ? undefined : absolute(values.block),
    blockMountPoint: values.blkMntPoint === undefined ? undefined : absolute(values.blkMntPoint),
    rootDisk,
  };
}

/** An image without a kernel and an initial RAM disk has its files nowhere else. */
function sharing(given: Values): Pick<UnikernelConfig, "sharesRoot"> {
  if (given.initrd !== undefined || given.block !== undefined) return {};
  const disk = given.mountRootfs ?? given.useDMBlock;
  if (disk === "true") return {};
  return { sharesRoot: disk === undefined ? "otherwise" : "always" };
}

function contradiction(key: Key, reason: string): InvalidConfigurationError {
  return new InvalidConfigurationError({
    operation,
    subject: keyPrefix + key,
    reason,
    remedy: "leave one of the keys out, or give it no value",
  });
}

function required(values: Values, key: Key, grammars: Grammars): string {
  const value = values[key];
  if (value !== undefined) return value;
  throw new InvalidConfigurationError({
    operation,
    subject: keyPrefix + key,
    reason: "required, but missing",
    remedy: key === "binary"
      ? `allowed: ${
        grammars[key].allowed
      }; or a kernel of the node, by ${keyPrefix}kernel, or by ` +
        "guests.linux.kernel in the configuration"
      : `allowed: ${grammars[key].allowed}`,
  });
}

function supported<T extends string>(key: Key, value: string, allowed: readonly T[]): T {
  const found = allowed.find((candidate) => candidate === value);
  if (found !== undefined) return found;
  throw new UnsupportedError({
    operation,
    subject: keyPrefix + key,
    reason: `${JSON.stringify(value)} is not supported`,
    remedy: `supported: ${allowed.join(", ")}`,
  });
}

/** Paths of an image start at its root. */
function absolute(path: string): string {
  return "/" + path.split("/").filter((part) => part !== "" && part !== ".").join("/");
}
