import assert from "node:assert/strict";
import { runEveryHook, runHooks, runHooksAsync } from "../../lib/hooks.ts";
import type { State } from "../../lib/oci/state.ts";
import type { Hook } from "../../lib/oci/types.ts";
import { Stopwatch } from "../support/busy.ts";
import { RUN_PREFIX } from "../support/mark.ts";

const STATE: State = {
  ociVersion: "1.2.0",
  id: "one",
  status: "creating",
  pid: 42,
  bundle: "/bundle",
  annotations: {},
};

function shell(script: string, parts: Partial<Hook> = {}): Hook {
  return { path: "/bin/sh", args: ["sh", "-c", script], env: [], ...parts };
}

function withDirectory(test: (path: string) => void): void {
  const path = Deno.makeTempDirSync({ prefix: "urunc-hooks-" });
  try {
    test(path);
  } finally {
    Deno.removeSync(path, { recursive: true });
  }
}

Deno.test("a hook reads the state on its standard input", () => {
  withDirectory((path) => {
    runHooks([shell(`cat > ${path}/state`)], STATE, { name: "prestart" });
    assert.deepEqual(JSON.parse(Deno.readTextFileSync(`${path}/state`)), STATE);
  });
});

Deno.test("a hook that reads nothing of a long state does not hang", () => {
  const annotations = { long: "x".repeat(1_000_000) };
  runHooks([shell("exit 0")], { ...STATE, annotations }, { name: "prestart" });
});

Deno.test("a hook has its own environment and nothing else", () => {
  withDirectory((path) => {
    const hook = shell(`cat /proc/$$/environ > ${path}/env`, { env: ["A=1", "B=x y=z"] });
    runHooks([hook], STATE, { name: "prestart" });
    assert.equal(Deno.readTextFileSync(`${path}/env`), "A=1\0B=x y=z\0");
  });
});

Deno.test("a hook has only its three descriptors", () => {
  withDirectory((path) => {
    using _leak = Deno.openSync("/etc/passwd");
    runHooks([shell(`ls /proc/$$/fd > ${path}/fds`)], STATE, { name: "prestart" });
    const fds = Deno.readTextFileSync(`${path}/fds`).trim().split("\n").map(Number);
    // The shell itself may keep a copy at 10 and above while it redirects.
    assert.deepEqual(fds.filter((fd) => fd < 10), [0, 1, 2]);
  });
});

Deno.test("hooks run in order, none after a failed one", () => {
  withDirectory((path) => {
    const hooks = [
      shell(`echo 1 >> ${path}/log`),
      shell(`echo 2 >> ${path}/log; exit 3`),
      shell(`echo 3 >> ${path}/log`),
    ];
    assert.throws(
      () => runHooks(hooks, STATE, { name: "createRuntime" }),
      /^UruncError: run createRuntime hook \/bin\/sh: exit code 3$/,
    );
    assert.equal(Deno.readTextFileSync(`${path}/log`), "1\n2\n");
  });
});

Deno.test("every hook runs where the specification requires it, and failures are reported", async () => {
  const path = await Deno.makeTempDir({ prefix: `${RUN_PREFIX}hooks-` });
  try {
    const hooks = [
      shell("exit 1"),
      shell(`echo 2 >> ${path}/log`),
      { ...shell(""), path: "/nonexistent" },
    ];
    const failures = await runEveryHook(hooks, STATE, { name: "poststop" });
    assert.equal(failures.length, 2);
    assert.match(failures[0] ?? "", /run poststop hook \/bin\/sh: exit code 1/);
    assert.match(failures[1] ?? "", /\/nonexistent.*ENOENT/);
    assert.equal(Deno.readTextFileSync(`${path}/log`), "2\n");
  } finally {
    await Deno.remove(path, { recursive: true });
  }
});

