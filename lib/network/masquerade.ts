import { LinuxError } from "../../ffi/linux.ts";
import { HostError } from "../errors.ts";
import { validateInterfaceName } from "./names.ts";
import { NETLINK_NETFILTER } from "../protocol/netlink/constants.ts";
import {
  addMasquerade,
  addSourceChain,
  addTable,
  deleteTable,
  transaction,
} from "../protocol/netlink/nftables.ts";
import { NetlinkSocket } from "../protocol/netlink/socket.ts";

/** As nft(8) shows them. The table holds only our rules. */
const TABLE = "urunc";
const CHAIN = "postrouting";

/** What takes which address. */
export interface Masquerade {
  /** An address of the subnet. */
  address: string;
  /** Bits, a multiple of 8. */
  prefixLength: number;
  /** The interface that it leaves by, and whose address it takes. */
  to: string;
}

/**
 * Has a subnet go out by an interface of the calling thread's network namespace under its address.
 * What an earlier container left is replaced.
 *
 * @throws {HostError} when this kernel has no nf_tables
 * @throws {LinuxError} when the kernel refuses
 */
export function masquerade({ address, prefixLength, to }: Masquerade): void {
  const operation = "masquerade behind";
  try {
    commit(operation, to, [
      // So that there is one to delete.
      addTable(TABLE),
      deleteTable(TABLE),
      addTable(TABLE),
      addSourceChain(TABLE, CHAIN),
      addMasquerade(
        { table: TABLE, chain: CHAIN },
        { address, prefixLength },
        validateInterfaceName(to),
      ),
    ]);
  } catch (error) {
    if (!isMissing(error)) throw error;
    throw new HostError({
      operation,
      subject: to,
      reason: `the kernel's nf_tables: ${error.code}`,
      remedy: "load the modules: modprobe -a nf_tables nft_chain_nat nft_masq",
      cause: error,
    });
  }
}

/**
 * Undoes `masquerade` in the calling thread's network namespace. Where the kernel has no nf_tables
 * there is nothing to undo: they cannot be unloaded as long as a table is there.
 *
 * @param open a socket of netfilter; another in tests
 * @throws {LinuxError} when the kernel refuses
 */
export function removeMasquerade(open = openNetfilter): void {
  try {
    commit("remove masquerade", undefined, [addTable(TABLE), deleteTable(TABLE)], open);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}

function openNetfilter(): Pick<NetlinkSocket, "commit" | typeof Symbol.dispose> {
  return new NetlinkSocket(NETLINK_NETFILTER);
}

function commit(
  operation: string,
  subject: string | undefined,
  requests: Parameters<typeof transaction>[0],
  open = openNetfilter,
): void {
  using socket = open();
  socket.commit(transaction(requests), operation, subject);
}

/**
 * EPROTONOSUPPORT: netfilter has no netlink. EINVAL, EOPNOTSUPP: it has no nf_tables.
 * ENOENT, EOPNOTSUPP: those lack what the rule consists of.
 */
function isMissing(error: unknown): error is LinuxError {
  return error instanceof LinuxError &&
    ["EPROTONOSUPPORT", "EINVAL", "ENOENT", "EOPNOTSUPP"].includes(error.code);
}
