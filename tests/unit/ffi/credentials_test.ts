import assert from "node:assert/strict";
import * as linux from "../../../ffi/linux.ts";
import { parseStatus } from "../../support/process.ts";
import {
  PR_GET_NO_NEW_PRIVS,
  RLIM_INFINITY,
  RLIMIT_CORE,
  RLIMIT_FSIZE,
} from "../../support/kernel.ts";

/** Of prctl(2); nothing has it. */
const NO_SUCH_OPERATION = 9999;

const self = () => parseStatus(Deno.readTextFileSync("/proc/thread-self/status"));

Deno.test("the identity of the process", () => {
  const status = self();
  assert.deepEqual(linux.getgroups(), status.groups);
});

Deno.test("the thread's capabilities; one that is not permitted cannot be gained", () => {
  const caps = linux.capget();
  const { effective, permitted, inheritable } = self().capabilities;
  assert.deepEqual(caps, { effective, permitted, inheritable });
  linux.capset(caps);
  const beyond = { ...caps, permitted: 1n << 63n, effective: 1n << 63n };
  // The kernel cuts off what it does not know, in any other set it is an error.
  const missing = 1n << 62n;
  assert.throws(() => linux.capset({ ...beyond, permitted: 0n, effective: missing | 1n }), {
    operation: "capset",
    code: "EPERM",
  });
  assert.deepEqual(linux.capget(), caps);
});

Deno.test("limits are read and set exactly", () => {
  const before = linux.getrlimit(RLIMIT_CORE);
  linux.setrlimit(RLIMIT_CORE, { ...before, soft: 0n });
  try {
    assert.match(Deno.readTextFileSync("/proc/self/limits"), /^Max core file size\s+0 /m);
    assert.deepEqual(linux.getrlimit(RLIMIT_CORE), { ...before, soft: 0n });
  } finally {
    linux.setrlimit(RLIMIT_CORE, before);
  }
  assert.throws(() => linux.setrlimit(RLIMIT_CORE, { soft: 2n, hard: 1n }), {
    operation: "prlimit64",
    code: "EINVAL",
  });
  assert.throws(() => linux.getrlimit(99), { operation: "prlimit64", code: "EINVAL" });
});

Deno.test("an unlimited limit is RLIM_INFINITY", () => {
  const { hard } = linux.getrlimit(RLIMIT_FSIZE);
  const text = /^Max file size\s+\S+\s+(\S+)/m.exec(Deno.readTextFileSync("/proc/self/limits"))
    ?.[1];
  assert.equal(hard === RLIM_INFINITY, text === "unlimited");
});

Deno.test("prctl answers, and refuses what does not exist", () => {
  assert.equal(linux.prctl(PR_GET_NO_NEW_PRIVS), self().noNewPrivs);
  assert.throws(() => linux.prctl(NO_SUCH_OPERATION), {
    operation: "prctl",
    code: "EINVAL",
  });
});
