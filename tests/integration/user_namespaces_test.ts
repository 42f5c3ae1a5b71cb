/** A container's user namespace: config.json's, made or joined. */
import assert from "node:assert/strict";
import { readStatus, waitFor } from "../support/process.ts";
import { assertSucceeded, Container, doubleContainer } from "../support/runtime.ts";
import type { ContainerOptions } from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

const needs = ["root", "gcc"];

/** As docker's userns-remap, and the kubelet for `hostUsers: false`, write it. */
const UIDS = [{ containerID: 0, hostID: 1_700_000_000, size: 65536 }];
const GIDS = [{ containerID: 0, hostID: 1_700_100_000, size: 65536 }];

function inNamespace(path?: string, uids = UIDS, gids = GIDS): ContainerOptions {
  return {
    edit: (config) => {
      const linux = config.linux as { namespaces: object[] };
      linux.namespaces.push({ type: "user", ...path === undefined ? {} : { path } });
      Object.assign(linux, { uidMappings: uids, gidMappings: gids });
    },
  };
}

/** Both of its processes, by an observer outside, before the start and after it. */
async function assertMapped(container: Container): Promise<void> {
  const pid = await container.mustCreate();
  for (const isStarted of [false, true]) {
    if (isStarted) {
      assertSucceeded(await container.start(), "start");
      await container.report();
    }
    for (const process of [pid, await container.monitorPid()]) {
      const { uids, gids, groups, capabilities } = readStatus(process);
      assert.deepEqual(uids, Array(4).fill(1_700_000_005));
      assert.deepEqual(gids, Array(4).fill(1_700_100_006));
      assert.deepEqual(groups, [1_700_100_007]);
      assert.ok(Object.values(capabilities).every((set) => set === 0n));
    }
  }
}

const user = { uid: 5, gid: 6, additionalGids: [7] };

testIf("user namespace: the monitor is whom the mappings make of the container's user", {
  needs,
}, async () => {
  await using scope = new Scope();
  await assertMapped(await doubleContainer(scope, "report; idle", { ...inNamespace(), user }));
});

/** A process in a user namespace of its own with these mappings; its path. */
async function otherNamespace(scope: Scope): Promise<string> {
  const { pid, ...holder } = new Deno.Command("unshare", { args: ["--user", "sleep", "600"] })
    .spawn();
  scope.defer("end the holder", async () => {
    Deno.kill(pid, "SIGKILL");
    await holder.status;
  });
  const own = Deno.readLinkSync("/proc/self/ns/user");
  const path = `/proc/${pid}/ns/user`;
  await waitFor(() => Deno.readLinkSync(path) !== own, { timeoutSeconds: 10, what: "it" });
  for (const [name, [mapping]] of [["gid", GIDS], ["uid", UIDS]] as const) {
    const { containerID, hostID, size } = mapping!;
    await Deno.writeTextFile(`/proc/${pid}/${name}_map`, `${containerID} ${hostID} ${size}`);
  }
  return path;
}

testIf("user namespace: of one that is joined the kernel says the mappings", {
  needs: [...needs, "unshare"],
}, async () => {
  await using scope = new Scope();
  // What podman writes, because runc wants mappings.
  const dummy = [{ containerID: 0, hostID: 0, size: 1 }];
  const path = await otherNamespace(scope);
  const options = { ...inNamespace(path, dummy, dummy), user };
  await assertMapped(await doubleContainer(scope, "report; idle", options));
});
