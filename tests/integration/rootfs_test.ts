/** Mounts of a container's root as snapshotters ask for them, below the root included. */
import assert from "node:assert/strict";
import { readMounts } from "../../lib/host/mounts.ts";
import {
  allowWriting,
  mountRootfs,
  type RootfsMount,
  unmountRootfs,
} from "../../lib/shim/rootfs/rootfs.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

const needs = ["root"];

/** An image's directory with `data`, and `link`, which names `data` as if the image were all there is. */
async function prepare(scope: Scope): Promise<{ image: RootfsMount; root: string; other: string }> {
  const directory = await scope.temporaryDirectory("rootfs");
  for (const name of ["image", "image/data", "other"]) await Deno.mkdir(`${directory}/${name}`);
  await Deno.symlink("/data", `${directory}/image/link`);
  await Deno.writeTextFile(`${directory}/other/file`, "other");
  const root = `${directory}/root`;
  scope.defer(`unmount ${root}`, () => unmountRootfs(root));
  const image = { type: "bind", source: `${directory}/image`, target: "", options: ["rbind"] };
  return { image, root, other: `${directory}/other` };
}

function mountsBelow(root: string): string[] {
  return readMounts().map(({ mountPoint }) => mountPoint).filter((it) => it.startsWith(root));
}

testIf("a mount below the root is made in the image, and only it is read-only", {
  needs,
}, async () => {
  await using scope = new Scope();
  const { image, root, other } = await prepare(scope);
  const below = { type: "bind", source: other, target: "/link/", options: ["rbind", "ro"] };
  await mountRootfs([image, below], root);
  assert.deepEqual(mountsBelow(root), [root, `${root}/data`]);
  assert.equal(await Deno.readTextFile(`${root}/data/file`), "other");
  await assert.rejects(() => Deno.writeTextFile(`${root}/data/new`, ""), /Read-only/);
  await Deno.writeTextFile(`${root}/new`, "");
  unmountRootfs(root);
  assert.deepEqual(mountsBelow(root), []);
});

testIf("a target that the image does not have, or cannot have, leaves nothing mounted", {
  needs,
}, async () => {
  await using scope = new Scope();
  const { image, root } = await prepare(scope);
  await Deno.symlink("/proc/self/root/tmp", `${image.source}/magic`);
  for (const target of ["missing", "../../other", "magic"]) {
    const below = { type: "tmpfs", source: "tmpfs", target, options: [] };
    await assert.rejects(
      () => mountRootfs([image, below], root),
      (error: Error) => error.message.includes(`tmpfs tmpfs at ${target}`),
    );
    assert.deepEqual(mountsBelow(root), []);
  }
});

testIf("a snapshot can be written to when that is allowed, and not before", {
  needs,
}, async () => {
  await using scope = new Scope();
  const { image, root } = await prepare(scope);
  const directory = await scope.temporaryDirectory("snapshot");
  for (const name of ["upper", "work"]) await Deno.mkdir(`${directory}/${name}`);
  const layers = [
    `lowerdir=${image.source}`,
    `upperdir=${directory}/upper`,
    `workdir=${directory}/work`,
  ];
  const mounts = [{ type: "overlay", source: "overlay", target: "", options: layers }];
  await mountRootfs(mounts, root);
  await assert.rejects(() => Deno.writeTextFile(`${root}/new`, ""), /Read-only/);
  allowWriting(mounts, root);
  await Deno.writeTextFile(`${root}/new`, "new");
  unmountRootfs(root);
  assert.equal(await Deno.readTextFile(`${directory}/upper/new`), "new");

  // A view, which says itself that nobody is to write to it.
  const view = [{ ...mounts[0]!, options: ["ro", ...layers] }];
  await mountRootfs(view, root);
  allowWriting(view, root);
  await assert.rejects(() => Deno.writeTextFile(`${root}/new`, ""), /Read-only/);
  unmountRootfs(root);
});
