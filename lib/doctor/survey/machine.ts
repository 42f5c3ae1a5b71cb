import { landlockVersion } from "../../../ffi/linux.ts";
import { arch } from "../../arch/arch.ts";
import { readCgroupLayout } from "../../cgroups/layout.ts";
import { apparmorEnabled } from "../../host/apparmor.ts";
import { readDevice } from "../../host/devices.ts";
import { readGroupName } from "../../host/groups.ts";
import type { CgroupLayout, DeviceFacts } from "../../host/types.ts";
import { exists, isDirectory, readIfThere } from "../../os/files.ts";
import type { CgroupFacts, KernelFacts, ProcessorFacts, SecurityFacts } from "../facts.ts";

/** What the running kernel can do. */
export function surveyKernel(): KernelFacts {
  return {
    release: readText("/proc/sys/kernel/osrelease"),
    machine: Deno.build.arch,
    // proc(5), /proc/sys/kernel/seccomp: there with CONFIG_SECCOMP_FILTER only.
    seccomp: exists("/proc/sys/kernel/seccomp/actions_avail"),
    landlock: landlockVersion(),
  };
}

/** @param text of /proc/cpuinfo */
export function parseProcessor(text: string): ProcessorFacts {
  const vendor = /^vendor_id\s*: (\S+)$/m.exec(text)?.[1];
  const flags = new Set(/^flags\s*: (.*)$/m.exec(text)?.[1]?.split(" ") ?? []);
  return {
    ...(vendor === undefined ? {} : { vendor }),
    isGuest: flags.has(arch.kvm.guestFlag),
    hasVirtualisation: arch.kvm.processorFlags.some((flag) => flags.has(flag)),
  };
}

/** The first processor of this machine. */
export function surveyProcessor(): ProcessorFacts {
  return parseProcessor(readIfThere("/proc/cpuinfo") ?? "");
}

/** A device; undefined when it is not there, or is something else. */
export function surveyDevice(path: string): DeviceFacts | undefined {
  try {
    return readDevice(path);
  } catch {
    return undefined;
  }
}

/** Names of the groups that devices belong to. */
export function groupNamesOf(
  devices: readonly (DeviceFacts | undefined)[],
): Record<number, string> {
  const names = devices.flatMap((device) => {
    const name = device === undefined ? undefined : readGroupName(device.gid);
    return name === undefined ? [] : [[device!.gid, name] as const];
  });
  return Object.fromEntries(names);
}

/** cgroups as they are mounted. */
export function surveyCgroups(): CgroupFacts {
  const layout = readCgroupLayout();
  return {
    mode: layout.mode,
    controllers: controllersOf(layout),
    // sd_booted(3)
    systemd: isDirectory("/run/systemd/system"),
  };
}

function controllersOf({ v1, v2 }: CgroupLayout): string[] {
  const names = Object.keys(v1).filter((it) => !it.startsWith("name="));
  return [...new Set([...names, ...v2?.controllers ?? []])].sort();
}

/** Linux security modules that concern containers. */
export function surveySecurity(): SecurityFacts {
  const enforcing = readIfThere("/sys/fs/selinux/enforce");
  return {
    apparmor: apparmorEnabled(),
    ...(enforcing === undefined ? {} : {
      selinux: enforcing.startsWith("1") ? "enforcing" : "permissive",
    }),
  };
}

function readText(path: string): string {
  return (readIfThere(path) ?? "").trim();
}
