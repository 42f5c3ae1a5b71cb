/**
 * A file server that a guest has taken over tries what a monitor does (fixtures/double/attempts.h), and to
 * leave what it shares. It has one thing that a monitor has not, a procfs of its own PID namespace.
 */
import assert from "node:assert/strict";
import {
  type Attempt,
  FATAL,
  isRefused,
  LEFT_TO_A_FILTER,
  namesOf,
  parseAttempts,
} from "../support/attempts.ts";
import { type DoubleReport, parseReport } from "../support/double.ts";
import {
  FILE_SERVER_NEEDS,
  fileServerOf,
  hostileServer,
  type HostileServerOptions,
  SERVER_USER,
} from "../support/file_server.ts";
import { FIRST_ID } from "../support/host_ids.ts";
import { assertNothingLeft, assertSucceeded, inKeyring } from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { withoutBinary } from "../support/without.ts";

const OWNERS = `[ids]\nrange = "${FIRST_ID}-${
  FIRST_ID + 65535
}"\n[guests.linux]\nfile_access = "userns"`;

const USERS = [1000, 0].map((id) => ({ uid: id, gid: id }));

/** Its procfs can be read. */
const OWN = ["open_proc"];

/** errno(3): there is no process besides it. */
const ESRCH = 3;

/** What it prints, to the end of the attack. */
async function attack(commands: string, options: HostileServerOptions): Promise<string> {
  await using scope = new Scope();
  const script = `${commands}; threads; idle`;
  const { container, data, create, outputWith } = await hostileServer(scope, script, options);
  const before = [...Deno.readDirSync(data)].map(({ name }) => name).sort();
  assertSucceeded(await create());
  assertSucceeded(await container.start());
  const output = await outputWith(/"threads"/);
  // Neither unlimited, nor in another cgroup than the guest.
  assert.match(output, /^\{"errno":11,"threads":\d+\}$/m);
  assert.deepEqual([...Deno.readDirSync(data)].map(({ name }) => name).sort(), before);
  assertSucceeded(await container.delete("--force"));
  assertNothingLeft(container);
  return output;
}

/** All but those that succeeded as they should. */
function doneIn(output: string, isNobodyThere = false): string[] {
  const { attempts } = parseAttempts(output);
  assert.ok(attempts.length > 80, `${attempts.length} attempts`);
  const isDone = (it: Attempt) => !isRefused(it) && !(isNobodyThere && it.errno === ESRCH);
  return namesOf(attempts, isDone).filter((it) => !OWN.includes(it));
}

for (const user of USERS) {
  testIf(`hostile file server: uid ${user.uid} is refused everything`, {
    needs: FILE_SERVER_NEEDS,
  }, async () => {
    const output = await attack(`attack-but ${FATAL.join(" ")}`, { user });
    assert.deepEqual(doneIn(output), []);
  });

  testIf(
    `hostile file server: without a filter uid ${user.uid} is refused what privileges are for`,
    {
      needs: FILE_SERVER_NEEDS,
    },
    async () => {
      const output = await attack("attack", { user, configuration: 'seccomp = "off"' });
      const done = doneIn(output, true);
      assert.deepEqual(done.filter((it) => !LEFT_TO_A_FILTER.includes(it)), []);
      for (const it of ["add_key", "socket_inet", "map_write_execute"]) {
        assert.ok(done.includes(it));
      }
    },
  );
}

/** What it is to be able to: it acts as any of the guest's users, whose ids its namespace has. */
const AS_OTHERS = [
  ...["set_uid", "set_real_uids", "set_gid", "set_real_gids", "set_groups"],
  "set_file_system_uid",
];

testIf("hostile file server: root of a user namespace is root over files, and nothing else", {
  needs: FILE_SERVER_NEEDS,
}, async () => {
  const user = USERS[1]!;
  const filtered = [...FATAL, ...AS_OTHERS].join(" ");
  const output = await attack(`attack-but ${filtered}`, { user, configuration: OWNERS });
  assert.deepEqual(doneIn(output), []);
  const configuration = `seccomp = "off"\n${OWNERS}`;
  const all = await attack(`attack-but ${AS_OTHERS.join(" ")}`, { user, configuration });
  const done = doneIn(all, true).filter((it) => !LEFT_TO_A_FILTER.includes(it));
  assert.deepEqual(done, ["own_shared", "own_shared_file"]);
});

interface Step {
  /** As tests/support/without_main.ts names it. */
  step: string;
  /** The owners of its files are mapped, and it is in a user namespace. */
  owners?: true;
  /** What create or start fails with. */
  fails?: RegExp;
  /** Whether a report shows that the step was done. */
  done?: (report: Report) => boolean;
}

/** What the double says of itself in the file server's place, and its mounts. */
type Report = DoubleReport & { mounts: string };

/** statfs(2) */
const ST_RDONLY = 1n;

