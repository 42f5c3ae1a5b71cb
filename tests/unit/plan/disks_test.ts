/** How a guest's disks come into the clean room, and which are refused. */
import assert from "node:assert/strict";
import type { DeviceAccess } from "../../../lib/config/types.ts";
import { defaultConfiguration } from "../../../lib/config/parse.ts";
import { HostError, InvalidConfigurationError, UnsupportedError } from "../../../lib/errors.ts";
import type { AclEntry, DeviceFacts } from "../../../lib/host/types.ts";
import type { DiskFacts, VolumeFacts } from "../../../lib/inspect/types.ts";
import { monitorByName } from "../../../lib/monitor/registry.ts";
import { planLaunch } from "../../../lib/plan/launch.ts";
import type { LaunchInput } from "../../../lib/plan/launch_input.ts";
import type { Step } from "../../../lib/plan/types.ts";
import { guestOf } from "../../../lib/guest/families/registry.ts";
import { mountPointOf } from "../../../lib/guest/disks.ts";
import type { UnikernelType } from "../../../lib/guest/types.ts";
import { factsOf, launchInputOf, NETWORK, specOf, stepsNamed } from "../../support/plan_inputs.ts";

const snapshot: DeviceFacts = {
  path: "/dev/dm-3",
  type: "block",
  major: 253,
  minor: 3,
  uid: 0,
  gid: 6,
  mode: 0o660,
};

function device(changes: Partial<DiskFacts> = {}): DiskFacts {
  return {
    name: "rootfs",
    source: { kind: "device", device: snapshot },
    readOnly: false,
    ...changes,
  };
}

function file(
  changes: Partial<VolumeFacts> = {},
  kind: "imageFile" | "hostFile" = "imageFile",
  readOnly = false,
): DiskFacts {
  const facts = {
    path: "/disk.img",
    size: 1 << 20,
    uid: 65534,
    gid: 65534,
    mode: 0o600,
    ...changes,
  };
  return { name: "block", source: { kind, file: facts }, readOnly };
}

interface Wanted {
  type?: UnikernelType;
  monitor?: string;
  access?: DeviceAccess;
  groups?: number[];
  version?: 1 | 2;
  input?: Partial<LaunchInput>;
}

function stepsOf(disks: DiskFacts[], wanted: Wanted = {}): Step[] {
  const { type = "elf", monitor = "qemu", access = "private", groups = [], version = 1 } = wanted;
  const configuration = { ...defaultConfiguration(), device_access: access };
  const facts = factsOf({ disks });
  // The tests here are about disks, and this node's /dev/kvm would do for anybody.
  facts.kvm.device = { ...facts.kvm.device!, mode: 0o666 };
  return planLaunch(launchInputOf({
    spec: specOf({
      process: { user: { uid: 65534, gid: 65534, additionalGids: groups }, args: ["x"], cwd: "/" },
    }),
    configuration,
    facts,
    monitor: monitorByName(monitor),
    guest: guestOf(type),
    unikernel: { unikernelType: type, hypervisor: monitor, binary: "/k", accelerator: "kvm" },
    deviceCgroup: { version, directory: "/cg" },
    ...wanted.input,
  })).plan.steps;
}

/** What the monitor and its process inherit besides disks. */
const OTHERS = ["events", "monitorFilter"];

/** Descriptors of the monitor, without those. */
function inherited(steps: Step[]) {
  const { fds } = stepsNamed(steps, "startMonitor")[0]!;
  const disks = fds.slice(0, -OTHERS.length);
  assert.deepEqual(
    fds.slice(-OTHERS.length),
    OTHERS.map((name, index) => ({ name, fd: 3 + disks.length + index })),
  );
  return disks;
}

const argumentsOf = (steps: Step[]) => stepsNamed(steps, "startMonitor")[0]!.argv.join(" ");
const rulesOf = (steps: Step[]) =>
  stepsNamed(steps, "deviceRule").map(({ rule }) => rule).filter((rule) => rule.startsWith("b"));

