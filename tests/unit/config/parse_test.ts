import assert from "node:assert/strict";
import { InvalidConfigurationError } from "../../../lib/errors.ts";
import { defaultConfiguration, parseConfiguration } from "../../../lib/config/parse.ts";
import type { Configuration } from "../../../lib/config/types.ts";

/** A monitor of which nothing is said. */
const BARE = {
  path: undefined,
  capabilities: [],
  system_calls: [],
  data_paths: [],
  default_memory_mib: undefined,
  default_vcpus: undefined,
  vhost: false,
};

const accepted: [name: string, toml: string, changes: Partial<Configuration>][] = [
  ["nothing", "", {}],
  ["a comment", "# nothing\n", {}],
  ["groups", 'device_access = "groups"', { device_access: "groups" }],
  ["emulation", 'accelerator = "tcg"', { accelerator: "tcg" }],
  ["memory", "default_memory_mib = 1_024", { default_memory_mib: 1024 }],
  ["processors", "default_vcpus = 4", { default_vcpus: 4 }],
  ["denied parameters", 'denied_kernel_parameters = ["mitigations", "spec_*", "*"]', {
    denied_kernel_parameters: ["mitigations", "spec_*", "*"],
  }],
  ["filters", 'seccomp = "strict"', { seccomp: "strict" }],
  ["one shim", 'shim_group = "namespace"', { shim_group: "namespace" }],
  ["another runtime", 'oci_runtime = "crun"', { oci_runtime: "crun" }],
  ["a runtime's path", 'oci_runtime = "/opt/runc"', { oci_runtime: "/opt/runc" }],
  ["a monitor's own defaults", "[monitors.hvt]\ndefault_memory_mib = 64\ndefault_vcpus = 2", {
    monitors: { hvt: { ...BARE, default_memory_mib: 64, default_vcpus: 2 } },
  }],
  [
    "the Go implementation's file",
    '[log]\nlevel = "info"\nsyslog = false\n[timestamps]\nenabled = false\ndestination = "/x"\n' +
    '[monitors.qemu]\ndefault_memory_mb = 512\ndefault_vcpus = 2\npath = ""\n' +
    'data_path = "/usr/local/share"\n[monitors.hvt]\ndefault_memory_mb = 256\ndata_path = ""\n' +
    '[extra_binaries.virtiofsd]\npath = "/usr/libexec/virtiofsd"',
    {
      monitors: {
        qemu: {
          ...BARE,
          default_memory_mib: 512,
          default_vcpus: 2,
          data_paths: ["/usr/local/share"],
        },
        hvt: { ...BARE, default_memory_mib: 256 },
      },
      warnings: [
        "the configuration's table log is ignored: logs go where the caller says (--log), and " +
        "--debug logs more",
        "the configuration's table timestamps is ignored: --debug logs how long each step takes",
        "the configuration's table extra_binaries is ignored: no further programs are run beside " +
        "the monitor",
      ],
    },
  ],
  [
    "the Go implementation's newest file",
    '[monitors.qemu]\nvhost = true\npath = "/q"\n[monitors.firecracker]\nvhost = false\n' +
    '[monitors.cloud-hypervisor]\npath = "/c"',
    {
      monitors: { qemu: { ...BARE, path: "/q", vhost: true }, firecracker: BARE },
      warnings: [
        "the configuration's table monitors.cloud-hypervisor is ignored: no guest runs on that " +
        "monitor here",
        "the configuration's key monitors.firecracker.vhost is ignored: only QEMU uses vhost-net",
      ],
    },
  ],
  [
    "the Go implementation's older file",
    '[hypervisors.qemu]\ndefault_memory_mb = 512\nbinary_path = ""\n' +
    '[hypervisors.hvt]\nbinary_path = "/h"\n[monitors.qemu]\ndefault_memory_mib = 64',
    {
      monitors: {
        qemu: { ...BARE, default_memory_mib: 64 },
        hvt: { ...BARE, path: "/h" },
      },
    },
  ],
  ["an empty policy", "[allow]", {}],
  [
    "a policy",
    '[allow]\nmonitors = ["qemu", "spt"]\naccelerators = ["kvm"]\n' +
    'annotations = ["unikernelType", "solo5*"]\nhost_devices = false',
    {
      allow: {
        ...defaultConfiguration().allow,
        monitors: ["qemu", "spt"],
        accelerators: ["kvm"],
        annotations: ["unikernelType", "solo5*"],
        host_devices: false,
      },
    },
  ],
  ["a policy that allows nothing", "[allow]\nmonitors = []", {
    allow: { ...defaultConfiguration().allow, monitors: [] },
  }],
  ["no monitors of root", "[allow]\nroot_monitor = false", {
    allow: { ...defaultConfiguration().allow, root_monitor: false },
  }],
  ["a default user", '[ids]\ndefault_user = "65534:4294967294"', {
    ids: { ...defaultConfiguration().ids, default_user: "65534:4294967294" },
  }],
  ["users of monitors", '[ids]\nmode = "uid"\nrange = "65536-2147483647"', {
    ids: { ...defaultConfiguration().ids, mode: "uid", range: "65536-2147483647" },
  }],
  ["a range for no mode", '[ids]\nrange = "2100000000-2100000000"', {
    ids: { ...defaultConfiguration().ids, range: "2100000000-2100000000" },
  }],
  ["guests only", '[guests]\nundescribed = "refuse"', { guests: { undescribed: "refuse" } }],
  [
    "a table in a table",
    '[guests]\nundescribed = "refuse"\n[guests.linux]\nkernels = "/k"\nkernel = "k"',
    {
      guests: { undescribed: "refuse" },
      "guests.linux": { kernel: "k", kernels: "/k", file_access: "user" },
    },
  ],
  ["no monitor", "[monitors]", {}],
  ["a bare monitor", "[monitors.qemu]", {
    monitors: { qemu: { ...BARE } },
  }],
  [
    "a monitor",
    '[monitors.qemu]\npath = "/opt/qemu"\ncapabilities = ["CAP_NET_ADMIN"]\n' +
    'data_paths = ["/opt/firmware"]\nsystem_calls = ["io_uring_setup"]',
    {
      monitors: {
        qemu: {
          ...BARE,
          path: "/opt/qemu",
          capabilities: ["CAP_NET_ADMIN"],
          system_calls: ["io_uring_setup"],
          data_paths: ["/opt/firmware"],
        },
      },
    },
  ],
  ["firmware", '[monitors.qemu.firmware]\nseabios = "/opt/bios.bin"', {
    monitors: {
      qemu: {
        ...BARE,
        firmware: { qboot: undefined, seabios: "/opt/bios.bin" },
      },
    },
  }],
];

