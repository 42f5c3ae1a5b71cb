/** Block devices to be disks of guests, and containers that have them as volumes. */
import { run } from "./process.ts";
import type { ContainerOptions } from "./runtime.ts";
import type { Scope } from "./scope.ts";

/** Bytes. */
export const SECTOR = 512;
/** In each loop device. */
export const SECTORS = 2048;

/** A loop device over a file with one known sector, gone with the scope. */
export async function loopDevice(scope: Scope, options: string[] = []) {
  const backing = `${await scope.temporaryDirectory("loop")}/backing`;
  const content = new Uint8Array(SECTORS * SECTOR);
  content.set(new TextEncoder().encode("from the device\n"), SECTOR);
  await Deno.writeFile(backing, content);
  const found = await run(["losetup", ...options, "--show", "--find", backing], { check: true });
  const device = found.stdout.trim();
  scope.defer(`detach ${device}`, () => run(["losetup", "--detach", device]));
  return { device, backing };
}

/** A volume as an engine writes it. */
export interface Volume {
  source: string;
  destination: string;
  readOnly?: boolean;
  /** In place of `rbind` and what `readOnly` says. */
  options?: string[];
}

/** Options of a container with these volumes. */
export function withVolumes(...volumes: Volume[]): ContainerOptions {
  return {
    edit: (config) =>
      config.mounts = volumes.map(({ source, destination, readOnly, options }) => ({
        ...{ source, destination, type: "bind" },
        options: options ?? ["rbind", readOnly ? "ro" : "rw"],
      })),
  };
}

/** So much text at the beginning of a sector of a file. */
export function textAt(path: string, sector: number, length: number): string {
  const content = Deno.readFileSync(path).subarray(sector * SECTOR);
  return new TextDecoder().decode(content.subarray(0, length));
}