Deno.test("a device is a node of the monitor's user, and the cgroup lets through this one alone", () => {
  const steps = stepsOf([device()]);
  assert.deepEqual(stepsNamed(steps, "mknod").filter(({ type }) => type === "block"), [{
    step: "mknod",
    path: "/dev/disk0",
    type: "block",
    major: 253,
    minor: 3,
    uid: 65534,
    gid: 65534,
    mode: 0o600,
  }]);
  assert.deepEqual(rulesOf(steps), ["b 253:3 rw"]);
  const [program] = stepsNamed(stepsOf([device()], { version: 2 }), "deviceProgram");
  assert.deepEqual(program!.allowed.filter(({ type }) => type === "block"), [
    { type: "block", major: 253, minor: 3, access: "rw" },
  ]);
  assert.match(
    argumentsOf(steps),
    /driver=host_device,\S*filename=\/dev\/disk0,locking=off,read-only=off/,
  );
  assert.match(argumentsOf(steps), /virtio-blk-pci,drive=disk0,.*,serial=rootfs/);
});

Deno.test("a read-only device cannot be written by its node, its rule or the monitor", () => {
  const steps = stepsOf([device({ readOnly: true })]);
  const [node] = stepsNamed(steps, "mknod").filter(({ type }) => type === "block");
  assert.equal(node!.mode, 0o400);
  assert.deepEqual(rulesOf(steps), ["b 253:3 r"]);
  assert.doesNotMatch(argumentsOf(steps), /read-only=off/);
});

Deno.test("a loop device is passed open: by its number a monitor could open a later one", () => {
  const loop = { ...snapshot, path: "/dev/loop0", major: 7, minor: 0 };
  const disk = device({ source: { kind: "device", device: loop } });
  for (const version of [1, 2] as const) {
    const steps = stepsOf([disk], { version });
    assert.deepEqual(stepsNamed(steps, "mknod").filter(({ type }) => type === "block"), []);
    assert.deepEqual(rulesOf(steps), []);
    for (const { allowed } of stepsNamed(steps, "deviceProgram")) {
      assert.deepEqual(allowed.filter(({ type }) => type === "block"), []);
    }
    assert.deepEqual(stepsNamed(steps, "openDevice"), [
      { step: "openDevice", name: "disk0", type: "block", major: 7, minor: 0, access: "rw" },
    ]);
    assert.deepEqual(inherited(steps), [{ name: "disk0", fd: 3 }]);
  }
  // Who opens it himself has a node.
  const steps = stepsOf([disk], { type: "linux", monitor: "firecracker" });
  assert.equal(stepsNamed(steps, "mknod").filter(({ type }) => type === "block").length, 1);
});

Deno.test("groups: a device is the host's node, for members of its group", () => {
  const bound = stepsNamed(stepsOf([device()], { access: "groups", groups: [6] }), "bindDevice");
  assert.deepEqual(bound.at(-1), { step: "bindDevice", source: "/dev/dm-3", target: "/dev/disk0" });
  assert.throws(
    () => stepsOf([device()], { access: "groups" }),
    (error) =>
      error instanceof HostError &&
      /rootfs \(\/dev\/dm-3\).*group 6.*--group-add 6.*supplementalGroups: \[6\]/.test(
        error.message,
      ),
  );
});

Deno.test("groups: a device without a node on the host is rejected for any user", () => {
  const source: DiskFacts["source"] = { kind: "device", device: { ...snapshot, noNode: true } };
  const message = "plan disk rootfs (/dev/dm-3): " +
    'device_access = "groups" is configured, and this machine has no node of block device 253:3 ' +
    "whose owner and mode could decide " +
    "(make it: mknod -m 0660 /dev/dm-3 b 253 3, and chgrp; " +
    'or device_access = "private", which needs none)';
  for (const groups of [[], [6]]) {
    assert.throws(() => stepsOf([device({ source })], { access: "groups", groups }), {
      name: "HostError",
      message,
    });
  }
  const made = stepsNamed(stepsOf([device({ source })]), "mknod").filter(({ type }) =>
    type === "block"
  );
  assert.equal(made.length, 1, "privately it needs none");
});

Deno.test("boot files are copied when their file system becomes the guest's disk", () => {
  const steps = stepsOf([device()]);
  assert.deepEqual(stepsNamed(steps, "bindImageFile"), []);
  assert.equal(stepsNamed(steps, "copyImageFile").length, 1);
  assert.equal(stepsNamed(stepsOf([file()]), "copyImageFile").length, 0);
});

