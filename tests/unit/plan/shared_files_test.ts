import assert from "node:assert/strict";
import { UnsupportedError } from "../../../lib/errors.ts";
import type { Mount } from "../../../lib/oci/types.ts";
import { volumeMounts } from "../../../lib/oci/unsupported.ts";
import { guestMounts } from "../../../lib/plan/guest_mounts.ts";
import { specOf } from "../../support/plan_inputs.ts";
import {
  planMountPoints,
  planSharedFiles,
  type SharedFilesInput,
  sharedFilesWarnings,
} from "../../../lib/plan/shared_files.ts";

const bind = (source: string, destination: string, ...options: string[]): Mount => ({
  type: "bind",
  source,
  destination,
  options: ["rbind", ...options],
});

const PROC: Mount = { type: "proc", source: "proc", destination: "/proc", options: [] };
const MOUNTS = [
  PROC,
  bind("/srv/data", "/data", "noexec"),
  { type: "tmpfs", source: "tmpfs", destination: "/data/cache", options: ["nosuid"] },
  bind("/srv/app.conf", "/etc/app.conf", "rro"),
];

function inputOf(facts: SharedFilesInput["facts"], more: Partial<SharedFilesInput> = {}) {
  return {
    spec: { mounts: MOUNTS, root: { path: "rootfs", readonly: false }, linux: specOf().linux },
    monitor: { title: "QEMU", sharesFiles: true },
    facts,
    ...more,
  };
}

const SERVER = { uid: 7, gid: 8 };
const VOLUMES = [{ index: 1, isFile: false }, { index: 3, isFile: true }];

Deno.test("nothing is shared with a guest that has its files in a disk or RAM disk", () => {
  assert.equal(planSharedFiles(inputOf({})), undefined);
});

Deno.test("volumes are shared in config.json's order, each as it asks", () => {
  const shared = planSharedFiles(inputOf({ sharedMounts: VOLUMES }));
  assert.equal(shared?.root, undefined);
  assert.deepEqual(
    shared?.volumes.map(({ source, destination, isFile, readOnly }) => [
      source,
      destination,
      isFile,
      readOnly,
    ]),
    [["/srv/data", "/data", false, false], ["/srv/app.conf", "/etc/app.conf", true, true]],
  );
});

Deno.test("a root is read-only by its mount or by config.json", () => {
  const readonly = (ofMount: boolean, ofSpec: boolean) =>
    planSharedFiles(inputOf({ sharedRoot: { readOnly: ofMount } }, {
      spec: specOf({ mounts: [], root: { path: "rootfs", readonly: ofSpec } }),
    }))?.root?.readOnly;
  assert.deepEqual(
    [readonly(false, false), readonly(true, false), readonly(false, true)],
    [false, true, true],
  );
});

Deno.test("the agent mounts volumes among its file systems, in config.json's order", () => {
  const { volumes } = planSharedFiles(inputOf({ sharedMounts: VOLUMES }))!;
  const mounts = guestMounts({ mounts: MOUNTS }, volumes).slice(-4);
  assert.deepEqual(mounts, [
    { target: "/proc", type: "proc", flags: 0, options: "" },
    // MS_NOEXEC, MS_NOSUID, MS_RDONLY: linux/mount.h.
    { target: "/data", type: "virtiofs", flags: 8, options: "v/0" },
    { target: "/data/cache", type: "tmpfs", flags: 2, options: "" },
    { target: "/etc/app.conf", type: "virtiofs", flags: 1, options: "v/1/file" },
  ]);
});

Deno.test("recursive options hold in the guest, after all others", () => {
  const flagsOf = (...options: string[]) => {
    const mounts = [bind("/srv/data", "/data", ...options)];
    const shared = planSharedFiles(
      inputOf({ sharedMounts: [{ index: 0, isFile: false }] }, {
        spec: specOf({ mounts }),
      }),
    );
    return guestMounts({ mounts }, shared!.volumes).at(-1)!.flags;
  };
  // MS_NOSUID, MS_NODEV, MS_NOEXEC: linux/mount.h.
  assert.equal(flagsOf("rnosuid", "rnodev", "rnoexec"), 2 | 4 | 8);
  assert.equal(flagsOf("rnoexec", "exec", "suid"), 8);
  assert.equal(flagsOf("noexec", "rexec"), 0);
  assert.equal(flagsOf("ro", "rrw", "private"), 0);
});

