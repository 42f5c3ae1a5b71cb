/** Mounts of a container's root as snapshotters ask for them, below the root included. */
import assert from "node:assert/strict";
import { readMounts } from "../../lib/host/mounts.ts";
import { withMappedLayers } from "../../lib/shim/rootfs/mapped.ts";
import {
  isMeantReadOnly,
  mountRootfs,
  remountRootfs,
  type RootfsMount,
  unmountRootfs,
} from "../../lib/shim/rootfs/rootfs.ts";
import { run } from "../support/process.ts";
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
  await remountRootfs(mounts, root, "writing");
  await Deno.writeTextFile(`${root}/new`, "new");
  unmountRootfs(root);
  assert.equal(await Deno.readTextFile(`${directory}/upper/new`), "new");

  // A view, which says itself that nobody is to write to it.
  const view = [{ ...mounts[0]!, options: ["ro", ...layers] }];
  await mountRootfs(view, root);
  await remountRootfs(view, root, "writing");
  await assert.rejects(() => Deno.writeTextFile(`${root}/new`, ""), /Read-only/);
  unmountRootfs(root);
});

testIf("nothing runs on the host of a directory that a guest writes to, whatever hooks had of it", {
  needs,
}, async () => {
  await using scope = new Scope();
  const { image, root } = await prepare(scope);
  const directory = await scope.temporaryDirectory("snapshot");
  for (const name of ["upper", "work"]) await Deno.mkdir(`${directory}/${name}`);
  const options = [
    `lowerdir=${image.source}`,
    `upperdir=${directory}/upper`,
    `workdir=${directory}/work`,
  ];
  for (const one of [image, { type: "overlay", source: "overlay", target: "", options }]) {
    for (const before of ["reading", "hooks"] as const) {
      await mountRootfs([one], root);
      await remountRootfs([one], root, before);
      await remountRootfs([one], root, "writing", before);
      await Deno.writeTextFile(`${root}/new`, "new");
      const has = optionsAt(root);
      for (const wanted of forGuests) {
        assert(has.includes(wanted), `${one.type}, ${before}: ${wanted} of ${has}`);
      }
      unmountRootfs(root);
    }
  }
});

/** A file system that asks the kernel to panic, with a program, as a guest may leave it. */
async function fileSystem(scope: Scope): Promise<{ mounts: RootfsMount[]; root: string }> {
  const directory = await scope.temporaryDirectory("filesystem");
  for (const name of ["tree", "root"]) await Deno.mkdir(`${directory}/${name}`);
  await Deno.copyFile("/bin/true", `${directory}/tree/true`);
  const image = `${directory}/ext4.raw`;
  await Deno.writeFile(image, new Uint8Array());
  await Deno.truncate(image, 8 * 1024 * 1024);
  await run(["mkfs.ext4", "-q", "-F", "-d", `${directory}/tree`, image], { check: true });
  await run(["tune2fs", "-e", "panic", image], { check: true });
  const root = `${directory}/root`;
  scope.defer(`unmount ${root}`, () => unmountRootfs(root));
  // As containerd's blockfile snapshotter asks for it.
  return { mounts: [{ type: "ext4", source: image, target: "", options: ["rw", "loop"] }], root };
}

/** Of the mount and of its file system. */
function optionsAt(root: string): string[] {
  const mount = readMounts().find(({ mountPoint }) => mountPoint === root)!;
  return [...mount.options, ...mount.superOptions];
}

const forGuests = ["nosuid", "nodev", "noexec"];

testIf("a file system that a guest may have written is only read, and never a reason to panic", {
  needs: [...needs, "mkfs.ext4", "tune2fs"],
}, async () => {
  await using scope = new Scope();
  const { mounts, root } = await fileSystem(scope);
  assert.equal(isMeantReadOnly(mounts), false);
  for (const purpose of ["reading", "hooks"] as const) {
    if (purpose === "reading") await mountRootfs(mounts, root);
    else await remountRootfs(mounts, root, purpose);
    const options = optionsAt(root);
    for (const wanted of [...forGuests, "ro", "norecovery", "errors=remount-ro"]) {
      assert(options.includes(wanted), `${purpose}: ${wanted} of ${options}`);
    }
    await assert.rejects(() => run([`${root}/true`], { check: true }));
  }
});

testIf("a disk image in such a file system can be written to, and nothing in it runs", {
  needs: [...needs, "mkfs.ext4", "tune2fs"],
}, async () => {
  await using scope = new Scope();
  const { mounts, root } = await fileSystem(scope);
  await mountRootfs(mounts, root);
  await remountRootfs(mounts, root, "writing");
  await Deno.writeTextFile(`${root}/new`, "new");
  const options = optionsAt(root);
  for (const wanted of [...forGuests, "errors=remount-ro"]) {
    assert(options.includes(wanted), `${wanted} of ${options}`);
  }
  await assert.rejects(() => run([`${root}/true`], { check: true }));
});

