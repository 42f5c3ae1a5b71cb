import assert from "node:assert/strict";
import { defaultConfiguration } from "../../../lib/config/parse.ts";
import { guestOf } from "../../../lib/guest/families/registry.ts";
import { fileServerIdentity, planFileServer } from "../../../lib/plan/file_server.ts";
import { planLaunch } from "../../../lib/plan/launch.ts";
import type { LaunchInput } from "../../../lib/plan/launch_input.ts";
import type { SharedVolume } from "../../../lib/plan/shared_files.ts";
import { factsOf, launchInputOf, specOf } from "../../support/plan_inputs.ts";

const VOLUME: SharedVolume = {
  source: "/srv/data",
  destination: "/data",
  isFile: false,
  readOnly: false,
  options: ["rbind"],
  index: 1,
};

const INPUT = {
  shared: {
    root: { readOnly: true },
    volumes: [VOLUME, { ...VOLUME, isFile: true, readOnly: true, options: ["bind"] }],
  },
  server: { binary: "/usr/libexec/virtiofsd", libraries: ["/lib/libc.so.6"], openFiles: 5000 },
  user: { uid: 7, gid: 8, additionalGids: [9, 10, 9] },
  rootfs: "/b/rootfs",
  mountPoint: "/run/x/root",
  newKeyring: true,
  filtered: true,
};

Deno.test("file server: its root has its program and what is shared, and is left in this order", () => {
  const namespaces = ["mount", "network", "ipc", "pid"];
  const steps = planFileServer(INPUT);
  assert.deepEqual(steps.filter(({ step }) => step !== "mkdir"), [
    { step: "holdNamespaces", namespaces },
    { step: "enterMonitorNamespaces", namespaces },
    { step: "umask", mask: 0 },
    { step: "mountRoot", path: "/run/x/root", sizeBytes: 1048576 },
    {
      step: "bindHost",
      source: "/usr/libexec/virtiofsd",
      target: "/usr/libexec/virtiofsd",
      kind: "file",
    },
    { step: "bindLibraries", files: ["/lib/libc.so.6"] },
    {
      ...{ step: "bindShared", source: "/b/rootfs", target: "/shared/root", kind: "directory" },
      ...{ readOnly: true, recursive: false },
    },
    {
      ...{ step: "bindShared", source: "/srv/data", target: "/shared/v/0", kind: "directory" },
      ...{ readOnly: false, recursive: true },
    },
    {
      ...{ step: "bindShared", source: "/srv/data", target: "/shared/v/1/file", kind: "file" },
      ...{ readOnly: true, recursive: false },
    },
    { step: "pivotRoot" },
    { step: "privateMounts" },
    { step: "connectFileServer" },
    { step: "remountReadOnly", path: "/" },
    { step: "newSessionKeyring", tolerate: ["ENOSYS"] },
    { step: "closeFds" },
    steps.find(({ step }) => step === "startFileServer"),
    { step: "leaveMonitorNamespaces" },
  ]);
});

Deno.test("file server: it becomes the container's user, and every id of the guest is that", () => {
  const start = planFileServer(INPUT).find((it) => it.step === "startFileServer")!;
  assert.deepEqual(start.fds, [{ name: "fileServer", fd: 3 }, { name: "fileServerFilter", fd: 4 }]);
  const end = start.argv.indexOf("--");
  assert.deepEqual(start.argv.slice(0, end), [
    ...["urunc-files", "uid=7", "gid=8", "group=9", "group=10", "files=5000", "filter=4"],
  ]);
  for (
    const word of [
      "--fd=3",
      "--shared-dir=/shared",
      "--seccomp=kill",
      "--inode-file-handles=never",
      "--announce-submounts",
      "--xattr",
      "--killpriv-v2",
      "--translate-uid=squash-guest:0:7:4294967295",
      "--translate-gid=squash-guest:0:8:4294967295",
    ]
  ) assert.ok(start.argv.slice(end).includes(word), word);
});

