/** Where a path of a tree is: links lead nowhere else. */
import assert from "node:assert/strict";
import { locate } from "../../../lib/install/tree.ts";

async function inTree(use: (root: string) => void): Promise<void> {
  const root = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${root}/etc/crio`, { recursive: true });
    for (
      const [path, target] of [
        ["etc/absolute", "/opt/x"],
        ["etc/relative", "../opt/./x"],
        ["etc/leaves", "../../opt/x"],
        ["etc/leaves-later", "/../x"],
        ["etc/circle", "circle"],
        ["run", "/etc"],
        ["both", "run/absolute"],
      ]
    ) await Deno.symlink(target!, `${root}/${path}`);
    use(root);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

Deno.test("a path of a tree is below its root, whatever its links say", async () => {
  await inTree((root) => {
    const cases: [path: string, place: string, last?: "followed"][] = [
      ["/etc/crio/x", "/etc/crio/x"],
      ["/missing/x/", "/missing/x"],
      ["/etc/absolute", "/etc/absolute"],
      ["/etc/absolute", "/opt/x", "followed"],
      ["/etc/relative", "/opt/x", "followed"],
      ["/run/crio", "/etc/crio"],
      ["/run/absolute/y", "/opt/x/y"],
      ["/both", "/opt/x", "followed"],
      ["/run", "/run"],
    ];
    for (const [path, place, last] of cases) {
      assert.equal(locate(root, path, last), root + place, `${path} ${last}`);
    }
  });
});

Deno.test("a path that leaves a tree is refused, and one that does not end", async () => {
  await inTree((root) => {
    for (
      const path of ["/etc/leaves", "/etc/leaves-later", "/etc/leaves/y", "/../x", "/etc/../.."]
    ) {
      const error = { name: "HostError", message: /leads out of it/ };
      assert.throws(() => locate(root, path, "followed"), error, path);
    }
    assert.throws(() => locate(root, "/etc/circle", "followed"), { message: /more than 40 links/ });
  });
});

Deno.test("in the root directory, the parent of the root is the root", async () => {
  await inTree((root) => {
    assert.equal(locate("", `${root}/etc/relative`, "followed"), `${root}/opt/x`);
    assert.equal(locate("", "/../x"), "/x");
  });
});
