/** The runtimes that are compared: this one with the monitor's test double, runc and crun. */
import { doubleTable } from "../support/double.ts";
import { makeBundle } from "../support/fixtures.ts";
import { findProgram, missingReason } from "../support/skip.ts";
import type { Scope } from "../support/scope.ts";
import { uruncBinary } from "../support/urunc.ts";
import { makeRuncBundle } from "./runc_bundle.ts";

/** A runtime, and what it is to run. */
export interface Runtime {
  subject: string;
  /** It and its global options. */
  command: string[];
  /** Of a container that goes on until it is killed. */
  bundle: string;
  /** Of one that ends at once. */
  trueBundle: string;
}

/** This runtime, then those to compare with. Each with a state directory of its own. */
export async function runtimes(scope: Scope): Promise<Runtime[]> {
  return [await ours(scope), ...await natives(scope)];
}

/** Those to compare with that are installed. */
export async function natives(scope: Scope): Promise<Runtime[]> {
  const names = ["runc", "crun"].filter((it) => findProgram(it) !== undefined);
  return await Promise.all(names.map((it) => native(scope, it)));
}

async function ours(scope: Scope): Promise<Runtime> {
  const accelerator = missingReason("kvm") === undefined ? "kvm" : "tcg";
  const guest = async (args: string[]) => {
    const { bundle, cleanup } = await makeBundle({ args, accelerator });
    scope.defer("remove the bundle", cleanup);
    return bundle;
  };
  const root = await scope.temporaryDirectory("bench-root");
  // Without further calls, as on a node: their filter was assembled when the executable was built.
  const config = `${await scope.temporaryDirectory("bench-config")}/config.toml`;
  await Deno.writeTextFile(config, await doubleTable("qemu", []));
  return {
    subject: "urunc",
    command: [await uruncBinary(), "--root", root, "--config", config],
    bundle: await guest(["idle"]),
    trueBundle: await guest(["exit", "0"]),
  };
}

async function native(scope: Scope, name: string): Promise<Runtime> {
  return {
    subject: name,
    command: [name, "--root", await scope.temporaryDirectory(`bench-${name}`)],
    bundle: await makeRuncBundle(scope),
    trueBundle: await makeRuncBundle(scope, ["true"]),
  };
}

/** Where cgroup v2 is mounted beside v1: crun refuses a machine whose v2 has controllers then. */
const UNIFIED = "/sys/fs/cgroup/unified";

/**
 * What a measuring is put behind in which crun takes part: a mount namespace without the part of the
 * cgroups that crun refuses. All runtimes are in it.
 */
export function crunWrapper(): string[] {
  if (findProgram("crun") === undefined || !hasControllers()) return [];
  const script = `umount ${UNIFIED} && exec "$@"`;
  return ["unshare", "--mount", "--propagation=private", "sh", "-c", script, "sh"];
}

function hasControllers(): boolean {
  try {
    return Deno.readTextFileSync(`${UNIFIED}/cgroup.controllers`).trim() !== "";
  } catch {
    return false;
  }
}
