import assert from "node:assert/strict";
import { InvalidConfigurationError } from "../../../../lib/errors.ts";
import { qemu } from "../../../../lib/monitor/qemu/qemu.ts";
import type { MonitorInput } from "../../../../lib/monitor/types.ts";

const plain: MonitorInput = {
  binary: "/usr/bin/qemu-system-x86_64",
  kernel: "/guest/kernel",
  memoryMiB: 64,
  vcpus: 1,
  accelerator: "kvm",
  firmwareDirectories: ["/usr/share/qemu"],
};
const network = { tap: "tap0", tapFd: 6, mac: "02:42:0a:58:03:07", mtu: 1400 };

/** The element after the option, which must be there exactly once. */
function after(argv: string[], option: string): string {
  const at = argv.indexOf(option);
  assert.ok(at > 0, `${option} is missing`);
  assert.equal(argv.lastIndexOf(option), at, `${option} is there twice`);
  return argv[at + 1]!;
}

/** Reads a comma-separated option as QEMU does (util/qemu-option.c): `,,` is a comma. */
function readOption(text: string): string[] {
  return text.replaceAll(",,", "\0").split(",").map((part) => part.replaceAll("\0", ","));
}

Deno.test("argv boots a kernel with nothing that was not asked for", () => {
  const argv = qemu.argv(plain);
  assert.equal(argv[0], plain.binary);
  assert.equal(after(argv, "-kernel"), "/guest/kernel");
  assert.equal(after(argv, "-m"), "size=64M");
  assert.equal(after(argv, "-smp"), "cpus=1");
  assert.equal(after(argv, "-L"), "/usr/share/qemu");
  assert.equal(after(argv, "-monitor"), "none");
  for (const flag of ["-nodefaults", "-no-user-config", "-no-reboot"]) {
    assert.ok(argv.includes(flag), flag);
  }
  for (const absent of ["-initrd", "-append", "-netdev"]) assert.ok(!argv.includes(absent), absent);
  assert.match(after(argv, "-chardev"), /mux=off/);
  assert.match(after(argv, "-chardev"), /signal=off/);
  for (const denial of ["obsolete", "elevateprivileges", "spawn", "resourcecontrol"]) {
    assert.ok(after(argv, "-sandbox").split(",").includes(`${denial}=deny`), denial);
  }
});

Deno.test("argv emulates only on request", () => {
  const kvm = qemu.argv(plain);
  assert.equal(after(kvm, "-accel"), "kvm");
  assert.equal(after(kvm, "-cpu"), "host");
  const onAmd = qemu.argv({ ...plain, processorVendor: "AuthenticAMD" });
  assert.equal(after(onAmd, "-cpu"), "host,arch-capabilities=off");
  const onIntel = qemu.argv({ ...plain, processorVendor: "GenuineIntel" });
  assert.equal(after(onIntel, "-cpu"), "host");
  const tcg = qemu.argv({ ...plain, accelerator: "tcg" });
  assert.match(after(tcg, "-accel"), /^tcg,tb-size=\d+$/);
  assert.equal(after(tcg, "-cpu"), "max");
});

Deno.test("argv gives the guest the container's address and MTU", () => {
  const argv = qemu.argv({ ...plain, network });
  assert.deepEqual(readOption(after(argv, "-netdev")), [
    "tap",
    "id=net0",
    "fd=6",
  ]);
  const card = argv.find((element) => element.startsWith("virtio-net-pci"));
  assert.ok(card?.includes("mac=02:42:0a:58:03:07"));
  assert.ok(card?.includes("host_mtu=1400"));
});

Deno.test("argv gives the guest a card for each tap", () => {
  const second = { tap: "tap1", tapFd: 8, mac: "02:42:0a:58:03:08", mtu: 9000 };
  const argv = qemu.argv({ ...plain, network, furtherNetworks: [second] });
  assert.deepEqual(argv.filter((it) => /^tap,|^virtio-net/.test(it)), [
    "tap,id=net0,fd=6",
    "virtio-net-pci,netdev=net0,mac=02:42:0a:58:03:07,romfile=,host_mtu=1400",
    "tap,id=net1,fd=8",
    "virtio-net-pci,netdev=net1,mac=02:42:0a:58:03:08,romfile=,host_mtu=9000",
  ]);
  assert.throws(
    () => qemu.argv({ ...plain, network, furtherNetworks: [{ ...second, tapFd: undefined }] }),
    /tap descriptor "-1"/,
  );
});

Deno.test("argv lets the kernel move packets by a descriptor of vhost-net", () => {
  const argv = qemu.argv({ ...plain, network: { ...network, vhostFd: 7 } });
  assert.equal(after(argv, "-netdev"), "tap,id=net0,fd=6,vhost=on,vhostfd=7");
  assert.throws(
    () => qemu.argv({ ...plain, network: { ...network, vhostFd: 2 } }),
    /descriptor of vhost-net "2"/,
  );
});

Deno.test("argv does not offer an MTU to a driver that misreads it", () => {
  const argv = qemu.argv({ ...plain, network: { ...network, hideMtu: true } });
  assert.doesNotMatch(argv.join("\n"), /mtu/);
  assert.match(argv.join("\n"), /virtio-net-pci,netdev=net0,mac=02:42:0a:58:03:07,romfile=\n/);
});

Deno.test("argv lets a guest report a panic, and fail by it", () => {
  const argv = qemu.argv(plain);
  assert.ok(argv.some((it, at) => it === "pvpanic" && argv[at - 1] === "-device"));
  assert.equal(after(argv, "-action"), "panic=exit-failure");
});