testIf("an ordinary container's file system is mounted as the snapshotter says", {
  needs: [...needs, "mkfs.ext4", "tune2fs"],
}, async () => {
  await using scope = new Scope();
  const { mounts, root } = await fileSystem(scope);
  await mountRootfs(mounts, root);
  await remountRootfs(mounts, root, "ordinary");
  await Deno.writeTextFile(`${root}/new`, "new");
  await run([`${root}/true`], { check: true });
  for (const wanted of forGuests) assert(!optionsAt(root).includes(wanted), wanted);
  const { image } = await prepare(scope);
  const bound = `${root}/bound`;
  scope.defer(`unmount ${bound}`, () => unmountRootfs(bound));
  await mountRootfs([image], bound);
  for (const wanted of forGuests) assert(optionsAt(bound).includes(wanted), wanted);
  await remountRootfs([image], bound, "ordinary");
  for (const wanted of forGuests) assert(!optionsAt(bound).includes(wanted), wanted);
});

/** A file system whose owners can be mapped, with two directories of an image, and what an overlay needs. */
async function mappable(scope: Scope) {
  const directory = await scope.temporaryDirectory("mapped");
  await run(["mount", "-t", "tmpfs", "tmpfs", directory], { check: true });
  scope.defer(`unmount ${directory}`, () => run(["umount", "--lazy", directory]));
  const root = `${directory}/root`;
  scope.defer(`unmount ${root}`, () => unmountRootfs(root));
  for (const name of ["one", "two", "upper", "work"]) await Deno.mkdir(`${directory}/${name}`);
  for (const [name, uid] of [["one", 0], ["two", 5]] as const) {
    await Deno.writeTextFile(`${directory}/${name}/${name}`, name);
    await Deno.chown(`${directory}/${name}/${name}`, uid, uid);
  }
  return { directory, root };
}

const MAPPED = ["uidmap=0:1700000000:65536", "gidmap=0:1700100000:65536"];

testIf("owners are mapped as containerd asks where the container writes, and not before", {
  needs,
}, async () => {
  await using scope = new Scope();
  const { directory, root } = await mappable(scope);
  const dirs = `lowerdir=${directory}/one:${directory}/two`;
  const upper = [`upperdir=${directory}/upper`, `workdir=${directory}/work`];
  const mounts: RootfsMount[][] = [
    [{ type: "overlay", source: "overlay", target: "", options: [dirs, ...upper, ...MAPPED] }],
    [{ type: "overlay", source: "overlay", target: "", options: [dirs, ...MAPPED] }],
    [{ type: "bind", source: `${directory}/two`, target: "", options: ["rbind", ...MAPPED] }],
  ];
  const ownerOf = (name: string) => {
    const { uid, gid } = Deno.statSync(`${root}/${name}`);
    return [uid, gid];
  };
  const purposes = ["ordinary", "writing"] as const;
  const cases = mounts.flatMap((list) => purposes.map((purpose) => ({ list, purpose })));
  for (const { list, purpose } of cases) {
    await mountRootfs(list, root);
    assert.deepEqual(ownerOf("two"), [5, 5]);
    await remountRootfs(list, root, purpose);
    assert.deepEqual(ownerOf("two"), [1_700_000_005, 1_700_100_005]);
    if (list[0]!.type === "overlay") {
      assert.deepEqual(ownerOf("one"), [1_700_000_000, 1_700_100_000]);
    }
    for (const option of forGuests) {
      assert.equal(optionsAt(root).includes(option), purpose === "writing", option);
    }
    assert.deepEqual(mountsBelow(root), [root]);
    unmountRootfs(root);
  }
  const left = [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
  assert.deepEqual(left, ["one", "root", "two", "upper", "work"]);
  assert.equal(await Deno.readTextFile(`${directory}/one/one`), "one");
});

/** Mount points at or below a directory, with their options. */
function optionsBelow(directory: string): [string, string[]][] {
  const lines = Deno.readTextFileSync("/proc/self/mountinfo").trim().split("\n");
  return lines.map((line) => line.split(" "))
    .filter((it) => it[4]!.startsWith(`${directory}/`))
    .map((it) => [it[4]!, it[5]!.split(",")]);
}

testIf(
  "mapped layers are read-only while they are mounted, and what a killed shim left is unmounted",
  {
    needs,
  },
  async () => {
    await using scope = new Scope();
    const { directory, root } = await mappable(scope);
    const layers = `${root}-layers`;
    const options = [`lowerdir=${directory}/one:${directory}/two`];
    const maps = {
      uids: [{ containerID: 0, hostID: 1_700_000_000, size: 65536 }],
      gids: [{ containerID: 0, hostID: 1_700_100_000, size: 65536 }],
    };
    withMappedLayers(options, { maps }, layers, (mapped) => {
      assert.deepEqual(mapped, [`lowerdir=${layers}/0:${layers}/1`]);
      const mounted = optionsBelow(layers);
      assert.deepEqual(mounted.map(([path]) => path), [`${layers}/0`, `${layers}/1`]);
      for (const [path, has] of mounted) {
        for (const option of ["ro", "nosuid", "nodev"]) assert.ok(has.includes(option), path);
        const { uid } = Deno.statSync(`${path}/${path.endsWith("0") ? "one" : "two"}`);
        assert.ok(uid! >= 1_700_000_000);
        assert.throws(() => Deno.writeTextFileSync(`${path}/new`, ""), { code: "EROFS" });
      }
      // As when it is killed right now.
      unmountRootfs(root);
      assert.deepEqual(optionsBelow(layers), []);
      assert.throws(() => Deno.lstatSync(layers), Deno.errors.NotFound);
    });
    assert.equal(await Deno.readTextFile(`${directory}/two/two`), "two");
  },
);
