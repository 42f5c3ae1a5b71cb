import assert from "node:assert/strict";
import { sharedMountFacts } from "../../../lib/inspect/shared.ts";
import { Scope } from "../../support/scope.ts";

/** Of the files here nobody's are its. */
const SERVER = { uid: 4_000_000_000, gid: 4_000_000_000, groups: [] };

const volume = (source: string) => ({
  mount: { source, destination: "/x", type: "bind", options: [] },
  index: 3,
});

async function writeVolume(directory: string, mode: number): Promise<void> {
  await Deno.mkdir(`${directory}/..2026`);
  for (const [name, its] of [["open", 0o444], ["key", mode]] as const) {
    await Deno.writeTextFile(`${directory}/..2026/${name}`, "");
    await Deno.chmod(`${directory}/..2026/${name}`, its);
  }
  await Deno.symlink("..2026", `${directory}/..data`);
}

Deno.test("what the file server may not read is found in a volume that the kubelet writes", async () => {
  await using scope = new Scope();
  const [closed, open, outside] = [
    await scope.temporaryDirectory("closed"),
    await scope.temporaryDirectory("open"),
    await scope.temporaryDirectory("outside"),
  ];
  await writeVolume(closed, 0o400);
  await writeVolume(open, 0o444);
  // Whoever may write to a volume makes links there.
  await Deno.symlink(closed, `${outside}/..data`);
  const factsOf = (source: string) => sharedMountFacts([volume(source)], SERVER)[0];
  assert.deepEqual(factsOf(closed), { index: 3, isFile: false, closed: `${closed}/key` });
  assert.deepEqual(factsOf(open), { index: 3, isFile: false });
  assert.deepEqual(factsOf(outside), { index: 3, isFile: false });
  const file = `${closed}/..2026/key`;
  assert.deepEqual(factsOf(file), { index: 3, isFile: true, closed: file });
  await Deno.chmod(open, 0o744);
  assert.deepEqual(factsOf(open), { index: 3, isFile: false, closed: open });
  assert.deepEqual(sharedMountFacts([volume(closed)]), [{ index: 3, isFile: false }]);
});
