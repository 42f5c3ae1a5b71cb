/** Writing files that may hold secrets. */
import assert from "node:assert/strict";
import { replaceFile } from "../../../lib/install/files.ts";

Deno.test("a file is never open to more users than the one that it replaces", async () => {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/daemon.json`;
  await Deno.writeTextFile(path, "secret", { mode: 0o640 });
  const mask = Deno.umask(0);
  const { chmodSync, chownSync } = Deno;
  const before: number[] = [];
  const look = (file: string | URL) => before.push(Deno.statSync(file).mode! & 0o777);
  try {
    Deno.chmodSync = (file, mode) => (look(file), chmodSync(file, mode));
    Deno.chownSync = (file, uid, gid) => (look(file), chownSync(file, uid, gid));
    replaceFile(path, new TextEncoder().encode("secrets"), 0o644);
    assert.deepEqual(before, [0o600, 0o600]);
    assert.equal(Deno.statSync(path).mode! & 0o777, 0o640);
  } finally {
    Object.assign(Deno, { chmodSync, chownSync });
    Deno.umask(mask);
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a file in place of a link has the mode that is asked for, not the target's", async () => {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${directory}/target`, "", { mode: 0o777 });
    await Deno.symlink("target", `${directory}/link`);
    replaceFile(`${directory}/link`, new Uint8Array(1), 0o640);
    assert.equal(Deno.lstatSync(`${directory}/link`).mode! & 0o7777, 0o640);
    assert.equal(Deno.statSync(`${directory}/target`).size, 0);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
