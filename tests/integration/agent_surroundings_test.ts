/** What a program has around it in a Linux guest with an agent, beside what runc gives it. */
import assert from "node:assert/strict";
import { ordinaryBundle } from "../support/ordinary.ts";
import { run } from "../support/process.ts";
import { linuxContainer } from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { makePair, type Namespace } from "./network_support.ts";

const NEEDS = {
  needs: ["root", "ip", "tc", "runc", "qemu-system-x86_64", "busybox", "cpio", "apt-get"],
  timeoutSeconds: 180,
};

/** A command for each row; its output is what is compared. */
const LOOK: Record<string, string> = {
  "who it is": "id",
  "where it is": "pwd",
  "its environment": "env | sort",
  "its host's name": "hostname; cat /etc/hostname",
  "names of hosts": "cat /etc/hosts /etc/resolv.conf",
  "its limits": "ulimit -a",
  "its status":
    "grep -E '^(Uid|Gid|Groups|Umask|Cap.*|NoNewPrivs|Seccomp|SigBlk|SigIgn):' /proc/self/status",
  "what its filter refuses":
    "ln -s here /scratch/link 2>&1; ln -s there /scratch/other 2>&1; ls /scratch",
  "file systems": "awk '{ print $2, $3, $4 }' /proc/mounts | sort",
  "room in memory": "df -k /dev/shm /scratch | awk '{ print $2, $6 }'",
  "devices": "ls -ld /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty | " +
    "awk '{ print $1, $5, $6, $NF }'; ls -l /dev/fd /dev/std* | awk '{ print $9, $11 }'",
  "what it must not see":
    "for f in /proc/kcore /proc/keys /proc/timer_list; do [ -s $f ] && wc -c $f; done; " +
    "ls /proc/acpi /sys/firmware 2>&1 | grep -v :",
  "what it cannot write": "for f in / /proc/sys/kernel /proc/sysrq-trigger /sys /made/here; do " +
    "[ -w $f ] && echo $f; touch $f/x 2>/dev/null && echo made $f/x; done",
  "what it can write": "for d in /scratch /dev/shm; do echo hello >$d/x && cat $d/x; done",
  "other processes": "set -- /proc/[0-9]*; echo $*",
  "settings of its kernel": "cat /proc/sys/net/ipv4/ip_unprivileged_port_start",
  "its network":
    "ip -o link | sed 's/^[0-9]*: //; s/@[^:]*//'; ip -o address | sed 's/^[0-9]*: //'",
  "its routes": "ip route; ip -6 route",
};

