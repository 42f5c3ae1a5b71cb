/** What holds for every monitor; the plan relies on it. */
import assert from "node:assert/strict";
import { InvalidConfigurationError } from "../../../lib/errors.ts";
import { monitorByName, monitorNames } from "../../../lib/monitor/registry.ts";
import type { UnikernelType } from "../../../lib/guest/types.ts";
import type { Monitor, MonitorInput } from "../../../lib/monitor/types.ts";

const MIB = 1024 * 1024;

interface Expected {
  binary: string;
  title: string;
  /** The guest families that it boots. */
  guests: UnikernelType[];
  /** Devices without and with a network. */
  devices: [string[], string[]];
  initrd: boolean;
  /** Of guest RAM up to 1 GiB, what the monitor may take at most, in MiB. */
  overheadMiB: number;
  /** 9 where nothing else ends it in order. */
  endSignal: number;
  /** Where in arguments or files the guest's command line stands, with `LINE` in its place. */
  commandLine: string;
  /** Where the memory stands, for 64 MiB. */
  memory: string;
  /** Where tap and MAC stand. */
  network: string[];
  /** Where a disk that may be written, and one that may not, stand; what is said of the latter if not. */
  disks: { written: string[]; read: string[] | RegExp };
  /** Where a disk handed over as descriptor 5 stands, or why not. */
  diskDescriptor: string[] | RegExp;
  /** What a command line may hold that is not printable ASCII. */
  takesAnyText: boolean;
}

const monitors: Record<string, Expected> = {
  qemu: {
    binary: "qemu-system-x86_64",
    title: "QEMU",
    guests: ["linux", "elf", "unikraft", "mirage", "mewz"],
    devices: [["kvm"], ["kvm", "net/tun"]],
    initrd: true,
    overheadMiB: 64,
    endSignal: 15,
    commandLine: "-append\nLINE",
    memory: "size=64M",
    network: ["tap,id=net0,fd=7", "mac=02:42:0a:58:03:07"],
    disks: {
      written: ["driver=file,node-name=disk0-file,filename=/guest/disk0,locking=off,read-only=off"],
      read: [
        "driver=host_device,node-name=disk0-file,filename=/dev/disk0,locking=off,read-only=on",
      ],
    },
    diskDescriptor: ["fd=5,set=5", "filename=/dev/fdset/5,"],
    takesAnyText: true,
  },
  firecracker: {
    binary: "firecracker",
    title: "Firecracker",
    guests: ["linux", "unikraft"],
    devices: [["kvm"], ["kvm", "net/tun"]],
    initrd: true,
    overheadMiB: 24,
    endSignal: 9,
    commandLine: '"boot_args":"LINE"',
    memory: '"mem_size_mib":64',
    network: ['"host_dev_name":"tap0_urunc"', '"guest_mac":"02:42:0a:58:03:07"'],
    disks: {
      written: [
        '"path_on_host":"/guest/disk0","is_root_device":false,"is_read_only":false,"cache_type":"Writeback"',
      ],
      read: [
        '"path_on_host":"/dev/disk0","is_root_device":false,"is_read_only":true,"cache_type":"Writeback"',
      ],
    },
    diskDescriptor: /opens its disks by their paths/,
    takesAnyText: false,
  },
  hvt: {
    binary: "solo5-hvt",
    title: "Solo5 hvt",
    guests: ["elf", "mirage", "rumprun"],
    devices: [["kvm"], ["kvm", "net/tun"]],
    initrd: false,
    overheadMiB: 20,
    endSignal: 9,
    commandLine: "/guest/kernel\nLINE",
    memory: "--mem=64",
    network: ["--net:service=tap0_urunc", "--net-mac:service=02:42:0a:58:03:07"],
    disks: {
      written: ["--block:storage=/guest/disk0"],
      read: /opens every disk for writing/,
    },
    diskDescriptor: /opens disks by their paths/,
    takesAnyText: true,
  },
  spt: {
    binary: "solo5-spt",
    title: "Solo5 spt",
    guests: ["elf", "mirage", "rumprun"],
    devices: [[], ["net/tun"]],
    initrd: false,
    overheadMiB: 12,
    endSignal: 9,
    commandLine: "/guest/kernel\nLINE",
    memory: "--mem=64",
    network: ["--net:service=tap0_urunc", "--net-mac:service=02:42:0a:58:03:07"],
    disks: {
      written: ["--block:storage=/guest/disk0"],
      read: /opens every disk for writing/,
    },
    diskDescriptor: /opens disks by their paths/,
    takesAnyText: true,
  },
};

