/** The monitor's user namespace: config.json's, made or joined, or one of its own. */
import assert from "node:assert/strict";
import {
  close,
  kill,
  MSG_DONTWAIT,
  read,
  readAsync,
  send,
  SIGKILL,
  SOCK_STREAM,
  socketpair,
  spawn,
  waitpidAsync,
} from "../../ffi/linux.ts";
import {
  NAMESPACE_OWNER,
  parseIdMap,
  readIdMaps,
  readMapsOfNamespace,
  readNamespaceOwner,
} from "../../lib/host/id_maps.ts";
import { makePrograms } from "../../lib/launch/programs.ts";
import { makeUserNamespace } from "../../lib/launch/user_namespace.ts";
import type { IdMaps } from "../../lib/oci/types.ts";
import { isCode } from "../../lib/os/os_error.ts";
import { childrenOf, isAlive, readStatus, run, waitFor } from "../support/process.ts";
import { assertFailed, assertNothingLeft, assertSucceeded, Container } from "../support/runtime.ts";
import { type ContainerOptions, doubleContainer } from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { nativeProgram } from "../support/waiter.ts";

const needs = ["root", "gcc"];

/** As docker's userns-remap, and the kubelet for `hostUsers: false`, write it. */
const MAPS: IdMaps = {
  uids: [{ containerID: 0, hostID: 1_700_000_000, size: 65536 }],
  gids: [{ containerID: 0, hostID: 1_700_100_000, size: 65536 }],
};
/** What podman writes for one that is joined, because runc wants mappings. */
const DUMMY: IdMaps = {
  uids: [{ containerID: 0, hostID: 0, size: 1 }],
  gids: [{ containerID: 0, hostID: 0, size: 1 }],
};

function inNamespace({ uids, gids }: IdMaps, path?: string): ContainerOptions {
  return {
    user: { uid: 5, gid: 6, additionalGids: [7] },
    edit: (config) => {
      const linux = config.linux as { namespaces: object[] };
      linux.namespaces.push({ type: "user", ...path === undefined ? {} : { path } });
      Object.assign(linux, { uidMappings: uids, gidMappings: gids });
    },
  };
}

interface Expected {
  uid: number;
  gid: number;
  groups: number[];
  maps: IdMaps;
  /** Of one that is joined. */
  namespace?: string;
}

const userNamespaceOf = (pid: number) => Deno.readLinkSync(`/proc/${pid}/ns/user`);

/** Both of its processes, by an observer outside, before the start and after it. */
async function assertIn(container: Container, expected: Expected): Promise<void> {
  const { uid, gid, groups, maps, namespace } = expected;
  const pid = await container.mustCreate();
  for (const isStarted of [false, true]) {
    if (isStarted) {
      assertSucceeded(await container.start(), "start");
      await container.report();
    }
    const monitor = await container.monitorPid();
    for (const process of [pid, monitor]) {
      const status = readStatus(process);
      assert.deepEqual(status.uids, Array(4).fill(uid));
      assert.deepEqual(status.gids, Array(4).fill(gid));
      assert.deepEqual(status.groups, groups);
      assert.ok(Object.values(status.capabilities).every((set) => set === 0n));
      assert.equal(status.noNewPrivs, 1);
    }
    // The waiter is not in it: it has no capability to enter one with.
    assert.equal(userNamespaceOf(pid), userNamespaceOf(Deno.pid));
    assert.notEqual(userNamespaceOf(monitor), userNamespaceOf(Deno.pid));
    if (namespace !== undefined) assert.equal(userNamespaceOf(monitor), namespace);
    assert.deepEqual(readIdMaps(monitor), maps);
    const { annotations } = await container.state();
    assert.equal(annotations?.["com.urunc.monitor.namespaces"], "network ipc user");
  }
}

const mapped = { uid: 1_700_000_005, gid: 1_700_100_006, groups: [1_700_100_007], maps: MAPS };

testIf("user namespace: config.json's, and the monitor is whom it makes of the container's user", {
  needs,
}, async () => {
  await using scope = new Scope();
  await assertIn(await doubleContainer(scope, "report; idle", inNamespace(MAPS)), mapped);
});