Deno.test("a file that the user may open is bound, with no more rights than the guest has", () => {
  const inImage = stepsNamed(stepsOf([file()]), "bindImageFile").at(-1);
  assert.deepEqual(inImage, {
    step: "bindImageFile",
    source: "/disk.img",
    target: "/guest/disk0",
    writable: true,
  });
  const readOnly = stepsNamed(stepsOf([file({}, "imageFile", true)]), "bindImageFile").at(-1);
  assert.ok(!("writable" in readOnly!));
  const bound = { step: "bindVolume", target: "/guest/disk0" };
  assert.deepEqual(stepsNamed(stepsOf([file({}, "hostFile")]), "bindVolume"), [
    { ...bound, name: "claim0", writable: true },
  ]);
  assert.deepEqual(stepsNamed(stepsOf([file({}, "hostFile", true)]), "bindVolume"), [
    { ...bound, name: "volume0" },
  ]);
  assert.deepEqual(rulesOf(stepsOf([file()])), []);
});

Deno.test("what a guest may write is claimed for it, and the monitor inherits the claim", () => {
  const volume = device({ name: "data" });
  const numbers = { type: "block", major: 253, minor: 3 };
  const claim = { step: "openDevice", name: "claim0", ...numbers, access: "r", exclusive: true };
  for (const access of ["private", "groups"] as const) {
    const steps = stepsOf([volume], { access, groups: [6] });
    assert.deepEqual(stepsNamed(steps, "openDevice"), [claim]);
    assert.deepEqual(inherited(steps), [{ name: "claim0", fd: 3 }]);
    // The device rules let the monitor open it, and are no reason for the claim to fail.
    const names = steps.map(({ step }) => step);
    assert.ok(names.indexOf("openDevice") < names.indexOf("deviceRule"));
  }
  const [handed] = stepsNamed(stepsOf([volume], { access: "fd" }), "openDevice").slice(-1);
  assert.deepEqual(handed, { ...claim, name: "disk0", access: "rw" });
  const opened = { name: "claim0", path: "/disk.img", access: "rw", exclusive: true };
  assert.deepEqual(stepsNamed(stepsOf([file()]), "openFile"), [{ step: "openFile", ...opened }]);
  const onHost = stepsOf([file({}, "hostFile")]);
  const user = { uid: 65534, gid: 65534, groups: [] };
  assert.deepEqual(stepsNamed(onHost, "openVolume"), [{ step: "openVolume", ...opened, user }]);
  assert.deepEqual(inherited(onHost), [{ name: "claim0", fd: 3 }]);
  // Reading disturbs nobody, and the root's own steps claim the root.
  const others = [device({ name: "data", readOnly: true }), device(), file({}, "hostFile", true)];
  for (const disk of others) {
    const steps = stepsOf([disk]);
    assert.deepEqual(stepsNamed(steps, "openVolume").filter(({ exclusive }) => exclusive), []);
    assert.equal(
      inherited(steps).some(({ name }) => name === "volume0") ?? false,
      false,
    );
    assert.deepEqual([...stepsNamed(steps, "openDevice"), ...stepsNamed(steps, "openFile")], []);
  }
});

const locked = { uid: 0, gid: 0, mode: 0o600 };

Deno.test("a file of the image that the user may not open is opened for it, while init is root", () => {
  const steps = stepsOf([file(locked)]);
  assert.deepEqual(stepsNamed(steps, "openFile"), [
    { step: "openFile", name: "disk0", path: "/disk.img", access: "rw", exclusive: true },
  ]);
  const names = steps.map(({ step }) => step);
  assert.ok(names.indexOf("openFile") < names.indexOf("pivotRoot"));
  assert.deepEqual(inherited(steps), [{ name: "disk0", fd: 3 }]);
  assert.match(argumentsOf(steps), /-add-fd fd=3,set=3 .*driver=file,\S*filename=\/dev\/fdset\/3,/);
  // It may be read by all, and is to be written.
  assert.equal(stepsNamed(stepsOf([file({ ...locked, mode: 0o644 })]), "openFile").length, 1);
  const readOnly = stepsOf([file(locked, "imageFile", true)]);
  assert.equal(stepsNamed(readOnly, "openFile")[0]!.access, "r");
});