const network = { tap: "tap0_urunc", mac: "02:42:0a:58:03:07", mtu: 1500, device: "service" };

function inputOf(changes: Partial<MonitorInput> = {}): MonitorInput {
  return {
    binary: "/opt/monitor/binary",
    kernel: "/guest/kernel",
    commandLine: "app",
    memoryMiB: 64,
    vcpus: 1,
    accelerator: "kvm",
    firmwareDirectories: [],
    ...changes,
  };
}

/** The network as it gets it: the tap by a descriptor, if it takes any. */
function networkOf({ takesDescriptors }: Monitor): typeof network & { tapFd?: number } {
  return takesDescriptors ? { ...network, tapFd: 7 } : network;
}

/** All that a monitor gets, an argument a line; of files their content. */
function argumentsOf(monitor: Monitor, changes: Partial<MonitorInput> = {}): string {
  const input = inputOf(changes);
  const files = monitor.files?.(input) ?? [];
  return [...monitor.argv(input), ...files.map(({ content }) => content)].join("\n");
}

Deno.test("every monitor is in this table", () => {
  assert.deepEqual(monitorNames(), Object.keys(monitors));
});

for (const [name, expected] of Object.entries(monitors)) {
  const monitor = monitorByName(name);
  const test = (what: string, fn: () => void) => Deno.test(`${name}: ${what}`, fn);

  test("its name and needs", () => {
    assert.deepEqual(monitor.binaryNames, [expected.binary]);
    assert.equal(monitor.title, expected.title);
    assert.deepEqual(monitor.guests, expected.guests);
    const devices = [false, true].map((network) =>
      monitor.devices({ accelerator: "kvm", network })
    );
    assert.deepEqual(devices, expected.devices);
    assert.equal(monitor.accelerators.includes("kvm"), devices[0]!.includes("kvm"));
    assert.equal(monitor.takesInitrd, expected.initrd);
    assert.equal(monitor.endSignal, expected.endSignal);
    for (const path of monitor.firmwareDirectories) assert.ok(monitor.dataPaths.includes(path));
  });

  test("its own memory grows with the guest, and stays small", () => {
    const overhead = (changes: Partial<Parameters<Monitor["memoryOverheadBytes"]>[0]>) =>
      monitor.memoryOverheadBytes({
        memoryMiB: 64,
        vcpus: 1,
        networks: 0,
        accelerator: "kvm",
        ...changes,
      });
    assert.ok(Number.isInteger(overhead({})));
    assert.ok(overhead({}) > MIB);
    // Page tables alone: 8 bytes for every 4 KiB.
    assert.ok(overhead({ memoryMiB: 1024 }) - overhead({}) >= 960 * MIB / 512);
    assert.ok(overhead({ networks: 1 }) >= overhead({}));
    assert.ok(overhead({ disks: 1 }) >= overhead({}));
    const most = overhead({ memoryMiB: 1024, networks: 1 });
    assert.ok(most <= expected.overheadMiB * MIB, `${most / MIB} MiB`);
  });

  test("it is called by its own path, and for this guest", () => {
    const given = argumentsOf(monitor, { network: networkOf(monitor) });
    assert.equal(given.split("\n")[0], "/opt/monitor/binary");
    for (const text of ["/guest/kernel", expected.memory, ...expected.network]) {
      assert.ok(given.includes(text), `${text} in ${given}`);
    }
    assert.ok(given.includes(expected.commandLine.replace("LINE", "app")), given);
    assert.doesNotMatch(given, /undefined|NaN|null|no-seccomp/);
  });

  test("without a network, argv has none", () => {
    assert.doesNotMatch(argumentsOf(monitor), /tap|net0|net1|--net|host_dev_name/);
  });

  test("a disk is passed with its access mode, or rejected with the reason", () => {
    const disk = { serial: "data", solo5Device: "storage" };
    const written = { ...disk, path: "/guest/disk0", kind: "file", readOnly: false } as const;
    const read = { ...disk, path: "/dev/disk0", kind: "device", readOnly: true } as const;
    const handed = { ...disk, fd: 5, kind: "file", readOnly: false } as const;
    const cases = [
      [written, expected.disks.written],
      [read, expected.disks.read],
      [handed, expected.diskDescriptor],
    ] as const;
    for (const [disk, given] of cases) {
      const call = () => argumentsOf(monitor, { disks: [disk] });
      if (given instanceof RegExp) assert.throws(call, given);
      else for (const text of given) assert.ok(call().includes(text), `${text} in ${call()}`);
    }
    assert.equal(monitor.readOnlyDisks, !(expected.disks.read instanceof RegExp));
    assert.equal(monitor.takesDescriptors, !(expected.diskDescriptor instanceof RegExp));
    assert.doesNotMatch(argumentsOf(monitor), /disk|blockdev|virtio-blk|--block/);
  });

  test("disks stand in the order that they have, as many as the monitor takes", () => {
    const disks = Array.from({ length: monitor.mostDisks }, (_, index) => ({
      path: `/guest/disk${index}`,
      kind: "file" as const,
      readOnly: false,
      serial: `serial${index}`,
      solo5Device: "storage",
    }));
    const given = argumentsOf(monitor, { disks });
    const places = disks.map(({ path }) => given.indexOf(path));
    assert.ok(places.every((place) => place > 0));
    assert.deepEqual(places, [...places].sort((a, b) => a - b));
  });

  test("without a command line, argv has none", () => {
    const given = argumentsOf(monitor, { commandLine: undefined });
    const empty = expected.commandLine.replace("LINE", "");
    if (empty.startsWith('"')) assert.ok(given.includes(empty));
    else assert.ok(!given.includes(empty));
  });

  test("a command line arrives unchanged, or is rejected", () => {
    const lines = [
      "two words",
      "-x --help @9 a,b=c",
      `it's "quoted" \\ %s $HOME`,
      ...["one\ntwo", "tab\t", "ö漢\u{1f600}"],
    ];
    for (const commandLine of lines) {
      const printable = /^[\x20-\x7e]*$/.test(commandLine);
      if (!printable && !expected.takesAnyText) {
        assert.throws(() => argumentsOf(monitor, { commandLine }), InvalidConfigurationError);
        continue;
      }
      const inJson = expected.commandLine.startsWith('"');
      const escaped = inJson ? JSON.stringify(commandLine).slice(1, -1) : commandLine;
      const given = argumentsOf(monitor, { commandLine });
      assert.ok(given.includes(expected.commandLine.replace("LINE", () => escaped)), given);
    }
    assert.throws(() => argumentsOf(monitor, { commandLine: "a\0b" }), InvalidConfigurationError);
  });

  test("an initial RAM disk is passed, or rejected by name", () => {
    const call = () => argumentsOf(monitor, { initrd: "/guest/initrd" });
    if (expected.initrd) assert.ok(call().includes("/guest/initrd"));
    else assert.throws(call, /initrd.*Solo5's guests have none/);
  });

  test("its files stand in the clean room, where kernel and disk are", () => {
    for (const { path } of monitor.files?.(inputOf()) ?? []) {
      assert.match(path, /^\/guest\/[a-z.]+$/);
      assert.ok(!["/guest/kernel", "/guest/initrd"].includes(path));
      assert.ok(monitor.argv(inputOf()).includes(path));
    }
  });

  test("open descriptors of its devices are passed, or rejected", () => {
    const call = () => argumentsOf(monitor, { kvmFd: 6, network: { ...network, tapFd: 7 } });
    if (monitor.takesDescriptors) {
      const given = call();
      for (const text of ["fd=6,set=6", "kvm,device=/dev/fdset/6", "tap,id=net0,fd=7"]) {
        assert.ok(given.includes(text), `${text} in ${given}`);
      }
      assert.doesNotMatch(given, /ifname|script/);
      for (const fd of [-1, 2, 3.5]) {
        assert.throws(() => argumentsOf(monitor, { kvmFd: fd }), InvalidConfigurationError);
        const given = () => argumentsOf(monitor, { network: { ...network, tapFd: fd } });
        assert.throws(given, InvalidConfigurationError);
      }
    } else {
      assert.throws(call, /descriptor "6": it opens its devices itself/);
      const tap = () => argumentsOf(monitor, { network: { ...network, tapFd: 7 } });
      assert.throws(tap, /descriptor "7": it opens its devices itself/);
    }
  });

  const refused: [what: string, changes: Partial<MonitorInput>][] = [
    ["a relative kernel", { kernel: "kernel" }],
    ["a relative binary", { binary: "monitor" }],
    ["a kernel with a newline", { kernel: "/a\nb" }],
    ["no memory", { memoryMiB: 0 }],
    ["half a MiB", { memoryMiB: 64.5 }],
    ["memory that is no number", { memoryMiB: NaN }],
    ["a MAC that is none", { network: { ...networkOf(monitor), mac: "02:42" } }],
    ["a MAC with more", { network: { ...networkOf(monitor), mac: `${network.mac},x=y` } }],
    ["a relative disk", { disks: [{ path: "disk", kind: "file", readOnly: false }] }],
    ["a disk that is nowhere", { disks: [{ kind: "file", readOnly: false }] }],
    ["no tap", { network: { ...network, tap: "", tapFd: undefined } }],
  ];
  for (const [what, changes] of refused) {
    test(`${what} is refused`, () => {
      assert.throws(() => argumentsOf(monitor, changes), (error) => {
        assert.ok(error instanceof InvalidConfigurationError, String(error));
        assert.match(error.message, new RegExp(`^plan ${name}'s arguments`));
        return true;
      });
    });
  }
}

for (const name of ["hvt", "spt"]) {
  Deno.test(`${name}: network devices and taps that would be something else are refused`, () => {
    const monitor = monitorByName(name);
    for (const device of ["", "a=b", "net 0", "é", "x".repeat(68)]) {
      assert.throws(
        () => argumentsOf(monitor, { network: { ...network, device } }),
        /network device/,
      );
    }
    for (const tap of ["@5", "tap 0", "x".repeat(16)]) {
      assert.throws(() => argumentsOf(monitor, { network: { ...network, tap } }), /tap name/);
    }
  });

  Deno.test(`${name}: a command line of 8191 bytes fits, one more does not`, () => {
    const monitor = monitorByName(name);
    assert.ok(argumentsOf(monitor, { commandLine: "é".repeat(4095) + "x" }));
    assert.throws(() => argumentsOf(monitor, { commandLine: "é".repeat(4096) }), /8192 bytes long/);
  });
}

Deno.test("firecracker: the whole configuration", () => {
  const monitor = monitorByName("firecracker");
  const input = inputOf({ network: { ...network, mtu: 1450 }, initrd: "/guest/initrd" });
  assert.deepEqual(monitor.argv(input), [
    "/opt/monitor/binary",
    "--no-api",
    "--config-file",
    "/guest/firecracker.json",
    "--log-path",
    "/guest/firecracker.log",
    "--level",
    "Error",
  ]);
  const [file] = monitor.files!(input);
  assert.deepEqual(JSON.parse(file!.content), {
    "boot-source": {
      kernel_image_path: "/guest/kernel",
      initrd_path: "/guest/initrd",
      boot_args: "app",
    },
    "machine-config": { vcpu_count: 1, mem_size_mib: 64 },
    drives: [],
    "network-interfaces": [{
      iface_id: "net1",
      host_dev_name: "tap0_urunc",
      guest_mac: "02:42:0a:58:03:07",
      mtu: 1450,
    }],
  });
});

Deno.test("firecracker: vsock, and every interface of the guest's, are devices with a parameter", () => {
  const monitor = monitorByName("firecracker");
  const input = inputOf({
    ...{ network, furtherNetworks: [{ ...network, tap: "tap1_urunc", mac: "02:42:0a:58:03:08" }] },
    vsock: "/guest/vsock/v",
  });
  const found = JSON.parse(monitor.files!(input)[0]!.content);
  assert.deepEqual(found.vsock, { guest_cid: 3, uds_path: "/guest/vsock/v" });
  assert.deepEqual(
    found["network-interfaces"].map((
      { iface_id, host_dev_name, guest_mac }: Record<string, string>,
    ) => [
      ...[iface_id, host_dev_name, guest_mac],
    ]),
    [["net1", "tap0_urunc", network.mac], ["net2", "tap1_urunc", "02:42:0a:58:03:08"]],
  );
  const line = (length: number) => () =>
    monitor.files!({ ...input, commandLine: "x".repeat(length) });
  assert.doesNotThrow(line(1983 - 2 * 40));
  assert.throws(line(1984 - 2 * 40), /room for 1903/);
  assert.throws(
    () => monitor.files!(inputOf({ vsock: "relative" })),
    /vsock socket/,
  );
});

Deno.test("firecracker: an agent's connections have room beside the guest", () => {
  const { memoryOverheadBytes } = monitorByName("firecracker");
  const guest = { memoryMiB: 64, vcpus: 1, networks: 0, accelerator: "kvm" } as const;
  // 22 connections, each with a buffer of 64 KiB, and three queues.
  const least = 22 * 64 * 1024;
  assert.ok(memoryOverheadBytes({ ...guest, agent: true }) - memoryOverheadBytes(guest) > least);
});

Deno.test("firecracker: its memory is what was measured, with a margin", () => {
  const { memoryOverheadBytes } = monitorByName("firecracker");
  const overhead = (memoryMiB: number, openFiles = 1024) =>
    memoryOverheadBytes({ memoryMiB, vcpus: 1, networks: 0, accelerator: "kvm", openFiles }) /
    MIB;
  // Without the 4 MiB for pages of its binary, which can be reclaimed.
  const measured = [[16, 1.1], [64, 1.4], [256, 2.1], [1024, 5.4]] as const;
  for (const [memoryMiB, MiB] of measured) {
    const own = overhead(memoryMiB) - 4;
    assert.ok(own > 1.5 * MiB, `${own} MiB at ${memoryMiB}`);
    assert.ok(own < MiB + 6, `${own} MiB at ${memoryMiB} is wasteful`);
  }
  // Its table of descriptors is as large as the limit.
  assert.ok(overhead(64, 2 ** 21) - overhead(64) >= 8.5 * 2);
  // The kernel makes it of powers of two: with one more, a guest was OOM-killed.
  assert.equal(overhead(64, 2 ** 20 + 1), overhead(64, 2 ** 21));
});

Deno.test("firecracker: an MTU of 1500 goes without saying, for versions that do not know it", () => {
  assert.doesNotMatch(argumentsOf(monitorByName("firecracker"), { network }), /mtu/);
});

Deno.test("firecracker: its command line leaves room for what it adds", () => {
  const monitor = monitorByName("firecracker");
  assert.ok(argumentsOf(monitor, { commandLine: "x".repeat(1983) }));
  assert.throws(() => argumentsOf(monitor, { commandLine: "x".repeat(1984) }), /room for 1983/);
});

Deno.test("qemu: a guest that knows virtio 1.0 only gets a card of that kind", () => {
  const qemu = monitorByName("qemu");
  assert.match(
    argumentsOf(qemu, { network: { ...networkOf(qemu), modern: true } }),
    /disable-legacy=on/,
  );
  assert.doesNotMatch(argumentsOf(qemu, { network: networkOf(qemu) }), /disable-legacy/);
});