Deno.test("argv names the firmware that the guest starts in", () => {
  const argv = qemu.argv({ ...plain, firmware: "/usr/share/seabios/bios-256k.bin" });
  assert.equal(after(argv, "-bios"), "/usr/share/seabios/bios-256k.bin");
  assert.throws(() => qemu.argv({ ...plain, firmware: "bios.bin" }), InvalidConfigurationError);
});

Deno.test("argv keeps every firmware directory in order", () => {
  const argv = qemu.argv({ ...plain, firmwareDirectories: ["/a", "/b,c"] });
  const found = argv.filter((_, i) => argv[i - 1] === "-L");
  assert.deepEqual(found, ["/a", "/b,c"]);
});

/** Values that would be options, several options or several words if they were parsed again. */
const hostile = ["/k,readonly=on", "/k -monitor stdio", "/-S", "/k,,x", "/k\"'\\$(id)", "/ü"];

for (const text of hostile) {
  Deno.test(`argv passes kernel, binary and command line ${text} whole`, () => {
    const argv = qemu.argv({ ...plain, binary: text, kernel: text, commandLine: text });
    assert.equal(argv[0], text);
    assert.equal(after(argv, "-kernel"), text);
    assert.equal(after(argv, "-append"), text);
    assert.equal(argv.length, qemu.argv({ ...plain, commandLine: "x" }).length);
  });
}

for (const text of ["-S", "--help", "-append", "", "a\nb", "x=,,y", "a  b "]) {
  Deno.test(`argv passes command line ${JSON.stringify(text)} as the element after -append`, () => {
    const argv = qemu.argv({ ...plain, commandLine: text });
    assert.equal(argv.at(-2), "-append");
    assert.equal(argv.at(-1), text);
  });
}

const refused: { name: string; change: Partial<MonitorInput>; says: RegExp }[] = [
  {
    name: "relative kernel",
    change: { kernel: "kernel" },
    says: /kernel "kernel": .*not absolute/,
  },
  { name: "kernel like an option", change: { kernel: "-S" }, says: /not absolute/ },
  { name: "newline in kernel", change: { kernel: "/k\n" }, says: /kernel .*control character/ },
  { name: "NUL in kernel", change: { kernel: "/k\0" }, says: /control character/ },
  { name: "NUL in binary", change: { binary: "/q\0" }, says: /monitor binary .*control character/ },
  { name: "comma in initrd", change: { initrd: "/a,b" }, says: /initrd "\/a,b": .*comma/ },
  { name: "space in initrd", change: { initrd: "/a b" }, says: /initrd .*space/ },
  { name: "newline in initrd", change: { initrd: "/a\n" }, says: /initrd .*control character/ },
  { name: "NUL in command line", change: { commandLine: "a\0b" }, says: /command line .*NUL/ },
  { name: "firmware help", change: { firmwareDirectories: ["help"] }, says: /firmware directory/ },
  { name: "no memory", change: { memoryMiB: 0 }, says: /guest memory in MiB "0"/ },
  { name: "fractional memory", change: { memoryMiB: 64.5 }, says: /whole number/ },
  { name: "no processor", change: { vcpus: 0 }, says: /processors "0"/ },
  {
    name: "a tap by its name",
    change: { network: { ...network, tapFd: undefined } },
    says: /tap descriptor "-1"/,
  },
  {
    name: "option in mac",
    change: { network: { ...network, mac: "02:42:0a:58:03:07,romfile=/etc/shadow" } },
    says: /MAC address/,
  },
  {
    name: "mtu too small",
    change: { network: { ...network, mtu: 67 } },
    says: /MTU in bytes "67"/,
  },
];

for (const { name, change, says } of refused) {
  Deno.test(`argv refuses ${name}`, () => {
    assert.throws(() => qemu.argv({ ...plain, ...change }), (error) => {
      assert.ok(error instanceof InvalidConfigurationError);
      assert.match(error.message, says);
      return true;
    });
  });
}

Deno.test("events go to a connection that is handed over, in QMP", () => {
  const argv = qemu.argv({ ...plain, eventsFd: 7 });
  const at = argv.indexOf("socket,id=events,fd=7");
  assert.deepEqual(argv.slice(at - 1, at + 3), [
    "-chardev",
    "socket,id=events,fd=7",
    "-mon",
    "chardev=events,mode=control",
  ]);
  assert.ok(!qemu.argv(plain).some((it) => it.includes("events")));
});

Deno.test("devices are those that the guest's needs name", () => {
  assert.deepEqual(qemu.devices({ accelerator: "kvm", network: true }), ["kvm", "net/tun"]);
  assert.deepEqual(qemu.devices({ accelerator: "kvm", network: false }), ["kvm"]);
  assert.deepEqual(qemu.devices({ accelerator: "tcg", network: false }), []);
});

Deno.test("firmware directories are among the data paths", () => {
  for (const directory of qemu.firmwareDirectories) assert.ok(qemu.dataPaths.includes(directory));
});

Deno.test("what a guest discards of a disk that it may write is given back to the host", () => {
  const disk = { path: "/guest/disk0", kind: "file" as const };
  const nodes = (readOnly: boolean) =>
    qemu.argv({ ...plain, disks: [{ ...disk, readOnly }] }).filter((it) => /^driver=/.test(it));
  assert.deepEqual(nodes(false).map((it) => readOption(it).includes("discard=unmap")), [
    true,
    true,
  ]);
  assert.doesNotMatch(nodes(true).join(), /discard/);
});
