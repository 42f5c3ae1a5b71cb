import { capabilityNumber } from "../config/capabilities.ts";
import { HostError } from "../errors.ts";

/** A process's identity and privileges, from the kernel. */
export interface Identity {
  /** Real, effective, saved, file system. */
  uids: [number, number, number, number];
  gids: [number, number, number, number];
  /** Supplementary groups. */
  groups: number[];
  capInh: bigint;
  capPrm: bigint;
  capEff: bigint;
  capBnd: bigint;
  capAmb: bigint;
  noNewPrivs: boolean;
  /** 0 off, 1 strict, 2 filter, 3 while a filter kills it; undefined when the kernel has no seccomp. */
  seccomp?: number;
  /** How many filters; undefined when the kernel does not say (before 5.9). */
  seccompFilters?: number;
}

/** How many filters of system calls the calling thread is in, which all that it starts inherit. */
export function ownSeccompFilters(): number {
  const [, count] = /^Seccomp_filters:\t(\d+)$/m.exec(
    Deno.readTextFileSync("/proc/thread-self/status"),
  ) ?? [];
  return Number(count ?? 0);
}

/**
 * Parses the lines of /proc/PID/status that are about identity.
 *
 * @throws HostError naming the line that is missing or malformed
 * @see proc_pid_status(5)
 */
export function parseIdentity(text: string): Identity {
  const lines = new Map(
    text.split("\n").map((line): [string, string] => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).trim()];
    }),
  );
  const field = (name: string, form: RegExp): string => {
    const value = lines.get(name);
    if (value === undefined || !form.test(value)) {
      throw new HostError({
        operation: "read process status",
        subject: name,
        reason: value === undefined ? "there is no such line" : `cannot read ${value}`,
      });
    }
    return value;
  };
  const ids = (name: string) =>
    field(name, /^\d+\s+\d+\s+\d+\s+\d+$/).split(/\s+/).map(Number) as Identity["uids"];
  const set = (name: string) => BigInt(`0x${field(name, /^[0-9a-f]+$/)}`);
  const optional = (name: string) => lines.has(name) ? Number(field(name, /^\d+$/)) : undefined;
  return {
    uids: ids("Uid"),
    gids: ids("Gid"),
    groups: field("Groups", /^[\d\s]*$/).split(/\s+/).filter((group) => group !== "").map(Number),
    capInh: set("CapInh"),
    capPrm: set("CapPrm"),
    capEff: set("CapEff"),
    capBnd: set("CapBnd"),
    capAmb: set("CapAmb"),
    noNewPrivs: field("NoNewPrivs", /^[01]$/) === "1",
    seccomp: optional("Seccomp"),
    seccompFilters: optional("Seccomp_filters"),
  };
}

/**
 * Reads a process's identity.
 *
 * @param pid in this process's PID namespace
 * @throws Deno.errors.NotFound when the process does not exist; HostError when the file cannot be parsed
 */
export function readIdentity(pid: number): Identity {
  return parseIdentity(Deno.readTextFileSync(`/proc/${pid}/status`));
}

/**
 * Compares a process's identity with the planned one.
 *
 * @returns a sentence for each difference
 */
