import assert from "node:assert/strict";
import { MOUNT_POINT_STEPS } from "../../../lib/launch/steps/mount_points.ts";
import type { PerformContext } from "../../../lib/launch/context.ts";
import type { MountPoint } from "../../../lib/plan/types.ts";

/** Runs the step in a fresh tree, beside which there is another directory. */
async function inTree(test: (tree: string, beside: string) => void | Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    for (const name of ["tree", "beside"]) await Deno.mkdir(`${directory}/${name}`);
    await test(`${directory}/tree`, `${directory}/beside`);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function make(tree: string, ...targets: MountPoint[]): void {
  const context = {} as PerformContext;
  MOUNT_POINT_STEPS.makeMountPoints({ step: "makeMountPoints", tree, targets }, context);
}

const directory = (path: string): MountPoint => ({ path, isFile: false });
const file = (path: string): MountPoint => ({ path, isFile: true });

Deno.test("missing directories and files are made, with those above; others stay", () =>
  inTree((tree) => {
    Deno.mkdirSync(`${tree}/etc`);
    Deno.writeTextFileSync(`${tree}/etc/hosts`, "kept");
    make(tree, directory("/"), directory("/a/b/c"), file("/etc/hosts"), file("/etc/x/conf"));
    assert.ok(Deno.statSync(`${tree}/a/b/c`).isDirectory);
    assert.equal(Deno.readTextFileSync(`${tree}/etc/hosts`), "kept");
    assert.equal(Deno.readTextFileSync(`${tree}/etc/x/conf`), "");
  }));

Deno.test("links are followed in the tree, and lead nowhere else", () =>
  inTree((tree, beside) => {
    Deno.mkdirSync(`${tree}/run`);
    Deno.symlinkSync("/run", `${tree}/var`);
    Deno.symlinkSync("../../../../run", `${tree}/up`);
    make(tree, directory("/var/secrets"), file("/up/token"));
    assert.deepEqual([...Deno.readDirSync(`${tree}/run`)].map(({ name }) => name).sort(), [
      "secrets",
      "token",
    ]);
    // To a directory of the host, which the tree does not have.
    Deno.symlinkSync(beside, `${tree}/out`);
    assert.throws(() => make(tree, directory("/out/made")), { code: "ENOENT" });
    assert.throws(() => make(tree, directory("/out")), { code: "ENOENT" });
    assert.deepEqual([...Deno.readDirSync(beside)], []);
  }));
