import assert from "node:assert/strict";
import { guestArguments } from "../../../lib/oci/init_program.ts";
import { parseSpec } from "../../../lib/oci/parse.ts";
import { diskMounts, refusedProperties, warnedProperties } from "../../../lib/oci/unsupported.ts";
import { specTable } from "../../../lib/oci/spec_table.ts";
import { requireNoAgent, validate } from "../../../lib/oci/validate.ts";
import { specOf } from "../../support/plan_inputs.ts";

/** config.json that engines write when nothing special is asked for. */
const DEFAULTS: Record<string, Record<string, unknown>> = {
  docker: {
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid"] },
      { destination: "/dev/pts", type: "devpts", source: "devpts" },
      { destination: "/sys", type: "sysfs", source: "sysfs" },
      { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup" },
      { destination: "/dev/mqueue", type: "mqueue", source: "mqueue" },
      { destination: "/dev/shm", type: "tmpfs", source: "shm" },
      ...["/etc/resolv.conf", "/etc/hostname", "/etc/hosts"].map((destination) => (
        { destination, type: "bind", source: `/var/lib/docker${destination}`, options: ["rbind"] }
      )),
    ],
  },
  "docker --init": {
    mounts: [{
      destination: "/sbin/docker-init",
      type: "bind",
      source: "/usr/bin/docker-init",
      options: ["bind", "ro"],
    }],
  },
  podman: {
    mounts: [
      { destination: "/run/.containerenv", type: "bind", source: "/run/x", options: ["bind"] },
      { destination: "/dev/shm", type: "bind", source: "/var/shm", options: ["bind"] },
      { destination: "/etc/passwd", type: "bind", source: "/x/passwd", options: ["bind"] },
    ],
  },
  kubernetes: {
    mounts: [
      { destination: "/dev/termination-log", type: "bind", source: "/x", options: ["rbind"] },
      {
        destination: "/var/run/secrets/kubernetes.io/serviceaccount",
        type: "bind",
        source: "/x",
        options: ["rbind", "ro"],
      },
    ],
  },
};

for (const [engine, changes] of Object.entries(DEFAULTS)) {
  Deno.test(`the defaults of ${engine} are supported`, () => {
    assert.deepEqual(specOf(changes).unsupported, { refused: [], warned: [] });
  });
}

const NAMESPACES = { namespaces: [{ type: "uts" }, { type: "network" }] };

/** For each property that is refused by unsupported: what makes it so, and the words of the error. */
const REFUSED: Record<string, [changes: Record<string, unknown>, words: RegExp][]> = {
  "mounts": [
    [{ mounts: [{ destination: "/x", type: "ext4", source: "/dev/sda1" }] }, /\/dev\/sda1/],
    [{ mounts: [{ destination: "/x", options: ["bind"] }] }, /mounts\[0\] at \/x.*volumes/],
  ],
  "linux.devices": [
    [
      { linux: { ...NAMESPACES, devices: [{ type: "c", path: "/dev/fb0", major: 29, minor: 0 }] } },
      /\/dev\/fb0/,
    ],
    // Which device of the host it is, only its numbers say.
    [{ linux: { ...NAMESPACES, devices: [{ type: "b", path: "/dev/xvda" }] } }, /\/dev\/xvda/],
  ],
  "process.selinuxLabel": [[withProcess({ selinuxLabel: "a:b:c" }), /label=disable/]],
  "process.scheduler": [[withProcess({ scheduler: { policy: "SCHED_FIFO" } }), /scheduler/]],
  "process.ioPriority": [[withProcess({ ioPriority: { class: "IOPRIO_CLASS_RT" } }), /ioPriority/]],
  "process.execCPUAffinity": [
    [withProcess({ execCPUAffinity: { initial: "0" } }), /resources\.cpu\.cpus/],
  ],
  "linux.personality": [[
    { linux: { ...NAMESPACES, personality: { domain: "LINUX32" } } },
    /personality/,
  ]],
  "linux.intelRdt": [[{ linux: { ...NAMESPACES, intelRdt: { closID: "x" } } }, /intelRdt/]],
  "linux.timeOffsets": [[
    { linux: { ...NAMESPACES, timeOffsets: { boottime: { secs: 1 } } } },
    /own clock/,
  ]],
  "linux.netDevices": [[{ linux: { ...NAMESPACES, netDevices: { eth1: {} } } }, /netDevices/]],
};

const WARNED: Record<string, Record<string, unknown>> = {
  "process.cwd": withProcess({ cwd: "/srv" }),
  "linux.namespaces": { hostname: "", linux: { namespaces: [] } },
};

function withProcess(changes: Record<string, unknown>): Record<string, unknown> {
  return { process: { user: { uid: 1, gid: 1 }, args: ["x"], cwd: "/", ...changes } };
}

Deno.test("unsupported properties are rejected by name", async (t) => {
  assert.deepEqual(Object.keys(REFUSED).sort(), Object.keys(refusedProperties).sort());
  for (const [property, rows] of Object.entries(REFUSED)) {
    for (const [changes, message] of rows) {
      await t.step(`${property} ${message.source}`, () => {
        assert.throws(() => validate(specOf(changes)), { name: "UnsupportedError", message });
      });
    }
  }
});

Deno.test("a volume is refused where the guest has no agent", () => {
  const cases: [Record<string, unknown>, RegExp][] = [
    [
      { destination: "/data", type: "bind", source: "/srv", options: ["rbind"] },
      /mounts\[0\] \/srv at \/data.*volumes/,
    ],
    [{ destination: "/proc/x", source: "/srv", options: ["bind"] }, /\/proc\/x/],
  ];
  for (const [mount, message] of cases) {
    const spec = specOf({ mounts: [mount] });
    validate(spec);
    assert.throws(() => requireNoAgent(spec), { name: "UnsupportedError", message });
  }
});

