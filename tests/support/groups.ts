/** The groups of tests, and what they may take: a run of all has 75 minutes. */

/** A directory below `tests`. */
export interface Group {
  name: string;
  /** Its share: see `minutesFor`. */
  minutes: number;
  /** It runs at the same time as the others, for it has little to do with this machine. */
  beside?: boolean;
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
  { name: "integration", minutes: 43, what: "the executable as root, real monitors" },
  { name: "e2e", minutes: 21, what: "docker, containerd, podman" },
  {
    name: "vm",
    minutes: 60,
    beside: true,
    what: "nodes with systemd, cgroup version 2, KVM in KVM: beside the others",
  },
];

/**
 * A run on a machine that others keep busy may take so many times as long. Measured with two busy loops on two
 * processors: up to 2.5.
 */
export const GROUP_ALLOWANCE = 3;

/** Groups that run one after another. */
export interface Lane {
  groups: Group[];
  /** What marks its tests' things, beside the run's mark. */
  letter: string;
  /** Another lane has the terminal. */
  held: boolean;
}

/** What is to run at the same time, of the groups with these names. */
export function lanesOf(names: string[]): Lane[] {
  const chosen = GROUPS.filter((it) => names.includes(it.name));
  return [chosen.filter((it) => !it.beside), chosen.filter((it) => it.beside)]
    .map((groups, index) => ({ groups, letter: "ab"[index]! }))
    .filter((it) => it.groups.length > 0)
    .map((it, index) => ({ ...it, held: index > 0 }));
}

/**
 * What a group may take. What the one before has left it has, too: one that is slow may follow one that is fast. What
 * that took beyond its own, as it may on a busy machine, is not missing here.
 *
 * @param before the group before in its lane, in minutes
 */
export function minutesFor(group: Group, before?: { allowed: number; took: number }): number {
  const left = before === undefined ? 0 : Math.max(0, before.allowed - before.took);
  return group.minutes + left;
}

/** The table that a run prints first, a line for each of the groups that run. */
export function describeBudget(names: string[]): string[] {
  const rows = [PREPARATION, ...GROUPS.filter((it) => names.includes(it.name))];
  const lanes = lanesOf(names).map(({ groups }) => sumOf(groups));
  const all = { name: "all", minutes: PREPARATION.minutes + Math.max(...lanes), what: "" };
  return [...rows, all].map((it) =>
    `${it.name.padEnd(12)}${`${it.minutes}`.padStart(3)} min  ${it.what}`.trimEnd()
  );
}

function sumOf(groups: Group[]): number {
  return groups.reduce((minutes, it) => minutes + it.minutes, 0);
}
