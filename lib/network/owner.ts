import { IFALIASZ } from "../protocol/netlink/constants.ts";
import type { Link } from "../protocol/netlink/link.ts";

/** The container whose guest has a tap. */
export interface TapOwner {
  /** Of the init process that made it, and that becomes the container's process: the two have one life. */
  pid: number;
  /** Field 22 of /proc/PID/stat: distinguishes it from a later process with the same number. */
  startTime: string;
  /** Its cgroup's path below each mount point: a monitor in it may outlive that process. */
  cgroup?: string;
}

/** Whether the owner of a tap lives. */
export type IsAlive = (owner: TapOwner) => boolean;

/** The driver family of taps, and of their like. */
export const TUN_KIND = "tun";

const PATTERN = /^urunc:([1-9]\d*):(\d+)(?::((?:\/(?!\.\.?(?:\/|$))[^/]+)+))?$/;

/** @returns the text that an interface carries as its alias; without the cgroup when that is too long */
export function formatOwner({ pid, startTime, cgroup }: TapOwner): string {
  const process = `urunc:${pid}:${startTime}`;
  if (cgroup === undefined) return process;
  const full = `${process}:${cgroup}`;
  return new TextEncoder().encode(full).length < IFALIASZ ? full : process;
}

/** @returns undefined when the text does not name an owner */
export function parseOwner(alias: string | undefined): TapOwner | undefined {
  const [, pid, startTime, cgroup] = PATTERN.exec(alias ?? "") ?? [];
  if (startTime === undefined) return undefined;
  return { pid: Number(pid), startTime, ...(cgroup !== undefined && { cgroup }) };
}

/** @returns who made an interface; undefined when it is not one of our taps */
export function tapOwner(link: Pick<Link, "kind" | "alias"> | undefined): TapOwner | undefined {
  return link?.kind === TUN_KIND ? parseOwner(link.alias) : undefined;
}

/** Are both the same container's? */
export function isSameOwner(one: TapOwner, other: TapOwner | undefined): boolean {
  return one.pid === other?.pid && one.startTime === other.startTime;
}