Deno.test("an option of a volume that is not applied is refused, or is a warning", () => {
  const plan = (mount: Mount) =>
    planSharedFiles(
      inputOf({ sharedMounts: [{ index: 0, isFile: false }] }, {
        spec: { ...specOf(), mounts: [mount] },
      }),
    );
  const maps = { uids: [{ containerID: 0, hostID: 5, size: 1 }], gids: [] };
  const refused: [string, Mount][] = [
    ["idmap", bind("/srv", "/x", "idmap")],
    ["ridmap", bind("/srv", "/x", "ridmap")],
    ["idmap", { ...bind("/srv", "/x"), maps }],
    ["nosymfollow", bind("/srv", "/x", "nosymfollow")],
  ];
  for (const [option, mount] of refused) {
    assert.throws(() => plan(mount), {
      name: "UnsupportedError",
      message: new RegExp(`mounts\\[0\\] /srv: the option ${option} is not applied`),
    });
  }
  const later = "config.json mounts[0] /srv: what the host mounts below it later";
  for (const option of ["rslave", "shared"]) {
    const [warning, ...more] = sharedFilesWarnings(plan(bind("/srv", "/x", option)), SERVER);
    assert.ok(warning?.startsWith(later), warning);
    assert.deepEqual(more, []);
  }
  assert.deepEqual(sharedFilesWarnings(plan(bind("/srv", "/x", "rprivate")), SERVER), []);
  assert.deepEqual(sharedFilesWarnings(undefined, SERVER), []);
});

Deno.test("what root of the guest will not be able to read is a warning, with whom it is closed to", () => {
  const closed = { index: 1, isFile: false, closed: "/srv/data/key" };
  const shared = planSharedFiles(inputOf({ sharedMounts: [closed, VOLUMES[1]!] }));
  const [warning, ...more] = sharedFilesWarnings(shared, SERVER);
  assert.match(warning!, /mounts\[1\] \/srv\/data\/key: .*uid 7, gid 8, .*runAsUser and fsGroup/);
  assert.deepEqual(more, []);
});

Deno.test("what cannot be shared is refused by its name, with what can", () => {
  const refused = (input: SharedFilesInput, ...texts: RegExp[]) => {
    for (const text of texts) {
      assert.throws(() => planSharedFiles(input), (error) => {
        assert.ok(error instanceof UnsupportedError);
        assert.match(error.message, text);
        return true;
      });
    }
  };
  const monitor = { title: "Firecracker" };
  refused(inputOf({ sharedMounts: VOLUMES }, { monitor }), /mounts\[1\] \/srv\/data: Firecracker/);
  refused(
    inputOf({ sharedRoot: { readOnly: false } }, { monitor }),
    /the container's root: Firecracker/,
  );
  const nodeKernel = { name: "small", sha256: "", lacksFiles: true as const };
  refused(
    inputOf({ sharedRoot: { readOnly: false }, nodeKernel }),
    /the node's kernel small has no driver virtiofs/,
  );
});

Deno.test("volumes are all binds but disks, and what a guest has of its own", () => {
  const mounts = [
    ...MOUNTS,
    bind("/srv/disk.img", "/disk"),
    bind("/var/lib/docker/hosts", "/etc/hosts"),
    bind("/run/shm", "/dev/shm"),
    bind("/var/lib/kubelet/token", "/var/run/secrets/kubernetes.io/serviceaccount", "ro"),
    bind("/usr/bin/docker-init", "/sbin/docker-init"),
  ];
  const places = (conventional: boolean) =>
    volumeMounts({ mounts }, conventional).map(({ index }) => index);
  assert.deepEqual(places(false), [1, 3]);
  // The token and the names are of use only where all of the container's files are the guest's.
  assert.deepEqual(places(true), [1, 3, 5, 7]);
});