/** A process in a user namespace of its own with these mappings; its pid. */
async function otherNamespace(scope: Scope, ...more: string[]): Promise<number> {
  const args = ["--user", ...more, "sleep", "600"];
  const holder = new Deno.Command("unshare", { args }).spawn();
  const { pid } = holder;
  scope.defer("end the holder", async () => {
    if (isAlive(pid)) holder.kill("SIGKILL");
    await holder.status;
  });
  const own = userNamespaceOf(Deno.pid);
  await waitFor(() => userNamespaceOf(pid) !== own, { timeoutSeconds: 10, what: "it" });
  for (const [name, [mapping]] of [["gid", MAPS.gids], ["uid", MAPS.uids]] as const) {
    const { containerID, hostID, size } = mapping!;
    await Deno.writeTextFile(`/proc/${pid}/${name}_map`, `${containerID} ${hostID} ${size}`);
  }
  return pid;
}

testIf("user namespace: one that is joined, whose mappings the kernel says", {
  needs: [...needs, "unshare"],
}, async () => {
  await using scope = new Scope();
  const holder = await otherNamespace(scope);
  const options = inNamespace(DUMMY, `/proc/${holder}/ns/user`);
  const namespace = userNamespaceOf(holder);
  await assertIn(await doubleContainer(scope, "report; idle", options), { ...mapped, namespace });
});

testIf("user namespace: one that is pinned, which no process is in yet, as CRI-O makes a pod's", {
  needs: [...needs, "unshare"],
}, async () => {
  await using scope = new Scope();
  const holder = await otherNamespace(scope);
  const path = `${await scope.temporaryDirectory("pinned")}/user`;
  await Deno.writeTextFile(path, "");
  await run(["mount", "--bind", `/proc/${holder}/ns/user`, path], { check: true });
  scope.defer("unmount the namespace", () => run(["umount", "--lazy", path]));
  const namespace = userNamespaceOf(holder);
  Deno.kill(holder, "SIGKILL");
  await waitFor(() => readMapsOfNamespace(path) === undefined, { timeoutSeconds: 10, what: "it" });
  const joined = (maps: IdMaps) => doubleContainer(scope, "report; idle", inNamespace(maps, path));
  // What config.json says is what the kernel has.
  const other = { ...MAPS, uids: [{ ...MAPS.uids[0]!, size: 9 }] };
  const wrong = await joined(other);
  assertFailed(await wrong.create(), ["mapping of uids is 0:1700000000:65536, planned was"]);
  assertNothingLeft(wrong);
  const silent = await joined({ uids: [], gids: [] });
  assertFailed(await silent.create(), [
    `${path} has no process, and linux.uidMappings does not say what it maps`,
  ]);
  await assertIn(await joined(MAPS), { ...mapped, namespace });
});

testIf("user namespace: a PID namespace that is shared in it does not have the monitor", {
  needs: [...needs, "unshare"],
}, async () => {
  await using scope = new Scope();
  const holder = await otherNamespace(scope, "--pid", "--fork", "--kill-child");
  const first = await waitFor(() => childrenOf(holder)[0], { timeoutSeconds: 10, what: "PID 1" });
  const { user, edit } = inNamespace(DUMMY, `/proc/${holder}/ns/user`);
  const shared = `/proc/${first}/ns/pid`;
  const container = await doubleContainer(scope, "report; idle", {
    user,
    edit: (config) => {
      edit!(config);
      const { namespaces } = config.linux as { namespaces: { type: string; path?: string }[] };
      for (const it of namespaces) if (it.type === "pid") it.path = shared;
    },
  });
  const pid = await container.mustStart();
  const { pid: own } = await container.report();
  assert.equal(own, 1);
  const monitor = await container.monitorPid();
  const [waiters, monitors] = [pid, monitor].map((it) => Deno.readLinkSync(`/proc/${it}/ns/pid`));
  assert.equal(waiters, Deno.readLinkSync(shared));
  assert.notEqual(monitors, waiters);
  assert.equal(userNamespaceOf(monitor), userNamespaceOf(holder));
  assert.equal(readStatus(monitor).uids[0], mapped.uid);
  const { annotations } = await container.state();
  assert.equal(annotations?.["com.urunc.monitor.namespaces"], "network ipc pid user");
});

