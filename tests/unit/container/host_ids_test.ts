import assert from "node:assert/strict";
import { HostIds } from "../../../lib/container/host_ids.ts";
import { HostError } from "../../../lib/errors.ts";
import { exists } from "../../../lib/os/files.ts";
import { Scope } from "../../support/scope.ts";
import { waitFor } from "../../support/process.ts";
import { testIf } from "../../support/skip.ts";

const RANGE = { first: 1_900_000_001, last: 1_900_000_003 };
const [A, B, C] = [RANGE.first, RANGE.first + 1, RANGE.last] as const;

async function prepare(scope: Scope) {
  const directory = `${await scope.temporaryDirectory("ids")}/~ids`;
  const containers = await scope.temporaryDirectory("containers");
  const container = (name: string) => {
    Deno.mkdirSync(`${containers}/${name}`, { recursive: true });
    return `${containers}/${name}`;
  };
  return { directory, ids: new HostIds(directory), container };
}

Deno.test("no two containers get an id, and one that was given back rests", async () => {
  await using scope = new Scope();
  const { ids, container } = await prepare(scope);
  assert.equal(await ids.claim(RANGE, container("one")), A);
  assert.equal(await ids.claim(RANGE, container("two")), B);
  await ids.release(container("one"), A);
  assert.equal(await ids.claim(RANGE, container("three")), C);
  assert.equal(await ids.claim(RANGE, container("four")), A);
  await assert.rejects(ids.claim(RANGE, container("five")), (error) => {
    assert.ok(error instanceof HostError);
    assert.match(error.message, /ids.range "1900000001-1900000003": containers have all of its 3/);
    return true;
  });
});

Deno.test("containers that are made at once get ids of their own", async () => {
  await using scope = new Scope();
  const { ids, container } = await prepare(scope);
  const range = { first: A, last: A + 19 };
  const claims = Array.from({ length: 20 }, (_, at) => ids.claim(range, container(`at-${at}`)));
  assert.equal(new Set(await Promise.all(claims)).size, 20);
});

Deno.test("an id whose container's directory is gone is given again", async () => {
  await using scope = new Scope();
  const { ids, container } = await prepare(scope);
  const range = { first: A, last: A };
  await ids.claim(range, container("killed"));
  Deno.removeSync(container("killed"));
  assert.equal(await ids.claim(range, container("next")), A);
  // An earlier container of the same name left it.
  assert.equal(await ids.claim(range, container("next")), A);
});

/** A process with this uid; ends it. */
async function processOf(scope: Scope, uid: number): Promise<() => Promise<void>> {
  const args = [`--reuid=${uid}`, "--clear-groups", "sleep", "60"];
  const process = new Deno.Command("setpriv", { args }).spawn();
  const end = async () => {
    process.kill("SIGKILL");
    await process.status;
  };
  scope.defer("end it", () => end().catch(() => {}));
  const uidOf = () => /^Uid:\t(\d+)/m.exec(Deno.readTextFileSync(`/proc/${process.pid}/status`));
  await waitFor(() => Number(uidOf()?.[1]) === uid, { timeoutSeconds: 10, what: "its uid" });
  return end;
}

testIf("an id of a process that nothing else is known of is not given", {
  needs: ["root", "setpriv"],
}, async () => {
  await using scope = new Scope();
  const { ids, container } = await prepare(scope);
  await ids.claim(RANGE, container("lost"));
  Deno.removeSync(container("lost"));
  await processOf(scope, A);
  for (const [name, id] of [["one", B], ["two", C]] as const) {
    assert.equal(await ids.claim(RANGE, container(name)), id);
  }
  await assert.rejects(ids.claim(RANGE, container("three")), /containers have all/);
});

testIf("an id that a process has still is not given back before it ends", {
  needs: ["root", "setpriv"],
}, async () => {
  await using scope = new Scope();
  const { directory, ids, container } = await prepare(scope);
  const isGiven = () => exists(`${directory}/${A}`);
  for (const known of [A, undefined]) {
    const one = container("one");
    assert.equal(await ids.claim({ first: A, last: A }, one), A);
    const end = await processOf(scope, A);
    await ids.release(one, known);
    Deno.removeSync(one);
    assert.ok(isGiven());
    // Also not to one of the same name.
    for (const name of ["one", "two"]) {
      await assert.rejects(
        ids.claim({ first: A, last: A }, container(name)),
        /containers have all/,
      );
      Deno.removeSync(container(name));
    }
    await end();
    assert.equal(await ids.claim({ first: A, last: A }, container("two")), A);
    await ids.release(container("two"), A);
    assert.ok(!isGiven());
  }
});

Deno.test("only its own container gives an id back; a killed creator's is found by its directory", async () => {
  await using scope = new Scope();
  const { directory, ids, container } = await prepare(scope);
  await ids.release(container("one"), A);
  assert.throws(() => Deno.lstatSync(directory), Deno.errors.NotFound);
  await ids.claim(RANGE, container("one"));
  await ids.claim(RANGE, container("two"));
  await ids.release(container("two"), A);
  assert.equal(Deno.readLinkSync(`${directory}/${A}`), container("one"));
  await ids.release(container("one"));
  assert.deepEqual([...Deno.readDirSync(directory)].map(({ name }) => name).sort(), [
    `${B}`,
    "lock",
  ]);
});

testIf("a directory of ids that others can write to is refused", { needs: ["root"] }, async () => {
  await using scope = new Scope();
  const { directory, ids, container } = await prepare(scope);
  Deno.mkdirSync(directory);
  Deno.chmodSync(directory, 0o777);
  await assert.rejects(
    ids.claim(RANGE, container("one")),
    /allocate a host id .*others than its owner/,
  );
});

Deno.test("a container may have several ids in a row, which no other has any of", async () => {
  await using scope = new Scope();
  const { directory, ids, container } = await prepare(scope);
  const range = { first: A, last: A + 9 };
  assert.equal(await ids.claim(range, container("one")), A);
  assert.equal(await ids.claim(range, container("four"), 4), A + 1);
  assert.equal(Deno.readLinkSync(`${directory}/${A + 1}-${A + 4}`), container("four"));
  await ids.release(container("one"), A);
  assert.equal(await ids.claim(range, container("five"), 5), A + 5);
  // One is left, and it is before those that were given last.
  await assert.rejects(ids.claim(range, container("two"), 2), /no 2 are left in a row/);
  assert.equal(await ids.claim(range, container("last")), A);
  await ids.release(container("four"), A + 1);
  assert.equal(await ids.claim(range, container("two"), 2), A + 1);
});
