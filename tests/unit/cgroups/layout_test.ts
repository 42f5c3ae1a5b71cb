import assert from "node:assert/strict";
import { parseCgroupLayout, readCgroupLayout } from "../../../lib/cgroups/layout.ts";
import { parseMountInfo } from "../../../lib/host/mounts.ts";
import type { CgroupLayout } from "../../../lib/host/types.ts";

const PROC_CGROUPS = "#subsys_name\thierarchy\tnum_cgroups\tenabled\n" +
  ["cpuset", "cpu", "cpuacct", "memory", "pids", "devices"]
    .map((name) => `${name}\t1\t1\t1\n`).join("");

function mount(type: string, mountPoint: string, superOptions: string, root = "/"): string {
  return `40 31 0:37 ${root} ${mountPoint} rw - ${type} ${type} ${superOptions}\n`;
}

const CASES: [string, string, string, CgroupLayout][] = [
  ["nothing", mount("tmpfs", "/sys/fs/cgroup", "rw"), "", { mode: "none", v1: {} }],
  [
    "v1 with co-mounted controllers",
    mount("cgroup", "/sys/fs/cgroup/cpu,cpuacct", "rw,cpu,cpuacct") +
    mount("cgroup", "/sys/fs/cgroup/memory", "rw,xattr,memory") +
    mount("cgroup", "/sys/fs/cgroup/systemd", "rw,xattr,name=systemd"),
    "",
    {
      mode: "v1",
      v1: {
        cpu: "/sys/fs/cgroup/cpu,cpuacct",
        cpuacct: "/sys/fs/cgroup/cpu,cpuacct",
        memory: "/sys/fs/cgroup/memory",
        "name=systemd": "/sys/fs/cgroup/systemd",
      },
    },
  ],
  [
    "v2",
    mount("cgroup2", "/sys/fs/cgroup", "rw,nsdelegate"),
    "cpuset cpu io memory pids\n",
    {
      mode: "v2",
      v1: {},
      v2: {
        mountPoint: "/sys/fs/cgroup",
        controllers: ["cpuset", "cpu", "io", "memory", "pids"],
      },
    },
  ],
  [
    "hybrid",
    mount("cgroup2", "/sys/fs/cgroup/unified", "rw") +
    mount("cgroup", "/sys/fs/cgroup/pids", "rw,pids"),
    "\n",
    {
      mode: "hybrid",
      v1: { pids: "/sys/fs/cgroup/pids" },
      v2: { mountPoint: "/sys/fs/cgroup/unified", controllers: [] },
    },
  ],
  [
    "a hierarchy mounted twice: the whole of it wins over a subtree",
    mount("cgroup", "/tmp/part", "rw,memory", "/docker/abc") +
    mount("cgroup", "/sys/fs/cgroup/memory", "rw,memory"),
    "",
    { mode: "v1", v1: { memory: "/sys/fs/cgroup/memory" } },
  ],
  [
    "only a subtree, in a container",
    mount("cgroup", "/sys/fs/cgroup/memory", "rw,memory", "/docker/abc"),
    "",
    { mode: "v1", v1: { memory: "/sys/fs/cgroup/memory" } },
  ],
];

for (const [what, mounts, controllers, expected] of CASES) {
  Deno.test(`cgroup layout: ${what}`, () => {
    const layout = parseCgroupLayout({
      mounts: parseMountInfo(mounts),
      procCgroups: PROC_CGROUPS,
      readControllers: () => controllers,
    });
    assert.deepEqual(layout, expected);
  });
}

Deno.test("a kernel without /proc/cgroups still has its v2 tree", () => {
  const layout = parseCgroupLayout({
    mounts: parseMountInfo(mount("cgroup2", "/sys/fs/cgroup", "rw")),
    procCgroups: "",
    readControllers: () => "memory\n",
  });
  assert.equal(layout.mode, "v2");
});

Deno.test("this machine's layout names directories that exist", () => {
  const layout = readCgroupLayout();
  const mountPoints = [...Object.values(layout.v1), ...(layout.v2 ? [layout.v2.mountPoint] : [])];
  for (const path of mountPoints) assert.ok(Deno.statSync(`${path}/cgroup.procs`).isFile);
});
