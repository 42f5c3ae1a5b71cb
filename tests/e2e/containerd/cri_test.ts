/** Kubernetes' way to containerd: a pod of a sandbox, a guest and a sidecar. */
import assert from "node:assert/strict";
import { Stopwatch } from "../../support/busy.ts";
import { missingMemoryController } from "../../support/cgroups.ts";
import { parseReport } from "../../support/double.ts";
import { guestImage } from "../../support/guest_images.ts";
import { nodeWithKernel } from "../../support/node_kernel.ts";
import { assertNoLeaks, takeSnapshot } from "../../support/leaks.ts";
import { entries } from "../../support/cri.ts";
import { Pod, runAs } from "../../support/pod.ts";
import { isAlive, readStatus } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { assertNothingLeft, GUEST, ORDINARY } from "./_common.ts";
import { CRI_NEEDS, missingPlugins, startWithCri } from "./_cri.ts";

/** After that a guest is killed. */
const GRACE_SECONDS = 60;
const UNIKRAFT = "docker.io/library/unikraft:latest";
/** In the tutorial on running the monitor as another user. */
const TUTORIAL_IMAGE = "harbor.nbfc.io/nubificus/urunc/nginx-firecracker-unikraft-initrd:latest";

testIf("CRI: a pod of a sandbox, a guest as another user, and a sidecar", {
  needs: CRI_NEEDS,
  skip: missingPlugins(),
  timeoutSeconds: 120,
}, async () => {
  const before = takeSnapshot();
  {
    await using scope = new Scope();
    const it = await startWithCri(scope);
    const pod = await Pod.run(scope, it);
    const { cri } = pod;
    assert.match(await pod.address(), /^10\.89\.7\./);

    const guest = await pod.start("guest", {
      image: GUEST,
      args: ["report; print up; alloc 20; idle"],
      linux: runAs(65534, 65533, [108, 4000]),
    });
    const text = await pod.logsWith("guest", "up");
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

    const sidecar = await pod.start("sidecar", {
      image: ORDINARY,
      command: [
        "/bin/sh",
        "-c",
        "echo beside; exec busybox nc -ll -p 8080 -e /bin/echo served",
      ],
    });
    await pod.logsWith("sidecar", "beside");
    assert.deepEqual(await cri.exec(sidecar, ["/bin/sh", "-c", "echo in; exit 3"]), {
      stdout: "in\n",
      stderr: "",
      exitCode: 3,
    });
    // The guest has the pod's address, and so has the sidecar still.
    const address = await pod.address();
    const talk = ["sh", "-c", `busybox nc -w 5 ${address} 8080 </dev/null`];
    assert.equal((await it.onHost(talk)).stdout, "served\n");
    const outward = ["/bin/sh", "-c", "ping -c 1 -W 5 10.89.7.1 >/dev/null"];
    assert.equal((await cri.exec(sidecar, outward)).exitCode, 0);
    const second = await pod.create("second", { image: GUEST, args: ["idle"] });
    await assert.rejects(
      () => cri.start(second),
      /only one container with a guest can use a network namespace at a time/,
    );
    await cri.remove(second);
    assert.ok(isAlive(pid));

    // A probe is to fail: the kubelet drops the results of those that err.
    const refused = await cri.exec(guest, ["/bin/true"]);
    assert.deepEqual([refused.exitCode, refused.stdout], [126, ""]);
    assert.match(refused.stderr, /^urunc: exec in container .*: its guest has no agent.*\n$/);
    assert.ok(await cri.memory(guest) > 20 << 20);
    assert.ok(await cri.memory(sidecar) > 0);
    // One for all three.
    const shims = it.shims().filter((shim) => readStatus(shim).nsPids.length === 1);
    assert.equal(shims.length, 1);

    await cri.stop(guest, 5);
    const ended = await cri.status(guest);
    assert.deepEqual([ended.state, ended.exitCode], [2, 143]);
    assert.ok(!isAlive(pid));
    await cri.remove(guest);

    // By Knative's name for it the next guest gets a subnet with its pod, which keeps the address.
    const routed = await pod.start("user-container", { image: GUEST, args: ["print up; idle"] });
    await pod.logsWith("user-container", "up");
    const inPod = `--net=/proc/${await cri.pid(routed)}/ns/net`;
    const links = await it.onHost(["nsenter", inPod, "ip", "-o", "-4", "address"]);
    assert.match(links.stdout, /tap0_urunc +inet 172\.16\.1\.1\/24 /);
    assert.equal((await it.onHost(talk)).stdout, "served\n");
    await pod.stopAndRemove(routed, 5);

    // The kubelet makes an event, or a condition, of it.
    const resized = await pod.start("resized", {
      image: GUEST,
      args: ["print up; idle"],
      linux: { ...runAs(65534, 65534), resources: { memoryLimit: 512n << 20n } },
    });
    await pod.logsWith("resized", "up");
    await assert.rejects(() => cri.update(resized, 64n << 20n), /less than the guest, whose/);
    await cri.update(resized, 600n << 20n);
    await pod.stopAndRemove(resized, 5);
    // One that cannot be asked to end, whatever it is just doing.
    for (let round = 0; round < 5; round++) {
      const deaf = await pod.start("deaf", { image: GUEST, args: ["idle"] });
      const watch = new Stopwatch();
      await cri.stop(deaf, GRACE_SECONDS);
      assert.ok(watch.milliseconds() < GRACE_SECONDS * 500, `${watch.milliseconds()} ms`);
      assert.equal((await pod.ended(deaf, 10)).exitCode, 143);
      await cri.remove(deaf);
    }

    const wrong = await pod.create("wrong", {
      image: ORDINARY,
      args: ["/bin/echo", "isolated?"],
      annotations: entries({ "com.urunc.unikernel.binary": "/bin/busybox" }),
    });
    await assert.rejects(() => cri.start(wrong), /com\.urunc\.unikernel\.unikernelType/);
    await cri.remove(wrong);

    await cri.stop(sidecar, 0);
    assert.equal((await cri.status(sidecar)).exitCode, 137);
    await cri.remove(sidecar);
    await pod.remove();
    await assertNothingLeft(it);
  }
  assertNoLeaks(before, takeSnapshot(), /containerd|host file/);
});

