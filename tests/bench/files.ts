/**
 * What it costs that a Linux guest has its root from the host by virtiofs: `docker run` of an image that knows
 * nothing of guests, beside one with a kernel and the same programs in an initial RAM disk, both under
 * emulation; and the memory of all processes of many such guests.
 */
import { readName } from "../../lib/os/process.ts";
import { startContainerd } from "../support/containerd.ts";
import { busyboxFiles, startDocker } from "../support/docker.ts";
import { linuxImage } from "../support/guest_images.ts";
import { nodeWithKernel, UNDESCRIBED } from "../support/node_kernel.ts";
import { listPids, run } from "../support/process.ts";
import { pssOf } from "../support/pss.ts";
import type { Scope } from "../support/scope.ts";
import { missingReason } from "../support/skip.ts";
import { measure, type Measurement, rowOf } from "./measure.ts";
import { type Row, summarize, type Table } from "./table.ts";

const NEEDS = ["dockerd", "qemu-system-x86_64", "virtiofsd", "busybox", "cpio", "apt-get"];
/** A boot under emulation takes seconds. */
const MOST_BOOTS = 10;
/** So many guests have their memory measured at most. */
const MOST_GUESTS = 50;

const OPERATION = "docker run --rm";
const BY_DISK = "initial RAM disk", BY_FILES = "virtiofs";

/** Measures starts. */
export async function benchFiles(scope: Scope, rounds: number): Promise<Table> {
  const reason = NEEDS.map(missingReason).find((it) => it !== undefined);
  if (reason !== undefined) return { rows: [], missing: [{ name: OPERATION, reason }] };
  const ConfigPath = await nodeWithKernel(scope, UNDESCRIBED);
  const options = { TypeUrl: "runtimeoptions.v1.Options", ConfigPath };
  const it = await startDocker(scope, {
    guest: { runtimeType: "io.containerd.urunc.v2", options },
  });
  await it.makeImage(
    "described",
    await linuxImage(scope, "tcg", { moduleTree: true }, { agent: "on" }),
  );
  await it.makeImage("undescribed", busyboxFiles());
  const docker = ["docker", "--host", `unix://${it.directory}/docker.sock`];
  const of = (subject: string, runtime: string, image: string, program: string): Measurement => ({
    operation: OPERATION,
    subject,
    prepare: "true",
    command: [
      ...[...docker, "run", "--rm", `--runtime=${runtime}`, "--user=1000:1000", image],
      ...[program, "true"],
    ].join(" "),
    conclude: "true",
  });
  const measurements = [
    of(BY_FILES, "guest", "undescribed", "/bin/busybox"),
    of(BY_DISK, "guest", "described", "busybox"),
    of("runc", "runc", "undescribed", "/bin/busybox"),
  ];
  // Of each a run that is not counted: what is read from the disk then is in memory after.
  await measure(scope, measurements, 1);
  const summaries = await measure(scope, measurements, Math.min(rounds, MOST_BOOTS));
  const wanted = [{ subject: BY_FILES, base: BY_DISK, atMost: 1.15 }];
  return {
    rows: [rowOf(
      { name: OPERATION, unit: "ms", bases: [BY_DISK, "runc"], wanted },
      measurements,
      summaries,
    )],
    missing: [],
  };
}

/** Measures the memory of many guests that wait: of shims, waiters, monitors and file servers. */
export async function benchFilesMemory(scope: Scope, wanted: number): Promise<Row[]> {
  if (NEEDS.some((it) => missingReason(it) !== undefined)) return [];
  const count = Math.min(wanted, MOST_GUESTS);
  const config = await Deno.readTextFile(await nodeWithKernel(scope, UNDESCRIBED));
  const it = await startContainerd(scope, { uruncConfiguration: config });
  const image = "docker.io/library/undescribed:latest";
  await it.makeImage(image, busyboxFiles());
  const sleep = ["/bin/busybox", "sleep", "100000"];
  for (let index = 0; index < count; index++) {
    const options = ["--detach", "--null-io", "--user=1000:1000", "--memory-limit=268435456"];
    await it.ctrRun(options, image, `files-${index}`, sleep, { check: true, timeoutSeconds: 120 });
    // It answers when it is up.
    const exec = ["task", "exec", "--exec-id", "up", `files-${index}`, "/bin/busybox", "true"];
    await it.ctr(exec, { check: true, timeoutSeconds: 120 });
  }
  const pids = await processesOf(it.namespace);
  const of = (name: string) => pids.filter((pid) => readName(pid)?.startsWith(name));
  const parts = {
    monitor: of("qemu-system"),
    "file server": of("virtiofsd"),
    waiter: of("urunc-waiter"),
  };
  const all = [...pids, ...it.shims()];
  const values = Object.entries({ all, ...parts, shim: it.shims() }).map(([subject, some]) => ({
    subject,
    ...summarize([pssOf(some) / count]),
  }));
  return [{ name: `PSS of one of ${count} guests by ${BY_FILES}`, unit: "KiB", values }];
}

/** Those that have the name of containerd's namespace in their cgroup's path. */
async function processesOf(namespace: string): Promise<number[]> {
  const { stdout } = await run([
    ...["grep", "-l", `/${namespace}/`, "-s"],
    ...listPids().map((pid) => `/proc/${pid}/cgroup`),
  ]);
  return stdout.split("\n").filter(Boolean).map((path) => Number(path.split("/")[2]));
}
