import type { Resources } from "../../oci/types.ts";
import type { CgroupPlan } from "../plan.ts";
import { type CgroupWrite, digits, missingController } from "../writes.ts";

/** From here on a limit means none: what Go calls math.MaxUint64, and more than any machine has. */
const UNLIMITED = 2 ** 63;

/**
 * The writes that limit huge pages: those in use and, where the kernel counts them, those reserved.
 *
 * 0 is a limit here and no wish for none: Kubernetes sends it for each size that a pod did not ask
 * for. Without the controller it is left alone, since no monitor of ours takes a huge page.
 *
 * On a hybrid host the controller may be in either tree.
 *
 * @throws HostError when the controller is not there
 * @see kernel Documentation/admin-guide/cgroup-v1/hugetlb.rst,
 *   Documentation/admin-guide/cgroup-v2.rst, "HugeTLB"
 */
export function hugetlbWrites(
  limits: Resources["hugepageLimits"],
  { v1, v2 }: CgroupPlan,
): CgroupWrite[] {
  const first = v1.find(({ controllers }) => controllers.includes("hugetlb"))?.directory;
  const second = v2?.controllers.includes("hugetlb") ? v2.directory : undefined;
  return limits.flatMap(({ pageSize, limit }): CgroupWrite[] => {
    const unlimited = limit >= UNLIMITED;
    if (first !== undefined) {
      return pair(
        `${first}/hugetlb.${pageSize}`,
        "limit_in_bytes",
        unlimited ? "-1" : digits(limit),
      );
    }
    if (second !== undefined) {
      return pair(`${second}/hugetlb.${pageSize}`, "max", unlimited ? "max" : digits(limit));
    }
    if (limit === 0 || unlimited) return [];
    throw missingController("linux.resources.hugepageLimits", "hugetlb");
  });
}

/** Reservations are counted since Linux 5.7. A size that the kernel lacks can only be limited to 0. */
function pair(prefix: string, file: string, value: string): CgroupWrite[] {
  const mayBeMissing = value === "0" ? { mayBeMissing: true as const } : {};
  return [
    { file: `${prefix}.${file}`, value, ...mayBeMissing },
    { file: `${prefix}.rsvd.${file}`, value, mayBeMissing: true },
  ];
}