testIf("CRI: Knative's pod, and the securityContext of urunc's tutorial", {
  needs: CRI_NEEDS,
  skip: missingPlugins(),
  timeoutSeconds: 120,
}, async () => {
  await using scope = new Scope();
  const it = await startWithCri(scope);
  await it.makeImage(TUTORIAL_IMAGE, guestImage("tcg"));
  const pod = await Pod.run(scope, it);
  const guest = await pod.start("user-container", {
    image: TUTORIAL_IMAGE,
    args: ["print up; idle"],
    linux: runAs(65534, 65534, [1000]),
  });
  await pod.logsWith("user-container", "up");
  const status = readStatus(await pod.cri.pid(guest));
  assert.deepEqual(status.uids, [65534, 65534, 65534, 65534]);
  assert.deepEqual(status.gids, [65534, 65534, 65534, 65534]);
  // containerd adds the primary group.
  assert.deepEqual(status.groups.filter((gid) => gid !== 65534), [1000]);

  const proxy = await pod.start("queue-proxy", {
    image: ORDINARY,
    command: ["/bin/sh", "-c", "echo to $REDIRECT_IP"],
  });
  await pod.logsWith("queue-proxy", "to 172.16.1.2");
  await pod.stopAndRemove(guest, 5);
  await pod.stopAndRemove(proxy, 0);
  await pod.remove();
  await assertNothingLeft(it);
});

testIf("CRI: an evicted guest has failed, and one that ended by itself only if it says so", {
  needs: CRI_NEEDS,
  skip: missingPlugins(),
  timeoutSeconds: 120,
}, async () => {
  await using scope = new Scope();
  const it = await startWithCri(scope);
  await it.makeImage(UNIKRAFT, guestImage("tcg", { unikernelType: "unikraft" }));
  const pod = await Pod.run(scope, it);

  // QEMU's own exit codes; the debug exit device makes 2n+1 of the guest's n.
  const byItself: [image: string, args: string[], code: number, reason: string][] = [
    [GUEST, ["exit", "0"], 0, "Completed"],
    [GUEST, ["exit", "15"], 7, "Error"],
    [UNIKRAFT, ["app", "exit", "83"], 0, "Completed"],
    [UNIKRAFT, ["app", "exit", "85"], 255, "Error"],
  ];
  for (const [image, args, code, reason] of byItself) {
    const name = args.join("-");
    const guest = await pod.start(name, { image, args });
    const status = await pod.ended(guest, 20);
    assert.deepEqual([status.exitCode, status.reason], [code, reason], name);
    await pod.cri.remove(guest);
  }

  // An eviction is a stop with the pod's grace period. On SIGTERM QEMU exits with 0, or does not.
  for (const [commands, grace, code] of [["", 20, 143], ["ignore 15; ", 1, 137]] as const) {
    const name = `evicted-${code}`;
    const guest = await pod.start(name, { image: GUEST, args: [`${commands}print up; idle`] });
    await pod.logsWith(name, "up");
    await pod.cri.stop(guest, grace);
    const status = await pod.cri.status(guest);
    assert.deepEqual([status.exitCode, status.reason], [code, "Error"], name);
    await pod.cri.remove(guest);
  }
  await pod.remove();
  await assertNothingLeft(it);
});

testIf("CRI: an OOM kill is reported as Kubernetes calls it", {
  needs: CRI_NEEDS,
  skip: missingPlugins() ?? missingMemoryController(),
  timeoutSeconds: 120,
}, async () => {
  await using scope = new Scope();
  const it = await startWithCri(scope);
  const pod = await Pod.run(scope, it);
  const guest = await pod.start("guest", {
    image: GUEST,
    args: ["sleep 500; alloc 256; idle"],
    linux: { resources: { memoryLimit: 64 << 20 } },
  });
  const status = await pod.ended(guest, 20);
  assert.deepEqual([status.reason, status.exitCode], ["OOMKilled", 137]);
  await pod.cri.remove(guest);
  await pod.remove();
  await assertNothingLeft(it);
});

