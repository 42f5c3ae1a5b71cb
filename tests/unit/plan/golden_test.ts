import type { LaunchInput } from "../../../lib/plan/launch_input.ts";
import { planLaunch } from "../../../lib/plan/launch.ts";
import { planNamespaces } from "../../../lib/plan/namespaces.ts";
import { defaultConfiguration } from "../../../lib/config/parse.ts";
import { guestOf } from "../../../lib/guest/families/registry.ts";
import { assertGolden } from "../../support/golden.ts";
import { factsOf, launchInputOf, NETWORK, specOf } from "../../support/plan_inputs.ts";

/** A Linux guest with an initrd that only root may read, on a network, with everything set. */
function fullInput(): LaunchInput {
  return launchInputOf({
    spec: specOf({
      process: {
        user: { uid: 1000, gid: 1001, umask: 0o027, additionalGids: [108, 27, 108] },
        args: ["/bin/server", "two words"],
        env: ["PATH=/bin"],
        cwd: "/",
        oomScoreAdj: 500,
        rlimits: [{ type: "RLIMIT_NOFILE", soft: 64, hard: 128 }],
      },
      linux: {
        namespaces: [
          { type: "pid" },
          { type: "mount" },
          { type: "network", path: "/run/netns/pod" },
          { type: "ipc", path: "/proc/7/ns/ipc" },
          { type: "uts" },
          { type: "cgroup" },
        ],
        resources: { memory: { limit: 512 * 1024 * 1024 } },
        sysctl: { "net.ipv4.ip_unprivileged_port_start": "0" },
      },
      hooks: {
        createContainer: [{ path: "/opt/hook", args: ["hook", "create"] }],
        startContainer: [{ path: "/opt/hook", args: ["hook", "start"] }],
      },
    }),
    unikernel: {
      unikernelType: "linux",
      hypervisor: "qemu",
      binary: "/boot/vmlinuz",
      initrd: "/boot/initrd",
      accelerator: "tcg",
    },
    guest: guestOf("linux"),
    facts: factsOf({
      kernel: { path: "/boot/vmlinuz", size: 8_000_000, uid: 0, gid: 0, mode: 0o644 },
      initrd: {
        path: "/boot/initrd",
        size: 1_000_000,
        uid: 0,
        gid: 0,
        mode: 0o600,
        isInitramfs: true,
      },
    }),
    network: NETWORK,
    deviceCgroup: { version: 1, directory: "/sys/fs/cgroup/devices/urunc/ID" },
  });
}

Deno.test("the plans of a PVH guest on KVM without a network", () => {
  const input = launchInputOf({
    deviceCgroup: { version: 2, directory: "/sys/fs/cgroup/urunc/ID" },
  });
  assertGolden("plans/elf-kvm", [planNamespaces(input.spec), planLaunch(input)]);
});

Deno.test("the plans of a Linux guest on a network, with everything set", () => {
  const input = fullInput();
  assertGolden("plans/linux-network", [planNamespaces(input.spec), planLaunch(input)]);
});

Deno.test("the plan of a Linux guest on two networks", () => {
  const further = [{
    name: "net1",
    index: 3,
    mac: "02:42:0a:0b:00:02",
    mtu: 1450,
    addresses: [{ family: "inet" as const, address: "10.11.0.2", prefixLength: 24 }],
  }];
  assertGolden(
    "plans/linux-networks",
    planLaunch({ ...fullInput(), network: { ...NETWORK, further } }),
  );
});

Deno.test("the plan of a Linux guest whose root is the container's snapshot", () => {
  const input = fullInput();
  const device = { major: 253, minor: 3 };
  const facts = {
    ...input.facts,
    rootDisk: { ...device, mountPoint: "/bundle/rootfs" },
    disks: [{
      name: "rootfs",
      source: {
        kind: "device" as const,
        device: {
          ...device,
          path: "/dev/dm-3",
          type: "block" as const,
          uid: 0,
          gid: 6,
          mode: 0o660,
        },
      },
      readOnly: false,
      fileSystem: "ext4",
      mountPoint: "/",
    }],
  };
  assertGolden("plans/root-disk", planLaunch({ ...input, facts, network: undefined }));
});

Deno.test("the plan with access by groups and a capability", () => {
  const configuration = defaultConfiguration();
  configuration.device_access = "groups";
  configuration.monitors.qemu = { capabilities: ["CAP_NET_ADMIN"], data_paths: [] };
  const spec = specOf({
    process: { user: { uid: 65534, gid: 65534, additionalGids: [104] }, args: ["x"], cwd: "/" },
  });
  assertGolden("plans/groups-capability", planLaunch(launchInputOf({ spec, configuration })));
});

Deno.test("the plan of a monitor in a user namespace of its own", () => {
  const defaults = defaultConfiguration();
  const ids = { ...defaults.ids, mode: "userns" as const, range: "2100000000-2100065535" };
  const configuration = { ...defaults, ids };
  const process = { user: { uid: 2100000000, gid: 2100000000 }, args: ["x"], cwd: "/" };
  const input = launchInputOf({ spec: specOf({ process }), configuration });
  assertGolden("plans/user-namespace", planLaunch(input));
});