/** A guest with an agent and a volume, whose monitor is another user than the container's. */
function inputOf(changes: Partial<LaunchInput> = {}): LaunchInput {
  const spec = specOf({
    process: { user: { uid: 70000, gid: 70000 }, args: ["x"], cwd: "/" },
    mounts: [{ destination: "/data", type: "bind", source: "/srv/data", options: ["rbind"] }],
  });
  return launchInputOf({
    spec,
    filesUser: { uid: 7, gid: 8, additionalGids: [10, 9] },
    guest: guestOf("linux"),
    unikernel: {
      ...{ unikernelType: "linux", hypervisor: "qemu", binary: "/vmlinuz", agent: "on" },
      accelerator: "kvm",
    },
    configuration: {
      ...defaultConfiguration(),
      ids: { default_user: undefined, mode: "uid", range: "70000-70001" },
    },
    facts: factsOf({
      initrd: { path: "/initrd", size: 1024, isInitramfs: true } as never,
      fileServer: { binary: "/usr/libexec/virtiofsd", libraries: [], openFiles: 5000 },
      sharedMounts: [{ index: 0, isFile: false }],
    }),
    ...changes,
  });
}

Deno.test("file server: it is the container's user where the monitor is one of its own", () => {
  const { plan, identity, fileServer } = planLaunch(inputOf());
  const start = plan.steps.find((it) => it.step === "startFileServer")!;
  assert.deepEqual(start.argv.slice(1, 5), ["uid=7", "gid=8", "group=9", "group=10"]);
  assert.equal(identity.uid, 70000);
  assert.deepEqual(fileServer, {
    ...{ uid: 7, gid: 8, groups: [9, 10], capabilities: [], noNewPrivileges: true },
    seccompFilters: 1,
  });
});

Deno.test("file server: the guest's memory is a file that the monitor alone can make, and the only one", () => {
  const { plan } = planLaunch(inputOf());
  const memory = plan.steps.find((it) => it.step === "mountTmpfs" && it.path === "/memory");
  assert.deepEqual(memory, {
    ...{ step: "mountTmpfs", path: "/memory", sizeBytes: 257 * 1024 * 1024, mode: 0o700 },
    ...{ devices: false, uid: 70000, gid: 70000, files: 2 },
  });
});

Deno.test("file server: as uid 0 it has no supplementary groups, which it would want to drop", () => {
  const user = { uid: 0, gid: 0, additionalGids: [0, 6] };
  const start = planFileServer({ ...INPUT, user }).find(({ step }) => step === "startFileServer");
  assert.ok(start?.step === "startFileServer");
  assert.deepEqual(start.argv.filter((word) => word.startsWith("group=")), []);
  assert.deepEqual(fileServerIdentity({ user, filtered: true }).groups, []);
});

Deno.test("file server: in others' PID namespace and user namespace there is none", () => {
  const ids = [{ containerID: 0, hostID: 7, size: 8 }];
  const namespaces = ["network", "ipc", "mount"].map((type) => ({ type }));
  const joined = ["pid", "user"].map((type) => ({ type, path: `/proc/1/ns/${type}` }));
  const linux = (of: { type: string }[]) => ({
    ...specOf({ linux: { namespaces: [...namespaces, ...of] } }).linux,
    ...{ uidMappings: ids, gidMappings: ids },
  });
  const input = inputOf();
  const plan = (of: { type: string }[], configuration = defaultConfiguration()) =>
    planLaunch({
      ...input,
      spec: { ...input.spec, linux: linux(of) },
      filesUser: { uid: 7, gid: 7, additionalGids: [] },
      fileMaps: { uids: ids, gids: ids },
      configuration,
    });
  for (const mode of ["container", "uid", "userns"] as const) {
    const ids = { default_user: undefined, mode, range: "70000-70001" };
    const configuration = { ...defaultConfiguration(), ids };
    assert.throws(
      () => plan(joined, configuration),
      /PID namespace and the user namespace.*shareProcessNamespace/s,
    );
  }
  plan([joined[1]!, { type: "pid" }]);
});