Deno.test("a volume must be open to the container's user; to uid 0 all are", () => {
  const acl: AclEntry[] = [
    { tag: "user_obj", permissions: 6 },
    { tag: "user", id: 65534, permissions: 6 },
    { tag: "group_obj", permissions: 0 },
    { tag: "mask", permissions: 6 },
    { tag: "other", permissions: 0 },
  ];
  const cases: [guard: Partial<VolumeFacts>, readOnly: boolean, refused?: RegExp][] = [
    [locked, false, /block \(\/disk.img\): .* uid 0, group 0, with mode 0600: uid 65534.* may not/],
    [locked, true, /uid 0, group 0, with mode 0600/],
    [{ ...locked, mode: 0o644 }, false, /mode 0644/],
    [{ ...locked, mode: 0o644 }, true],
    [{ ...locked, mode: 0o660, acl }, false],
    // The mode's group bits are the list's mask, and the group itself has none.
    [{ uid: 0, gid: 65534, mode: 0o660, acl: acl.slice(2) }, true, /access control list/],
  ];
  for (const [guard, readOnly, refused] of cases) {
    const disk = file(guard, "hostFile", readOnly);
    if (refused === undefined) assert.equal(stepsNamed(stepsOf([disk]), "bindVolume").length, 1);
    else {
      assert.throws(() => stepsOf([disk]), (error) => {
        assert.ok(error instanceof HostError, String(error));
        assert.match(error.message, refused);
        return true;
      });
    }
  }
  const process = { user: { uid: 0, gid: 0 }, args: ["x"], cwd: "/" };
  const input = { spec: specOf({ process }) };
  const steps = stepsOf([file({ uid: 1000, gid: 1000, mode: 0o600 }, "hostFile")], { input });
  assert.deepEqual(stepsNamed(steps, "openVolume").map(({ name }) => name), ["disk0"]);
  assert.deepEqual(inherited(steps), [{ name: "disk0", fd: 3 }]);
});

Deno.test("a volume that only the container's user may open is opened for another monitor's", () => {
  const user = (id: number) => ({ uid: id, gid: id, additionalGids: [] });
  const spec = specOf({ process: { user: user(70000), args: ["x"], cwd: "/" } });
  const opensFor = (id: number, guard: Partial<VolumeFacts>) => {
    const input = { spec, filesUser: user(id) };
    return stepsOf([file({ uid: 1000, gid: 1000, ...guard }, "hostFile")], { input });
  };
  const opened = opensFor(1000, { mode: 0o600 });
  assert.deepEqual(stepsNamed(opened, "openVolume")[0]!.user, { uid: 1000, gid: 1000, groups: [] });
  assert.deepEqual(inherited(opened), [{ name: "disk0", fd: 3 }]);
  assert.equal(stepsNamed(opensFor(1000, { mode: 0o666 }), "bindVolume").length, 1);
  // What the monitor could open, and the container's user not.
  assert.throws(
    () => opensFor(1001, { uid: 70000, gid: 70000, mode: 0o600 }),
    /uid 1001.* may not/,
  );
});

Deno.test("of a mount that maps ids, the owner on the disk is who the container's user is there", () => {
  const ids = [{ containerID: 0, hostID: 100000, size: 65536 }];
  const maps = { uids: ids, gids: ids };
  const opensFor = (uid: number, guard: Partial<VolumeFacts>) => {
    const user = { uid, gid: 100000, additionalGids: [100006] };
    const spec = specOf({ process: { user, args: ["x"], cwd: "/" } });
    const disk = file({ gid: 0, mode: 0o600, ...guard, maps }, "hostFile");
    return stepsOf([disk], { input: { spec, filesUser: user } });
  };
  const [step] = stepsNamed(opensFor(101000, { uid: 1000 }), "openVolume");
  assert.deepEqual(step!.user, { uid: 1000, gid: 0, groups: [6], isMapped: true });
  assert.deepEqual(inherited(opensFor(100000, { uid: 0 })), [{ name: "disk0", fd: 3 }]);
  // Root of the container overrides nothing, and one without a mapping owns nothing.
  for (const [uid, owner] of [[100000, 1000], [1000, 1000], [1000, 0], [100000, 100000]] as const) {
    assert.throws(() => opensFor(uid, { uid: owner }), /may not/, `${uid} and ${owner}`);
  }
});