testIf("user namespace: of one that is joined by a path that leads to another meanwhile", {
  needs: [...needs, "unshare"],
}, async () => {
  await using scope = new Scope();
  const [checked, other] = [await otherNamespace(scope), await otherNamespace(scope)];
  const path = `${await scope.temporaryDirectory("namespace")}/user`;
  await Deno.writeTextFile(path, "");
  scope.defer("unmount it", () => run(["umount", "--lazy", path]));
  await run(["mount", "--bind", `/proc/${checked}/ns/user`, path], { check: true });
  const replace = `umount ${path} && mount --bind /proc/${other}/ns/user ${path}`;
  const { user, edit } = inNamespace(DUMMY, path);
  const container = await doubleContainer(scope, "idle", {
    user,
    edit: (config) => {
      edit!(config);
      const env = ["PATH=/usr/bin:/bin"];
      config.hooks = { createRuntime: [{ path: "/bin/sh", args: ["sh", "-ec", replace], env }] };
    },
  });
  // The monitor's view of the mounts is older than the hook: it enters what was checked.
  await container.mustCreate();
  assert.equal(userNamespaceOf(await container.monitorPid()), userNamespaceOf(checked));
  assert.notEqual(Deno.statSync(path).ino, Deno.statSync(`/proc/${checked}/ns/user`).ino);
});

/** Of this run alone: others on this machine may have some, too. */
const OWN = 1_000_000_050 + 100 * (Deno.pid % 4_000_000);

testIf("user namespace: its own, with ids.mode userns, which is not its user's", {
  needs: [...needs, "nsenter", "setpriv"],
}, async () => {
  await using scope = new Scope();
  const configuration = `accelerator = "tcg"\n[ids]\nmode = "userns"\nrange = "${OWN}-${OWN}"`;
  const alone = [{ containerID: OWN, hostID: OWN, size: 1 }];
  // Also for a container that has one, which does not have this user.
  for (const options of [{ user: { uid: 0, gid: 0, additionalGids: [6] } }, inNamespace(MAPS)]) {
    const container = await doubleContainer(scope, "report; idle", { ...options, configuration });
    await assertIn(container, {
      uid: OWN,
      gid: OWN,
      groups: [],
      maps: { uids: alone, gids: alone },
    });
    const monitor = await container.monitorPid();
    assert.equal(Deno.readTextFileSync(`/proc/${monitor}/setgroups`), "deny\n");
    // To a process of its uid outside of it, it would give every capability, were it that user's.
    const user = ["setpriv", `--reuid=${OWN}`, `--regid=${OWN}`, "--clear-groups"];
    const entered = await run([...user, "nsenter", "-t", `${monitor}`, "--user", "true"]);
    assert.match(entered.stderr, /not permitted/i);
    assertSucceeded(await container.delete("--force"), "delete");
    assertNothingLeft(container);
  }
});

/** A process of the host's uid 0 that lacks a capability: what it says of a directory of /proc/PID. */
async function listAsRoot(pid: number, directory: string, lacks: string): Promise<string> {
  const command = ["setpriv", `--bounding-set=${lacks}`, "ls", `/proc/${pid}/${directory}/`];
  return (await run(command)).stderr;
}

/** By /proc/PID it would reach the files of that process, and could trace it. */
async function assertOutOfReach(pid: number): Promise<void> {
  for (const directory of ["root", "cwd"]) {
    assert.equal(await listAsRoot(pid, directory, "-net_raw"), "", "the attempt is one");
    const refused = await listAsRoot(pid, directory, "-sys_ptrace");
    assert.match(refused, /permission denied/i, `/proc/${pid}/${directory}`);
  }
}

testIf("user namespace: the host's root has no capability over it that root lacks", {
  needs: [...needs, "setpriv"],
}, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "report; idle", inNamespace(MAPS));
  await container.mustCreate();
  for (const isStarted of [false, true]) {
    if (isStarted) {
      assertSucceeded(await container.start(), "start");
      await container.report();
    }
    const monitor = await container.monitorPid();
    assert.equal(readNamespaceOwner(monitor), NAMESPACE_OWNER);
    await assertOutOfReach(monitor);
  }
});

