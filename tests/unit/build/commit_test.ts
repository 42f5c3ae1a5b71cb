import assert from "node:assert/strict";
import { describeCommit } from "../../../lib/build/commit.ts";
import { run } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";

Deno.test("describeCommit outside a work tree is unknown", async () => {
  await using scope = new Scope();
  assert.equal(await describeCommit(await scope.temporaryDirectory("commit")), "unknown");
});

testIf(
  "describeCommit names the commit and says when files differ",
  { needs: ["git"] },
  async () => {
    await using scope = new Scope();
    const directory = await scope.temporaryDirectory("commit");
    const git = async (...args: string[]) =>
      (await run([
        "git",
        "-C",
        directory,
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@localhost",
        ...args,
      ], { check: true })).stdout.trim();
    await git("init", "--quiet");
    await Deno.writeTextFile(`${directory}/file`, "one");
    await git("add", "file");
    await git("commit", "--quiet", "--message", "one");
    const hash = await git("rev-parse", "HEAD");
    await Deno.writeTextFile(`${directory}/untracked`, "");
    assert.equal(await describeCommit(directory), hash);
    await Deno.writeTextFile(`${directory}/file`, "two");
    assert.equal(await describeCommit(directory), `${hash}-dirty`);
  },
);