/** What may differ, made the same, and why. */
const DIFFERENCES: Record<string, [why: string, (line: string) => string | undefined][]> = {
  "its limits": [
    ["pending signals depend on the memory of the kernel's machine", without(/-i\)|signal/)],
    ["so do processes, where config.json does not say", without(/-u\)|process/)],
  ],
  "file systems": [
    ["the root is the initial RAM disk, not the engine's mount", withType("/", "root")],
    ["/dev is the guest kernel's: disks of the guest are there", withType("/dev", "dev")],
    ["cgroups are the guest's own, and runc leaves the place of many writable", cgroups],
    [
      "the guest's kernel has one hierarchy where the host has many",
      without(/^\/sys\/fs\/cgroup\//),
    ],
    ["files of the engine are copies, not mounts", without(/^\/etc\//)],
    ["this kernel was built without it", without(/^\/dev\/mqueue /)],
    ["what is masked is the same, whichever file system is put there", maskedType],
    [
      "this kernel has no such file",
      without(
        /^\/proc\/(asound|acpi|scsi|kcore|keys|latency_stats|timer_list|sched_debug|sysrq-trigger|irq|bus)|^\/sys\/firmware|^\/sys\/devices/,
      ),
    ],
    ["options of no concern to the program", options],
  ],
  "its network": [
    [
      "the guest's interface is of another kind",
      (line) =>
        line.replace(/ (qdisc|qlen|state|mode|group) \S+/g, "").replace(/ link-netnsid \d+/, ""),
    ],
    [
      "its kernel notices the carrier some milliseconds later",
      (line) => line.replace("NO-CARRIER,", ""),
    ],
  ],
};

function without(pattern: RegExp) {
  return (line: string) => pattern.test(line) ? undefined : line;
}

function withType(target: string, type: string) {
  return (line: string) => {
    const [place, , flags] = line.split(" ");
    return place === target ? `${place} ${type} ${flags}` : line;
  };
}

function cgroups(line: string): string {
  return line.startsWith("/sys/fs/cgroup ") ? "/sys/fs/cgroup cgroup ro" : line;
}

function maskedType(line: string): string {
  const [place, , flags] = line.split(" ");
  return /^\/(proc|sys)\/./.test(place!) && !line.startsWith("/sys/fs/cgroup ")
    ? `${place} masked ${flags}`
    : line;
}

function options(line: string): string {
  const [place, type, flags] = line.split(" ");
  const kept = flags!.split(",").filter((it) => /^(ro|rw|nosuid|nodev|noexec)$/.test(it));
  return `${place} ${type} ${kept.join(",")}`;
}

/** The rows of an output. */
function rowsOf(output: string): Record<string, string[]> {
  const rows: Record<string, string[]> = {};
  for (const part of output.split("\n== ").slice(1)) {
    const [name, ...lines] = part.split("\n");
    rows[name!] = lines.filter((line) => line !== "");
  }
  return rows;
}

function comparable(rows: Record<string, string[]>): Record<string, string[]> {
  return Object.fromEntries(
    Object.entries(rows).map(([name, lines]) => {
      const changes = (DIFFERENCES[name] ?? []).map(([, change]) => change);
      const change = (line: string | undefined, one: (line: string) => string | undefined) =>
        line === undefined ? undefined : one(line);
      return [
        name,
        lines.map((line) => changes.reduce(change, line as string | undefined))
          .filter((line) => line !== undefined),
      ];
    }),
  );
}

const APPLETS = "awk cat df env grep hostname id ip ln ls pwd sed sort touch wc".split(" ");

/** `busybox` has no applets beside it in the RAM disk. */
const SCRIPT = [
  ...APPLETS.map((name) => `alias ${name}="busybox ${name}"`),
  ...Object.entries(LOOK).map(([name, command]) => `echo; echo "== ${name}"; ${command}`),
  "",
].join("\n");

/** As docker writes it, with something other than the default everywhere. */
async function surroundings(scope: Scope, network: Namespace) {
  const files = await scope.temporaryDirectory("files");
  const texts = {
    hosts: "127.0.0.1 localhost\n10.1.2.3 other\n",
    "resolv.conf": "search example\nnameserver 10.9.0.1\n",
    hostname: "small\n",
  };
  for (const [name, text] of Object.entries(texts)) {
    await Deno.writeTextFile(`${files}/${name}`, text);
  }
  const restricted = ["nosuid", "noexec", "nodev"];
  const kernels = (destination: string, type: string, ...options: string[]) => ({
    ...{ destination, type, source: type },
    options,
  });
  return (config: Record<string, unknown> & { process: Record<string, unknown> }) => {
    config.hostname = "small";
    config.root = { path: "rootfs", readonly: true };
    config.mounts = [
      kernels("/proc", "proc", ...restricted),
      kernels("/dev", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
      kernels(
        ...["/dev/pts", "devpts", "nosuid", "noexec", "newinstance"] as const,
        ...["ptmxmode=0666", "mode=0620", "gid=5"],
      ),
      kernels("/sys", "sysfs", ...restricted, "ro"),
      kernels("/sys/fs/cgroup", "cgroup", "ro", ...restricted),
      kernels("/dev/mqueue", "mqueue", ...restricted),
      kernels("/dev/shm", "tmpfs", ...restricted, "mode=1777", "size=2097152"),
      kernels("/scratch", "tmpfs", ...restricted, "size=1m", "mode=1777"),
      ...Object.keys(texts).map((name) => ({
        ...{ destination: `/etc/${name}`, type: "bind", source: `${files}/${name}` },
        options: ["rbind", "rprivate"],
      })),
    ];
    const capabilities = ["CAP_CHOWN", "CAP_NET_RAW"];
    Object.assign(config.process, {
      args: ["/bin/busybox", "sh", "-c", SCRIPT],
      env: ["PATH=/bin", "TWO=a b", "HOME=/scratch"],
      cwd: "/made/here",
      user: { uid: 1000, gid: 1001, additionalGids: [7, 8], umask: 0o27 },
      noNewPrivileges: true,
      rlimits: [
        { type: "RLIMIT_NOFILE", soft: 99, hard: 100 },
        { type: "RLIMIT_CORE", soft: 0, hard: 0 },
        { type: "RLIMIT_STACK", soft: 4194304, hard: 8388608 },
        { type: "RLIMIT_MEMLOCK", soft: 65536, hard: 65536 },
      ],
      capabilities: {
        ...{ bounding: capabilities, permitted: capabilities },
        ...{ effective: ["CAP_NET_RAW"], inheritable: ["CAP_CHOWN"], ambient: ["CAP_CHOWN"] },
      },
    });
    const linux = config.linux as Record<string, unknown>;
    linux.namespaces = [
      ...["pid", "ipc", "uts", "mount"].map((type) => ({ type })),
      { type: "network", path: `/run/netns/${network.name}` },
    ];
    linux.seccomp = {
      defaultAction: "SCMP_ACT_ALLOW",
      architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
      // EDOM, which nothing else is about.
      syscalls: [{ names: ["symlink", "symlinkat"], action: "SCMP_ACT_ERRNO", errnoRet: 33 }],
    };
    linux.sysctl = { "net.ipv4.ip_unprivileged_port_start": "81" };
    linux.maskedPaths = [
      ...["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi"],
      ...["/sys/firmware", "/proc/not-there"],
    ];
    linux.readonlyPaths = [
      "/proc/bus",
      "/proc/fs",
      "/proc/irq",
      "/proc/sys",
      "/proc/sysrq-trigger",
    ];
  };
}

/**
 * Two more: one under a name that the guest's kernel would not give, with a default route that is not
 * preferred, and one that nothing was said of.
 */
async function addNetworks(network: Namespace, host: Namespace): Promise<void> {
  const veth = (name: string, mac: string, mtu: number) => [
    `ip link add ${name} address ${mac} mtu ${mtu} type veth peer name h-${name} netns ${host.name}`,
    `ip link set ${name} addrgenmode none`,
    `ip link set ${name} up`,
  ];
  await network.setUp(
    ...veth("net2", "02:42:0a:0a:01:02", 1400),
    ...veth("eth1", "02:42:0a:0a:02:02", 1500),
    "ip address add 10.11.0.2/24 brd + dev net2",
    "ip -6 address add fd00:11::2/64 dev net2 nodad",
    "ip -6 address add fe80::42:aff:fe0a:102/64 dev net2 nodad",
    "ip route add default via 10.11.0.1 metric 200",
    // As podman has it: one by each network, of the same metric.
    "ip -6 route add default via fd00:11::1 metric 2000",
    "ip -6 route append default via fd00:9::1 metric 2000",
    "ip route add 10.77.0.0/16 via 10.11.0.9 metric 7",
  );
  await host.setUp("ip link set h-net2 up", "ip link set h-eth1 up");
}

testIf("agent: a program has around it what it has under runc", NEEDS, async () => {
  await using scope = new Scope();
  const { container: network, host } = await makePair(scope);
  await network.setUp(
    "ip link set lo up",
    "ip -6 address add fd00:9::2/64 dev eth0 nodad",
    "ip -6 address add fe80::42:aff:fe09:2/64 dev eth0 nodad",
    "ip address add 10.9.0.7/24 brd 10.9.0.127 dev eth0",
    "ip address add 10.10.0.7/28 dev eth0",
    "ip route add 10.77.0.0/16 via 10.78.0.1 dev eth0 onlink",
    "ip route add 10.78.0.1/32 dev eth0",
    "ip -6 route add fd00:77::/32 via fd00:9::1",
  );
  await addNetworks(network, host);
  const edit = await surroundings(scope, network);

  const bundle = await ordinaryBundle(scope, []);
  const config = JSON.parse(await Deno.readTextFile(`${bundle}/config.json`));
  edit(config);
  await Deno.writeTextFile(`${bundle}/config.json`, JSON.stringify(config));
  const id = `surroundings-${crypto.randomUUID()}`;
  const ordinary = await run(["runc", "run", "--bundle", bundle, id]);
  assert.equal(ordinary.code, 0, ordinary.stderr);

  const container = await linuxContainer(scope, {
    disk: { moduleTree: true },
    unikernel: { agent: "on" },
    edit,
  });
  const guest = await container.run();
  assert.equal(guest.stderr, ordinary.stderr);
  const [expected, found] = [ordinary, guest].map(({ stdout }) => comparable(rowsOf(stdout)));
  assert.deepEqual(Object.keys(found!), Object.keys(LOOK));
  assert.deepEqual(found, expected);
  assert.match(guest.stdout, /^\/sys\/fs\/cgroup cgroup2 ro,nosuid,nodev,noexec/m);
  assert.equal(guest.code, 0);
});
