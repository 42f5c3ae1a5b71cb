/** Containers that are no guests, for runc. */
import { removeCgroupTree } from "./cgroups.ts";
import { busyboxFiles } from "./docker.ts";
import { makeLayer } from "./image.ts";
import { run } from "./process.ts";
import type { Scope } from "./scope.ts";
import { RUN_PREFIX } from "./mark.ts";

/** A bundle of busybox that runc makes the config.json of. Needs `runc` and `busybox`. */
export async function ordinaryBundle(
  scope: Scope,
  args: string[],
  annotations = {},
): Promise<string> {
  const bundle = await scope.temporaryDirectory("ordinary");
  await Deno.mkdir(`${bundle}/rootfs`);
  const layer = await makeLayer(scope, busyboxFiles());
  await run(["tar", "--extract", "--file", layer, "--directory", `${bundle}/rootfs`], {
    check: true,
  });
  await run(["runc", "spec"], { cwd: bundle, check: true });
  const path = `${bundle}/config.json`;
  const config = JSON.parse(await Deno.readTextFile(path));
  config.process.args = args;
  config.process.terminal = false;
  config.annotations = annotations;
  const parent = `/${RUN_PREFIX}ordinary`;
  config.linux.cgroupsPath = `${parent}/${crypto.randomUUID()}`;
  scope.defer("remove the cgroup that runc leaves", () => removeCgroupTree(parent));
  await Deno.writeTextFile(path, JSON.stringify(config));
  return bundle;
}
