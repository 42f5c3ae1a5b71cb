import assert from "node:assert/strict";
import {
  computeStatus,
  isAlive,
  type ProcessView,
  type StatusInput,
} from "../../../lib/container/status.ts";
import { readProcessStat } from "../../../lib/os/process.ts";
import { readFileIdentity } from "../../../lib/os/files.ts";

const INIT = { dev: 1, ino: 10 };
const MONITOR = { dev: 1, ino: 20 };

/** Processes by pid: state letter, start time, what they execute. */
type Processes = Record<number, [string, string, { dev: number; ino: number }?]>;

function view(processes: Processes): ProcessView {
  return {
    stat(pid) {
      const process = processes[pid];
      return process && { state: process[0], startTime: process[1], parentPid: 1 };
    },
    executable: (pid) => processes[pid]?.[2],
  };
}

const CREATED: StatusInput = {
  phase: "created",
  pid: 7,
  pidStartTime: "100",
  initExecutable: INIT,
  creatorPid: 5,
  creatorStartTime: "50",
};
const CREATING: StatusInput = { ...CREATED, phase: "creating" };
const BEFORE_INIT: StatusInput = { ...CREATING, pid: undefined, pidStartTime: undefined };
const STARTED: StatusInput = { ...CREATED, phase: "started" };

const CASES: [string, StatusInput, Processes, string][] = [
  ["init lives", CREATED, { 7: ["S", "100", INIT] }, "created"],
  ["init became the monitor", STARTED, { 7: ["S", "100", MONITOR] }, "running"],
  ["start was killed before it wrote so", CREATED, { 7: ["R", "100", MONITOR] }, "running"],
  [
    "the same inode on another device",
    CREATED,
    { 7: ["S", "100", { dev: 2, ino: 10 }] },
    "running",
  ],
  ["no process", STARTED, {}, "stopped"],
  ["a zombie", STARTED, { 7: ["Z", "100"] }, "stopped"],
  ["a dead process", STARTED, { 7: ["X", "100"] }, "stopped"],
  ["the number is another process's", STARTED, { 7: ["S", "101", MONITOR] }, "stopped"],
  ["it ended between two looks", STARTED, { 7: ["S", "100"] }, "stopped"],
  ["stopped by a signal is not ended", STARTED, { 7: ["T", "100", MONITOR] }, "running"],
  ["being created", CREATING, { 5: ["S", "50"], 7: ["S", "100", INIT] }, "creating"],
  ["being created, no init yet", BEFORE_INIT, { 5: ["S", "50"] }, "creating"],
  ["the creator was killed", CREATING, { 7: ["S", "100", INIT] }, "stopped"],
  ["the creator was killed before init", BEFORE_INIT, {}, "stopped"],
  ["the creator's number is another's", BEFORE_INIT, { 5: ["S", "51"] }, "stopped"],
  ["init was killed, the creator lives", CREATING, { 5: ["S", "50"] }, "stopped"],
  ["created, and no pid was kept", { ...CREATED, pid: undefined }, {}, "stopped"],
];

for (const [what, state, processes, expected] of CASES) {
  Deno.test(`status: ${what}: ${expected}`, () => {
    assert.equal(computeStatus(state, view(processes)), expected);
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
