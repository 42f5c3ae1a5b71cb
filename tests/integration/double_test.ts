import assert from "node:assert/strict";
import { doubleBinary, parseReport } from "../support/double.ts";
import { isAlive, readStatus, run, signalChild, waitFor } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

const needs = ["gcc"];

async function double(commands: string, stdin?: string) {
  return await run([await doubleBinary(), "-m", "64M", "-append", commands], {
    clearEnv: true,
    stdin,
  });
}

testIf("double: its report agrees with the kernel", { needs }, async () => {
  const { code, stdout } = await double("report /proc/self/status /no/such/file; exit 3");
  assert.equal(code, 3);
  const report = parseReport(stdout);
  const own = readStatus(Deno.pid);
  assert.deepEqual(report.argv.slice(1, 4), ["-m", "64M", "-append"]);
  assert.deepEqual(report.env, []);
  assert.deepEqual(report.uids, own.uids.slice(0, 3));
  assert.deepEqual(report.groups, own.groups);
  assert.equal(BigInt(`0x${report.capabilities.bounding}`), own.capabilities.bounding);
  assert.equal(BigInt(`0x${report.capabilities.effective}`), own.capabilities.effective);
  assert.equal(report.noNewPrivs, own.noNewPrivs);
  assert.equal(report.umask, own.umask);
  assert.equal(report.cwd, Deno.cwd());
  assert.deepEqual(report.fds.slice(0, 3).map((it) => it.fd), [0, 1, 2]);
  assert.equal(report.fds[1]?.type, "fifo");
  assert.deepEqual(report.opens, {
    "/proc/self/status": { errno: 0 },
    "/no/such/file": { errno: 2 },
  });
  assert.deepEqual(
    report.root.map((it) => it.name).sort(),
    [...Deno.readDirSync("/")].map((it) => it.name).sort(),
  );
  const zero = report.dev.find((it) => it.name === "zero");
  assert.deepEqual([zero?.type, zero?.major, zero?.minor, zero?.mode], ["char", 1, 5, 0o666]);
});

testIf("double: inherited fds and ignored signals are seen", { needs }, async () => {
  const script = `trap "" HUP PIPE; exec "$0" -append report 9</etc/passwd`;
  const { stdout } = await run(["sh", "-c", script, await doubleBinary()]);
  const report = parseReport(stdout);
  assert.equal(report.fds.find((it) => it.fd === 9)?.type, "file");
  const ignored = BigInt(`0x${report.signalsIgnored}`);
  assert.equal(ignored & 1n, 1n, "SIGHUP");
  assert.equal(ignored >> 12n & 1n, 1n, "SIGPIPE");
});

testIf("double: commands", { needs }, async () => {
  const cases: [commands: string, stdout: string, code: number][] = [
    ["print a b", "a b\n", 0],
    ['print "a  b" c ; print "x;y"', "a  b c\nx;y\n", 0],
    ['"print one; print two; exit 4"', "one\ntwo\n", 4],
    ["exit 255", "", 255],
    ["bogus", "double: unknown command bogus\n", 64],
    ["open /no/such r; write /no/such/file", '{"errno":2}\n{"errno":2}\n', 0],
    ["alloc 8", '{"errno":0}\n', 0],
    ["", "", 0],
  ];
  for (const [commands, stdout, code] of cases) {
    assert.deepEqual(await double(commands), { code, stdout, stderr: "" }, commands);
  }
});

testIf("double: copies stdin, and writes as many bytes as asked", { needs }, async () => {
  assert.equal((await double("read; print end", "héllo\n")).stdout, "héllo\nend\n");
  for (const bytes of [0, 1, 63, 64, 200_000]) {
    assert.equal((await double(`output ${bytes}`)).stdout.length, bytes);
  }
});

testIf("double: as PID 1 SIGTERM ends it, unless asked to ignore it", {
  needs: [...needs, "root", "unshare"],
}, async () => {
  for (const [commands, ends] of [["idle", true], ["ignore 15; idle", false]] as const) {
    await using scope = new Scope();
    const child = new Deno.Command("unshare", {
      args: ["--pid", "--fork", "--kill-child", await doubleBinary(), "-append", commands],
    }).spawn();
    scope.defer("end unshare", async () => {
      signalChild(child, "SIGKILL");
      await child.status;
    });
    const inner = await waitFor(
      () => {
        const text = Deno.readTextFileSync(`/proc/${child.pid}/task/${child.pid}/children`).trim();
        // SIGTERM caught or ignored: the double has got that far.
        if (text === "" || !readStatus(Number(text)).name.startsWith("double-")) return undefined;
        const { caught, ignored } = readStatus(Number(text)).signals;
        return (ends ? caught : ignored) >> 14n & 1n ? Number(text) : undefined;
      },
      { timeoutSeconds: 5, what: "the double to run" },
    );
    Deno.kill(inner, "SIGTERM");
    if (ends) {
      await waitFor(() => !isAlive(inner), { timeoutSeconds: 5, what: "the double to end" });
      assert.equal((await child.status).code, 0);
    } else {
      await new Promise((resolve) => setTimeout(resolve, 100));
      assert.ok(isAlive(inner));
    }
  }
});
