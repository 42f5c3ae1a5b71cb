import { findProgram } from "../support/skip.ts";
import { run } from "../support/process.ts";
import type { Scope } from "../support/scope.ts";

/** A bundle for runc whose process sleeps: busybox on an otherwise empty root file system. */
export async function makeRuncBundle(scope: Scope): Promise<string> {
  const bundle = await scope.temporaryDirectory("runc-bundle");
  await Deno.mkdir(`${bundle}/rootfs/bin`, { recursive: true });
  await Deno.copyFile(findProgram("busybox")!, `${bundle}/rootfs/bin/busybox`);
  await run(["runc", "spec"], { cwd: bundle, check: true });
  const spec = JSON.parse(await Deno.readTextFile(`${bundle}/config.json`));
  spec.process.terminal = false;
  spec.process.args = ["/bin/busybox", "sleep", "3600"];
  spec.process.user = { uid: 65534, gid: 65534 };
  await Deno.writeTextFile(`${bundle}/config.json`, JSON.stringify(spec));
  return bundle;
}
