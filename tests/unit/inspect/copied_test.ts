import assert from "node:assert/strict";
import { copiedMountFacts, copyOf } from "../../../lib/inspect/copied.ts";
import { Scope } from "../../support/scope.ts";

const volume = (source: string, ...options: string[]) => ({
  mount: { source, destination: "/x", type: "bind", options: ["rbind", ...options] },
  index: 2,
});

const text = (bytes: Uint8Array) => new TextDecoder("latin1").decode(bytes);

/** Names in an archive, with the modes that it gives them: cpio(5), "New ASCII Format". */
function entriesOf(bytes: Uint8Array): string[] {
  return [...text(bytes).matchAll(/070701[0-9a-f]{8}([0-9a-f]{8})[0-9a-f]{88}([^\0]+)\0/g)]
    .map(([, mode, name]) => `${parseInt(mode!, 16).toString(8)} ${name}`);
}

Deno.test("a copy has files, directories and links as they are, and nothing outside", async () => {
  await using scope = new Scope();
  const source = await scope.temporaryDirectory("volume");
  await Deno.chmod(source, 0o750);
  await Deno.mkdir(`${source}/deep`);
  await Deno.writeTextFile(`${source}/deep/file`, "of the volume");
  await Deno.chmod(`${source}/deep/file`, 0o640);
  await Deno.symlink("/etc/passwd", `${source}/link`);
  const archive = copyOf({ source, path: "v/0", isFile: false });
  assert.deepEqual(entriesOf(archive), [
    "40700 urunc/share",
    "40755 urunc/share/v",
    "40750 urunc/share/v/0",
    "40755 urunc/share/v/0/deep",
    "100640 urunc/share/v/0/deep/file",
    "120777 urunc/share/v/0/link",
    "0 TRAILER!!!",
  ]);
  assert.match(text(archive), /of the volume/);
  assert.match(text(archive), /\/etc\/passwd/);
  assert.doesNotMatch(text(archive), /root:/);
  const file = copyOf({ source: `${source}/deep/file`, path: "v/1", isFile: true });
  assert.deepEqual(entriesOf(file).slice(2, -1), [
    "40755 urunc/share/v/1",
    "100640 urunc/share/v/1/file",
  ]);
  const [facts] = copiedMountFacts([volume(source, "ro")], "Firecracker");
  assert.deepEqual(facts, { index: 2, isFile: false, bytes: archive.length });
});

Deno.test("what is not read-only, not small or no file is not copied", async (t) => {
  await using scope = new Scope();
  const many = await scope.temporaryDirectory("many");
  for (let index = 0; index < 1000; index++) await Deno.writeTextFile(`${many}/${index}`, "");
  const large = await scope.temporaryDirectory("large");
  await Deno.writeFile(`${large}/file`, new Uint8Array(4 * 1024 * 1024 + 1));
  const pipe = await scope.temporaryDirectory("pipe");
  await new Deno.Command("mkfifo", { args: [`${pipe}/fifo`] }).output();
  const rows: [name: string, source: string, options: string[], expected: RegExp][] = [
    ["written to", large, [], /mounts\[2\] .*a copy is for what is only read/],
    ["written to after all", large, ["ro", "rw"], /a copy is for what is only read/],
    ["many files", many, ["ro"], /more than 1000 files/],
    ["large", large, ["ro"], /more than 4 MiB/],
    ["a pipe", pipe, ["ro"], /v\/0\/fifo in it is neither file, directory nor link/],
    ["the same of a file", `${pipe}/fifo`, ["ro"], /it is neither a file nor a directory/],
  ];
  for (const [name, source, options, expected] of rows) {
    await t.step(name, () => {
      const copy = () => copiedMountFacts([volume(source, ...options)], "Firecracker");
      assert.throws(copy, (error) => error instanceof Error && expected.test(error.message));
    });
  }
});
