/**
 * Rules that the calling thread sets itself, for good, and what it executes inherits.
 * @module
 */
import {
  LANDLOCK_CREATE_RULESET_VERSION,
  LANDLOCK_RULE_NET_PORT,
  LANDLOCK_RULE_PATH_BENEATH,
} from "../constants/landlock.ts";
import {
  SYS_landlock_add_rule,
  SYS_landlock_create_ruleset,
  SYS_landlock_restrict_self,
} from "../constants/syscall.ts";
import { checked, LinuxError } from "../errors.ts";
import {
  allocateStruct,
  LANDLOCK_NET_PORT_ATTR,
  LANDLOCK_PATH_BENEATH_ATTR,
  LANDLOCK_RULESET_ATTR,
  setField,
} from "../structs.ts";
import * as raw from "../symbols/syscall.ts";

/** What rules are about: sets of LANDLOCK_ACCESS_* and LANDLOCK_SCOPE_*. */
export interface LandlockRuleset {
  fs: number;
  net: number;
  scoped: number;
}

/** The kernel's version of Landlock's interface; 0: it has none, or it was turned off. */
export function landlockVersion(): number {
  try {
    return Number(checked("landlock_create_ruleset", "version", () =>
      raw.landlock_create_ruleset(
        BigInt(SYS_landlock_create_ruleset),
        null,
        0n,
        LANDLOCK_CREATE_RULESET_VERSION,
      )));
  } catch (error) {
    if (error instanceof LinuxError && ["ENOSYS", "EOPNOTSUPP"].includes(error.code)) return 0;
    throw error;
  }
}

/**
 * @returns a close-on-exec descriptor; what the set is about is forbidden unless a rule allows it
 * @throws {LinuxError}
 * @see landlock_create_ruleset(2)
 */
export function landlockCreateRuleset({ fs, net, scoped }: LandlockRuleset): number {
  const struct = allocateStruct(LANDLOCK_RULESET_ATTR);
  setField(struct, "handled_access_fs", fs);
  setField(struct, "handled_access_net", net);
  setField(struct, "scoped", scoped);
  // A kernel that knows fewer fields takes more, as long as they are 0.
  return Number(checked("landlock_create_ruleset", "", () =>
    raw.landlock_create_ruleset(
      BigInt(SYS_landlock_create_ruleset),
      struct.bytes,
      BigInt(struct.bytes.length),
      0,
    )));
}

/**
 * Allows `access` to a file, or to what is below a directory.
 *
 * @param fd of it, O_PATH is enough
 * @throws {LinuxError} EBADFD for a file of a file system that nothing is mounted of, which needs no rule
 * @see landlock_add_rule(2)
 */
export function landlockAddPath(ruleset: number, fd: number, access: number): void {
  const struct = allocateStruct(LANDLOCK_PATH_BENEATH_ATTR);
  setField(struct, "allowed_access", access);
  setField(struct, "parent_fd", fd);
  checked("landlock_add_rule", `fd ${fd}`, () =>
    raw.landlock_add_rule(
      BigInt(SYS_landlock_add_rule),
      ruleset,
      LANDLOCK_RULE_PATH_BENEATH,
      struct.bytes,
      0,
    ));
}

/**
 * Allows a TCP port.
 *
 * @param access LANDLOCK_ACCESS_NET_* bits, which the ruleset must handle
 * @see landlock_add_rule(2)
 */
export function landlockAddPort(ruleset: number, port: number, access: number): void {
  const struct = allocateStruct(LANDLOCK_NET_PORT_ATTR);
  setField(struct, "allowed_access", access);
  setField(struct, "port", port);
  checked("landlock_add_rule", `port ${port}`, () =>
    raw.landlock_add_rule(
      BigInt(SYS_landlock_add_rule),
      ruleset,
      LANDLOCK_RULE_NET_PORT,
      struct.bytes,
      0,
    ));
}

/**
 * @throws {LinuxError} EPERM without no_new_privs or CAP_SYS_ADMIN
 * @see landlock_restrict_self(2)
 */
export function landlockRestrictSelf(ruleset: number): void {
  checked(
    "landlock_restrict_self",
    "",
    () => raw.landlock_restrict_self(BigInt(SYS_landlock_restrict_self), ruleset, 0),
  );
}
