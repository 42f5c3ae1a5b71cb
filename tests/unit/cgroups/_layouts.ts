import type { CgroupLayout } from "../../../lib/host/types.ts";

export const V1: CgroupLayout = {
  mode: "v1",
  v1: {
    cpu: "/cg/cpu",
    cpuacct: "/cg/cpu",
    cpuset: "/cg/cpuset",
    memory: "/cg/memory",
    pids: "/cg/pids",
    devices: "/cg/devices",
  },
};

export const V2: CgroupLayout = {
  mode: "v2",
  v1: {},
  v2: { mountPoint: "/cg", controllers: ["cpuset", "cpu", "io", "memory", "pids"] },
};

export const HYBRID: CgroupLayout = {
  mode: "hybrid",
  v1: V1.v1,
  v2: { mountPoint: "/cg/unified", controllers: ["hugetlb"] },
};
