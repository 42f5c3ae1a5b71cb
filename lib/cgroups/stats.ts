import type { StatFiles, Stats } from "./stats_types.ts";
import type { CgroupPlan } from "./plan.ts";
import { readHugetlbV1, readHugetlbV2, readStatsV1, readStatsV2 } from "./stats_files.ts";
import { readIfThere } from "../os/files.ts";

/**
 * Reads what a container's cgroups have counted. What this host does not count is 0.
 *
 * @param plan from `locateCgroup`
 */
export function readStats(plan: CgroupPlan): Stats {
  const v2 = filesOf(() => plan.v2?.directory);
  if (plan.v1.length === 0) return { ...readStatsV2(v2), hugetlb: readHugetlbV2(v2) };
  const v1 = filesOf((controller) =>
    plan.v1.find(({ controllers }) => controllers.includes(controller))?.directory
  );
  // On a hybrid host either tree may have this one.
  return { ...readStatsV1(v1), hugetlb: { ...readHugetlbV2(v2), ...readHugetlbV1(v1) } };
}

/**
 * How many processes of a container the OOM killer has killed.
 *
 * @returns undefined when its cgroup is gone, or nothing counts them
 */
export function readOomKills(plan: CgroupPlan): bigint | undefined {
  const { v1, v2 } = plan;
  const directory = v1.find(({ controllers }) => controllers.includes("memory"))?.directory;
  const text = directory === undefined
    ? readFigures(`${v2?.directory}/memory.events`)
    : readFigures(`${directory}/memory.oom_control`);
  const count = text === undefined ? undefined : /^oom_kill (\d+)$/m.exec(text)?.[1];
  return count === undefined ? undefined : BigInt(count);
}

function filesOf(directoryOf: (controller: string) => string | undefined): StatFiles {
  return {
    read(file) {
      const directory = directoryOf(file.slice(0, file.indexOf(".")));
      return directory === undefined ? undefined : readFigures(`${directory}/${file}`);
    },
    names(controller) {
      const directory = directoryOf(controller);
      if (directory === undefined) return [];
      try {
        return [...Deno.readDirSync(directory)].map(({ name }) => name)
          .filter((name) => name.startsWith(`${controller}.`));
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return [];
        throw error;
      }
    },
  };
}

/** EOPNOTSUPP: the file is there and its feature switched off (memory.memsw without swapaccount). */
function readFigures(file: string): string | undefined {
  return readIfThere(file, "ENODEV", "EOPNOTSUPP");
}
