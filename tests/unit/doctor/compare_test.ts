import assert from "node:assert/strict";
import { compareFacts } from "../../../lib/doctor/checks/compare.ts";
import { device, healthyNode } from "./node.ts";

Deno.test("two nodes that are alike have no differences, whatever runs on them", () => {
  assert.deepEqual(compareFacts(healthyNode(), { ...healthyNode(), containers: [] }), []);
});

Deno.test("two nodes: exactly what differs is named", () => {
  const other = healthyNode();
  other.kvm.device = device("/dev/kvm", { gid: 36 });
  other.groupNames = { 0: "root", 36: "kvm" };
  other.monitors.qemu!.version = "9.2.0";
  other.kernel.release = "6.1.0";
  other.cgroups.controllers = ["memory", "pids"];
  delete other.kubelet;
  assert.deepEqual(
    compareFacts(healthyNode(), other).map(({ path, one, other }) => [path, one, other]),
    [
      ["cgroups.controllers", ["cpu", "cpuset", "io", "memory", "pids"], ["memory", "pids"]],
      ["groupNames.108", "kvm", undefined],
      ["groupNames.36", undefined, "kvm"],
      ["kernel.release", "6.12.0", "6.1.0"],
      ["kubelet.cgroupDriver", "systemd", undefined],
      ["kubelet.path", "/var/lib/kubelet/config.yaml", undefined],
      ["kvm.device.gid", 108, 36],
      ["monitors.qemu.version", "10.0.3", "9.2.0"],
    ],
  );
});