/** In the caller's group, keyring, file creation mask and a mount namespace that is shared as systemd's is. */
const CARELESS = [
  ...["setpriv", "--groups", "4,27", "unshare", "--mount", "--propagation", "shared"],
  ...inKeyring("urunc-test-caller"),
  ...["sh", "-c", 'umask 077; sleep 60 & exec "$@"', "sh"],
];

const STEPS: Step[] = [
  { step: "enterMonitorNamespaces", fails: /./ },
  { step: "leaveMonitorNamespaces", fails: /./ },
  // What is shared is not where it looks for it: it is still in the host's root.
  { step: "pivotRoot", fails: /^no commands$/m },
  { step: "privateMounts", done: ({ mounts }) => !/ (master|shared):/.test(mounts) },
  {
    step: "remountReadOnly",
    done: ({ rootFlags }) => (BigInt(`0x${rootFlags}`) & ST_RDONLY) === ST_RDONLY,
  },
  {
    step: "newSessionKeyring",
    done: (report) => !report.sessionKeyringDescription.endsWith(";urunc-test-caller"),
  },
  // Only root could enter its directories.
  { step: "umask", fails: /Permission denied/ },
  { step: "uid", fails: /files: real uid is 0, planned was 1000/ },
  { step: "gid", fails: /files: real gid is 0, planned was 1000/ },
  { step: "group", fails: /files: supplementary groups is \[0\], planned was \[7\]/ },
  { step: "filter", fails: /files: seccomp mode is 0, planned was 2/ },
  { step: "user", owners: true, fails: /files: real uid is 0, planned was \d{10}/ },
  {
    step: "capability",
    owners: true,
    fails: /files: permitted capability set is 00000000002000db/,
  },
  { step: "maps", owners: true, fails: /files: mapping of uids is 0:\d{10}:65536, planned was/ },
];

testIf("hostile file server: each step of its start is needed, and its lack is noticed", {
  needs: [...FILE_SERVER_NEEDS, "setpriv", "perl"],
  timeoutSeconds: 240,
}, async () => {
  await using scope = new Scope();
  const binary = await withoutBinary(scope);
  const whole = await reported(binary, undefined);
  for (const { step, done } of STEPS) {
    if (done) assert.ok(typeof whole !== "string" && done(whole), `${step} is done: ${whole}`);
  }
  for (const { step, owners, done, fails } of STEPS) {
    const result = await reported(binary, `files.${step}`, owners && OWNERS);
    if (fails) assert.match(typeof result === "string" ? result : "it was started", fails, step);
    else assert.ok(typeof result !== "string" && !done!(result), `${step}: ${result}`);
  }
});

/** The report, or the error. */
async function reported(
  binary: string,
  without: string | undefined,
  owners = "",
): Promise<Report | string> {
  await using scope = new Scope();
  const { container, create, outputWith } = await hostileServer(scope, "report; idle", {
    binary,
    user: { uid: SERVER_USER, gid: SERVER_USER, additionalGids: [7] },
    // The double's report takes calls that a file server has not.
    configuration: /filter/.test(without ?? "") ? owners : `seccomp = "off"\n${owners}`,
  });
  const env: Record<string, string> = without === undefined ? {} : { URUNC_WITHOUT: without };
  const created = await create({ wrapper: CARELESS, env });
  if (created.code !== 0) return created.stderr;
  const started = await container.start();
  if (started.code !== 0) return started.stderr;
  const { pid } = await container.state();
  const mounts = Deno.readTextFileSync(`/proc/${fileServerOf(pid!)}/mountinfo`);
  const output = await outputWith(/"opens"|no commands/);
  return output.includes('"opens"') ? { ...parseReport(output), mounts } : output;
}

/** errno(3): it was not answered. */
const ETIMEDOUT = 110;

testIf(
  "hostile file server: virtiofsd gives a monitor that was taken over nothing beside the shares",
  {
    needs: FILE_SERVER_NEEDS,
  },
  async () => {
    await using scope = new Scope();
    const { container, data, create } = await hostileServer(scope, "ask-files", { isServed: true });
    const before = [...Deno.readDirSync(data)].map(({ name }) => name).sort();
    assertSucceeded(await create());
    assertSucceeded(await container.start());
    await container.waitForStatus("stopped", 90);
    const console = (await container.urunc(["logs", "--console", container.id])).stdout;
    const answers = [...console.matchAll(/^(\w+) (\d+)$/gm)];
    assert.ok(answers.length > 25, console);
    const isRefused = (errno: string) => errno !== "0" && errno !== `${ETIMEDOUT}`;
    const given = answers.filter(([, , errno]) => !isRefused(errno!)).map(([line]) => line);
    // Those that show that it was asked.
    assert.deepEqual(given, ["init 0", "volumes 0", "disturbed 0"], console);
    assert.deepEqual([...Deno.readDirSync(data)].map(({ name }) => name).sort(), before);
    assertSucceeded(await container.delete());
    assertNothingLeft(container);
  },
);
