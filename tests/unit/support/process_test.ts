import assert from "node:assert/strict";
import {
  type CommandOptions,
  isAlive,
  parseStatus,
  readStatus,
  run,
  waitFor,
} from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { missingReason, splitSkipName } from "../../support/skip.ts";

Deno.test("status text becomes data", () => {
  const status = parseStatus([
    "Name:\tqemu",
    "Umask:\t0027",
    "State:\tS (sleeping)",
    "PPid:\t7",
    "Uid:\t65534\t65534\t65534\t65534",
    "Gid:\t65534\t65534\t65534\t65534",
    "Groups:\t108 65534 ",
    "NSpid:\t812\t1",
    "Threads:\t3",
    "SigPnd:\t0000000000000000",
    "ShdPnd:\t0000000000000100",
    "SigBlk:\t0000000000000000",
    "SigIgn:\t0000000000001000",
    "SigCgt:\t0000000000000000",
    "CapInh:\t0000000000000000",
    "CapPrm:\t0000000000000000",
    "CapEff:\t0000000000000000",
    "CapBnd:\t000001ffffffffff",
    "CapAmb:\t0000000000000000",
    "NoNewPrivs:\t1",
    "Seccomp:\t2",
    "Seccomp_filters:\t1",
  ].join("\n"));
  assert.deepEqual(status.groups, [108, 65534]);
  assert.deepEqual(status.nsPids, [812, 1]);
  assert.equal(status.umask, 0o027);
  assert.equal(status.signals.pending, 0x100n);
  assert.equal(status.capabilities.bounding, 0x1ffffffffffn);
});

Deno.test("an empty list of groups is empty", () => {
  const text = Deno.readTextFileSync("/proc/self/status").replace(/^Groups:.*$/m, "Groups:\t ");
  assert.deepEqual(parseStatus(text).groups, []);
});

Deno.test("the status of this very process", () => {
  const status = readStatus(Deno.pid);
  assert.equal(status.ppid, Deno.ppid);
  assert.equal(status.uids[1], Deno.uid());
  assert.ok(isAlive(Deno.pid));
});

Deno.test("run gives output and code, and does not wait for a grandchild that holds stdout", async () => {
  const script = "sleep 30 & echo $!; echo err >&2; exit 7";
  const { code, stdout, stderr } = await run(["sh", "-c", script]);
  const grandchild = Number(stdout);
  assert.ok(isAlive(grandchild));
  Deno.kill(grandchild, "SIGKILL");
  assert.deepEqual({ code, stderr }, { code: 7, stderr: "err\n" });
});

Deno.test("run ends what takes too long", async () => {
  await assert.rejects(run(["sleep", "9"], { timeoutSeconds: 0.1 }), /did not end within 0.1 s/);
});

Deno.test("a command speaks English, whatever the language is here", async () => {
  const before = Deno.env.get("LC_ALL");
  Deno.env.set("LC_ALL", "de_DE.UTF-8");
  try {
    const language = async (options: CommandOptions) =>
      (await run(["/bin/sh", "-c", "echo $LC_ALL"], options)).stdout.trim();
    assert.equal(await language({}), "C");
    assert.equal(await language({ env: { X: "1" } }), "C");
    assert.equal(await language({ env: { LC_ALL: "fr_FR" } }), "fr_FR");
    assert.equal(await language({ clearEnv: true }), "");
  } finally {
    if (before === undefined) Deno.env.delete("LC_ALL");
    else Deno.env.set("LC_ALL", before);
  }
});

Deno.test("a command ends with its scope, before what was done earlier is undone", async () => {
  const log: string[] = [];
  const scope = new Scope();
  const file = `${await scope.temporaryDirectory()}/pid`;
  const pid = () => Number(Deno.readTextFileSync(file));
  scope.defer("look", () => log.push(isAlive(pid()) ? "alive" : "gone"));
  const script = 'echo $$ >"$1.new"; mv "$1.new" "$1"; exec sleep 9';
  const ended = run(["sh", "-c", script, "sh", file], { scope });
  await waitFor(async () => await Deno.stat(file).catch(() => undefined), {
    timeoutSeconds: 5,
    what: "the command to run",
  });
  assert.ok(isAlive(pid()));
  await scope[Symbol.asyncDispose]();
  assert.deepEqual(log, ["gone"]);
  assert.equal((await ended).code, 137);
});

Deno.test("waitFor says what it waited for", async () => {
  assert.equal(await waitFor(() => 5, { timeoutSeconds: 1, what: "five" }), 5);
  await assert.rejects(
    waitFor(() => false, { timeoutSeconds: 0.05, what: "the moon" }),
    /in vain for the moon/,
  );
});

Deno.test("a scope undoes in reverse, all of it, and then says what failed", async () => {
  const order: string[] = [];
  let directory = "";
  await assert.rejects(async () => {
    await using scope = new Scope();
    directory = await scope.temporaryDirectory();
    scope.defer("first", () => order.push("first"));
    scope.defer("second", () => {
      order.push("second");
      throw new Error("no");
    });
    scope.defer("third", () => order.push("third"));
  }, /clean-up failed: second/);
  assert.deepEqual(order, ["third", "second", "first"]);
  await assert.rejects(Deno.stat(directory), Deno.errors.NotFound);
});

Deno.test("a missing program is a reason to skip, and the reason survives the name", () => {
  assert.equal(missingReason("sh"), undefined);
  const reason = missingReason("no-such-program-anywhere");
  assert.match(reason ?? "", /no-such-program-anywhere/);
  assert.deepEqual(splitSkipName(`boots ~ skipped: ${reason}`), { name: "boots", reason });
  assert.deepEqual(splitSkipName("boots"), { name: "boots" });
});
