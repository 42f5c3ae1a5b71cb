/** A pool of thin volumes, as operators set one up for containerd's devmapper snapshotter. */
import { run } from "../../support/process.ts";
import type { Scope } from "../../support/scope.ts";
import { RUN_PREFIX } from "../../support/mark.ts";

const POOL_BYTES = 1024 * 1024 * 1024;
const METADATA_BYTES = 16 * 1024 * 1024;
const SECTOR = 512;
/** Of a block that the pool gives out, in sectors: 64 KiB, containerd's documentation's choice. */
const BLOCK_SECTORS = 128;

/** All of the device's commands say nothing when they work. */
async function dmsetup(...args: string[]): Promise<string> {
  return (await run(["dmsetup", ...args], { check: true, timeoutSeconds: 60 })).stdout.trim();
}

/**
 * Makes a pool of two files in a directory; of files that are there already, the pool that they were.
 *
 * @param name of the pool among device mapper's devices
 */
export async function makeThinPool(directory: string, name: string): Promise<void> {
  const loops: string[] = [];
  for (const [file, bytes] of [["metadata", METADATA_BYTES], ["data", POOL_BYTES]] as const) {
    const path = `${directory}/${file}`;
    await run(["truncate", `--size=${bytes}`, path], { check: true });
    const { stdout } = await run(["losetup", "--find", "--show", path], { check: true });
    loops.push(stdout.trim());
  }
  const table = `0 ${POOL_BYTES / SECTOR} thin-pool ${loops.join(" ")} ${BLOCK_SECTORS} 0`;
  await dmsetup("create", name, "--table", table);
}

/** Takes it apart, with all volumes of it that are active: they are named after it. */
export async function removeThinPool(directory: string, name: string): Promise<void> {
  const { stdout } = await run(["dmsetup", "ls"]);
  const names = stdout.split("\n").map((line) => line.split("\t")[0]!)
    .filter((it) => it.startsWith(`${name}-`));
  for (const it of [...names, name]) {
    await run(["dmsetup", "remove", "--retry", it], { timeoutSeconds: 60 });
  }
  for (const file of ["metadata", "data"]) {
    const list = ["losetup", "--noheadings", "--output", "NAME", "--associated"];
    const loop = (await run([...list, `${directory}/${file}`])).stdout.trim();
    if (loop !== "") await run(["losetup", "--detach", loop]);
  }
}

/** A pool that goes with its scope. */
export async function thinPool(scope: Scope): Promise<string> {
  const directory = await scope.temporaryDirectory("pool");
  const name = `${RUN_PREFIX}${Deno.pid}`;
  scope.defer(`remove the pool ${name}`, () => removeThinPool(directory, name));
  await makeThinPool(directory, name);
  return name;
}

/**
 * Makes a volume active.
 *
 * @param id of the volume in the pool
 * @param fresh it is not in the pool yet
 * @returns the path of its device
 */
export async function activateVolume(
  pool: string,
  id: number,
  megabytes: number,
  fresh: boolean,
): Promise<string> {
  const name = `${pool}-volume-${id}`;
  if (fresh) await dmsetup("message", pool, "0", `create_thin ${id}`);
  const sectors = megabytes * 1024 * 1024 / SECTOR;
  await dmsetup("create", name, "--table", `0 ${sectors} thin /dev/mapper/${pool} ${id}`);
  return `/dev/mapper/${name}`;
}
