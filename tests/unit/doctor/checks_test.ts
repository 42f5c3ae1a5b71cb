/** Misconfigurations of a node: each is named, with what mends it. */
import assert from "node:assert/strict";
import { defaultConfiguration } from "../../../lib/config/parse.ts";
import { checkNode } from "../../../lib/doctor/checks/checks.ts";
import { judgePool } from "../../../lib/doctor/checks/engines.ts";
import type { Line } from "../../../lib/doctor/checks/types.ts";
import type { NodeFacts } from "../../../lib/doctor/facts.ts";
import type { Credentials } from "../../../lib/host/access.ts";
import { configured, device, healthyNode } from "./node.ts";

const NOBODY: Credentials = { uid: 65534, gid: 65534, groups: [] };

/** Facts of the healthy node, changed in place. */
type Change = (node: NodeFacts) => void;

const GROUPS = configured({ device_access: "groups" });
const monitorOf = (path: string) => ({ path, capabilities: [], data_paths: [] });

const CASES: [
  name: string,
  change: Change,
  status: Line["status"],
  check: string,
  text: RegExp,
  fix: RegExp,
][] = [
  [
    "no /dev/kvm",
    (it) => {
      it.kvm = { usable: false };
    },
    "fail",
    "kvm",
    /\/dev\/kvm does not exist/,
    /^modprobe kvm_intel \|\| modprobe kvm_amd/,
  ],
  [
    "no /dev/kvm where guests are emulated",
    (it) => {
      it.kvm = { usable: false };
      Object.assign(it, configured({ accelerator: "tcg" }));
    },
    "warn",
    "kvm",
    /does not exist/,
    /modprobe/,
  ],
  [
    "KVM that makes no machine",
    (it) => {
      it.kvm = { device: device("/dev/kvm"), usable: false, reason: "it has no driver behind it" };
    },
    "fail",
    "kvm",
    /cannot be used: it has no driver/,
    /modprobe/,
  ],
  [
    "KVM that another hypervisor uses",
    (it) => {
      const reason = "another hypervisor uses it: stop its machines";
      it.kvm = { device: device("/dev/kvm"), usable: false, reason };
    },
    "fail",
    "kvm",
    /another hypervisor uses it$/,
    /^stop its machines$/,
  ],
  [
    "KVM without the processor's virtualisation",
    (it) => {
      it.processor.hasVirtualisation = false;
    },
    "warn",
    "kvm",
    /emulated here/,
    /nested/,
  ],
  [
    "vhost-net is wanted and not there",
    (it) => {
      const qemu = { capabilities: [], data_paths: [], vhost: true };
      Object.assign(it, configured({ monitors: { qemu } }));
    },
    "fail",
    "network",
    /monitors\.qemu\.vhost is true, and there is no \/dev\/vhost-net/,
    /^modprobe vhost_net$/,
  ],
  ["no tun", (it) => delete it.tun, "fail", "network", /\/dev\/net\/tun/, /^modprobe tun; \[ -e/],
  [
    "a group is missing",
    (it) => {
      Object.assign(it, GROUPS);
    },
    "fail",
    "user",
    /group 108 \(kvm\), mode 0660/,
    /--group-add 108; .*supplementalGroups: \[108\]/,
  ],
  [
    "KVM of mode 0000",
    (it) => {
      Object.assign(it, GROUPS);
      it.kvm.device = device("/dev/kvm", { mode: 0 });
    },
    "fail",
    "user",
    /no group would change that/,
    /chmod 0660 \/dev\/kvm/,
  ],
  [
    "KVM of root:root",
    (it) => {
      Object.assign(it, GROUPS);
      it.kvm.device = device("/dev/kvm", { gid: 0, mode: 0o660 });
    },
    "fail",
    "user",
    /no group would change that/,
    /chgrp kvm \/dev\/kvm/,
  ],
  [
    "a tun of root alone, for monitors that open it",
    (it) => {
      Object.assign(it, configured({ device_access: "groups", accelerator: "tcg" }));
      it.tun = device("/dev/net/tun", { gid: 0, mode: 0o600 });
    },
    "fail",
    "user",
    /\/dev\/net\/tun/,
    /private/,
  ],
  [
    "descriptors for an old QEMU",
    (it) => {
      Object.assign(it, configured({ device_access: "fd" }));
      it.monitors.qemu!.version = "7.2.0";
    },
    "fail",
    "monitors",
    /version 7\.2\.0 cannot be given/,
    /"private"/,
  ],
  [
    "a monitor is not installed",
    (it) => {
      it.monitors.hvt!.problem = { reason: "no executable file" };
      delete it.monitors.hvt!.path;
    },
    "warn",
    "monitors",
    /hvt: not installed/,
    /^apt-get install solo5-hvt$/,
  ],
  [
    "no monitor is installed",
    (it) => {
      for (const monitor of Object.values(it.monitors)) monitor.problem = { reason: "none" };
    },
    "fail",
    "monitors",
    /not one monitor/,
    /^apt-get install qemu/,
  ],
  [
    "a configured monitor that is not there",
    (it) => {
      Object.assign(it, configured({ monitors: { qemu: monitorOf("/opt/q") } }));
      it.monitors.qemu!.problem = { reason: "/opt/q is not an executable regular file" };
    },
    "fail",
    "monitors",
    /\/opt\/q is not an executable/,
    /monitors\.qemu\.path/,
  ],
  [
    "a monitor whose library is missing",
    (it) => {
      it.monitors.qemu!.problem = { reason: "libslirp.so.0: cannot open" };
    },
    "fail",
    "monitors",
    /libslirp/,
    /./,
  ],
  [
    "a program that is not the monitor",
    (it) => {
      delete it.monitors.qemu!.version;
    },
    "warn",
    "monitors",
    /does not say its version/,
    /qemu-system-x86_64 --version/,
  ],
  [
    "no firmware",
    (it) => {
      it.firmware["qemu.qboot"] = {
        problem: {
          reason: "qboot: …",
          remedy: "install it (Debian: apt-get install qemu-system-data), or",
        },
      };
    },
    "fail",
    "monitors",
    /firmware qemu\.qboot/,
    /^apt-get install qemu-system-data$/,
  ],
  [
    "no virtiofsd",
    (it) => {
      it.fileServer = {
        problem: {
          reason: "virtiofsd: …",
          remedy: "install it (Debian: apt-get install virtiofsd)",
        },
      };
    },
    "warn",
    "programs",
    /neither its container's root nor volumes of the host: virtiofsd: …/,
    /^apt-get install virtiofsd$/,
  ],
  [
    "no runc",
    (it) => {
      it.runtime = { program: "runc", problem: { reason: "it is in none of …" } };
    },
    "fail",
    "programs",
    /cannot run: runc/,
    /^apt-get install runc$/,
  ],
  [
    "another runtime that is not there",
    (it) => {
      it.runtime = { program: "/opt/x", problem: { reason: "not an executable file" } };
    },
    "fail",
    "programs",
    /\/opt\/x/,
    /oci_runtime/,
  ],
  [
    "a kernel that was added is damaged",
    (it) => {
      it.kernels = { names: [], problem: { reason: "/var/lib/urunc/kernels/x: not JSON" } };
    },
    "fail",
    "programs",
    /kernels\/x: not JSON/,
    /urunc kernel list/,
  ],
  [
    "a kernel for guests that is not there",
    (it) => {
      it.kernels = { names: ["other"] };
      it.configuration.values["guests.linux"].kernel = "debian";
    },
    "fail",
    "programs",
    /guests\.linux\.kernel = "debian" was not added/,
    /urunc kernel add --name debian/,
  ],
  [
    "no kernel for containers that are to be guests",
    (it) => {
      it.configuration.values.guests.undescribed = "linux";
    },
    "fail",
    "programs",
    /guests\.linux\.kernel names no kernel/,
    /urunc kernel add/,
  ],
  [
    "no filters of system calls",
    (it) => {
      it.kernel.seccomp = false;
    },
    "fail",
    "kernel",
    /CONFIG_SECCOMP_FILTER/,
    /seccomp = "off"/,
  ],
  [
    "an old kernel without Landlock",
    (it) => {
      it.kernel.landlock = 0;
    },
    "warn",
    "kernel",
    /no Landlock/,
    /lsm=/,
  ],
  [
    "no cgroups",
    (it) => {
      it.cgroups = { mode: "none", controllers: [], systemd: false };
    },
    "fail",
    "cgroups",
    /no cgroups are mounted/,
    /^mount -t cgroup2/,
  ],
  [
    "no controller of memory",
    (it) => {
      it.cgroups.controllers = ["cpu", "cpuset", "pids"];
    },
    "fail",
    "cgroups",
    /controller memory is missing/,
    /cgroup_enable=memory/,
  ],
  [
    "no controller of processors",
    (it) => {
      it.cgroups.controllers = ["cpuset", "memory", "pids"];
    },
    "warn",
    "cgroups",
    /controller cpu is missing/,
    /cgroup_disable=cpu/,
  ],
  [
    "containerd's driver is not the kubelet's",
    (it) => {
      it.containerd!.runtimes.urunc!.systemdCgroup = false;
    },
    "fail",
    "cgroups",
    /kubelet uses .* systemd .*containerd's runtime urunc cgroupfs/,
    /SystemdCgroup = true/,
  ],
  [
    "CRI-O's driver is not the kubelet's",
    (it) => {
      it.crio!.cgroupManager = "cgroupfs";
    },
    "fail",
    "cgroups",
    /CRI-O cgroupfs/,
    /cgroup_manager = "systemd"/,
  ],
  [
    "systemd's driver without systemd",
    (it) => {
      it.cgroups.systemd = false;
      it.docker!.cgroupDriver = "systemd";
    },
    "fail",
    "cgroups",
    /docker .*not booted with systemd/,
    /cgroupfs/,
  ],
  [
    "a typo in the configuration",
    (it) => {
      it.configuration.findings = [
        {
          kind: "error",
          line: 3,
          subject: "acelerator",
          reason: "no such key",
          remedy: 'did you mean "accelerator"?',
        },
      ];
    },
    "fail",
    "config",
    /config\.toml:3: acelerator: no such key/,
    /accelerator/,
  ],
  [
    "the Go implementation's configuration",
    (it) => {
      it.configuration.findings = [{
        kind: "warning",
        line: 1,
        subject: "log",
        reason: "ignored: …",
      }];
    },
    "warn",
    "config",
    /config\.toml:1: log: ignored/,
    /remove log/,
  ],
  [
    "ids in a subordinate range",
    (it) => {
      Object.assign(
        it,
        configured({ ids: { ...defaultConfiguration().ids, default_user: "100500:1" } }),
      );
    },
    "warn",
    "config",
    /100500:1.*100000:65536.*user/,
    /outside of all ranges/,
  ],
  [
    "a range of ids that others have some of",
    (it) => {
      const ids = { ...defaultConfiguration().ids, mode: "uid" as const, range: "100000-100999" };
      Object.assign(it, configured({ ids }));
      it.rangeOwner = "user (/etc/subuid)";
    },
    "fail",
    "config",
    /100000-100999.*user \(\/etc\/subuid\)/,
    /ids\.range/,
  ],
  [
    "a program of another name",
    (it) => {
      it.monitors.qemu!.problem = { reason: '/usr/bin/true --version does not print "QEMU"' };
    },
    "fail",
    "monitors",
    /does not print "QEMU"/,
    /./,
  ],
  [
    "containerd's file is not TOML",
    (it) => {
      it.containerd!.problem = { reason: "toml: line 3: expected" };
    },
    "fail",
    "containerd",
    /toml: line 3/,
    /config dump/,
  ],
  [
    "containerd is not configured, on a node of a cluster",
    (it) => {
      it.containerd!.runtimes = {};
    },
    "fail",
    "containerd",
    /none of type io\.containerd\.urunc\.v2/,
    /^urunc install --containerd --restart$/,
  ],
  [
    "containerd is not configured, elsewhere",
    (it) => {
      it.containerd!.runtimes = {};
      delete it.kubelet;
    },
    "warn",
    "containerd",
    /none of type/,
    /urunc install/,
  ],
  [
    "containerd's runtime has a wrong type",
    (it) => {
      it.containerd!.runtimes.urunc!.type = "io.containerd.urunc.v1";
    },
    "fail",
    "containerd",
    /"io\.containerd\.urunc\.v1"/,
    /^sed -i '.*' \/etc\/containerd\/config\.toml; systemctl restart containerd$/,
  ],
  [
    "containerd passes no annotations on",
    (it) => {
      it.containerd!.runtimes.urunc!.podAnnotations = [];
      it.containerd!.runtimes.urunc!.containerAnnotations = [];
    },
    "warn",
    "containerd",
    /no annotations/,
    /pod_annotations/,
  ],
  [
    "the plugin for Kubernetes is off",
    (it) => {
      it.containerd!.criDisabled = true;
    },
    "fail",
    "containerd",
    /disabled_plugins/,
    /remove "cri"/,
  ],
  [
    "devmapper without a pool",
    (it) => {
      it.containerd!.snapshotter = "devmapper";
    },
    "fail",
    "containerd",
    /no pool/,
    /pool_name/,
  ],
  [
    "a pool that is not there",
    (it) => {
      it.containerd!.devmapper = { pool: "p", problem: { reason: "Device does not exist." } };
    },
    "fail",
    "containerd",
    /pool p .*does not exist/,
    /dmsetup status p/,
  ],
  [
    "a full pool",
    (it) => {
      it.containerd!.devmapper = { pool: "p", status: poolStatus("99/100", "rw") };
    },
    "fail",
    "containerd",
    /pool p: data 99 % full/,
    /lvextend/,
  ],
  [
    "docker's file is not JSON",
    (it) => {
      it.docker!.problem = { reason: "not JSON: Unexpected token" };
    },
    "fail",
    "docker",
    /not JSON/,
    /dockerd --validate/,
  ],
  [
    "docker is not configured",
    (it) => {
      it.docker!.runtimes = {};
    },
    "warn",
    "docker",
    /does not have this runtime/,
    /^urunc install --docker --restart$/,
  ],
  [
    "docker's runtime has a wrong type",
    (it) => {
      it.docker!.runtimes.urunc = { type: "io.containerd.urunc" };
    },
    "fail",
    "docker",
    /"io\.containerd\.urunc"/,
    /^sed -i '.*' \/etc\/docker\/daemon\.json; systemctl restart docker$/,
  ],
  [
    "docker's runtime is a file that is not there",
    (it) => {
      it.docker!.runtimes.urunc = { path: "/opt/urunc", isExecutable: false };
    },
    "fail",
    "docker",
    /\/opt\/urunc is not an executable/,
    /runtimeType/,
  ],
  [
    "docker has not been restarted",
    (it) => {
      it.docker!.running!.runtimes = ["runc"];
    },
    "fail",
    "docker",
    /running docker does not know/,
    /^systemctl restart docker$/,
  ],
  [
    "CRI-O is not configured",
    (it) => {
      it.crio!.runtimes = {};
    },
    "warn",
    "crio",
    /does not have/,
    /^urunc install --crio --restart$/,
  ],
  [
    "CRI-O's runtime is not there",
    (it) => {
      it.crio!.runtimes.urunc!.isExecutable = false;
    },
    "fail",
    "crio",
    /not an executable/,
    /runtime_path/,
  ],
  [
    "CRI-O's runtime is called as a shim",
    (it) => {
      it.crio!.runtimes.urunc!.type = "vm";
    },
    "fail",
    "crio",
    /"vm"/,
    /runtime_type = "oci"/,
  ],
  [
    "CRI-O ignores the runtime for its annotations",
    (it) => {
      it.crio!.runtimes.urunc!.allowedAnnotations = ["com.urunc.unikernel"];
    },
    "fail",
    "crio",
    /ignores the whole runtime/,
    /remove allowed_annotations/,
  ],
  [
    "a plugin of the network is missing",
    (it) => {
      it.cni.network!.missing = ["bridge"];
    },
    "fail",
    "cni",
    /bridge/,
    /containernetworking-plugins/,
  ],
  [
    "pods have no network",
    (it) => {
      delete it.cni.network;
    },
    "fail",
    "cni",
    /no network/,
    /manifest/,
  ],
  [
    "the shim's name is missing",
    (it) => {
      delete it.urunc.shim;
    },
    "warn",
    "urunc",
    /containerd-shim-urunc-v2 is in none/,
    /^ln -sf \/usr\/local\/bin\/urunc/,
  ],
  [
    "the shim is another version",
    (it) => {
      it.urunc.shim!.isThisExecutable = false;
    },
    "warn",
    "urunc",
    /another file/,
    /^ln -sf/,
  ],
  [
    "stale state",
    (it) => {
      it.containers = [{ root: "/run/urunc", id: "old", status: "damaged" }];
    },
    "fail",
    "containers",
    /old in \/run\/urunc is damaged/,
    /^urunc --root \/run\/urunc delete --force old$/,
  ],
  [
    "a stopped container",
    (it) => {
      it.containers = [{ root: "/run/urunc", id: "old", status: "stopped" }];
    },
    "warn",
    "containers",
    /old .*has stopped/,
    /^urunc --root \/run\/urunc delete old$/,
  ],
];

Deno.test("a healthy node has nothing to mend", () => {
  assert.deepEqual(checkNode(healthyNode(), NOBODY).filter(({ status }) => status !== "ok"), []);
});

for (const [name, change, status, check, text, fix] of CASES) {
  Deno.test(`${name}: named, with what mends it`, () => {
    const node = healthyNode();
    change(node);
    const wrong = checkNode(node, NOBODY).filter((line) => line.status !== "ok");
    const line = wrong.find((it) => it.check === check && text.test(it.text));
    assert.ok(line, JSON.stringify(wrong));
    assert.equal(line.status, status);
    assert.match(line.fix ?? "", fix);
    // Nothing else is blamed for it.
    assert.ok(wrong.every((it) => it.check === check), JSON.stringify(wrong));
  });
}

Deno.test("programs: what guests have no use for is not reported; a damaged kernel hides no other", () => {
  const textsOf = (kernels: NodeFacts["kernels"]) =>
    checkNode({ ...healthyNode(), kernels }, NOBODY)
      .filter(({ check }) => check === "programs").map(({ text }) => text);
  const runtime = "containers that are not guests: /usr/sbin/runc, version 1.1.15";
  const files = "files of the host in guests: /usr/libexec/virtiofsd, version 1.13.2";
  assert.deepEqual(textsOf({ names: [] }), [files, "no kernels were added", runtime]);
  assert.deepEqual(textsOf({ names: ["debian"], problem: { reason: "x: not JSON" } }), [
    files,
    "kernels that were added: x: not JSON",
    "kernels: debian",
    runtime,
  ]);
});

Deno.test("the user: root is refused, replaced, or let in", () => {
  const root = { uid: 0, gid: 0, groups: [] };
  const { allow, ids } = defaultConfiguration();
  const lineOf = (values: Parameters<typeof configured>[0]) =>
    checkNode({ ...healthyNode(), ...configured(values) }, root).find(({ check }) =>
      check === "user"
    )!;
  assert.equal(lineOf({}).status, "ok");
  assert.match(lineOf({ ids: { ...ids, default_user: "1:1" } }).text, /replaced/);
  const refused = lineOf({ allow: { ...allow, root_monitor: false } });
  assert.equal(refused.status, "fail");
  assert.match(refused.fix!, /--user 65534:65534/);
});

Deno.test("the user: monitors of their own users get in", () => {
  const ids = {
    ...defaultConfiguration().ids,
    mode: "uid" as const,
    range: "2100000000-2100000999",
  };
  const lines = checkNode({ ...healthyNode(), ...configured({ ids }) }, NOBODY);
  const line = lines.find(({ check }) => check === "user")!;
  assert.equal(line.status, "ok");
  assert.match(line.text, /a user of its own, which gets in by device_access = "private"/);
});

Deno.test("the user: a member of the group gets in, and so does one that the list names", () => {
  const node = { ...healthyNode(), ...GROUPS };
  const lineOf = (who: Credentials) => checkNode(node, who).filter(({ check }) => check === "user");
  assert.deepEqual(lineOf({ ...NOBODY, groups: [108] }).map(({ status }) => status), ["ok", "ok"]);
  node.kvm = {
    ...node.kvm,
    device: device("/dev/kvm", {
      gid: 0,
      acl: [
        { tag: "user_obj", permissions: 6 },
        { tag: "group_obj", permissions: 0 },
        { tag: "group", id: 200, permissions: 6 },
        { tag: "mask", permissions: 6 },
        { tag: "other", permissions: 0 },
      ],
    }),
  };
  assert.match(lineOf(NOBODY)[0]!.fix!, /--group-add 200/);
  assert.equal(lineOf({ ...NOBODY, groups: [200] })[0]!.status, "ok");
});

function poolStatus(data: string, mode: string, rest = ""): string {
  return `0 2097152 thin-pool 1 10/4096 ${data} - ${mode} discard_passdown queue_if_no_space ${rest}- 1024`;
}

Deno.test("a thin pool by its status", () => {
  const rows: [status: string, expected: Line["status"][]][] = [
    [poolStatus("10/100", "rw"), ["ok", "ok"]],
    [poolStatus("85/100", "rw"), ["warn", "ok"]],
    [poolStatus("100/100", "out_of_data_space"), ["fail", "fail", "ok"]],
    [poolStatus("10/100", "ro"), ["fail", "ok", "ok"]],
    [poolStatus("10/100", "rw", "needs_check "), ["fail", "ok", "ok"]],
    ["0 2097152 thin-pool Fail", ["fail"]],
    ["0 2097152 linear", ["fail"]],
    ["", ["fail"]],
  ];
  for (const [status, expected] of rows) {
    assert.deepEqual(judgePool("p", status).map((it) => it.status), expected, status);
  }
});
