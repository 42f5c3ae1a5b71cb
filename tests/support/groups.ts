/** The groups of tests, and what they may take: a run of all has 75 minutes. */

/** A directory below `tests`. */
export interface Group {
  name: string;
  /** Its share. What it leaves of it, the next ones have, too: a slow machine is slow in all of them. */
  minutes: number;
  /** For the table. */
  what: string;
}

/** Before the groups: checks, Debian's packages, the executable. */
export const PREPARATION: Group = {
  name: "preparation",
  minutes: 6,
  what: "checks, Debian's packages, dist/urunc",
};

/** In the order in which they run. */
export const GROUPS: Group[] = [
  { name: "unit", minutes: 5, what: "functions; no privileges" },
  { name: "integration", minutes: 17, what: "the executable as root, real monitors" },
  { name: "e2e", minutes: 12, what: "docker, containerd, podman" },
  { name: "vm", minutes: 35, what: "nodes with systemd, cgroup version 2, KVM in KVM" },
];

/** A run on a machine that others keep busy may take so many times as long. */
export const GROUP_ALLOWANCE = 2;

/** The table that a run prints first, a line for each of the groups that run. */
export function describeBudget(names: string[]): string[] {
  const rows = [PREPARATION, ...GROUPS.filter((it) => names.includes(it.name))];
  const sum = rows.reduce((minutes, it) => minutes + it.minutes, 0);
  return [...rows, { name: "all", minutes: sum, what: "" }].map((it) =>
    `${it.name.padEnd(12)}${`${it.minutes}`.padStart(3)} min  ${it.what}`.trimEnd()
  );
}
