import { supportedHookNames, supportedNamespaces } from "../../oci/supported.ts";
import type { CommandOf } from "../parser/commands.ts";
import type { Context } from "../context.ts";
import { printJson } from "../../output.ts";
import { SPEC_VERSION } from "../../version.ts";

/**
 * `urunc features`
 *
 * @see https://github.com/opencontainers/runtime-spec/blob/v1.2.0/features.md
 */
export function features(_command: CommandOf<"features">, _context: Context): number {
  printJson(describeFeatures());
  return 0;
}

/** What `features` reports; ../../oci/spec_table.ts says the same of each property. */
export function describeFeatures() {
  return {
    ociVersionMin: "1.0.0",
    ociVersionMax: SPEC_VERSION,
    hooks: supportedHookNames,
    // Mounts of the spec are for a file system that the guest does not see.
    mountOptions: [],
    linux: {
      namespaces: supportedNamespaces,
      capabilities: [],
      cgroup: { v1: true, v2: true, systemd: true, systemdUser: false, rdma: false },
      seccomp: { enabled: false },
      apparmor: { enabled: true },
      selinux: { enabled: false },
      intelRdt: { enabled: false },
    },
    potentiallyUnsafeConfigAnnotations: ["com.urunc."],
  };
}
