/**
 * Misconfigurations of a node, made in a mount namespace of their own: `urunc doctor` names each, its fix is
 * run where it is a command, and done where it is a sentence, and nothing is left to mend afterwards. What
 * a container says of the same mistake names operation, reason and fix, too.
 */
import assert from "node:assert/strict";
import { readCgroupLayout } from "../../lib/cgroups/layout.ts";
import type { Line } from "../../lib/doctor/checks/types.ts";
import { nodeWithKernel, UNDESCRIBED } from "../support/node_kernel.ts";
import { type CommandResult, run } from "../support/process.ts";
import {
  assertFailed,
  assertSucceeded,
  Container,
  type ContainerOptions,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { type Need, testIf } from "../support/skip.ts";
import { uruncBinary } from "../support/urunc.ts";
import { makePair } from "./network_support.ts";

/**
 * A machine whose files of configuration, devices and sockets are no other's. It says that it was booted with
 * systemd, so that daemons can be restarted; there are none.
 */
const OWN_MACHINE = `set -e
copy=$(mktemp -d); mount -t tmpfs none $copy; cp -a /etc/. $copy; mount --move $copy /etc; rmdir $copy
rm -rf /etc/urunc /etc/docker /etc/containerd /etc/crio /etc/cni
mkdir -p /etc/urunc /etc/docker /etc/containerd /etc/crio/crio.conf.d /etc/udev/rules.d
for it in /var/lib/kubelet /var/lib/urunc /opt; do
  mkdir -p $it; mount -t tmpfs -o mode=0755 none $it
done
copy=$(mktemp -d); mount -t tmpfs -o mode=0755 none $copy; mkdir -p $copy/netns $copy/mount $copy/systemd/system
mkdir -p /run/netns; mount --rbind /run/netns $copy/netns; mount --move $copy /run; rmdir $copy
mount -t tmpfs -o mode=0755 none /dev
mkdir /dev/net
mknod -m 0666 /dev/null c 1 3; mknod -m 0666 /dev/zero c 1 5; mknod -m 0666 /dev/urandom c 1 9
mknod -m 0660 /dev/kvm c 10 232; mknod -m 0666 /dev/net/tun c 10 200
mount -t tmpfs -o mode=0755 none /usr/local/bin
`;

/** A mount namespace that lasts as long as the scope. */
class Machine {
  private constructor(readonly enter: string[], readonly root: string) {}

  /** @param root for the state of containers */
  static async make(scope: Scope, root: string): Promise<Machine> {
    const holder = new Deno.Command("unshare", {
      args: ["--mount", "sh", "-c", `${OWN_MACHINE} echo ready; exec sleep infinity`],
      stdin: "null",
      stdout: "piped",
    }).spawn();
    scope.defer("end the mount namespace", async () => {
      holder.kill("SIGKILL");
      await holder.status;
    });
    const reader = holder.stdout.getReader();
    assert.equal(new TextDecoder().decode((await reader.read()).value), "ready\n");
    await reader.cancel();
    const machine = new Machine(["nsenter", "--target", `${holder.pid}`, "--mount"], root);
    // As docs/configuration.md has it.
    await machine.shell(
      `ln -s ${await uruncBinary()} /usr/local/bin/urunc
ln -s urunc /usr/local/bin/containerd-shim-urunc-v2
printf '#!/bin/sh\n' >/usr/local/bin/systemctl; chmod +x /usr/local/bin/systemctl`,
    );
    return machine;
  }

  /** Makes a mistake. */
  async shell(script: string): Promise<void> {
    await run([...this.enter, "sh", "-ec", script], { check: true, timeoutSeconds: 60 });
  }

  /** As a person pastes it: an earlier command that fails does not keep the next one from being run. */
  async paste(fix: string): Promise<void> {
    await run([...this.enter, "sh", "-c", fix], { timeoutSeconds: 60 });
  }

  async doctor(args: string[] = []): Promise<Line[]> {
    const { stdout, stderr } = await this.urunc(["doctor", "--json", ...args]);
    assert.equal(stderr, "");
    return JSON.parse(stdout).lines;
  }

  /** @throws Error unless the machine has that group */
  async gidOf(group: string): Promise<number> {
    const { stdout } = await run([...this.enter, "getent", "group", group], { check: true });
    return Number(stdout.split(":")[2]);
  }

  async urunc(args: string[]): Promise<CommandResult> {
    const urunc = ["/usr/local/bin/urunc", "--root", this.root, ...args];
    return await run([...this.enter, ...urunc], { timeoutSeconds: 60 });
  }
}

interface Misconfiguration {
  name: string;
  needs?: Need[];
  skip?: string;
  /** Makes it. */
  script: string;
  status?: Line["status"];
  check: string;
  text: RegExp;
  /** A command, which is run; */
  fix: RegExp;
  /** or a sentence: this does what it says. */
  mend?: string;
  /** What is left to do, or all of it: the user becomes a member of this group, as doctor says then. */
  member?: string;
  /** What a container's `create` says of it. */
  container?: ContainerOptions;
  /** The container has a network, */
  network?: true;
  /** or is one of an image that knows nothing of guests: it has its root from the host. */
  shared?: true;
  says?: (string | RegExp)[];
}

/** Stands for apt-get, which would change the machine: to install a package is to uncover its files. */
const APT_GET = (packageName: string, paths: string) =>
  `cat >/usr/local/bin/apt-get <<'END'
#!/bin/sh -e
[ "$*" = "install ${packageName}" ]
umount ${paths}
END
chmod +x /usr/local/bin/apt-get
`;

/** Stands for dmsetup, whose kernel this machine may not have: how much of the pool's data is used, and its mode. */
const DMSETUP = (data: string, mode: string) =>
  `cat >/usr/local/bin/dmsetup <<'END'
#!/bin/sh -e
[ "$*" = "status pods" ]
echo "0 2097152 thin-pool 1 100/4096 ${data} - ${mode} discard_passdown queue_if_no_space - 1024"
END
chmod +x /usr/local/bin/dmsetup
`;

const KVM: ContainerOptions = { accelerator: "kvm" };
const TCG: ContainerOptions = { accelerator: "tcg" };
const CONFIG = "/etc/urunc/config.toml";

const CASES: Misconfiguration[] = [
  {
    name: "/dev/kvm is missing",
    needs: ["kvm"],
    script: "rm /dev/kvm",
    check: "kvm",
    text: /^\/dev\/kvm does not exist/,
    fix: /^modprobe kvm_intel \|\| modprobe kvm_amd; \[ -e \/dev\/kvm \] \|\| mknod .* # /,
    container: KVM,
    says: [
      "plan device /dev/kvm",
      "/dev/kvm does not exist",
      "modprobe kvm_intel",
      "mknod -m 0660",
    ],
  },
  {
    name: "/dev/kvm is another device",
    needs: ["kvm"],
    script: "rm /dev/kvm; mknod -m 0660 /dev/kvm c 1 3",
    check: "kvm",
    text: /\/dev\/kvm is not KVM/,
    fix: /^rm \/dev\/kvm; mknod -m 0660 \/dev\/kvm c 10 232$/,
    container: KVM,
    says: ["plan device /dev/kvm", "is not KVM", "rm /dev/kvm; mknod"],
  },
  {
    name: "/dev/kvm has mode 0000, and groups should open it",
    needs: ["kvm"],
    script: `echo 'device_access = "groups"' >${CONFIG}; chmod 0000 /dev/kvm`,
    check: "user",
    text: /\/dev\/kvm: .* mode 0000: no group would change that/,
    fix: /^groupadd .*; chgrp kvm \/dev\/kvm; chmod 0660 \/dev\/kvm; .* # or device_access/,
    member: "kvm",
    container: KVM,
    says: ["plan device /dev/kvm", 'device_access = "groups"', "mode 0000", "chmod 0660 /dev/kvm"],
  },
  {
    name: "/dev/kvm is root's alone, and groups should open it",
    needs: ["kvm"],
    script: `echo 'device_access = "groups"' >${CONFIG}; chmod 0600 /dev/kvm`,
    check: "user",
    text: /group 0 \(root\), mode 0600: no group would change that/,
    fix: /^groupadd --force --system kvm; chgrp kvm \/dev\/kvm/,
    member: "kvm",
    container: KVM,
    says: ["plan device /dev/kvm", 'device_access = "groups"', "mode 0600", "chgrp kvm /dev/kvm"],
  },
  {
    name: "the user is not in the group of /dev/kvm",
    needs: ["kvm"],
    script:
      `echo 'device_access = "groups"' >${CONFIG}; groupadd --gid 4242 others; chgrp others /dev/kvm`,
    check: "user",
    text:
      /65534:65534 does not get in: device_access = "groups", and .* group 4242 \(others\), mode 0660/,
    fix: /--group-add 4242; Kubernetes: securityContext\.supplementalGroups: \[4242\]/,
    member: "others",
    container: KVM,
    says: ["plan device /dev/kvm", 'device_access = "groups"', "--group-add 4242"],
  },
  {
    name: "/dev/net/tun is missing",
    needs: ["ip"],
    script: "rm -r /dev/net",
    check: "network",
    text: /^\/dev\/net\/tun does not exist/,
    fix: /^modprobe tun; \[ -e \/dev\/net\/tun \] \|\| \{ mkdir -p \/dev\/net; mknod /,
    container: TCG,
    network: true,
    says: ["/dev/net/tun", "modprobe tun", "mknod -m 0666 /dev/net/tun"],
  },
  {
    name: "QEMU is not installed",
    script: `mount --bind /dev/null /usr/bin/qemu-system-x86_64
${APT_GET("qemu-system-x86", "/usr/bin/qemu-system-x86_64")}`,
    status: "warn",
    check: "monitors",
    text: /^qemu: not installed/,
    fix: /^apt-get install qemu-system-x86$/,
    container: TCG,
    says: ["find monitor qemu", "no executable file", "apt-get install qemu-system-x86"],
  },
  {
    name: "a configured monitor is missing",
    script: `printf '[monitors.qemu]\\npath = "/opt/none"\\n' >${CONFIG}`,
    check: "monitors",
    text: /^qemu: .*\/opt\/none is not an executable regular file/,
    fix: /^name the program, or leave monitors\.qemu\.path out/,
    mend: `sed -i s:/opt/none:/usr/bin/qemu-system-x86_64: ${CONFIG}`,
    container: TCG,
    says: ["use configured monitor monitors.qemu.path", "/opt/none is not", "name the program"],
  },
  {
    name: "a configured monitor may not be executed",
    script: `printf '[monitors.qemu]\\npath = "/etc/monitor"\\n' >${CONFIG}
cp /usr/bin/qemu-system-x86_64 /etc/monitor; chmod 0644 /etc/monitor`,
    check: "monitors",
    text: /^qemu: .*\/etc\/monitor is not an executable regular file/,
    fix: /^chmod 0755 \/etc\/monitor$/,
    container: TCG,
    says: ["use configured monitor monitors.qemu.path", "/etc/monitor", "chmod 0755 /etc/monitor"],
  },
  {
    name: "a configured monitor is a script",
    script: `printf '[monitors.qemu]\\npath = "/etc/monitor"\\n' >${CONFIG}
printf '#!/bin/sh\\nexec /usr/bin/qemu-system-x86_64 "$@"\\n' >/etc/monitor; chmod 0755 /etc/monitor`,
    check: "monitors",
    text: /^qemu: .*\/etc\/monitor.*not a program/,
    fix: /./,
    mend: `sed -i s:/etc/monitor:/usr/bin/qemu-system-x86_64: ${CONFIG}`,
    container: TCG,
    says: ["/etc/monitor", "it is not a program", "a script cannot run"],
  },
  {
    name: "a configured monitor is another program",
    script: `printf '[monitors.qemu]\\npath = "/usr/bin/true"\\n' >${CONFIG}`,
    check: "monitors",
    text: /^qemu: \/usr\/bin\/true --version does not print "QEMU"/,
    fix: /correct monitors\.qemu\.path in \/etc\/urunc\/config\.toml/,
    mend: `sed -i s:/usr/bin/true:/usr/bin/qemu-system-x86_64: ${CONFIG}`,
  },
  {
    name: "the firmware is missing",
    script:
      `empty=$(mktemp -d); mount --bind $empty /usr/share/qemu; mount --bind $empty /usr/share/seabios
rmdir $empty
${APT_GET("qemu-system-data", "/usr/share/qemu /usr/share/seabios")}`,
    check: "monitors",
    text: /^firmware qemu\.qboot: .* does not exist/,
    fix: /^apt-get install qemu-system-data$/,
    container: TCG,
    says: ["find firmware qboot", "does not exist", "apt-get install qemu-system-data"],
  },
  {
    name: "virtiofsd is not installed",
    needs: ["virtiofsd", "busybox", "cpio", "apt-get"],
    script: `mount --bind /dev/null /usr/libexec/virtiofsd
${APT_GET("virtiofsd", "/usr/libexec/virtiofsd")}`,
    status: "warn",
    check: "programs",
    text: /^a guest can see neither .* nor volumes of the host: virtiofsd: none of /,
    fix: /^apt-get install virtiofsd$/,
    shared: true,
    says: ["find the file server virtiofsd", "none of /usr/libexec/", "apt-get install virtiofsd"],
  },
  {
    name: "the runtime for other containers is missing",
    script: `echo 'oci_runtime = "/opt/none"' >${CONFIG}`,
    check: "programs",
    text: /containers that are not guests, .* cannot run: \/opt\/none: .*not an executable file/,
    fix: /or set oci_runtime = "runc" in the configuration$/,
    mend: `echo 'oci_runtime = "runc"' >${CONFIG}`,
  },
  {
    name: "a kernel for guests was not added",
    script:
      `printf '[guests.linux]\\nkernel = "debian"\\n' >${CONFIG}; mkdir -p /var/lib/urunc/kernels`,
    check: "programs",
    text: /guests\.linux\.kernel = "debian" was not added/,
    fix: /^urunc kernel add --name debian \/boot\/vmlinuz-…, or name another in/,
    mend: `rm ${CONFIG}`,
  },
  {
    name: "a typo in the configuration",
    script: `printf '# ours\\nacelerator = "tcg"\\n' >${CONFIG}`,
    check: "config",
    text: /^\/etc\/urunc\/config\.toml:2: acelerator: no such key/,
    fix: /^sed -i '2s\|acelerator\|accelerator\|' \/etc\/urunc\/config\.toml$/,
    container: TCG,
    says: ["read the configuration", "acelerator: no such key", 'did you mean "accelerator"?'],
  },
  {
    name: "a typo in a table of the configuration",
    script: `printf '[monitors.qemu]\\npaht = "/usr/bin/qemu-system-x86_64"\\n' >${CONFIG}`,
    check: "config",
    text: /^\/etc\/urunc\/config\.toml:2: monitors\.qemu\.paht: no such key/,
    fix: /^sed -i '2s\|paht\|path\|' /,
    container: TCG,
    says: ["read the configuration", "monitors.qemu.paht: no such key", 'did you mean "path"?'],
  },
  {
    name: "a value that is not allowed in the configuration",
    script: `printf 'device_access = "group"\\n' >${CONFIG}`,
    check: "config",
    text: /^\/etc\/urunc\/config\.toml:1: device_access: found the string "group", allowed: /,
    fix: /urunc config check \/etc\/urunc\/config\.toml/,
    mend: `printf 'device_access = "private"\\n' >${CONFIG}`,
    container: TCG,
    says: ["read the configuration", 'device_access: found the string "group"', '"groups"'],
  },
  {
    name: "the configuration of the urunc in Go",
    script: `cat >${CONFIG} <<'END'
[log]
level = "info"
[monitors.qemu]
default_memory_mb = 256
default_vcpus = 1
binary_path = ""
END`,
    status: "warn",
    check: "config",
    text: /^\/etc\/urunc\/config\.toml:1: log: ignored/,
    fix: /^remove log from \/etc\/urunc\/config\.toml$/,
    mend: `sed -i 1,2d ${CONFIG}`,
  },
  {
    name: "the range of ids is somebody's",
    script: `printf '[ids]\\nmode = "uid"\\nrange = "100000-100999"\\n' >${CONFIG}
echo somebody:100500:65536 >/etc/subuid`,
    check: "config",
    text: /ids\.range = "100000-100999": somebody \(\/etc\/subuid\) has some of these ids/,
    fix: /choose a range that is nobody's for ids\.range in \/etc\/urunc\/config\.toml/,
    mend: `sed -i s:100000-100999:2100000000-2100000999: ${CONFIG}`,
    container: TCG,
    says: ["ids.range", "somebody (/etc/subuid)"],
  },
  {
    name: "a container of a creator that was killed",
    script: `mkdir -m 0700 ROOT/left-over; touch --date '1 hour ago' ROOT/left-over`,
    check: "containers",
    text: /^left-over in .* is damaged/,
    fix: /^urunc --root \S+ delete --force left-over$/,
    container: { ...TCG, id: "left-over" },
    says: ["left-over", "already exists", "delete"],
  },
  {
    name: "a kernel without filters of system calls",
    script: "mount --bind /etc/udev /proc/sys/kernel/seccomp",
    check: "kernel",
    text: /cannot filter system calls \(CONFIG_SECCOMP_FILTER\)/,
    fix: /^boot another kernel/,
    mend: "umount /proc/sys/kernel/seccomp",
  },
  {
    name: "a controller of cgroups is missing",
    skip: readCgroupLayout().v1.memory === undefined ? "needs the v1 memory controller" : undefined,
    script: "umount /sys/fs/cgroup/memory",
    check: "cgroups",
    text: /^the controller memory is missing: no /,
    fix: /^boot with cgroup_enable=memory$/,
    mend: "mount -t cgroup -o memory none /sys/fs/cgroup/memory",
    container: {
      ...TCG,
      edit: ({ linux }) => Object.assign(linux!, { resources: { memory: { limit: 1 << 29 } } }),
    },
    says: [
      "linux.resources.memory",
      "the cgroup controller memory is not available",
      "enable memory on the",
    ],
  },
  {
    name: "the shim's name leads to another program",
    script: "ln -sf /usr/bin/true /usr/local/bin/containerd-shim-urunc-v2",
    status: "warn",
    check: "urunc",
    text: /containerd-shim-urunc-v2 is another file than/,
    fix: /^ln -sf \S+ \/usr\/local\/bin\/containerd-shim-urunc-v2$/,
  },
  {
    name: "containerd does not know the runtime, on a node of a cluster",
    needs: ["containerd"],
    script: "echo cgroupDriver: cgroupfs >/var/lib/kubelet/config.yaml",
    check: "containerd",
    text: /pods cannot have this runtime/,
    fix: /^urunc install --containerd --restart$/,
  },
  {
    name: "containerd's runtime has a wrong type",
    needs: ["containerd"],
    script: `cat >/etc/containerd/config.toml <<'END'
version = 2
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.urunc]
runtime_type = "io.containerd.urunc.v1"
pod_annotations = ["com.urunc.unikernel.*"]
END`,
    check: "containerd",
    text: /the runtime urunc has the type "io\.containerd\.urunc\.v1"/,
    fix: /^sed -i .*; systemctl restart containerd$/,
  },
  {
    name: "the driver of cgroups is not the kubelet's",
    needs: ["containerd"],
    script: `echo cgroupDriver: cgroupfs >/var/lib/kubelet/config.yaml
cat >/etc/containerd/config.toml <<'END'
version = 2
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.urunc]
runtime_type = "io.containerd.urunc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.urunc.options]
SystemdCgroup = true
END`,
    check: "cgroups",
    text: /the kubelet uses the cgroup driver cgroupfs .*, and containerd's runtime urunc systemd/,
    fix: /^set SystemdCgroup = false in .*\/etc\/containerd\/config\.toml$/,
    mend: "sed -i 's/SystemdCgroup = true/SystemdCgroup = false/' /etc/containerd/config.toml",
  },
  {
    name: "the pool of pods' disks is full",
    needs: ["containerd"],
    script: `cat >/etc/containerd/config.toml <<'END'
version = 2
[plugins."io.containerd.snapshotter.v1.devmapper"]
pool_name = "pods"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.urunc]
runtime_type = "io.containerd.urunc.v2"
pod_annotations = ["com.urunc.unikernel.*"]
snapshotter = "devmapper"
END
${DMSETUP("16384/16384", "out_of_data_space")}`,
    check: "containerd",
    text: /^the pool pods takes no more data \(out_of_data_space\)$/,
    fix: /^lvextend -l \+50%FREE on the volume of pods, or ctr snapshots/,
    mend: DMSETUP("16384/65536", "rw"),
  },
  {
    name: "docker does not have the runtime",
    needs: ["dockerd"],
    script: "true",
    status: "warn",
    check: "docker",
    text: /there is no \/etc\/docker\/daemon\.json/,
    fix: /^urunc install --docker --restart$/,
  },
  {
    name: "docker's runtime has a wrong type",
    needs: ["dockerd"],
    script:
      `echo '{ "runtimes": { "urunc": { "runtimeType": "io.containerd.urunc.v1" } } }' >/etc/docker/daemon.json`,
    check: "docker",
    text: /the runtime urunc has the type "io\.containerd\.urunc\.v1"/,
    fix: /^sed -i .*; systemctl restart docker$/,
  },
  {
    name: "docker's runtime is not there",
    needs: ["dockerd"],
    script: `echo '{ "runtimes": { "urunc": { "path": "/opt/urunc" } } }' >/etc/docker/daemon.json`,
    check: "docker",
    text: /the runtime urunc: \/opt\/urunc is not an executable file/,
    fix: /^set "urunc": \{ "runtimeType": "io\.containerd\.urunc\.v2" \} among "runtimes"/,
    mend:
      `echo '{ "runtimes": { "urunc": { "runtimeType": "io.containerd.urunc.v2" } } }' >/etc/docker/daemon.json`,
  },
  {
    name: "docker is configured for systemd's cgroups on a machine without systemd",
    needs: ["dockerd"],
    script: `rm -rf /run/systemd
echo '{ "exec-opts": ["native.cgroupdriver=systemd"] }' >/etc/docker/daemon.json`,
    check: "cgroups",
    text:
      /docker .* is configured for systemd's cgroups, and this machine was not booted with systemd/,
    fix: /^configure cgroupfs there$/,
    mend: `echo '{ "exec-opts": ["native.cgroupdriver=cgroupfs"] }' >/etc/docker/daemon.json`,
  },
  {
    name: "CRI-O ignores the runtime for its annotations",
    script: `cat >/etc/crio/crio.conf.d/50-urunc.conf <<'END'
[crio.runtime.runtimes.urunc]
runtime_path = "/usr/local/bin/urunc"
allowed_annotations = ["com.urunc.unikernel"]
END`,
    check: "crio",
    text: /allowed_annotations of the runtime urunc/,
    fix: /^remove allowed_annotations of crio\.runtime\.runtimes\.urunc, and restart CRI-O$/,
    mend: "sed -i /allowed_annotations/d /etc/crio/crio.conf.d/50-urunc.conf",
  },
  {
    name: "a plugin of the network of pods is missing",
    needs: ["containerd"],
    script: `mkdir -p /etc/cni/net.d /opt/cni/bin
echo cgroupDriver: cgroupfs >/var/lib/kubelet/config.yaml
echo '{ "name": "pods", "cniVersion": "1.0.0", "plugins": [{ "type": "none-such" }] }' >/etc/cni/net.d/10-pods.conflist`,
    check: "cni",
    text: /the network pods .* needs plugins that are not in .*: none-such/,
    fix: /containernetworking-plugins/,
    mend: "sed -i s/none-such/bridge/ /etc/cni/net.d/10-pods.conflist; mkdir -p /opt/cni/bin; " +
      `printf '#!/bin/sh\\n' >/opt/cni/bin/bridge; chmod +x /opt/cni/bin/bridge`,
  },
];

/** What is not as it should be. */
const problemsOf = (lines: Line[]) =>
  new Set(lines.filter(({ status }) => status !== "ok").map(({ text }) => text));

/** Of the machine without a mistake, which is the same each time; a mistake may hide some. */
let bareProblems: Promise<Set<string>> | undefined;

for (const it of CASES) {
  const needs: Need[] = ["root", "unshare", "nsenter", "qemu-system-x86_64", ...it.needs ?? []];
  testIf(`misconfiguration: ${it.name}`, { needs, skip: it.skip }, async () => {
    await using scope = new Scope();
    const root = await scope.temporaryDirectory("root");
    const container = await prepare(scope, root, it);
    const machine = await Machine.make(scope, root);
    const bare = await (bareProblems ??= machine.doctor().then(problemsOf));
    await machine.shell(it.script.replaceAll("ROOT", root));
    const isIt = ({ check, text }: Line) => check === it.check && it.text.test(text);
    const before = await machine.doctor();
    const line = before.find(isIt);
    assert.ok(line, `doctor does not say ${it.text}`);
    assert.equal(line.status, it.status ?? "fail");
    assert.match(line.fix!, it.fix);
    if (it.says !== undefined) {
      assertFailed(await container.create({ wrapper: machine.enter }), it.says);
    }
    await machine.paste(it.mend ?? line.fix!);
    const groups = it.member === undefined ? [] : [await machine.gidOf(it.member)];
    const after = await machine.doctor(groups.flatMap((gid) => ["--groups", `${gid}`]));
    const left = problemsOf(after);
    const known = problemsOf(before).union(bare);
    assert.deepEqual([...left.difference(known)], [], "the fix broke something");
    assert.ok(!left.has(line.text), `${line.fix} does not mend it: ${line.text}`);
    assert.ok(![...left].some((text) => it.text.test(text)), [...left].join("\n"));
    if (it.says === undefined) return;
    await container.editConfig(joinGroups(groups));
    assertSucceeded(await container.create({ wrapper: machine.enter }));
    assertSucceeded(await machine.urunc(["delete", "--force", container.id]));
  });
}

const joinGroups = (additionalGids: number[]) => (config: Record<string, unknown>) => {
  Object.assign((config.process as { user: object }).user, { additionalGids });
};

/** A container, before the machine: its network is then there, too. */
async function prepare(
  scope: Scope,
  root: string,
  { container, network, shared }: Misconfiguration,
): Promise<Container> {
  const options: ContainerOptions = { ...container, root };
  if (shared) options.config = await nodeWithKernel(scope, UNDESCRIBED);
  if (network) {
    const { container: { name } } = await makePair(scope);
    const types = ["pid", "ipc", "uts", "mount"].map((type) => ({ type }));
    options.namespaces = [...types, { type: "network", path: `/run/netns/${name}` }];
  }
  const made = await Container.prepare(scope, options);
  if (shared) await Deno.remove(`${made.rootfs}/urunc.json`);
  return made;
}