export function compareIdentity(
  actual: Identity,
  expected: ExpectedIdentity,
): string[] {
  const differences: string[] = [];
  const differs = (what: string, is: unknown, planned: unknown) =>
    differences.push(`${what} is ${is}, planned was ${planned}`);

  const roles = ["real", "effective", "saved", "file system"];
  roles.forEach((role, index) => {
    if (actual.uids[index] !== expected.uid) {
      differs(`${role} uid`, actual.uids[index], expected.uid);
    }
    if (actual.gids[index] !== expected.gid) {
      differs(`${role} gid`, actual.gids[index], expected.gid);
    }
  });

  const groups = sortedSet(actual.groups).join(",");
  const plannedGroups = sortedSet(expected.groups).join(",");
  if (groups !== plannedGroups) {
    differs("supplementary groups", `[${groups}]`, `[${plannedGroups}]`);
  }

  const planned = capabilitySet(expected.capabilities);
  const sets = {
    inheritable: actual.capInh,
    permitted: actual.capPrm,
    effective: actual.capEff,
    bounding: actual.capBnd,
    ambient: actual.capAmb,
  };
  for (const [name, set] of Object.entries(sets)) {
    const isPlanned = expected.mayHaveLess ? (set & ~planned) === 0n : set === planned;
    if (!isPlanned) differs(`${name} capability set`, hex(set), hex(planned));
  }

  if (actual.noNewPrivs !== expected.noNewPrivileges) {
    differs("no_new_privs", actual.noNewPrivs ? 1 : 0, expected.noNewPrivileges ? 1 : 0);
  }
  return [...differences, ...compareFilters(actual, expected)];
}

/** SECCOMP_MODE_FILTER, linux/seccomp.h. */
const FILTERED = 2;
/** SECCOMP_MODE_DEAD, kernel/seccomp.c: a filter is killing it at this moment. */
const KILLED_BY_FILTER = 3;

/** Monitors add filters of their own. */
function compareFilters(
  { seccomp, seccompFilters }: Identity,
  { seccompFilters: planned }: ExpectedIdentity,
): string[] {
  if (planned === undefined) return [];
  if (seccomp !== FILTERED && seccomp !== KILLED_BY_FILTER) {
    return [`seccomp mode is ${seccomp ?? "unknown"}, planned was ${FILTERED}`];
  }
  if (seccompFilters === undefined || seccompFilters >= planned) return [];
  return [`number of seccomp filters is ${seccompFilters}, planned were at least ${planned}`];
}

function sortedSet(groups: number[]): number[] {
  return [...new Set(groups)].sort((a, b) => a - b);
}

function capabilitySet(names: string[]): bigint {
  return names.reduce((set, name) => {
    const number = capabilityNumber(name);
    if (number === undefined) {
      throw new HostError({ operation: "compare capabilities", subject: name, reason: "unknown" });
    }
    return set | (1n << BigInt(number));
  }, 0n);
}

/** Sixteen digits, as /proc/PID/status has it. */
function hex(set: bigint): string {
  return set.toString(16).padStart(16, "0");
}

/** An identity on one line, with the names of /proc/PID/status, for people and for annotations. */
export function formatIdentity(identity: Identity): string {
  return [
    `Uid=${identity.uids.join(",")}`,
    `Gid=${identity.gids.join(",")}`,
    `Groups=${identity.groups.join(",")}`,
    `CapInh=${hex(identity.capInh)}`,
    `CapPrm=${hex(identity.capPrm)}`,
    `CapEff=${hex(identity.capEff)}`,
    `CapBnd=${hex(identity.capBnd)}`,
    `CapAmb=${hex(identity.capAmb)}`,
    `NoNewPrivs=${identity.noNewPrivs ? 1 : 0}`,
    `Seccomp=${identity.seccomp ?? "unknown"}`,
    ...(identity.seccompFilters === undefined
      ? []
      : [`Seccomp_filters=${identity.seccompFilters}`]),
  ].join(" ");
}

/** What virtiofsd gives up the rest with, as root, and then it itself. */
export const GIVES_UP = "CAP_SETPCAP";

/** The identity that a monitor must have at the barrier, and again after exec. */
export interface ExpectedIdentity {
  uid: number;
  gid: number;
  /** Sorted, without duplicates. */
  groups: number[];
  /** Capability names in the permitted, effective, inheritable, bounding and ambient sets. */
  capabilities: string[];
  /** Of those none need be there: no others must. */
  mayHaveLess?: true;
  noNewPrivileges: true;
  /**
   * How many filters of system calls it must be in at least at the barrier; after the exec one more.
   * Undefined: the operator wants none.
   */
  seccompFilters?: number;
  /** AppArmor profile that confines the monitor; the exec enters it, so it is proven after that. */
  apparmorProfile?: string;
}
