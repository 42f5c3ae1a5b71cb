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
    // To a directory of the host, which the tree has only then.
    Deno.symlinkSync(beside, `${tree}/out`);
    make(tree, directory("/out/made"));
    assert.deepEqual([...Deno.readDirSync(beside)], []);
    assert.ok(Deno.statSync(`${tree}${beside}/made`).isDirectory);
  }));

Deno.test("what a link leads to is made where it is missing", () =>
  inTree((tree, beside) => {
    Deno.mkdirSync(`${tree}/etc`);
    const links: [string, string][] = [
      ["/etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf"],
      ["/lock", "run/lock"],
      ["/chain", "/etc/chain"],
      ["/etc/chain", "last"],
      ["/up", `../../../..${beside}/file`],
    ];
    for (const [path, target] of links) Deno.symlinkSync(target, `${tree}${path}`);
    make(tree, file("/etc/resolv.conf"), directory("/lock"), file("/chain"), file("/up"));
    for (const path of ["/run/systemd/resolve/stub-resolv.conf", "/etc/last", `${beside}/file`]) {
      assert.ok(Deno.statSync(`${tree}${path}`).isFile, path);
    }
    assert.ok(Deno.statSync(`${tree}/run/lock`).isDirectory);
    for (const [path] of links) assert.ok(Deno.lstatSync(`${tree}${path}`).isSymlink, path);
    assert.deepEqual([...Deno.readDirSync(beside)], []);
    // One that leads to itself is an error, as it is for any program.
    Deno.symlinkSync("loop", `${tree}/loop`);
    assert.throws(() => make(tree, file("/loop")), { code: "ELOOP" });
  }));
