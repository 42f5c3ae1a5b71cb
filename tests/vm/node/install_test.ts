/** A bare node, from `doctor` to guests and back: what an operator does once. */
import assert from "node:assert/strict";
import type { Line } from "../../../lib/doctor/checks/types.ts";
import { exists } from "../../../lib/os/files.ts";
import { removeCgroupTree } from "../../support/cgroups.ts";
import { makeImage } from "../../support/containerd.ts";
import { busyboxFiles } from "../../support/docker.ts";
import { makeLinuxInitrd } from "../../support/fixtures.ts";
import { guestImage, uruncJson } from "../../support/guest_images.ts";
import { Pod, runAs } from "../../support/pod.ts";
import { monitorOf, run } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { type NodeDocker, nodeDocker, nodePodman } from "./_docker.ts";
import { AS_NOBODY, assertNobodyWithKvm, makeGuestImage } from "./_guests.ts";

const needs = ["root", "kvm", "docker", "podman", "ctr", "busybox", "cpio"];

/** What the test's node has set up already. */
const SET_UP = ["/etc/docker/daemon.json", "/usr/local/bin/urunc"];

const URUNC = "/usr/local/bin/urunc";
const IMAGE = "docker.io/library/guest:latest";

/** All files of the places that install and kernels are written to, with modes, targets and contents. */
async function listFiles(): Promise<string> {
  const places = [
    ...["/etc/docker", "/etc/containerd", "/etc/containers", "/etc/cni", "/etc/urunc"],
    ...["/usr/local/bin", "/var/lib/urunc"],
  ];
  const script = 'for it in "$@"; do [ -d "$it" ] || continue; find "$it" -printf "%p %M %l\\n"; ' +
    'find "$it" -type f -exec sha256sum {} +; done | sort';
  return (await run(["sh", "-c", script, "sh", ...places], { check: true })).stdout;
}

/** What the daemons make of their configuration, and what runs of urunc and its monitors. */
async function describeNode(): Promise<Record<string, string>> {
  const ask = async (...argv: string[]) => (await run(argv, { timeoutSeconds: 60 })).stdout;
  const commands = (await ask("ps", "-eo", "args")).split("\n");
  return {
    files: await listFiles(),
    containerd: await ask("containerd", "config", "dump"),
    docker: await ask("docker", "info", "--format", "{{json .Runtimes}}"),
    processes: commands.filter((it) => /urunc|qemu-system/.test(it) && !/deno/.test(it)).join("\n"),
  };
}

/** Puts aside what the test's node has set up; at the end of the scope it is back. */
async function makeBare(scope: Scope, aside: string): Promise<void> {
  for (const path of SET_UP) {
    const kept = `${aside}/${encodeURIComponent(path)}`;
    await run(["mv", path, kept], { check: true });
    scope.defer(`put ${path} back`, () => run(["mv", kept, path], { check: true }));
  }
}

async function restartDocker(): Promise<void> {
  // docker's unit may start three times a minute (StartLimitBurst=, systemd.unit(5)), and install and
  // uninstall restart it, too: the count begins anew.
  await run(["systemctl", "reset-failed", "docker"], { check: true });
  await run(["systemctl", "restart", "docker"], { check: true, timeoutSeconds: 120 });
}

/** A kernel of the node's own, and a guest of an image that has none. */
async function runOnNodeKernel(scope: Scope, { docker, makeImage }: NodeDocker): Promise<void> {
  const { stdout: release } = await run(["uname", "-r"], { check: true });
  const add = ["kernel", "add", "--name", "node", `/boot/vmlinuz-${release.trim()}`];
  assert.equal(
    (await run([URUNC, ...add], { check: true, timeoutSeconds: 180 })).stdout,
    "node\n",
  );
  const initrd = await makeLinuxInitrd();
  scope.defer("remove the initrd", () => initrd.cleanup());
  await makeImage("linux", [
    { path: "/unikernel/initrd", source: initrd.path },
    {
      path: "/urunc.json",
      content: uruncJson({
        unikernelType: "linux",
        initrd: "/unikernel/initrd",
        kernel: "node",
        accelerator: "kvm",
      }),
    },
  ]);
  const words = ["run", "--rm", "--runtime=urunc", ...AS_NOBODY, "linux", "busybox", "uname", "-r"];
  const result = await docker(words, { timeoutSeconds: 180 });
  assert.equal(result.stdout.replaceAll("\r", ""), release, result.stderr);
  await run([URUNC, "kernel", "rm", "node"], { check: true });
}

/** A guest of podman, which has images of its own. */
async function runInPodman(): Promise<void> {
  // Its images go while it knows the runtime.
  await using scope = new Scope();
  const it = nodePodman(scope, "urunc");
  await makeGuestImage(it);
  const hello = ["hello", "Hello from podman", "0"];
  const result = await it.docker(["run", "--rm", ...AS_NOBODY, "guest", ...hello]);
  assert.equal(result.stdout.replaceAll("\r", ""), "Hello from podman\n", result.stderr);
}

