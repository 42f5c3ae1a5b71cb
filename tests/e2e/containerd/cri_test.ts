/** Kubernetes' way to containerd: a pod of a sandbox, a guest and a sidecar. */
import assert from "node:assert/strict";
import { type Containerd, CONTAINERD_NEEDS, startContainerd } from "../../support/containerd.ts";
import { Cri } from "../../support/cri.ts";
import { busyboxFiles } from "../../support/docker.ts";
import { doubleBinary, parseReport } from "../../support/double.ts";
import { assertNoLeaks, takeSnapshot } from "../../support/leaks.ts";
import { isAlive, readStatus, waitFor } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { guestImage } from "../docker/_common.ts";
import { assertNothingLeft, GUEST, ORDINARY } from "./_common.ts";

const PLUGINS = "/usr/lib/cni";
const NEEDS = [...CONTAINERD_NEEDS, "gcc", "iptables"];
/** In the tutorial on running the monitor as another user. */
const TUTORIAL_IMAGE = "harbor.nbfc.io/nubificus/urunc/nginx-firecracker-unikraft-initrd:latest";
const PAUSE = "docker.io/library/pause:latest";

/** containerd with the CRI plugin, a bridge network, and a runtime class `urunc`. */
async function startWithCri(scope: Scope): Promise<Containerd> {
  const cni = await scope.temporaryDirectory("cni");
  await Deno.mkdir(`${cni}/conf`);
  await Deno.writeTextFile(
    `${cni}/conf/10-test.conflist`,
    JSON.stringify({
      cniVersion: "0.4.0",
      name: `urunc-test-${Deno.pid}`,
      plugins: [{
        type: "bridge",
        bridge: "cni-test",
        isGateway: true,
        ipam: {
          type: "host-local",
          dataDir: `${cni}/ipam`,
          ranges: [[{ subnet: "10.89.7.0/24" }]],
          routes: [{ dst: "0.0.0.0/0" }],
        },
      }],
    }),
  );
  const double = JSON.stringify(await doubleBinary());
  const it = await startContainerd(scope, {
    cri: true,
    uruncConfiguration: `[monitors.qemu]\npath = ${double}\n`,
    configuration: `
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE}"
  # A sandbox's own is lower than what a machine without CAP_SYS_RESOURCE may set.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${PLUGINS}"
    conf_dir = "${cni}/conf"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "urunc"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.urunc]
    runtime_type = "io.containerd.urunc.v2"
    container_annotations = ["com.urunc.unikernel.*"]
    pod_annotations = ["com.urunc.unikernel.*"]
`,
  });
  await it.makeImage(GUEST, guestImage("tcg"));
  await it.makeImage(ORDINARY, busyboxFiles());
  await it.makeImage(PAUSE, busyboxFiles(), { Entrypoint: ["/bin/sleep", "100000"] });
  return it;
}

testIf("CRI: a pod of a sandbox, a guest as another user, and a sidecar", {
  needs: NEEDS,
  skip: missingPlugins(),
  timeoutSeconds: 120,
}, async () => {
  const before = takeSnapshot();
  {
    await using scope = new Scope();
    const it = await startWithCri(scope);
    const logs = await scope.temporaryDirectory("logs");
    using cri = new Cri(`${it.directory}/containerd.sock`);
    const podConfig = {
      metadata: { name: "pod", uid: "u1", namespace: "default", attempt: 0 },
      hostname: "pod",
      logDirectory: logs,
      linux: { cgroupParent: `/${it.namespace}` },
    };
    const pod = await runPod(cri, podConfig);
    assert.match(await cri.podAddress(pod), /^10\.89\.7\./);

    const guest = await cri.create(pod, {
      metadata: { name: "guest", attempt: 0 },
      image: { image: GUEST },
      args: ["report; print up; alloc 20; idle"],
      logPath: "guest.log",
      linux: {
        securityContext: {
          runAsUser: { value: 65534n },
          runAsGroup: { value: 65533n },
          supplementalGroups: [108n, 4000n],
        },
      },
    }, podConfig);
    await cri.start(guest);
    const text = await logsWith(`${logs}/guest.log`, "up");
    const pid = await cri.pid(guest);
    const status = readStatus(pid);
    assert.deepEqual(status.uids, [65534, 65534, 65534, 65534]);
    assert.deepEqual(status.gids, [65533, 65533, 65533, 65533]);
    assert.deepEqual(status.groups.filter((gid) => gid !== 65533), [108, 4000]);
    assert.equal(status.capabilities.bounding, 0n);
    // The pod's network reached the guest's monitor.
    const report = parseReport(text);
    assert.ok(report.argv.some((argument) => argument.includes("tap")), text);
    assert.equal(report.hostname, "pod");

    const sidecar = await cri.create(pod, {
      metadata: { name: "sidecar", attempt: 0 },
      image: { image: ORDINARY },
      command: [
        "/bin/sh",
        "-c",
        "echo beside; exec busybox nc -ll -p 8080 -e /bin/echo served",
      ],
      logPath: "sidecar.log",
    }, podConfig);
    await cri.start(sidecar);
    await logsWith(`${logs}/sidecar.log`, "beside");
    assert.deepEqual(await cri.exec(sidecar, ["/bin/sh", "-c", "echo in; exit 3"]), {
      stdout: "in\n",
      exitCode: 3,
    });
    // The guest has the pod's address, and so has the sidecar still.
    const address = await cri.podAddress(pod);
    const talk = ["sh", "-c", `busybox nc -w 5 ${address} 8080 </dev/null`];
    assert.equal((await it.onHost(talk)).stdout, "served\n");
    const outward = ["/bin/sh", "-c", "ping -c 1 -W 5 10.89.7.1 >/dev/null"];
    assert.equal((await cri.exec(sidecar, outward)).exitCode, 0);
    const second = await cri.create(pod, {
      metadata: { name: "second", attempt: 0 },
      image: { image: GUEST },
      args: ["idle"],
      logPath: "second.log",
    }, podConfig);
    await assert.rejects(
      () => cri.start(second),
      /only one container with a guest can use a network namespace at a time/,
    );
    await cri.remove(second);
    assert.ok(isAlive(pid));

    await assert.rejects(
      () => cri.exec(guest, ["/bin/true"]),
      /a guest has no processes that could be entered/,
    );
    assert.ok(await cri.memory(guest) > 20 << 20);
    assert.ok(await cri.memory(sidecar) > 0);
    // One for all three.
    const shims = it.shims().filter((shim) => readStatus(shim).nsPids.length === 1);
    assert.equal(shims.length, 1);

    await cri.stop(guest, 5);
    const ended = await cri.status(guest);
    assert.deepEqual([ended.state, ended.exitCode], [2, 0]);
    assert.ok(!isAlive(pid));
    await cri.remove(guest);

    const wrong = await cri.create(pod, {
      metadata: { name: "wrong", attempt: 0 },
      image: { image: ORDINARY },
      args: ["/bin/echo", "isolated?"],
      annotations: new Map([["com.urunc.unikernel.binary", "/bin/busybox"]]),
      logPath: "wrong.log",
    }, podConfig);
    await assert.rejects(() => cri.start(wrong), /com\.urunc\.unikernel\.unikernelType/);
    await cri.remove(wrong);

    await cri.stop(sidecar, 0);
    assert.equal((await cri.status(sidecar)).exitCode, 137);
    await cri.remove(sidecar);
    await cri.removePod(pod);
    await assertNothingLeft(it);
  }
  assertNoLeaks(before, takeSnapshot(), /containerd|host file/);
});