Deno.test("mount points are made in the trees that are shared, and only there", () => {
  const mounts = [
    PROC,
    bind("/srv/data", "/data"),
    { type: "tmpfs", source: "tmpfs", destination: "/cache", options: [] },
    bind("/srv/below", "/data/below"),
    bind("/srv/file", "/data/a/file", "ro"),
    bind("/srv/in-memory", "/cache/x"),
    bind("/srv/in-read-only", "/data/a/file/x"),
  ];
  const sharedMounts = [1, 3, 4, 5, 6].map((index) => ({ index, isFile: index === 4 }));
  const input = { spec: { ...specOf({ root: { path: "rootfs", readonly: true } }), mounts } };
  const plan = (root: boolean) => {
    const facts = { sharedMounts, ...(root ? { sharedRoot: { readOnly: false } } : {}) };
    const shared = planSharedFiles(inputOf(facts, input))!;
    const agents = guestMounts({ mounts }, shared.volumes);
    return planMountPoints({
      shared,
      rootfs: "/run/rootfs",
      mounts: agents,
      files: ["/etc/hosts"],
      cwd: "/data/work",
    });
  };
  const inData = {
    step: "makeMountPoints",
    tree: "/srv/data",
    targets: [
      { path: "/below", isFile: false },
      { path: "/a/file", isFile: true },
      { path: "/work", isFile: false },
    ],
    tolerate: ["EROFS"],
  };
  assert.deepEqual(plan(true), [
    {
      step: "makeMountPoints",
      tree: "/run/rootfs",
      targets: [
        ...["/proc", "/sys", "/dev", "/sys", "/proc", "/data", "/cache"].map((path) => ({
          path,
          isFile: false,
          // Of a tmpfs, which has the mode of its place.
          ...(path === "/cache" ? { mode: 0o1777 } : {}),
        })),
        { path: "/etc/hosts", isFile: true },
      ],
      tolerate: ["EROFS"],
    },
    inData,
  ]);
  assert.deepEqual(plan(false), [inData]);
});

Deno.test("in config.json's user namespace a volume's owners are mapped where it asks for it", () => {
  const uids = [{ containerID: 0, hostID: 7, size: 8 }, { containerID: 8, hostID: 100, size: 9 }];
  const gids = [{ containerID: 0, hostID: 9, size: 8 }];
  const linux = { namespaces: [{ type: "user" }], uidMappings: uids, gidMappings: gids };
  const plan = (mount: Mount) => {
    const facts = { sharedRoot: { readOnly: false }, sharedMounts: [{ index: 0, isFile: false }] };
    const spec = { ...specOf({ linux }), mounts: [mount] };
    const { isMapped, mapsBelow } = planSharedFiles(inputOf(facts, { spec }))!.volumes[0]!;
    return [isMapped, mapsBelow];
  };
  // As it is: its owners are ids of the host.
  assert.deepEqual(plan(bind("/srv", "/x")), [true, undefined]);
  assert.deepEqual(plan(bind("/srv", "/x", "idmap")), [undefined, false]);
  assert.deepEqual(plan(bind("/srv", "/x", "ridmap")), [undefined, true]);
  const maps = { uids: [...uids].reverse(), gids };
  assert.deepEqual(plan({ ...bind("/srv", "/x"), maps }), [undefined, false]);
  for (const other of [{ uids: gids, gids }, { uids, gids: uids }, { uids: uids.slice(1), gids }]) {
    assert.throws(() => plan({ ...bind("/srv", "/x", "ridmap"), maps: other }), {
      message:
        /mounts\[0\] \/srv: the option ridmap is not applied.*the container's user namespace/,
    });
  }
});

Deno.test("mount points are made as root of the user namespace where a tree has its ids", () => {
  const volumes = planSharedFiles(inputOf({ sharedMounts: VOLUMES }))!.volumes;
  const ids = [{ containerID: 0, hostID: 7, size: 8 }];
  const maps = { uids: ids, gids: ids };
  const mapsOf = (isMapped: [root?: true, volume?: true]) =>
    planMountPoints({
      shared: {
        root: { readOnly: false, isMapped: isMapped[0] },
        volumes: volumes.map((it) => ({ ...it, isMapped: isMapped[1] })),
      },
      rootfs: "/rootfs",
      mounts: guestMounts({ mounts: MOUNTS }, volumes),
      files: [],
      cwd: "/",
      maps,
    }).map((it) => it.step === "makeMountPoints" && [it.tree, it.maps]);
  assert.deepEqual(mapsOf([]), [["/rootfs", undefined], ["/srv/data", undefined]]);
  assert.deepEqual(mapsOf([true]), [["/rootfs", maps], ["/srv/data", undefined]]);
  assert.deepEqual(mapsOf([true, true]), [["/rootfs", maps], ["/srv/data", maps]]);
});
