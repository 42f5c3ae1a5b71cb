/** What the tests of containerd with the shim share. */
import {
  type Containerd,
  CONTAINERD_NEEDS,
  type ContainerdOptions,
  startContainerd,
} from "../../support/containerd.ts";
import { busyboxFiles } from "../../support/docker.ts";
import { doubleTable } from "../../support/double.ts";
import { guestImage, linuxImage } from "../../support/guest_images.ts";
import type { ImageFile } from "../../support/image.ts";
import { listPids, run, waitFor } from "../../support/process.ts";
import type { Scope } from "../../support/scope.ts";

/** containerd, and the monitor test double. */
export const DOUBLE_NEEDS = [...CONTAINERD_NEEDS, "gcc"];

/** The image of a guest, which the double runs as it likes. */
export const GUEST = "docker.io/library/guest:latest";
/** The image of a Linux guest. */
export const LINUX = "docker.io/library/linux:latest";
/** The image of an ordinary container. */
export const ORDINARY = "docker.io/library/ordinary:latest";

/**
 * containerd with both images, and with the test double in QEMU's place.
 *
 * @param configuration more of urunc's own
 */
export async function startWithDouble(
  scope: Scope,
  options: ContainerdOptions = {},
  configuration = "",
): Promise<Containerd> {
  const it = await startContainerd(scope, {
    uruncConfiguration: `${configuration}\n${await doubleTable("qemu")}`,
    ...options,
  });
  await it.makeImage(GUEST, guestImage("tcg"));
  await it.makeImage(ORDINARY, busyboxFiles());
  return it;
}

/** The events of tasks that containerd sent since the collection began, as `topic`. */
export interface Events {
  /** Waits for the exact list of topics of one container; fails with what came instead. */
  expect(container: string, topics: string[]): Promise<void>;
}

/** Collects events until the end of the scope. */
export async function collectEvents(scope: Scope, it: Containerd): Promise<Events> {
  const socket = `${it.directory}/containerd.sock`;
  const child = new Deno.Command("ctr", {
    args: ["--address", socket, "--namespace", it.namespace, "events"],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let text = "";
  const reading = (async () => {
    for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) text += chunk;
  })();
  scope.defer("end the collection of events", async () => {
    child.kill("SIGTERM");
    await Promise.all([child.status, reading]);
  });
  // Its subscription is not confirmed: an event of our own is.
  await waitFor(async () => {
    await it.ctr(["namespaces", "label", it.namespace, `probe=${Date.now()}`]);
    return text.includes("/namespaces/update");
  }, { timeoutSeconds: 10, what: "the first event" });
  const topicsOf = (container: string) =>
    text.split("\n").filter((line) => line.includes(`"container_id":"${container}"`))
      .map((line) => / (\/tasks\/[a-z-]+) /.exec(line)?.[1]).filter((it) => it !== undefined);
  return {
    async expect(container, topics) {
      const wanted = JSON.stringify(topics);
      try {
        await waitFor(() => JSON.stringify(topicsOf(container)) === wanted, {
          timeoutSeconds: 5,
          what: wanted,
        });
      } catch (error) {
        throw new Error(`${error}; came: ${JSON.stringify(topicsOf(container))}`);
      }
    },
  };
}

/** Waits until a task has a status, as `ctr task ls` says it. */
export async function waitForStatus(it: Containerd, id: string, status: string): Promise<number> {
  return await waitFor(async () => {
    const { stdout } = await it.ctr(["task", "ls"]);
    const row = stdout.split("\n").map((line) => line.trim().split(/\s+/))
      .find(([name]) => name === id);
    return row?.[2] === status ? Number(row[1]) : undefined;
  }, { timeoutSeconds: 20, what: `${id} to be ${status}` });
}

/** What is left of a test's containers where the daemon is: mounts, sockets, state, cgroups. */
export async function assertNothingLeft(it: Containerd): Promise<void> {
  const script = `
    grep -F ${it.directory}/state /proc/self/mountinfo
    find /run/containerd/s /run/containerd/urunc /run/containerd/runc -mindepth 1 2>/dev/null |
      grep -v -e '/${it.namespace}$' -e '/k8s.io$'
    find ${it.directory}/state/io.containerd.runtime.v2.task/${it.namespace} -mindepth 1 2>/dev/null
    find /sys/fs/cgroup -type d -path '*/${it.namespace}/*' 2>/dev/null
    true`;
  let left = "";
  try {
    await waitFor(async () => {
      left = (await it.onHost(["sh", "-c", script])).stdout;
      left += it.shims().map((pid) => `shim ${pid}\n`).join("");
      left += processesOf(it).map((pid) => `process ${pid}\n`).join("");
      return left === "";
    }, { timeoutSeconds: 10, what: "everything to be gone" });
  } catch (error) {
    throw new Error(`${error}: left are\n${left}`);
  }
}

/** Processes in the cgroups of the test's containers. */
function processesOf(it: Containerd): number[] {
  return listPids().filter((pid) => {
    try {
      return Deno.readTextFileSync(`/proc/${pid}/cgroup`).includes(`/${it.namespace}/`);
    } catch {
      return false;
    }
  });
}

/**
 * A Linux guest whose root its own image is: /sbin/guest writes its argument to /root/written, and says "the
 * guest has written". With an agent it exits with 3 on SIGTERM; without one it unmounts the root when the
 * power button is pressed.
 */
export async function linuxRootImage(
  scope: Scope,
  accelerator: "kvm" | "tcg",
  agent: "on" | "none",
): Promise<ImageFile[]> {
  const values = { mountRootfs: "true", agent };
  const initrd = agent === "on"
    ? { moduleTree: true }
    : { line: "going on with the root", finally: "root" } as const;
  const content = agent === "on" ? AGENT_PROGRAM : GUEST_PROGRAM;
  return [
    ...await linuxImage(scope, accelerator, initrd, values),
    { path: "/bin/busybox", source: "/usr/bin/busybox", mode: 0o755 },
    { path: "/sbin/guest", content, mode: 0o755 },
    { path: "/root/written", content: "", mode: 0o666 },
    ...["proc", "sys", "dev"].map((name) => ({ path: `/${name}/.here` })),
  ];
}

const AGENT_PROGRAM = `#!/bin/busybox sh
trap 'exit 3' TERM
echo "$1" > /root/written
echo "the guest has written"
while :; do /bin/busybox sleep 0.1; done
`;

/** Waits for an event of the power button: 24 bytes, input(7). */
const GUEST_PROGRAM = `#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
echo "$1" > /root/written
sync
echo "the guest has written"
for input in /sys/class/input/event*; do
  grep -q "Power Button" $input/device/name || continue
  dd if=/dev/input/\${input##*/} of=/dev/null bs=24 count=1 2>/dev/null
done
mount -o remount,ro /
poweroff -f
`;

/** The fixture guest, whose disk its own image is. */
export function sectorImage(accelerator: "kvm" | "tcg"): ImageFile[] {
  return guestImage(accelerator, { mountRootfs: "true" });
}

/** Waits for a text in the file that a guest writes to. A failure says what its monitor waits for. */
export async function waitForLine(log: string, line: string): Promise<void> {
  const text = () => Deno.readTextFileSync(log);
  await waitFor(() => text().includes(line), { timeoutSeconds: 180, what: line })
    .catch(async (error) => {
      const { stdout } = await run(["ps", "-e", "-L", "-o", "tid,stat,wchan:30,time,comm"]);
      const threads = stdout.split("\n").filter((it) => /qemu|urunc/.test(it)).join("\n");
      throw new Error(`${error}; the threads:\n${threads}\nthe log: ${text()}`);
    });
}