Deno.test("descriptors have numbers of their own", () => {
  const input = { unikernel: undefined } as unknown as Partial<LaunchInput>;
  delete (input as Record<string, unknown>).unikernel;
  const steps = stepsOf([file(locked), file(), file(locked)], { type: "linux", input });
  assert.deepEqual(inherited(steps), [
    { name: "control", fd: 3 },
    { name: "disk0", fd: 4 },
    { name: "claim1", fd: 5 },
    { name: "disk2", fd: 6 },
  ]);
});

Deno.test("fd: no node, and no device is allowed", () => {
  const disks = [device(), file(), device({ name: "data", readOnly: true })];
  const input = { network: NETWORK };
  const steps = stepsOf(disks, { access: "fd", input });
  const names = steps.map(({ step }) => step);
  for (const absent of ["mknod", "bindDevice"] as const) assert.ok(!names.includes(absent), absent);
  assert.ok(!stepsNamed(steps, "mkdir").some(({ path }) => path === "/dev/net"));
  assert.deepEqual(stepsNamed(steps, "openDevice"), [
    { step: "openDevice", name: "kvm", type: "char", major: 10, minor: 232, access: "rw" },
    { step: "openDevice", name: "disk0", type: "block", major: 253, minor: 3, access: "rw" },
    { step: "openDevice", name: "disk2", type: "block", major: 253, minor: 3, access: "r" },
  ]);
  assert.deepEqual(stepsNamed(steps, "attachTap"), [{
    step: "attachTap",
    name: "tap",
    tap: "tap0_urunc",
  }]);
  assert.deepEqual(stepsNamed(steps, "deviceRule").map(({ rule }) => rule), ["a"]);
  const [program] = stepsNamed(
    stepsOf(disks, { access: "fd", version: 2, input }),
    "deviceProgram",
  );
  assert.deepEqual(program!.allowed, []);
  const fds = ["kvm", "tap", "disk0", "claim1", "disk2"].map((name, index) => ({
    name,
    fd: 3 + index,
  }));
  assert.deepEqual(inherited(steps), fds);
  const given = argumentsOf(steps);
  for (const text of ["kvm,device=/dev/fdset/3", "tap,id=net0,fd=4", "filename=/dev/fdset/5,"]) {
    assert.ok(given.includes(text), `${text} in ${given}`);
  }
  assert.match(given, /driver=host_device,\S*filename=\/dev\/fdset\/7,locking=off,read-only=on/);
  // Opened while the cgroup lets it, and the tap is there; nothing can be opened in /dev any more.
  const order = [
    "createTap",
    "openDevice",
    "attachTap",
    "deviceRule",
    "pivotRoot",
    "setUid",
  ] as const;
  const places = order.map((name) => names.indexOf(name));
  assert.deepEqual(places, [...places].sort((a, b) => a - b));
  const [dev] = stepsNamed(steps, "remountReadOnly");
  assert.deepEqual(dev, { step: "remountReadOnly", path: "/dev", noDevices: true });
});

const refused: {
  name: string;
  disks: DiskFacts[];
  wanted: Wanted;
  error: new (...args: never[]) => Error;
  message: RegExp;
}[] = [
  ...["firecracker", "hvt", "spt"].map((monitor) => ({
    name: `a file that the user may not open, for ${monitor}`,
    disks: [file(locked)],
    wanted: { monitor, type: monitor === "firecracker" ? "linux" : "elf" } as const,
    error: HostError,
    message: new RegExp(
      `belongs to uid 0, group 0, with mode 0600.*${monitor} takes no opened files`,
    ),
  })),
  ...["hvt", "spt"].map((monitor) => ({
    name: `a disk that is only read, for ${monitor}`,
    disks: [file({}, "imageFile", true)],
    wanted: { monitor },
    error: UnsupportedError,
    message: /block \(\/disk.img\).*opens every disk for writing/,
  })),
  ...["firecracker", "hvt"].map((monitor) => ({
    name: `descriptors, for ${monitor}`,
    disks: [],
    wanted: { monitor, access: "fd", type: monitor === "hvt" ? "elf" : "linux" } as const,
    error: UnsupportedError,
    message: new RegExp(`/dev/kvm: device_access = "fd" is configured, and ${monitor} opens its`),
  })),
  {
    name: "a descriptor of a disk, for spt",
    disks: [device()],
    wanted: { monitor: "spt", access: "fd" },
    error: UnsupportedError,
    message: /\/dev\/dm-3: device_access = "fd" is configured, and spt opens its/,
  },
  {
    name: "nine disks for Solo5",
    disks: Array.from({ length: 9 }, () => file()),
    wanted: { monitor: "hvt" },
    error: UnsupportedError,
    message: /elf guest on hvt can have 8 at most/,
  },
  {
    name: "a disk for Unikraft",
    disks: [file()],
    wanted: { type: "unikraft" },
    error: UnsupportedError,
    message: /unikraft guest on qemu can have none/,
  },
  {
    name: "a file system that the guest does not mount",
    disks: [device({ mountPoint: "/", fileSystem: "zfs" })],
    wanted: { type: "linux" },
    error: UnsupportedError,
    message: /rootfs \(\/dev\/dm-3\): its file system is zfs, and a linux guest mounts ext2/,
  },
  {
    name: "a name for no disk",
    disks: [],
    wanted: {
      type: "mirage",
      monitor: "hvt",
      input: {
        unikernel: {
          unikernelType: "mirage",
          hypervisor: "hvt",
          binary: "/k",
          accelerator: "kvm",
          solo5BlkDev: "storage",
        },
      },
    },
    error: InvalidConfigurationError,
    message: /solo5BlkDev storage: the manifest declares no such device/,
  },
];

