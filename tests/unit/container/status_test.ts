import assert from "node:assert/strict";
import {
  computeStatus,
  type ProcessView,
  type StatusInput,
} from "../../../lib/container/status.ts";
import { isAlive } from "../../../lib/os/alive.ts";
import { readProcessStat } from "../../../lib/os/process.ts";
import { readFileIdentity } from "../../../lib/os/files.ts";
import { threadsWithoutMain } from "../../support/threads.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";

const INIT = { dev: 1, ino: 10 };
const WAITER = { dev: 1, ino: 20 };
const CGROUP = "/sys/fs/cgroup/one";

/** Living processes by pid: start time, what they execute, and what they are called. */
type Processes = Record<number, [string, { dev: number; ino: number }?, string?]>;

function view(processes: Processes, inCgroup: number[] = []): ProcessView {
  return {
    isAlive: (pid, startTime) => pid !== undefined && processes[pid]?.[0] === startTime,
    executable: (pid) => processes[pid]?.[1],
    name: (pid) => processes[pid]?.[2],
    inCgroup: ([directory]) => directory === CGROUP ? inCgroup : [],
  };
}

const CREATED: StatusInput = {
  phase: "created",
  pid: 7,
  pidStartTime: "100",
  initExecutable: INIT,
  creatorPid: 5,
  creatorStartTime: "50",
  cgroupPaths: [CGROUP],
};
const CREATING: StatusInput = { ...CREATED, phase: "creating" };
const BEFORE_INIT: StatusInput = { ...CREATING, pid: undefined, pidStartTime: undefined };
const STARTED: StatusInput = { ...CREATED, phase: "started" };

const CASES: [string, StatusInput, Processes, string, number[]?][] = [
  ["init waits", CREATED, { 7: ["100", WAITER, "urunc-init"] }, "created"],
  ["init of an older urunc waits", CREATED, { 7: ["100", INIT, "urunc"] }, "created"],
  ["init was started", STARTED, { 7: ["100", WAITER, "urunc-waiter"] }, "running"],
  [
    "start was killed before it wrote so",
    CREATED,
    { 7: ["100", WAITER, "urunc-waiter"] },
    "running",
  ],
  ["the same inode on another device", CREATED, { 7: ["100", { dev: 2, ino: 10 }] }, "running"],
  ["no process", STARTED, {}, "stopped"],
  ["the number is another process's", STARTED, { 7: ["101", WAITER] }, "stopped"],
  ["its memory is gone, and it is not", STARTED, { 7: ["100"] }, "running"],
  ["its memory is gone before start", CREATED, { 7: ["100"] }, "created"],
  ["a monitor lives on", STARTED, {}, "running", [8]],
  ["a monitor lives on, start was killed", CREATED, {}, "running", [8]],
  ["being created", CREATING, { 5: ["50"], 7: ["100", INIT] }, "creating"],
  ["being created, no init yet", BEFORE_INIT, { 5: ["50"] }, "creating"],
  ["the creator was killed", CREATING, { 7: ["100", INIT] }, "stopped"],
  ["the creator was killed before init", BEFORE_INIT, {}, "stopped"],
  ["the creator's number is another's", BEFORE_INIT, { 5: ["51"] }, "stopped"],
  ["init was killed, the creator lives", CREATING, { 5: ["50"] }, "stopped"],
  ["created, and no pid was kept", { ...CREATED, pid: undefined }, {}, "stopped"],
];

for (const [what, state, processes, expected, inCgroup] of CASES) {
  Deno.test(`status: ${what}: ${expected}`, () => {
    assert.equal(computeStatus(state, view(processes, inCgroup)), expected);
  });
}

Deno.test("status of a real process: created, running by another name, stopped as a zombie", async () => {
  const script = "printf urunc-init >/proc/$$/comm; echo; read line; " +
    "printf urunc-waiter >/proc/$$/comm; echo; read line";
  const shell = new Deno.Command("/bin/sh", {
    args: ["-c", script],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const said = shell.stdout.getReader();
  const state: StatusInput = {
    phase: "created",
    pid: shell.pid,
    pidStartTime: readProcessStat(shell.pid)?.startTime,
    initExecutable: INIT,
    cgroupPaths: [],
  };
  await said.read();
  assert.equal(computeStatus(state), "created");
  const writer = shell.stdin.getWriter();
  await writer.write(new TextEncoder().encode("go\n"));
  await said.read();
  assert.equal(computeStatus(state), "running");
  shell.kill("SIGKILL");
  await shell.status;
  await said.cancel();
  await writer.close().catch(() => {});
  assert.equal(computeStatus(state), "stopped");
  assert.equal(isAlive(state.pid, state.pidStartTime), false);
});

Deno.test("this process is alive, with another start time it is not", () => {
  const startTime = readProcessStat(Deno.pid)?.startTime;
  assert.equal(isAlive(Deno.pid, startTime), true);
  assert.equal(isAlive(Deno.pid, "1"), false);
  assert.equal(isAlive(undefined, undefined), false);
});

testIf("a process whose main thread has exited is alive, and running, until all have", {
  needs: ["gcc"],
}, async () => {
  await using scope = new Scope();
  const process = await threadsWithoutMain(scope);
  const { pid } = process;
  const stat = readProcessStat(pid)!;
  assert.equal(stat.state, "Z");
  assert.ok(isAlive(pid, stat.startTime));
  const state = { ...STARTED, pid, pidStartTime: stat.startTime };
  assert.equal(computeStatus(state), "running");
  // As before `start`: by what the other threads execute.
  const initExecutable = readFileIdentity(process.program);
  assert.equal(computeStatus({ ...state, phase: "created", initExecutable }), "created");
  await process.end();
  assert.ok(!isAlive(pid, stat.startTime));
  assert.equal(computeStatus(state), "stopped");
});