testIf("user namespace: the process that makes it is undumpable, and not its root's", {
  needs: ["root", "setpriv"],
}, async () => {
  await using scope = new Scope();
  const path = await nativeProgram(scope, "shipped");
  // Readable, as here, a program is dumpable unless it says that it is not.
  const [ours, theirs] = socketpair(SOCK_STREAM);
  const fds = [0, 1].map((to) => ({ from: theirs, to }));
  const pid = spawn({ path, argv: ["urunc-user"], env: [], fds });
  close(theirs);
  scope.defer("end it", async () => {
    close(ours);
    assert.deepEqual(await waitpidAsync(pid), { exitCode: 0 });
  });
  const answer = new Uint8Array(512);
  const text = new TextDecoder().decode(answer.subarray(0, read(ours, answer)));
  assert.equal(text, `${pid}`);
  assert.equal(readNamespaceOwner(pid), NAMESPACE_OWNER);
  await assertOutOfReach(pid);
});

/** Sends until nothing more fits: then every writer to the same end waits. */
function fill(connection: number): void {
  try {
    for (;;) send(connection, new Uint8Array(65536), MSG_DONTWAIT);
  } catch (error) {
    if (!isCode(error, "EAGAIN")) throw error;
  }
}

testIf("user namespace: a process that is killed before it reports the next one ends both", {
  needs: ["root"],
  timeoutSeconds: 30,
}, async () => {
  await using scope = new Scope();
  const programs = makePrograms();
  const namespace = makeUserNamespace(programs, MAPS);
  close(programs);
  const path = await nativeProgram(scope, "shipped");
  const [ours, theirs] = socketpair(SOCK_STREAM);
  scope.defer("end what waits at the other end", () => close(ours));
  fill(theirs);
  const fds = [...[0, 1, 2].map((to) => ({ from: theirs, to })), { from: namespace, to: 3 }];
  const argv = ["urunc-monitor", "user+pid=3", "--", "/bin/true"];
  const before = new Set(childrenOf(Deno.pid));
  const first = spawn({ path, argv, env: [], fds });
  for (const fd of [theirs, namespace]) close(fd);
  // Its sibling, so a child of this process: in a PID namespace of its own.
  const next = await waitFor(
    () => childrenOf(Deno.pid).find((it) => it !== first && !before.has(it)),
    { timeoutSeconds: 10, what: "the next process" },
  );
  assert.notEqual(
    Deno.readLinkSync(`/proc/${next}/ns/pid`),
    Deno.readLinkSync("/proc/self/ns/pid"),
  );
  kill(first, SIGKILL);
  assert.deepEqual(await waitpidAsync(first), { signal: SIGKILL });
  let rest = new Uint8Array(1 << 20);
  while (rest.length > 0) rest = rest.slice(0, await readAsync(ours, rest));
  assert.deepEqual(await waitpidAsync(next), { exitCode: 125 });
});

testIf("user namespace: a monitor that is to keep capabilities gets none", { needs }, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle", {
    ...inNamespace(MAPS),
    monitor: 'capabilities = ["CAP_NET_ADMIN"]',
  });
  assertFailed(await container.create(), ["monitors.qemu.capabilities", "user namespace"]);
  assertNothingLeft(container);
});

for (const accelerator of ["kvm", "tcg"] as const) {
  testIf(`user namespace: a real guest's QEMU on ${accelerator} runs in it`, {
    needs: ["root", "qemu-system-x86_64", ...accelerator === "kvm" ? ["kvm"] : []],
  }, async () => {
    await using scope = new Scope();
    const options = inNamespace(MAPS);
    const container = await Container.prepare(scope, { ...options, args: ["idle"], accelerator });
    await container.mustStart();
    await container.waitForOutput("idle");
    const monitor = await container.monitorPid();
    assert.match(readStatus(monitor).name, /^qemu-system/);
    const map = Deno.readTextFileSync(`/proc/${monitor}/uid_map`);
    assert.deepEqual(parseIdMap(map), MAPS.uids);
  });
}
