import assert from "node:assert/strict";
import { configJson } from "../../../lib/oci/config_json.ts";
import { readSeccomp } from "../../../lib/oci/parse_seccomp.ts";

const read = (value: unknown) => readSeccomp(value, configJson("linux.seccomp"));

const EQ = { index: 1, value: 8, op: "SCMP_CMP_EQ" };
const rule = (changes: Record<string, unknown>) => ({
  defaultAction: "SCMP_ACT_ALLOW",
  syscalls: [{ names: ["read"], action: "SCMP_ACT_ERRNO", ...changes }],
});

Deno.test("a seccomp profile is read as docker writes it", () => {
  const profile = read({
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: 1,
    architectures: ["SCMP_ARCH_X86_64"],
    flags: ["SECCOMP_FILTER_FLAG_LOG"],
    syscalls: [{ names: ["read"], action: "SCMP_ACT_ALLOW", args: [EQ] }],
  });
  assert.deepEqual(profile.syscalls, [{
    names: ["read"],
    action: "SCMP_ACT_ALLOW",
    errnoRet: undefined,
    args: [{ index: 1, value: 8n, valueTwo: 0n, op: "SCMP_CMP_EQ" }],
  }]);
  assert.deepEqual([profile.defaultErrnoRet, profile.flags], [1, ["SECCOMP_FILTER_FLAG_LOG"]]);
});

Deno.test("what is wrong in a seccomp profile is named", async (t) => {
  const rows: [value: unknown, expected: RegExp][] = [
    [{}, /linux\.seccomp\.defaultAction/],
    [{ defaultAction: "ALLOW" }, /linux\.seccomp\.defaultAction.*"ALLOW".*SCMP_ACT_ALLOW/],
    [{ defaultAction: "SCMP_ACT_LOG", flags: ["NONE"] }, /linux\.seccomp\.flags\[0\].*"NONE"/],
    [rule({ errnoRet: 4096 }), /syscalls\[0\]\.errnoRet.*4096/],
    [rule({ args: [{ ...EQ, index: 6 }] }), /syscalls\[0\]\.args\[0\]\.index.*6/],
    [rule({ args: [{ ...EQ, op: "==" }] }), /syscalls\[0\]\.args\[0\]\.op.*"=="/],
    [rule({ args: [{ ...EQ, value: 2 ** 53 }] }), /args\[0\]\.value.*up to 2\^53 - 1/],
  ];
  for (const [value, expected] of rows) {
    await t.step(expected.source, () => assert.throws(() => read(value), { message: expected }));
  }
});