testIf("CRI: a guest's kernel that runs out of memory and kills the program is an OOM kill, too", {
  needs: [...CRI_NEEDS, "qemu-system-x86_64", "virtiofsd", "busybox", "apt-get", "dpkg-deb"],
  skip: missingPlugins(),
  timeoutSeconds: 240,
}, async () => {
  await using scope = new Scope();
  const config = await nodeWithKernel(scope, `[guests]\nundescribed = "linux"`);
  const it = await startWithCri(scope, false, { configuration: await Deno.readTextFile(config) });
  const pod = await Pod.run(scope, it);
  const reason = async (script: string, isStopped = false) => {
    const guest = await pod.start("guest", {
      image: ORDINARY,
      command: ["sh", "-c", script],
      linux: { ...runAs(1000, 1000), resources: { memoryLimit: 320 << 20 } },
    });
    if (isStopped) {
      await pod.logsWith("guest", "up", 60);
      await pod.cri.stop(guest, 0);
    }
    const status = await pod.ended(guest, 120);
    await pod.cri.remove(guest);
    return [status.reason, status.exitCode];
  };
  assert.deepEqual(await reason("x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done"), [
    "OOMKilled",
    137,
  ]);
  assert.deepEqual(await reason("echo up; sleep 99", true), ["Error", 137]);
  await pod.remove();
  await assertNothingLeft(it);
});

testIf("CRI: a pod survives a restart of containerd, and its log continues", {
  needs: CRI_NEEDS,
  skip: missingPlugins(),
  timeoutSeconds: 120,
}, async () => {
  await using scope = new Scope();
  const it = await startWithCri(scope);
  const pod = await Pod.run(scope, it);
  const lines = Array.from({ length: 30 }, (_, number) => `print ${number}; sleep 100; `);
  const guest = await pod.start("guest", { image: GUEST, args: [`${lines.join("")}exit 11`] });
  const script = "for n in $(busybox seq 15); do echo $n; sleep 0.2; done; exit 6";
  const sidecar = await pod.start("sidecar", {
    image: ORDINARY,
    command: ["/bin/sh", "-c", script],
  });
  await pod.logsWith("guest", "1");
  await it.kill();
  await it.start();
  // containerd takes up the output again, and tells how it ended.
  const logs = await pod.logsWith("guest", "29");
  await pod.logsWith("sidecar", "15");
  // What it had in its hands when it was killed is lost.
  const numbers = logs.trim().split("\n").map(Number);
  assert.deepEqual(numbers.slice(-10), [20, 21, 22, 23, 24, 25, 26, 27, 28, 29]);
  for (const [id, code] of [[guest, 5], [sidecar, 6]] as const) {
    assert.equal((await pod.ended(id, 10)).exitCode, code);
    await pod.cri.remove(id);
  }
  await pod.remove();
  await assertNothingLeft(it);
});

testIf("CRI: a pod's annotations describe the container that they name, beside a sidecar", {
  needs: CRI_NEEDS,
  skip: missingPlugins(),
  timeoutSeconds: 120,
}, async () => {
  await using scope = new Scope();
  const it = await startWithCri(scope);
  const annotations = {
    "com.urunc.unikernel.container": "app",
    "com.urunc.unikernel.hypervisor": "qemu",
  };
  const pod = await Pod.run(scope, it, { annotations });
  const start = (name: string) =>
    pod.start(name, { image: ORDINARY, command: ["/bin/echo", "sidecar"] });
  const sidecar = await start("sidecar");
  await pod.logsWith("sidecar", "sidecar");
  const app = await pod.create("app", { image: ORDINARY, command: ["/bin/echo"] });
  await assert.rejects(() => pod.cri.start(app), /com\.urunc\.unikernel\.unikernelType/);
  await pod.cri.remove(app);
  await pod.stopAndRemove(sidecar, 0);
  await pod.remove();
  await assertNothingLeft(it);
});

testIf("CRI: a pod's incomplete description makes no ordinary container of any of its own", {
  needs: CRI_NEEDS,
  skip: missingPlugins(),
  timeoutSeconds: 120,
}, async () => {
  await using scope = new Scope();
  const it = await startWithCri(scope);
  const annotations = { "com.urunc.unikernel.hypervisor": "qemu" };
  const pod = await Pod.run(scope, it, { annotations });
  const container = await pod.create("container", {
    image: ORDINARY,
    command: ["/bin/echo", "isolated?"],
  });
  await assert.rejects(() => pod.cri.start(container), /com\.urunc\.unikernel\.unikernelType/);
  await pod.cri.remove(container);
  await pod.remove();
  await assertNothingLeft(it);
});
