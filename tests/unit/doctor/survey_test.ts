/** What is read of other programs' files. */
import assert from "node:assert/strict";
import { parse } from "smol-toml";
import { describeContainerd } from "../../../lib/doctor/survey/containerd.ts";
import { parseProcessor } from "../../../lib/doctor/survey/machine.ts";
import { surveyFileServer } from "../../../lib/doctor/survey/programs.ts";
import { parseSubordinateIds } from "../../../lib/doctor/survey/survey.ts";

/** The same by each version's name of the plugin. */
for (
  const [version, plugin] of [
    ["1", "cri"],
    ["2", '"io.containerd.grpc.v1.cri"'],
    ["3", '"io.containerd.cri.v1.runtime"'],
  ] as const
) {
  Deno.test(`containerd's configuration of version ${version}`, () => {
    const facts = describeContainerd(parse(`
version = ${version}
disabled_plugins = []
[plugins.${plugin}.containerd]
snapshotter = "devmapper"
[plugins.${plugin}.cni]
bin_dir = "/usr/lib/cni"
[plugins.${plugin}.containerd.runtimes.urunc]
runtime_type = "io.containerd.urunc.v2"
pod_annotations = ["com.urunc.unikernel.*"]
privileged_without_host_devices = true
[plugins.${plugin}.containerd.runtimes.urunc.options]
SystemdCgroup = true
[plugins."io.containerd.snapshotter.v1.devmapper"]
pool_name = "pool"
`));
    assert.deepEqual(facts, {
      criDisabled: false,
      runtimes: {
        urunc: {
          type: "io.containerd.urunc.v2",
          systemdCgroup: true,
          privilegedWithoutHostDevices: true,
          podAnnotations: ["com.urunc.unikernel.*"],
          containerAnnotations: [],
        },
      },
      snapshotter: "devmapper",
      devmapper: { pool: "pool" },
      cni: { binaries: "/usr/lib/cni", configuration: "/etc/cni/net.d" },
    });
  });
}

Deno.test("containerd's configuration, of docker's packages and of nonsense", () => {
  assert.equal(describeContainerd(parse('disabled_plugins = ["cri"]')).criDisabled, true);
  for (const document of [{}, null, [], "x", { plugins: [], disabled_plugins: "cri" }]) {
    assert.deepEqual(describeContainerd(document).runtimes, {});
    assert.equal(describeContainerd(document).criDisabled, false);
  }
});

Deno.test("the processor", () => {
  const text = (flags: string) => `processor : 0\nvendor_id\t: GenuineIntel\nflags\t\t: ${flags}\n`;
  assert.deepEqual(parseProcessor(text("fpu vmx")), {
    vendor: "GenuineIntel",
    isGuest: false,
    hasVirtualisation: true,
  });
  assert.deepEqual(parseProcessor(text("fpu hypervisor")), {
    vendor: "GenuineIntel",
    isGuest: true,
    hasVirtualisation: false,
  });
  assert.deepEqual(parseProcessor(""), { isGuest: false, hasVirtualisation: false });
});

Deno.test("subordinate ids", () => {
  assert.deepEqual(parseSubordinateIds("a:100000:65536\n\n# no\nb:x:1\n1000:7:9\n"), [
    { name: "a", start: 100000, count: 65536 },
    { name: "1000", start: 7, count: 9 },
  ]);
});

Deno.test("the file server: what is not there is a problem with its remedy, and another has its version", async () => {
  const { path, problem } = await surveyFileServer(["/nonexistent/virtiofsd"]);
  assert.equal(path, undefined);
  assert.match(problem!.reason, /virtiofsd: none of \/nonexistent\/virtiofsd is there/);
  assert.match(problem!.remedy!, /apt-get install virtiofsd/);
});