Deno.test("a file system in memory is refused where nothing in the guest would mount it", () => {
  const spec = specOf({ mounts: [{ destination: "/cache", type: "tmpfs", source: "tmpfs" }] });
  validate(spec);
  const message = /mounts\[0\] tmpfs at \/cache.*unikernel\.agent/;
  assert.throws(() => requireNoAgent(spec), { name: "UnsupportedError", message });
  const journal = specOf({ mounts: [{ destination: "/var/log/journal", type: "tmpfs" }] });
  assert.throws(() => requireNoAgent(journal), /podman .*--systemd=false/);
  requireNoAgent(specOf({ mounts: [{ destination: "/tmp", type: "tmpfs" }] }));
});

const SUB_PATHS = "/var/lib/kubelet/pods/UID/volume-subpaths/claim/app";

Deno.test("a volume whose source may be a disk is checked later, any other is rejected", () => {
  const options = ["rbind"];
  const mounts = [
    { destination: "/etc/hosts", type: "bind", source: "/dev/vdb", options },
    { destination: "/a", type: "bind", source: "/dev/vdb", options },
    { destination: "/b", source: "/srv/b.img", options },
    { destination: "/c", type: "bind", source: "/srv/c.raw", options: [] },
    // What the kubelet binds of a subPath has its name in the container only.
    { destination: "/d.img", type: "bind", source: `${SUB_PATHS}/0`, options },
    { destination: "/e", type: "bind", source: `${SUB_PATHS}/1`, options },
    { destination: "/f.img", type: "bind", source: "/srv/volume-subpaths/f", options },
  ];
  const spec = specOf({ mounts });
  assert.equal(spec.unsupported.refused.length, 2);
  assert.deepEqual(diskMounts(spec).map(({ mount, index }) => [index, mount.source]), [
    [1, "/dev/vdb"],
    [2, "/srv/b.img"],
    [3, "/srv/c.raw"],
    [4, `${SUB_PATHS}/0`],
  ]);
  for (const source of ["/srv/d.img/", "/srv/img", "relative.img", "/dev/", undefined]) {
    const mount = { destination: "/d", type: "bind", source, options };
    assert.equal(specOf({ mounts: [mount] }).unsupported.refused.length, 1, source);
  }
});

Deno.test("warnings do not fail the container", async (t) => {
  assert.deepEqual(Object.keys(WARNED).sort(), Object.keys(warnedProperties).sort());
  for (const [property, changes] of Object.entries(WARNED)) {
    await t.step(property, () => {
      const spec = specOf(changes);
      assert.equal(spec.unsupported.warned.length, 1);
      assert.ok(spec.unsupported.warned[0]!.property.startsWith(property));
      validate(spec);
    });
  }
});

Deno.test("the table and the findings agree", () => {
  const rows = (treatment: string) =>
    specTable.filter((row) => row.treatment === treatment).map(({ property }) => property);
  // The other refusals are checks of validate.ts, which have tests of their own.
  const checked = ["linux.namespaces time"];
  assert.deepEqual(rows("refused").sort(), [...Object.keys(refusedProperties), ...checked].sort());
  assert.deepEqual(rows("warned").sort(), Object.keys(warnedProperties).sort());
  assert.equal(new Set(specTable.map(({ property }) => property)).size, specTable.length);
});

Deno.test("every property of the specification has a row", () => {
  const properties = {
    "": ["ociVersion", "mounts", "hostname", "domainname", "annotations"],
    "root.": ["path", "readonly"],
    "hooks.": ["*"],
    "process.": [
      ...["terminal", "consoleSize", "cwd", "env", "args", "rlimits", "apparmorProfile"],
      ...["capabilities", "noNewPrivileges", "oomScoreAdj", "scheduler", "selinuxLabel"],
      ...["ioPriority", "execCPUAffinity", "user.uid", "user.gid", "user.umask"],
      "user.additionalGids",
    ],
    "linux.": [
      ...["namespaces", "uidMappings", "gidMappings", "timeOffsets", "devices", "cgroupsPath"],
      ...["rootfsPropagation", "resources.*", "resources.devices", "intelRdt", "sysctl"],
      ...["seccomp", "maskedPaths", "readonlyPaths", "mountLabel", "personality", "netDevices"],
    ],
  };
  const known = new Set(specTable.map(({ property }) => property));
  for (const [prefix, names] of Object.entries(properties)) {
    for (const name of names) assert.ok(known.has(`${prefix}${name}`), `${prefix}${name}`);
  }
});

Deno.test("the wrapper of --init is taken off, and nothing else", async (t) => {
  const bind = (destination: string) => [{ destination, type: "bind", options: ["bind"] }];
  const rows: [args: string[], mounts: unknown[], expected: string[]][] = [
    [["/sbin/docker-init", "--", "a", "b"], bind("/sbin/docker-init"), ["a", "b"]],
    [["/run/podman-init", "--", "a"], bind("/run/podman-init"), ["a"]],
    [["/dev/init", "a"], bind("/dev/init"), ["a"]],
    [["/sbin/docker-init", "--", "a"], [], ["/sbin/docker-init", "--", "a"]],
    [["a", "--", "b"], bind("/sbin/docker-init"), ["a", "--", "b"]],
    [[], bind("/dev/init"), []],
  ];
  for (const [args, mounts, expected] of rows) {
    await t.step(JSON.stringify(args), () => {
      const document = {
        ociVersion: "1.2.0",
        root: { path: "r" },
        process: { args, cwd: "/" },
        mounts,
      };
      assert.deepEqual(guestArguments(parseSpec(JSON.stringify(document))), expected);
    });
  }
});
