import type { IdRange } from "../config/id_range.ts";
import { readIfThere } from "../os/files.ts";

/** Lines of /etc/subuid and /etc/subgid with this name reserve ids for urunc: subuid(5). */
const OWN_NAME = "urunc";

/** A file with ids, one line each, its fields apart by colons. */
interface IdFile {
  path: string;
  /** The ids of a line, as first and count. */
  ids(fields: string[]): [first: number, count: number];
}

const FILES: IdFile[] = [
  { path: "/etc/passwd", ids: ([, , uid]) => [Number(uid), 1] },
  { path: "/etc/group", ids: ([, , gid]) => [Number(gid), 1] },
  ...["/etc/subuid", "/etc/subgid"].map((path): IdFile => ({
    path,
    ids: ([name, first, count]) => [Number(first), name === OWN_NAME ? 0 : Number(count)],
  })),
];

/**
 * Who else on this host has ids of a range: users, groups, and whom the subordinate ids are delegated to.
 * What a directory service or another runtime knows is not seen.
 *
 * @param read returns a file's text; another in tests
 * @returns undefined when nobody has any of them; otherwise a line and its file, for an error
 * @see passwd(5), group(5), subuid(5), subgid(5)
 */
export function otherOwner(
  { first, last }: IdRange,
  read: (path: string) => string | undefined = readIfThere,
): string | undefined {
  for (const { path, ids } of FILES) {
    for (const line of read(path)?.split("\n") ?? []) {
      const fields = line.split(":");
      // A number, or nothing: of a comment, or an entry for NIS.
      const [from, count] = fields.length < 3 ? [NaN, 0] : ids(fields);
      if (from <= last && from + count > first) return `${fields[0]} (${path})`;
    }
  }
  return undefined;
}

/** A process that ended and was not waited for, and has no other thread, which could still run. */
const ENDED = /^State:\t[ZX][^]*^Threads:\t[01]$/m;

/**
 * Whether any process has one of these uids, of its four; looked for in all of /proc. One that has ended does
 * not count, whether or not it was waited for.
 *
 * @see proc_pid_status(5)
 */
export function hasProcess({ first, last }: IdRange): boolean {
  return [...Deno.readDirSync("/proc")].some(({ name }) => {
    if (!/^\d+$/.test(name)) return false;
    // ESRCH: it exits at this moment.
    const status = readIfThere(`/proc/${name}/status`, "ESRCH") ?? "";
    if (ENDED.test(status)) return false;
    const [, uids] = /^Uid:\t(.*)$/m.exec(status) ?? [];
    return uids?.split("\t").map(Number).some((uid) => first <= uid && uid <= last) ?? false;
  });
}
