/** A monitor's user is of its own, also when containers have the same one. */
import assert from "node:assert/strict";
import { exists } from "../../lib/os/files.ts";
import { readStatus } from "../support/process.ts";
import {
  assertFailed,
  assertNothingLeft,
  assertSucceeded,
  Container,
  doubleContainer,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { withVolumes } from "../support/volumes.ts";

const needs = ["root", "gcc"];
const LEDGER = "/run/urunc/~ids";

/** Of this run alone: others on this machine may have some, too. */
const FIRST = 1_000_000_000 + 100 * (Deno.pid % 4_000_000);

/** @param count how many ids there are */
function configuration(count: number, at = 0): string {
  const first = FIRST + at;
  return `accelerator = "tcg"\n[ids]\nmode = "uid"\nrange = "${first}-${first + count - 1}"`;
}

/** Both of its processes, by an observer outside. */
async function assertUser(container: Container, pid: number, id: number): Promise<void> {
  for (const process of [pid, await container.monitorPid()]) {
    const { uids, gids, groups, capabilities } = readStatus(process);
    assert.deepEqual([...uids, ...gids], Array(8).fill(id));
    assert.deepEqual(groups, []);
    assert.ok(Object.values(capabilities).every((set) => set === 0n));
  }
}

/** What is proven of both. */
async function assertProven(container: Container, id: number): Promise<void> {
  const { annotations = {} } = await container.state();
  for (const key of ["com.urunc.identity", "com.urunc.waiter.identity"]) {
    assert.match(annotations[key] ?? "", new RegExp(`^Uid=${id},${id},${id},${id} Gid=${id},`));
  }
}

testIf("ids.mode uid: each guest's monitor has a user of its own until its container is deleted", {
  needs,
}, async () => {
  await using scope = new Scope();
  const user = { uid: 1000, gid: 1000, additionalGids: [27, 108] };
  const options = { configuration: configuration(2), user };
  // Two state directories: a uid is the host's.
  const containers = [
    await doubleContainer(scope, "report; idle", options),
    await doubleContainer(scope, "report; idle", options),
  ];
  const pids = await Promise.all(containers.map((it) => it.mustCreate()));
  const ids = pids.map((pid) => readStatus(pid).uids[0]!);
  assert.deepEqual([...ids].sort(), [FIRST, FIRST + 1]);
  for (const [at, container] of containers.entries()) {
    const id = ids[at]!;
    assert.equal(Deno.readLinkSync(`${LEDGER}/${id}`), `${container.root}/${container.id}`);
    await assertUser(container, pids[at]!, id);
    await assertProven(container, id);
    assertSucceeded(await container.start(), "start");
    const report = await container.report();
    assert.deepEqual([report.uids, report.gids, report.groups], [
      Array(3).fill(id),
      Array(3).fill(id),
      [],
    ]);
    await assertUser(container, pids[at]!, id);
    await assertProven(container, id);
  }
  const third = await doubleContainer(scope, "idle", options);
  assertFailed(await third.create(), [
    "allocate a host id ids.range",
    "containers have all of its 2",
  ]);
  assertNothingLeft(third);

  assertSucceeded(await containers[0]!.delete("--force"), "delete");
  assert.ok(!exists(`${LEDGER}/${ids[0]}`));
  assert.equal(readStatus(await third.mustCreate()).uids[0], ids[0]);
});

testIf(
  "ids.mode uid: the container's user decides over volumes, and its monitor gets them opened",
  {
    needs,
  },
  async () => {
    await using scope = new Scope();
    const source = `${await scope.temporaryDirectory("volume")}/disk.img`;
    await Deno.writeFile(source, new Uint8Array(4096), { mode: 0o600 });
    await Deno.chown(source, 1000, 1000);
    const options = (uid: number) => ({
      ...withVolumes({ source, destination: "/disk.img" }),
      configuration: configuration(2, 10),
      user: { uid, gid: uid },
    });
    const owner = await doubleContainer(
      scope,
      "report /guest/disk0; idle",
      options(1000),
    );
    await owner.mustStart();
    const { fds, opens } = await owner.report();
    assert.ok(fds.some(({ fd, uid, size }) => fd >= 3 && uid === 1000 && size === 4096));
    const ENOENT = 2;
    assert.deepEqual(opens["/guest/disk0"], { errno: ENOENT });

    const other = await doubleContainer(scope, "idle", options(1001));
    assertFailed(await other.create(), ["uid 1000, group 1000, with mode 0600", "uid 1001"]);
  },
);

testIf("ids.mode uid: a range with a user of this host is refused", {
  needs: [...needs, "unshare"],
}, async () => {
  await using scope = new Scope();
  const passwd = `${await scope.temporaryDirectory("etc")}/passwd`;
  const own = await Deno.readTextFile("/etc/passwd");
  await Deno.writeTextFile(passwd, `${own}ann:x:${FIRST + 20}:100::/:/bin/sh\n`);
  const container = await doubleContainer(scope, "idle", { configuration: configuration(1, 20) });
  const bind = 'mount --bind "$1" /etc/passwd; shift; exec "$@"';
  const wrapper = ["unshare", "--mount", "sh", "-ec", bind, "sh", passwd];
  assertFailed(await container.create({ wrapper }), ["ann (/etc/passwd) has some"]);
  assertNothingLeft(container);
});
