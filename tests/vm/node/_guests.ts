/** What the tests of docker and of podman do with guests. */
import assert from "node:assert/strict";
import { assertIdentity } from "../../e2e/docker/_common.ts";
import { exists } from "../../../lib/os/files.ts";
import { whenOver } from "../../support/busy.ts";
import type { Docker } from "../../support/docker.ts";
import { guestImage, linuxImage } from "../../support/guest_images.ts";
import { isAlive, monitorOf, readStatus, waitFor } from "../../support/process.ts";
import type { Scope } from "../../support/scope.ts";
import { lines } from "../../support/streams.ts";
import type { NodeDocker } from "./_docker.ts";

/** Of `docker run` or `podman run` for an unprivileged guest. */
export const AS_NOBODY = ["--user=65534:65534"];

/** How long a guest may take to say that it is up. */
const LOG_SECONDS = 300;

/** A guest that is up. */
export interface Guest {
  id: string;
  pid: number;
}

/** Starts the fixture guest and waits until it says that it idles. */
export async function startIdle(it: NodeDocker, options: string[] = []): Promise<Guest> {
  return await start(it, [...options, "guest", "idle"], "idle");
}

/** Starts a container detached and waits for a text in its logs. */
export async function start(it: NodeDocker, args: string[], text: string): Promise<Guest> {
  const { stdout } = await it.docker(["run", "--detach", ...AS_NOBODY, ...args], { check: true });
  const id = stdout.trim();
  await waitForLog(it, id, text);
  return { id, pid: (await it.inspect(id)).State.Pid };
}

/** By one client: each takes a second here, of the processors that the guest boots on. */
async function waitForLog(it: NodeDocker, id: string, text: string): Promise<void> {
  const [program, ...args] = it.argv;
  const child = new Deno.Command(program!, {
    args: [...args, "logs", "--follow", id],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const deadline = whenOver(LOG_SECONDS, () => child.kill("SIGKILL"));
  const seen: string[] = [];
  try {
    for await (const line of lines(child.stdout)) {
      seen.push(line);
      if (line.includes(text)) return;
    }
    const said = seen.join("\n") || "nothing";
    throw new Error(`the logs ended, or ${LOG_SECONDS} s went by, without "${text}": ${said}`);
  } finally {
    deadline.cancel();
    try {
      child.kill("SIGKILL");
    } catch { /* it has ended */ }
    await child.status;
  }
}

/** Makes the image `guest` of the fixture guest. */
export async function makeGuestImage(it: Docker): Promise<void> {
  await it.makeImage("guest", guestImage("kvm"));
}

/**
 * Makes the image `linux`: Debian's cloud kernel, which serves a page.
 *
 * @param script what the guest does before it says that it is up
 */
export async function makeLinuxImage(scope: Scope, it: Docker, script = ""): Promise<void> {
  await it.makeImage(
    "linux",
    await linuxImage(scope, "kvm", { http: "served by the guest", script }),
  );
}

/** The monitor is who config.json says, in no group but its own, and holds /dev/kvm open. */
export async function assertUnprivileged(it: Docker, { id, pid }: Guest): Promise<void> {
  await assertIdentity(it, id, pid);
  assertNobodyWithKvm(monitorOf(pid));
}

/** The monitor is 65534, in no group but its own, and holds /dev/kvm open. */
export function assertNobodyWithKvm(pid: number): void {
  const status = readStatus(pid);
  assert.deepEqual(status.uids, [65534, 65534, 65534, 65534]);
  assert.deepEqual(status.groups.filter((group) => group !== 65534), []);
  const open = [...Deno.readDirSync(`/proc/${pid}/fd`)]
    .map((fd) => Deno.readLinkSync(`/proc/${pid}/fd/${fd.name}`));
  assert.ok(open.includes("/dev/kvm"), `the monitor uses KVM: ${open.join(" ")}`);
  assert.ok(open.includes("anon_inode:kvm-vm"));
}

/**
 * The guest answers pings and HTTP from the node.
 *
 * @param address of either version
 */
export async function assertReachable(it: Docker, address: string): Promise<void> {
  await it.onHost(["ping", "-c", "3", "-W", "10", address], { check: true });
  const host = address.includes(":") ? `[${address}]` : address;
  const page = await it.onHost(["busybox", "wget", "-q", "-O", "-", `http://${host}/`], {
    check: true,
  });
  assert.equal(page.stdout, "served by the guest");
}

/** The cgroup of a process in the one hierarchy of version 2. */
export function cgroupOf(pid: number): string {
  return /^0::(.*)$/m.exec(Deno.readTextFileSync(`/proc/${pid}/cgroup`))?.[1] ?? "";
}

/** Stops and removes it; process, cgroup and unit are gone then. */
export async function assertRemoved(it: Docker, { id, pid }: Guest): Promise<void> {
  const cgroup = cgroupOf(pid);
  await it.docker(["stop", "--time=10", id], { check: true });
  assert.ok(!isAlive(pid));
  await it.docker(["rm", id], { check: true });
  await waitFor(() => !exists(`/sys/fs/cgroup${cgroup}`), {
    timeoutSeconds: 10,
    what: `cgroup ${cgroup} to go`,
  });
  const units = await it.onHost(["systemctl", "list-units", "--all", "--plain", "--no-legend"], {
    check: true,
  });
  assert.ok(!units.stdout.includes(id), "a unit of the container is left");
}
