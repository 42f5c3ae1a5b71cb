import assert from "node:assert/strict";
import { InvalidConfigurationError } from "../../../lib/errors.ts";
import { TAP_NAME, validateInterfaceName } from "../../../lib/network/names.ts";

Deno.test("validateInterfaceName takes what the kernel takes", () => {
  for (const name of ["eth0", TAP_NAME, "a", "br-0.12", "x@y", "123456789012345", "..."]) {
    assert.equal(validateInterfaceName(name), name);
  }
});

Deno.test("validateInterfaceName refuses what the kernel or a monitor would misread", () => {
  const names = ["", ".", "..", "1234567890123456", "a/b", "../x", "a b", "a\tb", "a\nb", "a\0b"];
  for (const name of [...names, "eth0:1", "tap%d", "a,script=x", "a=b", "ä", "\u00a0"]) {
    assert.throws(() => validateInterfaceName(name), InvalidConfigurationError, name);
  }
});
