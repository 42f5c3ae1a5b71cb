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
const MONITOR = { dev: 1, ino: 20 };
const CGROUP = "/sys/fs/cgroup/one";

/** Living processes by pid: start time, what they execute, and whether they are in the cgroup only. */
type Processes = Record<number, [string, { dev: number; ino: number }?]>;

function view(processes: Processes, inCgroup: number[] = []): ProcessView {
  return {
    isAlive: (pid, startTime) => pid !== undefined && processes[pid]?.[0] === startTime,
    executable: (pid) => processes[pid]?.[1],
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
  ["init lives", CREATED, { 7: ["100", INIT] }, "created"],
  ["init became the monitor", STARTED, { 7: ["100", MONITOR] }, "running"],
  ["start was killed before it wrote so", CREATED, { 7: ["100", MONITOR] }, "running"],
  ["the same inode on another device", CREATED, { 7: ["100", { dev: 2, ino: 10 }] }, "running"],
  ["no process", STARTED, {}, "stopped"],
  ["the number is another process's", STARTED, { 7: ["101", MONITOR] }, "stopped"],
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

Deno.test("status of a real process: created, running after exec, stopped as a zombie", async () => {
  const shell = new Deno.Command("/bin/sh", {
    args: ["-c", "read line; exec sleep 60"],
    stdin: "piped",
  }).spawn();
  const state: StatusInput = {
    phase: "created",
    pid: shell.pid,
    pidStartTime: readProcessStat(shell.pid)?.startTime,
    initExecutable: readFileIdentity(`/proc/${shell.pid}/exe`),
    cgroupPaths: [],
  };
  assert.equal(computeStatus(state), "created");
  await shell.stdin.getWriter().write(new TextEncoder().encode("go\n"));
  const deadline = Date.now() + 5000;
  while (computeStatus(state) !== "running" && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.equal(computeStatus(state), "running");
  shell.kill("SIGKILL");
  await shell.status;
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