testIf("CRI: Knative's pod, and the securityContext of urunc's tutorial", {
  needs: NEEDS,
  skip: missingPlugins(),
  timeoutSeconds: 120,
}, async () => {
  await using scope = new Scope();
  const it = await startWithCri(scope);
  await it.makeImage(TUTORIAL_IMAGE, guestImage("tcg"));
  const logs = await scope.temporaryDirectory("logs");
  using cri = new Cri(`${it.directory}/containerd.sock`);
  const podConfig = {
    metadata: { name: "knative", uid: "u2", namespace: "default", attempt: 0 },
    hostname: "pod",
    logDirectory: logs,
    linux: { cgroupParent: `/${it.namespace}` },
  };
  const pod = await runPod(cri, podConfig);
  const guest = await cri.create(pod, {
    metadata: { name: "user-container", attempt: 0 },
    image: { image: TUTORIAL_IMAGE },
    args: ["print up; idle"],
    logPath: "guest.log",
    linux: {
      securityContext: {
        runAsUser: { value: 65534n },
        runAsGroup: { value: 65534n },
        supplementalGroups: [1000n],
      },
    },
  }, podConfig);
  await cri.start(guest);
  await logsWith(`${logs}/guest.log`, "up");
  const status = readStatus(await cri.pid(guest));
  assert.deepEqual(status.uids, [65534, 65534, 65534, 65534]);
  assert.deepEqual(status.gids, [65534, 65534, 65534, 65534]);
  // containerd adds the primary group.
  assert.deepEqual(status.groups.filter((gid) => gid !== 65534), [1000]);

  const proxy = await cri.create(pod, {
    metadata: { name: "queue-proxy", attempt: 0 },
    image: { image: ORDINARY },
    command: ["/bin/sh", "-c", "echo to $REDIRECT_IP"],
    logPath: "proxy.log",
  }, podConfig);
  await cri.start(proxy);
  await logsWith(`${logs}/proxy.log`, "to 172.16.1.2");
  await cri.stop(guest, 5);
  await cri.remove(guest);
  await cri.remove(proxy);
  await cri.removePod(pod);
  await assertNothingLeft(it);
});

/** A pod, as soon as it can be made. */
async function runPod(cri: Cri, config: Parameters<Cri["runPod"]>[0]): Promise<string> {
  return await waitFor(
    () =>
      cri.runPod(config, "urunc").catch((error) => {
        // The plugin hears of imported images and of its network a little later.
        if (/pause|network/.test(error.message)) return undefined;
        throw error;
      }),
    { timeoutSeconds: 20, what: "the pod", intervalMilliseconds: 500 },
  );
}

function missingPlugins(): string | undefined {
  try {
    Deno.statSync(`${PLUGINS}/bridge`);
    return undefined;
  } catch {
    return `needs ${PLUGINS}/bridge (apt-get install containernetworking-plugins)`;
  }
}

/** Waits until a CRI log has a line, and gives all lines without their stamps. */
async function logsWith(path: string, line: string): Promise<string> {
  return await waitFor(() => {
    let text: string;
    try {
      text = Deno.readTextFileSync(path);
    } catch {
      return undefined;
    }
    // TIME STREAM F|P TEXT; a long line is in pieces.
    const plain = text.split("\n").map((it) => {
      const [, , flag, ...words] = it.split(" ");
      return words.join(" ") + (flag === "F" ? "\n" : "");
    }).join("");
    return plain.split("\n").includes(line) ? plain : undefined;
  }, { timeoutSeconds: 20, what: `"${line}" in ${path}` });
}
