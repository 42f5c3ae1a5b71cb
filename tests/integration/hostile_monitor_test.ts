/**
 * A monitor that a guest has taken over tries everything that fixtures/double/attempts.h lists, and is
 * refused everything. Two controls show that the attempts are real: with the privilege each of them
 * needs, the kernel does not refuse it.
 */
import assert from "node:assert/strict";
import {
  type Attacker,
  type Attempt,
  attemptsIn,
  FATAL,
  isRefused,
  lacksPrivilege,
  LEFT_TO_A_FILTER,
  namesOf,
  parseAttempts,
  SIGSYS,
} from "../support/attempts.ts";
import { doubleBinary } from "../support/double.ts";
import { FIRST_ID } from "../support/host_ids.ts";
import { readStatus, run } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

const needs = ["root", "gcc"];

const NOBODY = { uid: 65534, gid: 65534 };
const ROOT = { uid: 0, gid: 0 };

/** errno(3) */
const EINVAL = 22;

/** linux/capability.h */
const CAP_SYS_RESOURCE = 24n;

/** A user without capabilities, in no jail. */
const FREE = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"];

/** All capabilities, in namespaces and a root file system that may be spoilt, below the kernel's limits. */
const PRIVILEGED = [
  ...["prlimit", "--nofile=4096:4096", "setpriv", "--inh-caps=+sys_admin"],
  ...["unshare", "--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "sh", "-c"],
  'mount -t tmpfs x "$1" && cp "$2" "$1/double" && mkdir "$1/dev" && mount -t tmpfs x "$1/dev" &&' +
  ' chroot "$1" /double -append attack; true',
  "sh",
];

testIf("hostile monitor: with privileges, none of its attempts lacks any", {
  needs: [...needs, "prlimit", "setpriv", "unshare"],
}, async () => {
  await using scope = new Scope();
  const double = await doubleBinary();
  const directory = await scope.temporaryDirectory("jail");
  const free = parseAttempts((await run([...FREE, double, "-append", "attack"])).stdout);
  const privileged = parseAttempts((await run([...PRIVILEGED, directory, double])).stdout);
  assert.ok(free.attempts.length > 90, `${free.attempts.length} attempts`);
  assert.equal(privileged.attempts.length, free.attempts.length);
  const vain = privileged.attempts.filter((it, i) =>
    lacksPrivilege(it) && isRefused(free.attempts[i]!)
  );
  // A machine that was given no CAP_SYS_RESOURCE has it for nobody.
  const here = readStatus(Deno.pid).capabilities.effective >> CAP_SYS_RESOURCE & 1n;
  assert.deepEqual(vain.map(({ attempt }) => attempt), here ? [] : ["raise_limit"]);
});

/** A monitor that translates a guest's instructions writes the code that it executes. */
const OF_TRANSLATORS = ["map_write_execute", "protect_write_execute"];
/** Firecracker has buffers in a file in memory, Solo5 assembles its filter in one: it can be mapped as code. */
const OF_MEMORY_FILES = ["map_memory_file"];

/** So that an attempt that kills needs no container of its own. */
const CHILDREN = ["clone", "wait4"];
/** What the filter then does not refuse. */
const WITH_CHILDREN = ["clone_user", "clone_mount_namespace"];

const KVM = { configuration: "", needs: ["kvm"] };
const FILTERS: (Attacker & { needs: string[]; left?: string[] })[] = [
  { monitor: "qemu", configuration: 'accelerator = "tcg"', needs: [], left: OF_TRANSLATORS },
  { monitor: "qemu", ...KVM },
  { monitor: "firecracker", ...KVM, left: OF_MEMORY_FILES },
  { monitor: "firecracker", ...KVM, agent: true, left: [...OF_MEMORY_FILES, "socket_unix"] },
  { monitor: "hvt", ...KVM, left: OF_MEMORY_FILES },
  { monitor: "spt", configuration: "", needs: [], left: OF_MEMORY_FILES },
];

for (const { needs: more, left = [], ...attacker } of FILTERS) {
  const { monitor, configuration, agent } = attacker;
  const name = `${monitor}'s filter${configuration === "" ? "" : ` with ${configuration}`}` +
    (agent ? " with an agent" : "");
  testIf(`hostile monitor: in ${name} it is refused everything`, {
    needs: [...needs, ...more],
    timeoutSeconds: 120,
  }, async () => {
    for (const user of [NOBODY, ROOT]) {
      const attempts = await attemptsIn({ ...attacker, user, calls: CHILDREN });
      assert.ok(attempts.length > 90, `${attempts.length} attempts`);
      const expected = [...left, ...WITH_CHILDREN];
      const done = namesOf(attempts, (it) => !isRefused(it));
      assert.deepEqual(done.filter((it) => !expected.includes(it)), [], `uid ${user.uid}`);
      assert.deepEqual(done.filter((it) => !WITH_CHILDREN.includes(it)), left);
      const killed = namesOf(attempts, ({ signal }) => signal === SIGSYS);
      assert.deepEqual(killed.sort(), [...FATAL].sort(), `uid ${user.uid}`);
    }
  });
}

testIf("hostile monitor: without a child to try in, it is refused everything, too", {
  needs,
  timeoutSeconds: 120,
}, async () => {
  const attempts = await attemptsIn({ user: NOBODY });
  assert.ok(attempts.length > 90, `${attempts.length} attempts`);
  assert.deepEqual(namesOf(attempts, (it) => !isRefused(it)), OF_TRANSLATORS);
});

const IN_USER_NAMESPACE = `\n[ids]\nmode = "userns"\nrange = "${FIRST_ID}-${FIRST_ID + 99}"`;

for (const [user, ids] of [[NOBODY, ""], [ROOT, ""], [ROOT, IN_USER_NAMESPACE]] as const) {
  const who = `uid ${user.uid}${ids === "" ? "" : ", in a user namespace,"}`;
  testIf(`hostile monitor: without filters ${who} is refused what privileges are for`, {
    needs,
  }, async () => {
    const configuration = `seccomp = "off"\naccelerator = "tcg"${ids}`;
    const attempts = await attemptsIn({ user, configuration });
    assert.ok(attempts.length > 90, `${attempts.length} attempts`);
    // setresuid(2): the namespace has no other id.
    const isUnmapped = ({ attempt, errno }: Attempt) =>
      ids !== "" && errno === EINVAL && /^set_(real_)?[ug]ids?$/.test(attempt);
    const done = namesOf(attempts, (it) => !isRefused(it) && !isUnmapped(it));
    assert.deepEqual(done.filter((it) => !LEFT_TO_A_FILTER.includes(it)), []);
    // The filters are what refuses these: some of them on any machine.
    for (const it of ["add_key", "socket_inet", "map_write_execute", "personality"]) {
      assert.ok(done.includes(it), it);
    }
  });
}
