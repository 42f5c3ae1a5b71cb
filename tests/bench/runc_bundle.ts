import { findProgram } from "../support/skip.ts";
import { run } from "../support/process.ts";
import type { Scope } from "../support/scope.ts";

/**
 * A bundle for runc and crun: busybox on an otherwise empty root file system.
 *
 * @param args of busybox: its process sleeps by default
 */
export async function makeRuncBundle(scope: Scope, args = ["sleep", "3600"]): Promise<string> {
  const bundle = await scope.temporaryDirectory("runc-bundle");
  await Deno.mkdir(`${bundle}/rootfs/bin`, { recursive: true });
  await Deno.copyFile(findProgram("busybox")!, `${bundle}/rootfs/bin/busybox`);
  await run(["runc", "spec"], { cwd: bundle, check: true });
  const spec = JSON.parse(await Deno.readTextFile(`${bundle}/config.json`));
  spec.process.terminal = false;
  spec.process.args = ["/bin/busybox", ...args];
  spec.process.user = { uid: 65534, gid: 65534 };
  await Deno.writeTextFile(`${bundle}/config.json`, JSON.stringify(spec));
  return bundle;
}