for (const [name, toml, changes] of accepted) {
  Deno.test(`parseConfiguration accepts ${name}`, async () => {
    assert.deepEqual(await parseConfiguration(toml), { ...defaultConfiguration(), ...changes });
  });
}

const refused: [toml: string, subject: string, says: string][] = [
  ['device_acces = "groups"', "device_acces", 'did you mean "device_access"?'],
  ['colour = "red"', "colour", "known: device_access, accelerator, default_memory_mib,"],
  ["constructor = 1", "constructor", "no such key"],
  ['device_access = "host"', "device_access", 'the string "host", allowed: "private" or "groups"'],
  ["accelerator = true", "accelerator", "the boolean true"],
  ['default_memory_mib = "256"', "default_memory_mib", 'the string "256", allowed: a whole number'],
  ["default_vcpus = 0", "default_vcpus", "from 1 to 255"],
  ["default_memory_mib = 0", "default_memory_mib", "from 1"],
  ["default_memory_mib = 0.5", "default_memory_mib", "the number 0.5"],
  ["default_memory_mib = 268435456", "default_memory_mib", "to 1048576"],
  [
    'denied_kernel_parameters = ["a=b"]',
    "denied_kernel_parameters[0]",
    "a kernel parameter's name",
  ],
  ['denied_kernel_parameters = ["*x"]', "denied_kernel_parameters[0]", "a kernel parameter's name"],
  ['shim_group = "pod"', "shim_group", '"container" or "namespace"'],
  ['oci_runtime = "bin/runc"', "oci_runtime", "absolute path"],
  ["allow = true", "allow", "found the boolean true, allowed: a table"],
  ['[allow]\nmonitor = ["qemu"]', "allow.monitor", 'did you mean "monitors"?'],
  ['[allow]\nmonitors = "qemu"', "allow.monitors", "allowed: an array"],
  ['[allow]\nmonitors = ["xen"]', "allow.monitors[0]", "qemu, firecracker, hvt, spt"],
  ['[allow]\naccelerators = ["hvf"]', "allow.accelerators[0]", '"kvm", "tcg" or "*"'],
  ['[allow]\nannotations = ["cmdlin"]', "allow.annotations[0]", "as cmdline"],
  ['[allow]\nannotations = ["x*"]', "allow.annotations[0]", "as cmdline"],
  ["[allow]\nhost_devices = 1", "allow.host_devices", "the number 1"],
  ...["0:0", "1000:0", "1000", "nobody:nogroup", "1000:4294967295", "1:2:3"].map((user) =>
    [`[ids]\ndefault_user = "${user}"`, "ids.default_user", '"UID:GID"'] as [string, string, string]
  ),
  ['[guests.linux]\nkernel_s = "/k"', "guests.linux.kernel_s", 'did you mean "kernels"?'],
  ['[guests.linux]\nkernel = "../k"', "guests.linux.kernel", "allowed: a kernel's name"],
  ["[guests]\nlinux = true", "guests.linux", "a table"],
  ['[guests.lynux]\nkernels = "/k"', "guests.lynux", 'did you mean "linux"?'],
  ...["65535-70000", "70001-70000", "70000", "70000-", "70000-2147483648", "70000:10"].map((
    range,
  ) => [`[ids]\nrange = "${range}"`, "ids.range", '"START-END"'] as [string, string, string]),
  ['[ids]\nmode = "own"', "ids.mode", '"container" or "uid" or "userns"'],
  ['[ids]\nmode = "uid"', "ids.mode", "needs ids.range"],
  [
    'device_access = "groups"\n[ids]\nmode = "uid"\nrange = "70000-70001"',
    "ids.mode",
    'leaves no groups to monitors, and device_access is "groups"',
  ],
  ['[guests]\nundescribed = "crun"', "guests.undescribed", '"runc" or "linux" or "refuse"'],
  ["monitors = []", "monitors", "found an array, allowed: a table"],
  ["monitors = 1979-05-27", "monitors", "found a date"],
  ["[monitors.qemuu]", "monitors.qemuu", 'did you mean "qemu"?'],
  ['[monitors]\nqemu = "/bin/x"', "monitors.qemu", "allowed: a table"],
  ['[monitors.qemu]\npaths = "/x"', "monitors.qemu.paths", 'did you mean "path"?'],
  ['[monitors.qemu]\npath = "qemu"', "monitors.qemu.path", "absolute"],
  ["[monitors.qemu]\npath = 1", "monitors.qemu.path", "the number 1"],
  ['[monitors.qemu]\ndata_paths = "/x"', "monitors.qemu.data_paths", "allowed: an array"],
  ['[monitors.qemu]\ndata_paths = ["/x", "y"]', "monitors.qemu.data_paths[1]", "absolute"],
  [
    '[monitors.qemu]\ncapabilities = ["NET_ADMIN"]',
    "monitors.qemu.capabilities[0]",
    "CAP_NET_ADMIN",
  ],
  [
    '[monitors.qemu]\nsystem_calls = ["io_uring"]',
    "monitors.qemu.system_calls[0]",
    "a system call's name",
  ],
  ['seccomp = "yes"', "seccomp", '"on" or "log"'],
  ['[monitors.qemu.firmware]\nbios = "/x"', "monitors.qemu.firmware.bios", "no such key"],
  ['[monitors.qemu.firmware]\nqboot = "x"', "monitors.qemu.firmware.qboot", "absolute"],
  ["[monitors.hvt.firmware]", "monitors.hvt.firmware", "no such key"],
  ["log = 1", "log", "no such key"],
  ["hypervisors = 1", "hypervisors", "no such key"],
  ["monitors = 1\n[hypervisors.qemu]", "monitors", "a table"],
  ["[hypervisors.bochs]", "monitors.bochs", "no such key"],
  ["[monitors.qemu]\ndefault_memory_mb = 0", "monitors.qemu.default_memory_mib", "from 1"],
  ['[monitors.qemu]\ndata_path = "x"', "monitors.qemu.data_paths[0]", "absolute"],
  ["[monitors.qemu]\ndefault_memory = 1", "monitors.qemu.default_memory", "no such key"],
  ["a = 1\nb = ", "line 2, column", "not TOML"],
  ["a = 1\na = 2", "line 2, column", "not TOML"],
];

for (const [toml, subject, says] of refused) {
  Deno.test(`parseConfiguration refuses ${JSON.stringify(toml)}`, async () => {
    await assert.rejects(parseConfiguration(toml), (error) => {
      assert.ok(error instanceof InvalidConfigurationError, String(error));
      assert.ok(error.message.startsWith(`read the configuration ${subject}`), error.message);
      assert.ok(error.message.includes(says), error.message);
      assert.ok(!error.message.includes("\n"), error.message);
      return true;
    });
  });
}

Deno.test("the defaults are a new object each time", () => {
  defaultConfiguration().monitors.qemu = { capabilities: [], data_paths: [] };
  assert.deepEqual(defaultConfiguration().monitors, {});
});
