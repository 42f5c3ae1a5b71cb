/** The init process that made a tap, and that becomes the monitor: the two have one life. */
export interface TapOwner {
  pid: number;
  /** Field 22 of /proc/PID/stat: distinguishes it from a later process with the same number. */
  startTime: string;
}

const PATTERN = /^urunc:([1-9]\d*):(\d+)$/;

/** @returns the text that an interface carries as its alias */
export function formatOwner({ pid, startTime }: TapOwner): string {
  return `urunc:${pid}:${startTime}`;
}

/** @returns undefined when the text does not name an owner */
export function parseOwner(alias: string | undefined): TapOwner | undefined {
  const [, pid, startTime] = PATTERN.exec(alias ?? "") ?? [];
  return startTime === undefined ? undefined : { pid: Number(pid), startTime };
}