Deno.test("a failed hook's last output is in the error, not all of it", () => {
  const script =
    "i=0; while [ $i -lt 2000 ]; do echo filler; i=$((i+1)); done; echo last >&2; exit 9";
  assert.throws(() => runHooks([shell(script)], STATE, { name: "prestart" }), (error: Error) => {
    assert.match(error.message, /exit code 9; its output ends with: /);
    assert.match(error.message, /filler\nlast$/);
    assert.ok(error.message.length < 3000);
    return true;
  });
});

Deno.test("a hook killed by a signal is reported as such", () => {
  assert.throws(
    () => runHooks([shell("kill -TERM $$")], STATE, { name: "prestart" }),
    /killed by signal 15/,
  );
});

Deno.test("a hook that exceeds its timeout is killed, with its children", () => {
  withDirectory((path) => {
    const hook = shell(`sleep 60 & echo $! > ${path}/child; wait`, { timeout: 1.5 });
    const watch = new Stopwatch();
    assert.throws(
      () => runHooks([hook], STATE, { name: "prestart" }),
      /\/bin\/sh: killed after its timeout of 1\.5 s/,
    );
    watch.assertWithin(10_000, "the hook");
    const child = Deno.readTextFileSync(`${path}/child`).trim();
    const alive = () => {
      try {
        return !/\) Z /.test(Deno.readTextFileSync(`/proc/${child}/stat`));
      } catch {
        return false;
      }
    };
    const dying = new Stopwatch();
    while (alive() && !dying.isOver(2000));
    assert.equal(alive(), false, "the hook's child survived");
  });
});

Deno.test("a hook within its timeout succeeds", () => {
  runHooks([shell("sleep 0.05", { timeout: 30 })], STATE, { name: "prestart" });
});

Deno.test("a hook's daemon does not keep the runtime waiting", () => {
  withDirectory((path) => {
    const watch = new Stopwatch();
    runHooks([shell(`sleep 20 & echo $! > ${path}/pid`)], STATE, { name: "prestart" });
    watch.assertWithin(10_000, "the hook");
    Deno.kill(Number(Deno.readTextFileSync(`${path}/pid`)), "SIGKILL");
  });
});

Deno.test("without arguments a hook gets its path as the only one", () => {
  withDirectory((path) => {
    const program = `${path}/hook`;
    Deno.writeTextFileSync(program, `#!/bin/sh\necho "$#:$0" > ${path}/args\n`, { mode: 0o755 });
    Deno.chmodSync(program, 0o755);
    runHooks([{ path: program, args: [], env: [] }], STATE, { name: "prestart" });
    assert.equal(Deno.readTextFileSync(`${path}/args`), `0:${program}\n`);
  });
});

Deno.test("asynchronous hooks: in order, with failures and timeouts reported", async () => {
  const path = await Deno.makeTempDir({ prefix: `${RUN_PREFIX}hooks-` });
  try {
    let turns = 0;
    const go = `${path}/go`;
    const timer = setInterval(() => ++turns === 4 && Deno.writeTextFileSync(go, ""), 5);
    await runHooksAsync(
      [
        // It goes on once others have had their turns; for ten seconds it waits for that.
        shell(`for _ in $(seq 500); do [ -e ${go} ] && break; sleep 0.02; done
          cat > ${path}/state; echo 1 > ${path}/log`),
        shell(`echo 2 >> ${path}/log`),
      ],
      STATE,
      { name: "prestart" },
    );
    clearInterval(timer);
    assert.ok(turns > 3, `${turns} turns of others`);
    assert.deepEqual(JSON.parse(Deno.readTextFileSync(`${path}/state`)), STATE);
    assert.equal(Deno.readTextFileSync(`${path}/log`), "1\n2\n");
    await assert.rejects(
      () => runHooksAsync([shell("echo why; exit 3")], STATE, { name: "prestart" }),
      /run prestart hook \/bin\/sh: exit code 3; its output ends with: why/,
    );
    await assert.rejects(
      () => runHooksAsync([shell("sleep 20", { timeout: 0.1 })], STATE, { name: "prestart" }),
      /killed after its timeout of 0.1 s/,
    );
  } finally {
    await Deno.remove(path, { recursive: true });
  }
});