/** A guest of ctr and one of a pod, of the node's own containerd. */
async function runInContainerd(scope: Scope): Promise<void> {
  const namespace = "k8s.io";
  const ctr: Parameters<typeof makeImage>[1] = (args, options) =>
    run(["ctr", "--namespace", namespace, ...args], { timeoutSeconds: 60, ...options });
  await makeImage(scope, ctr, IMAGE, guestImage("kvm"));
  const flags = ["--rm", "--runtime", "io.containerd.urunc.v2", "--user", "65534:65534"];
  const result = await ctr(["run", ...flags, IMAGE, "ctr", "hello", "Hello from ctr", "0"]);
  assert.equal(result.stdout.replaceAll("\r", ""), "Hello from ctr\n", result.stderr);

  const { stdout: dump } = await run(["containerd", "config", "dump"], { check: true });
  const [, pause] = /sandbox_image = "(.*)"/.exec(dump) ?? [];
  await makeImage(scope, ctr, pause!, busyboxFiles(), { Entrypoint: ["/bin/sleep", "100000"] });
  await using network = new Scope();
  await makePodNetwork(network);
  const it = { directory: "/run/containerd", namespace: "urunc-node" };
  // Of the pod, and so the kubelet's to remove, which is not here.
  network.defer("remove the pod's cgroup", () => removeCgroupTree(`/${it.namespace}`));
  await makeResolvConf(network);
  const pod = await Pod.run(network, it);
  const guest = await pod.start("guest", {
    image: IMAGE,
    args: ["idle"],
    linux: runAs(65534, 65534),
  });
  await pod.logsWith("guest", "idle", 60);
  assertNobodyWithKvm(monitorOf(await pod.cri.pid(guest)));
  await pod.stopAndRemove(guest, 10);
  await pod.remove();
  await ctr(["images", "rm", "--sync", IMAGE, pause!], { check: true });
}

/** What a cluster's network is on a node: a file, which containerd reads when it appears. */
async function makePodNetwork(scope: Scope): Promise<void> {
  const directory = "/etc/cni/net.d";
  const file = `${directory}/05-urunc-node.conflist`;
  const parts = [directory, "/etc/cni"].filter((path) => !exists(path));
  await Deno.mkdir(directory, { recursive: true });
  scope.defer("remove the network of pods", async () => {
    await Deno.remove(file);
    for (const path of parts) await Deno.remove(path);
  });
  const ranges = [[{ subnet: "10.89.8.0/24" }]];
  const bridge = {
    type: "bridge",
    bridge: "cni-node",
    isGateway: true,
    ipam: { type: "host-local", dataDir: "/run/urunc-node-ipam", ranges },
  };
  scope.defer("remove the bridge", async () => {
    await run(["ip", "link", "delete", "cni-node"]);
    await run(["rm", "--recursive", "--force", "/run/urunc-node-ipam"], { check: true });
  });
  const network = { cniVersion: "0.4.0", name: "urunc-node", plugins: [bridge] };
  await Deno.writeTextFile(file, JSON.stringify(network));
}

/** containerd copies the node's file for each sandbox; this node has none. */
async function makeResolvConf(scope: Scope): Promise<void> {
  const file = "/etc/resolv.conf";
  if (exists(file)) return;
  await Deno.writeTextFile(file, "nameserver 10.89.8.1\n");
  scope.defer(`remove ${file}`, () => Deno.remove(file));
}

testIf("a bare node: doctor, install, guests everywhere, uninstall; nothing is left", {
  needs,
  timeoutSeconds: 900,
}, async (context) => {
  await using scope = new Scope();
  const aside = await scope.temporaryDirectory("node");
  // Done last, when the files are back.
  scope.defer("restart docker", restartDocker);
  const urunc = `${aside}/urunc`;
  await run(["cp", "--dereference", URUNC, urunc], { check: true });
  await makeBare(scope, aside);
  await restartDocker();
  const before = await describeNode();

  const examine = async (check: string): Promise<Line[]> => {
    const { stdout } = await run([urunc, "doctor", "--json"], { timeoutSeconds: 60 });
    return JSON.parse(stdout).lines.filter((it: Line) => it.check === check);
  };
  const fixOf = (lines: Line[]) => lines.find(({ fix }) => fix?.startsWith("urunc install"))?.fix;
  assert.equal(fixOf(await examine("containerd")), "urunc install --containerd --restart");
  const fix = fixOf(await examine("docker"));
  assert.equal(fix, "urunc install --docker --restart");
  const engines = ["--podman", "--containerd"];
  await run([urunc, ...fix!.split(" ").slice(1), ...engines], { check: true, timeoutSeconds: 180 });
  assert.deepEqual((await examine("docker")).map(({ status }) => status), ["ok"]);
  assert.equal(fixOf(await examine("containerd")), undefined);

  const it = nodeDocker(scope);
  await makeGuestImage(it);
  const hello = ["run", "--rm", "--runtime=urunc", ...AS_NOBODY, "guest", "hello", "Installed"];
  const result = await it.docker(hello);
  assert.equal(result.stdout.replaceAll("\r", ""), "Installed\n", result.stderr);
  await context.step("podman", () => runInPodman());
  await context.step("containerd: ctr and a pod", () => runInContainerd(scope));
  await context.step("kernel add", () => runOnNodeKernel(scope, it));

  await run([URUNC, "uninstall", "--restart"], { check: true, timeoutSeconds: 180 });
  assert.deepEqual(await describeNode(), before);
  assert.notEqual((await it.docker(hello)).code, 0);
});
