import assert from "node:assert/strict";
import { constants } from "node:os";
import { LinuxError } from "../../../ffi/linux.ts";
import { removeMasquerade } from "../../../lib/network/masquerade.ts";

const { EPERM, EPROTONOSUPPORT, EINVAL, ENOENT, EOPNOTSUPP } = constants.errno;

/** A kernel that gives no socket. */
function noSocket(errno: number) {
  return (): never => {
    throw new LinuxError("socket", "domain 16", errno);
  };
}

/** A kernel that refuses the transaction. */
function noTables(errno: number) {
  return () => ({
    commit(_requests: unknown, operation: string): never {
      throw new LinuxError(operation, undefined, errno);
    },
    [Symbol.dispose]() {},
  });
}

Deno.test("where the kernel has no nf_tables, there is nothing to remove", () => {
  removeMasquerade(noSocket(EPROTONOSUPPORT));
  for (const errno of [EINVAL, ENOENT, EOPNOTSUPP]) removeMasquerade(noTables(errno));
});

Deno.test("any other failure to remove is reported", () => {
  for (const kernel of [noSocket(EPERM), noTables(EPERM)]) {
    assert.throws(() => removeMasquerade(kernel), { name: "LinuxError", code: "EPERM" });
  }
});