for (const { name, disks, wanted, error: expected, message } of refused) {
  Deno.test(`${name} is refused`, () => {
    assert.throws(() => stepsOf(disks, wanted), (error) => {
      assert.ok(error instanceof expected, String(error));
      assert.match(error.message, message);
      return true;
    });
  });
}

Deno.test("a Linux guest's root is its disk", () => {
  const line = (disk: Partial<DiskFacts>) =>
    argumentsOf(stepsOf([device({ mountPoint: "/", ...disk })], { type: "linux" }));
  const agent = "rdinit=/urunc/init";
  assert.ok(line({ fileSystem: "ext4" }).endsWith(`root=/dev/vda rw rootfstype=ext4 ${agent}`));
  assert.ok(line({ readOnly: true }).endsWith(`root=/dev/vda ro ${agent}`));
  const names = { unikernelType: "linux", hypervisor: "qemu", binary: "/k" } as const;
  const unikernel = { ...names, accelerator: "kvm", agent: "none" } as const;
  const disks = [device({ mountPoint: "/" })];
  const alone = argumentsOf(stepsOf(disks, { type: "linux", input: { unikernel } }));
  assert.ok(alone.endsWith("root=/dev/vda rw init=x"), alone);
});

const places: {
  type: UnikernelType;
  block?: string;
  rootDisk?: boolean;
  blockMountPoint?: string;
  initrd?: string;
  /** A place, or why there is none. */
  place: string | undefined | RegExp;
}[] = [
  { type: "linux", rootDisk: true, place: "/" },
  { type: "linux", rootDisk: true, initrd: "/initrd", place: "/" },
  { type: "linux", block: "/disk", place: "/" },
  { type: "linux", block: "/disk", initrd: "/initrd", place: undefined },
  { type: "linux", block: "/disk", initrd: "/initrd", blockMountPoint: "/", place: "/" },
  { type: "linux", block: "/disk", blockMountPoint: "/data", place: /blkMntPoint.*only "\/"/ },
  { type: "rumprun", block: "/disk", place: "/data" },
  { type: "rumprun", rootDisk: true, blockMountPoint: "/srv", place: "/srv" },
  { type: "rumprun", block: "/disk", blockMountPoint: "/", place: /blkMntPoint.*root already/ },
  { type: "mirage", block: "/disk", place: undefined },
  { type: "mirage", block: "/disk", blockMountPoint: "/x", place: /blkMntPoint.*no file system/ },
  { type: "mirage", rootDisk: true, place: undefined },
  { type: "elf", rootDisk: true, place: undefined },
  { type: "unikraft", block: "/disk", place: /block: unikraft guests get no disks/ },
  { type: "mewz", rootDisk: true, place: /mountRootfs: mewz guests get no disks/ },
];

for (const { type, place, ...description } of places) {
  Deno.test(`${type}: where a disk is mounted by ${JSON.stringify(description)}`, () => {
    const found = () => mountPointOf(description, guestOf(type));
    if (place instanceof RegExp) assert.throws(found, place);
    else assert.equal(found(), place);
  });
}