Deno.test("file server: as uid 0 it keeps the capability to give up its own, and its arguments say so", () => {
  const user = { uid: 0, gid: 0, additionalGids: [] };
  assert.deepEqual(fileServerIdentity({ user, filtered: true }).capabilities, ["CAP_SETPCAP"]);
  const start = (it: typeof INPUT) =>
    planFileServer(it).find(({ step }) => step === "startFileServer") as { argv: string[] };
  const modified = ({ argv }: { argv: string[] }) =>
    argv.filter((word) => word.startsWith("--modcaps"));
  assert.deepEqual(modified(start(INPUT)), []);
  assert.deepEqual(modified(start({ ...INPUT, user })), [
    "--modcaps=-chown:-dac_override:-fowner:-fsetid:-setgid:-setuid:-mknod:-setfcap",
  ]);
});

Deno.test("file server: filters that all are in count, and without filters none is proven", () => {
  const user = { uid: 0, gid: 0, additionalGids: [] };
  assert.equal(fileServerIdentity({ user, filtered: true, seccompFilters: 2 }).seccompFilters, 3);
  assert.equal(fileServerIdentity({ user, filtered: false }).seccompFilters, undefined);
});

Deno.test("file server: in a user namespace it is root over its files, whose owners are mapped", () => {
  const ids = [{ containerID: 0, hostID: 100000, size: 65536 }];
  const input = { ...INPUT, maps: { uids: ids, gids: ids } };
  const steps = planFileServer(input);
  assert.deepEqual(steps[0], {
    ...{ step: "makeUserNamespace", name: "filesNamespace", setsGroups: true },
    ...{ uidMappings: ids, gidMappings: ids },
  });
  const bound = (all: typeof steps) =>
    all.flatMap((it) => it.step === "bindShared" ? [it.userNamespace] : []);
  const below = (all: typeof steps) =>
    all.flatMap((it) => it.step === "bindShared" ? [it.mapsBelow] : []);
  assert.deepEqual(below(steps), [undefined, true, false]);
  assert.deepEqual(bound(steps), Array(3).fill("filesNamespace"));
  const root = { readOnly: true, isMapped: true as const };
  const mapped = planFileServer({ ...input, shared: { ...input.shared, root } });
  assert.deepEqual(bound(mapped), [undefined, "filesNamespace", "filesNamespace"]);
  const volumes = [{ ...VOLUME, isMapped: true as const }, { ...VOLUME, mapsBelow: false }];
  const some = planFileServer({ ...input, shared: { volumes } });
  assert.deepEqual(bound(some), [undefined, "filesNamespace"]);
  assert.deepEqual(below(some), [undefined, false]);
  const start = steps.find((it) => it.step === "startFileServer")!;
  assert.deepEqual(start.fds.at(-1), { name: "filesNamespace", fd: 5 });
  const end = start.argv.indexOf("--");
  assert.deepEqual(start.argv.slice(0, end), [
    ...["urunc-files", "uid=0", "gid=0", "files=5000", "filter=4", "user=5"],
    ...[0, 1, 3, 4, 6, 7, 8].map((number) => `capability=${number}`),
  ]);
  assert.ok(start.argv.includes("--modcaps=-mknod:-setfcap"));
  assert.doesNotMatch(start.argv.join(" "), /squash/);
  const { uid, gid, groups, capabilities } = fileServerIdentity(input);
  assert.deepEqual([uid, gid, groups, capabilities.length], [100000, 100000, [], 7]);
  const uids = [{ containerID: 5, hostID: 5, size: 5 }, { containerID: 0, hostID: 70, size: 5 }];
  const other = fileServerIdentity({ ...input, maps: { uids, gids: ids } });
  assert.deepEqual([other.uid, other.gid], [70, 100000]);
});
