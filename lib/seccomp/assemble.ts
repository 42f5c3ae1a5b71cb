import { FIRECRACKER } from "./tables/firecracker.ts";
import { INIT } from "./tables/init.ts";
import { QEMU } from "./tables/qemu.ts";
import { HVT, SPT } from "./tables/solo5.ts";
import { VIRTIOFSD } from "./tables/virtiofsd.ts";
import { RELAY } from "./tables/relay.ts";
import { WAITER } from "./tables/waiter.ts";
import { filterProgram } from "./program.ts";
import { rulesOf } from "./rules.ts";
import type { CallFilter, CallGroup, TableName } from "./types.ts";

/** Functions, so that only those are loaded that are asked for (lib/build/bundle.ts). */
const TABLES: Readonly<Record<TableName, () => readonly CallGroup[]>> = {
  qemu: () => QEMU,
  firecracker: () => FIRECRACKER,
  hvt: () => HVT,
  spt: () => SPT,
  virtiofsd: () => VIRTIOFSD,
  waiter: () => WAITER,
  relay: () => RELAY,
  init: () => INIT,
};

/** The calls of a table, with the reason of each group. */
export function tableOf(name: TableName): readonly CallGroup[] {
  return TABLES[name]();
}

/**
 * Assembles a filter from its tables.
 *
 * @returns struct sock_filter, one after the other
 * @throws {TypeError} when there is no call of a name
 */
export function assembleFilter(filter: CallFilter): Uint8Array<ArrayBuffer> {
  const { tables, features, mode, allowed } = filter;
  const operators = allowed.length === 0 ? [] : [{
    why: "the operator's configuration",
    calls: allowed.join(" "),
  }];
  const groups: CallGroup[] = [...tables.flatMap(tableOf), ...operators];
  const omitted = groups.filter((it) => it.omitted).flatMap(({ calls }) => calls.split(" "));
  return filterProgram(rulesOf(groups, features), mode, omitted);
}
