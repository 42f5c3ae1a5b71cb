import { InvalidConfigurationError } from "../errors.ts";
import { keyPrefix } from "../guest/keys.ts";
import { SOLO5_COMMAND_LINE_BYTES } from "../guest/kernel/solo5.ts";
import type { KernelFormat, Solo5Device } from "../guest/kernel/types.ts";
import type { UnikernelConfig } from "../guest/types.ts";
import type { DiskFacts, HostFacts } from "../inspect/types.ts";
import type { Monitor } from "../monitor/types.ts";

/** What the devices of a Solo5 guest are planned from. */
export interface ManifestInput {
  monitor: Pick<Monitor, "title" | "attachesManifest">;
  facts: Pick<HostFacts, "kernel" | "kernelFormat" | "disks">;
  unikernel: Pick<UnikernelConfig, "solo5NetDev" | "solo5BlkDev">;
  /** `later`: hooks that have not run may attach one. */
  network: "yes" | "no" | "later";
}

/** What the guest's manifest calls the container's devices. */
export interface ManifestDevices {
  /** Undefined: the guest has no network device. */
  network?: string;
  /** Of each disk, in order. */
  disks: string[];
}

/**
 * The names of a Solo5 guest's devices. A tender starts a guest only with every device that its manifest
 * declares, and with no other, and on QEMU the guest itself aborts (bindings/virtio, with an exit code
 * that says nothing): what is missing or too many is known before anything is made. Except the
 * container's network: engines give one to every container, and a guest that declares none does without.
 *
 * A disk is the block device of its own name, and otherwise the first that no disk has the name of.
 *
 * @returns undefined for a guest without a manifest, on a monitor that starts such guests
 * @throws InvalidConfigurationError naming what is missing, or too many
 */
export function manifestDevices(input: ManifestInput): ManifestDevices | undefined {
  if (!input.monitor.attachesManifest && manifestOf(input) === undefined) return undefined;
  const declared = declaredDevices(input);
  const named = (kind: Solo5Device["kind"]) =>
    declared.filter((device) => device.kind === kind).map(({ name }) => name);
  if (named("unknown").length > 0) {
    const names = named("unknown").join(", ");
    throw refused(input, `its manifest declares devices of an unknown kind: ${names}`);
  }
  return {
    ...networkDevice(named("network"), input),
    disks: diskDevices(named("block"), input),
  };
}

/**
 * Refuses a command line that is too long for a Solo5 guest: on QEMU the guest cuts it off and goes on.
 *
 * @param line undefined: none
 * @returns the line
 * @throws InvalidConfigurationError with both lengths
 */
export function checkSolo5CommandLine(
  line: string | undefined,
  kernel: KernelFormat,
): string | undefined {
  if (line === undefined || kernel.kind !== "elf" || kernel.solo5 === undefined) return line;
  const length = new TextEncoder().encode(line).length;
  const most = SOLO5_COMMAND_LINE_BYTES - 1;
  if (length <= most) return line;
  throw new InvalidConfigurationError({
    operation: "write the guest's command line",
    subject: "process.args",
    reason: `the line is ${length} bytes long, and a Solo5 guest reads at most ${most}`,
    remedy: "pass fewer or shorter arguments",
  });
}

function manifestOf({ facts }: ManifestInput): Solo5Device[] | undefined {
  const format: KernelFormat = facts.kernelFormat;
  return format.kind === "elf" ? format.solo5?.devices : undefined;
}

function declaredDevices(input: ManifestInput): Solo5Device[] {
  const devices = manifestOf(input);
  if (devices !== undefined) return devices;
  throw refused(
    input,
    "it has no Solo5 manifest that could be read (note .note.solo5.manifest)",
    "link it with Solo5 0.6 or later",
  );
}

function networkDevice(declared: string[], input: ManifestInput): { network?: string } {
  const { unikernel: { solo5NetDev: asked }, network } = input;
  requireDeclared("solo5NetDev", asked, declared);
  if (declared.length > 1) {
    throw refused(
      input,
      `its manifest declares the network devices ${declared.join(", ")}, and a container has one`,
    );
  }
  const [name] = declared;
  if (name === undefined) return {};
  if (network === "no") {
    throw refused(
      input,
      `its manifest declares the network device ${name}, and the container has no network`,
      "give the container a network, or build the guest without",
    );
  }
  return { network: name };
}

function diskDevices(declared: string[], input: ManifestInput): string[] {
  const { facts: { disks = [] }, unikernel: { solo5BlkDev: asked } } = input;
  requireDeclared("solo5BlkDev", asked, declared);
  if (disks.length !== declared.length) throw wrongDisks(declared, disks, input);
  const own = disks.map(({ name }, index) => index === 0 && asked !== undefined ? asked : name);
  const others = declared.filter((name) => !own.includes(name));
  return own.map((name) => declared.includes(name) ? name : others.shift()!);
}

function wrongDisks(declared: string[], disks: DiskFacts[], input: ManifestInput) {
  const list = (names: string[], none: string) => names.length === 0 ? none : names.join(", ");
  const wanted = list(declared, "none");
  const found = list(disks.map(({ name }) => name), "none");
  return refused(
    input,
    `its manifest declares these block devices: ${wanted}; the container has these disks: ${found}`,
    `a disk is ${keyPrefix}block, mountRootfs, a volume that is a disk image, or a block device`,
  );
}

function requireDeclared(
  key: "solo5NetDev" | "solo5BlkDev",
  asked: string | undefined,
  declared: string[],
): void {
  if (asked === undefined || declared.includes(asked)) return;
  throw new InvalidConfigurationError({
    operation: "read the guest's manifest",
    subject: `${keyPrefix}${key} ${asked}`,
    reason: declared.length === 0
      ? "the manifest declares no such device"
      : `the manifest declares ${declared.join(", ")}`,
    remedy: "leave the key out: the manifest is read",
  });
}

function refused({ facts }: ManifestInput, reason: string, remedy?: string) {
  return new InvalidConfigurationError({
    operation: "read the guest's manifest",
    subject: facts.kernel.path,
    reason,
    remedy,
  });
}
