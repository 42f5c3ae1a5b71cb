/** The task service with tasks that end, and take their time, when a test says so. */
import assert from "node:assert/strict";
import type { MemoryWatch } from "../../../lib/shim/oom/watch.ts";
import {
  ConnectRequest,
  ConnectResponse,
  CreateTaskRequest,
  CreateTaskResponse,
  DeleteRequest,
  DeleteResponse,
  ExecProcessRequest,
  type Input,
  KillRequest,
  type MessageType,
  PauseRequest,
  PidsRequest,
  PidsResponse,
  ProcessDetails,
  ResizePtyRequest,
  ResumeRequest,
  StartRequest,
  StartResponse,
  StateRequest,
  StateResponse,
  StatsRequest,
  Status,
  TaskExit as TaskExitEvent,
  UpdateTaskRequest,
  WaitRequest,
  WaitResponse,
} from "../../../lib/protocol/containerd/messages.ts";
import { unpackAny } from "../../../lib/protocol/protobuf/well_known.ts";
import { message } from "../../../lib/protocol/protobuf/schema.ts";
import type { MessageOf } from "../../../lib/protocol/protobuf/types.ts";
import { TaskService } from "../../../lib/shim/service.ts";
import type { Task, TaskExit, TaskProcess, TaskStatus } from "../../../lib/shim/task/task.ts";
import { Code, statusOf } from "../../../lib/protocol/ttrpc/status.ts";

const Nothing = message("google.protobuf.Empty", () => ({}));

/** A process whose steps are done at once, but for those that were held up. */
class FakeProcess implements TaskProcess {
  readonly io = { stdin: "", stdout: "", stderr: "", terminal: false };
  readonly ended: Promise<TaskExit>;
  readonly calls: string[] = [];
  readonly held = new Map<string, Promise<void>>();
  exit: TaskExit | undefined = undefined;
  #isStarted = false;
  #end!: (exit: TaskExit) => void;

  constructor(readonly pid: number) {
    this.ended = new Promise((resolve) => this.#end = resolve);
  }

  /** The process ends by itself. */
  finish(status: number): void {
    this.exit = { status, at: new Date(1000) };
    this.#end(this.exit);
  }

  /** A step takes until the returned function is called. */
  hold(step: string): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.held.set(step, promise);
    return resolve;
  }

  protected async step(name: string): Promise<void> {
    this.calls.push(name);
    await this.held.get(name);
  }

  status(): TaskStatus {
    if (this.exit !== undefined) return "stopped";
    return this.#isStarted ? "running" : "created";
  }

  async start(): Promise<void> {
    await this.step("start");
    this.#isStarted = true;
  }

  async kill(signal: number): Promise<void> {
    await this.step(`kill ${signal}`);
  }

  resize(columns: number, rows: number): void {
    this.calls.push(`resize ${columns}x${rows}`);
  }

  closeInput(): void {
    this.calls.push("closeInput");
  }

  async delete(): Promise<void> {
    await this.step("delete");
  }
}

class FakeTask extends FakeProcess implements Task {
  readonly bundle = "/bundle";
  readonly added: FakeProcess[] = [];

  constructor(readonly id: string, pid: number) {
    super(pid);
  }

  pause = () => this.step("pause");
  resume = () => this.step("resume");
  update = (resources: Uint8Array) => this.step(`update ${new TextDecoder().decode(resources)}`);
  pids = () => Promise.resolve([this.pid, this.pid + 1]);
  cgroupPaths = () => [];

  exec(): Promise<TaskProcess> {
    const process = new FakeProcess(this.pid + 100);
    this.added.push(process);
    return Promise.resolve(process);
  }
}

/** The service, what it made, and what it told. */
class Shim {
  readonly tasks = new Map<string, FakeTask>();
  readonly told: string[] = [];
  readonly exits: MessageOf<typeof TaskExitEvent>[] = [];
  shutdowns = 0;
  /** Is thrown instead of making a task. */
  failure?: Error;
  /** The making takes until this is settled. */
  making: Promise<void> = Promise.resolve();
  /** The kernel has killed something of a task that nobody has told of. */
  hadKill = false;
  /** Nobody can look whether it has. */
  memoryFailure?: Error;
  readonly logged: string[] = [];
  readonly service = new TaskService({
    tasks: {
      create: async ({ id }) => {
        await this.making;
        if (this.failure !== undefined) throw this.failure;
        const task = new FakeTask(id, 10 * (this.tasks.size + 1));
        this.tasks.set(id, task);
        return task;
      },
      remove: (task) => void this.tasks.delete(task.id),
      watchMemory: (_task, tell) => {
        const end = () => {
          if (this.memoryFailure !== undefined) return Promise.reject(this.memoryFailure);
          return Promise.resolve(this.hadKill ? tell() : undefined);
        };
        return { begin() {}, end } as unknown as MemoryWatch;
      },
    },
    publisher: {
      publish: (topic, type, event) => {
        const { containerId, execId, id } = event as Record<string, string>;
        if (topic === "/tasks/exit") {
          this.exits.push(event as unknown as MessageOf<typeof TaskExitEvent>);
        }
        const whose = execId ?? (topic === "/tasks/exit" ? id : containerId);
        assert.ok(type.name.startsWith("containerd.events.Task"));
        this.told.push(`${whose} ${topic}`);
      },
    },
    log: { error: (what, error) => this.logged.push(`${what}: ${error}`) },
    shutdown: () => this.shutdowns++,
  });
  readonly #handlers = this.service.handlers();

  /** Asks, as containerd does; afterwards the answer has been written. */
  async ask<Q, A>(
    method: string,
    requestType: MessageType<Q>,
    request: Input<Q>,
    answerType: MessageType<A>,
  ): Promise<A> {
    const after: (() => void)[] = [];
    const payload = await this.#handlers[method]!(requestType.encode(request), {
      service: "containerd.task.v2.Task",
      method,
      signal: new AbortController().signal,
      afterAnswer: (callback) => after.push(callback),
    });
    for (const callback of after) callback();
    return answerType.decode(payload);
  }

  create(id: string) {
    return this.ask("Create", CreateTaskRequest, { id }, CreateTaskResponse);
  }

  start(id: string, execId = "") {
    return this.ask("Start", StartRequest, { id, execId }, StartResponse);
  }

  delete(id: string, execId = "") {
    return this.ask("Delete", DeleteRequest, { id, execId }, DeleteResponse);
  }

  state(id: string, execId = "") {
    return this.ask("State", StateRequest, { id, execId }, StateResponse);
  }

  /** For requests whose answer says nothing. */
  order<Q>(method: string, requestType: MessageType<Q>, request: Input<Q>): Promise<unknown> {
    return this.ask(method, requestType, request, Nothing);
  }
}

/** All that is done without anybody's help has been done. */
const settled = () => new Promise((resolve) => setTimeout(resolve));

async function refusal(answer: Promise<unknown>): Promise<number> {
  try {
    await answer;
  } catch (error) {
    return statusOf(error).code;
  }
  return Code.ok;
}

Deno.test("service: a task's life, its numbers and its events", async () => {
  const shim = new Shim();
  assert.equal((await shim.create("box")).pid, 10);
  assert.equal((await shim.state("box")).status, Status.created);
  assert.equal((await shim.start("box")).pid, 10);
  assert.equal((await shim.state("box")).status, Status.running);
  const pids = () => shim.ask("Pids", PidsRequest, { id: "box" }, PidsResponse);
  assert.deepEqual((await pids()).processes.map(({ pid }) => pid), [10, 11]);
  const connected = await shim.ask("Connect", ConnectRequest, { id: "box" }, ConnectResponse);
  assert.deepEqual([connected.shimPid, connected.taskPid], [Deno.pid, 10]);
  await shim.order("Pause", PauseRequest, { id: "box" });
  await shim.order("Resume", ResumeRequest, { id: "box" });
  const resources = { typeUrl: "", value: new TextEncoder().encode("{}") };
  await shim.order("Update", UpdateTaskRequest, { id: "box", resources });
  await shim.order("ResizePty", ResizePtyRequest, { id: "box", width: 132, height: 43 });
  await shim.order("Kill", KillRequest, { id: "box", signal: 15 });
  const waiting = shim.ask("Wait", WaitRequest, { id: "box" }, WaitResponse);
  const task = shim.tasks.get("box")!;
  task.finish(7);
  assert.equal((await waiting).exitStatus, 7);
  const { status, exitStatus } = await shim.state("box");
  assert.deepEqual([status, exitStatus], [Status.stopped, 7]);
  // A containerd that was started again would forget a task without any.
  assert.deepEqual((await pids()).processes.map(({ pid }) => pid), [10]);
  assert.equal((await shim.delete("box")).exitStatus, 7);
  assert.deepEqual(task.calls, [
    "start",
    "pause",
    "resume",
    "update {}",
    "resize 132x43",
    "kill 15",
    "delete",
  ]);
  const topics = ["create", "start", "paused", "resumed", "exit", "delete"];
  assert.deepEqual(shim.told, topics.map((it) => `box /tasks/${it}`));
  assert.equal(shim.tasks.size, 0);
  assert.equal(await refusal(shim.state("box")), Code.notFound);
});

Deno.test("service: an exit before the start's answer is reported after it", async () => {
  const shim = new Shim();
  shim.hadKill = true;
  await shim.create("box");
  const task = shim.tasks.get("box")!;
  const goOn = task.hold("start");
  const starting = shim.start("box");
  await settled();
  task.finish(137);
  const deleting = shim.delete("box");
  await settled();
  assert.deepEqual(shim.told, ["box /tasks/create"]);
  goOn();
  await Promise.all([starting, deleting]);
  const topics = ["create", "start", "oom", "exit", "delete"];
  assert.deepEqual(shim.told, topics.map((it) => `box /tasks/${it}`));
});

Deno.test("service: an exit is reported even when the memory cannot be read", async () => {
  const shim = new Shim();
  shim.memoryFailure = new Error("EMFILE");
  await shim.create("one");
  await shim.start("one");
  shim.tasks.get("one")!.finish(3);
  assert.equal((await shim.delete("one")).exitStatus, 3);
  assert.deepEqual(shim.told.slice(2), ["one /tasks/exit", "one /tasks/delete"]);
  assert.deepEqual(shim.logged, ["look whether memory was short: Error: EMFILE"]);
});

Deno.test("service: a kill is answered before a delete", async () => {
  const shim = new Shim();
  await shim.create("box");
  await shim.start("box");
  const task = shim.tasks.get("box")!;
  const goOn = task.hold("kill 9");
  const answered: string[] = [];
  const kill = shim.order("Kill", KillRequest, { id: "box", signal: 9 });
  const killing = kill.then(() => answered.push("kill"));
  await settled();
  task.finish(137);
  const deleting = shim.delete("box").then(() => answered.push("delete"));
  await settled();
  assert.deepEqual(answered, []);
  goOn();
  await Promise.all([killing, deleting]);
  assert.deepEqual(answered, ["kill", "delete"]);
});

Deno.test("service: a failed kill does not fail the delete", async () => {
  const shim = new Shim();
  await shim.create("box");
  const task = shim.tasks.get("box")!;
  const held = Promise.withResolvers<void>();
  task.held.set("kill 9", held.promise);
  const killing = shim.order("Kill", KillRequest, { id: "box", signal: 9 });
  task.finish(137);
  const deleting = shim.delete("box");
  await settled();
  held.reject(new Error("no such process"));
  await assert.rejects(killing, /no such process/);
  assert.equal((await deleting).exitStatus, 137);
});

Deno.test("service: requests for one task do not wait on another's", async () => {
  const shim = new Shim();
  await shim.create("slow");
  await shim.start("slow");
  const slow = shim.tasks.get("slow")!;
  const goOn = slow.hold("pause");
  const pausing = shim.order("Pause", PauseRequest, { id: "slow" });
  const resuming = shim.order("Resume", ResumeRequest, { id: "slow" });

  await shim.create("other");
  await shim.start("other");
  await shim.order("Pause", PauseRequest, { id: "other" });
  shim.tasks.get("other")!.finish(0);
  await shim.delete("other");
  // Its own are answered, too, if they change nothing, or must not wait.
  assert.equal((await shim.state("slow")).status, Status.running);
  await shim.order("Kill", KillRequest, { id: "slow", signal: 9 });
  assert.deepEqual(slow.calls, ["start", "pause", "kill 9"]);
  goOn();
  await Promise.all([pausing, resuming]);
  assert.deepEqual(slow.calls, ["start", "pause", "kill 9", "resume"]);
});

Deno.test("service: a process that was added has a life of its own", async () => {
  const shim = new Shim();
  await shim.create("box");
  await shim.start("box");
  const exec = () => shim.order("Exec", ExecProcessRequest, { id: "box", execId: "more" });
  await exec();
  assert.equal(await refusal(exec()), Code.alreadyExists);
  assert.equal((await shim.start("box", "more")).pid, 110);
  const size = { id: "box", execId: "more", width: 80, height: 24 };
  await shim.order("ResizePty", ResizePtyRequest, size);
  const task = shim.tasks.get("box")!;
  const [added] = task.added;
  added!.finish(3);
  assert.equal((await shim.delete("box", "more")).exitStatus, 3);
  assert.equal(await refusal(shim.state("box", "more")), Code.notFound);
  assert.equal((await shim.state("box")).status, Status.running);
  assert.deepEqual(added!.calls, ["start", "resize 80x24", "delete"]);
  assert.deepEqual(task.calls, ["start"]);
  assert.deepEqual(shim.told, [
    "box /tasks/create",
    "box /tasks/start",
    "more /tasks/exec-added",
    "more /tasks/exec-started",
    "more /tasks/exit",
  ]);
  assert.deepEqual(shim.exits.map(({ containerId, pid }) => [containerId, pid]), [["box", 110]]);
});

/** A task that runs, and processes that were added to it and run. */
async function running(...execs: string[]): Promise<{ shim: Shim; task: FakeTask }> {
  const shim = new Shim();
  await shim.create("box");
  await shim.start("box");
  for (const execId of execs) {
    await shim.order("Exec", ExecProcessRequest, { id: "box", execId });
    await shim.start("box", execId);
  }
  return { shim, task: shim.tasks.get("box")! };
}

Deno.test("service: of two that add a process under one id at the same time one succeeds", async () => {
  const { shim, task } = await running();
  const exec = () => refusal(shim.order("Exec", ExecProcessRequest, { id: "box", execId: "more" }));
  assert.deepEqual((await Promise.all([exec(), exec()])).sort(), [Code.ok, Code.alreadyExists]);
  assert.equal(task.added.length, 1);
});

Deno.test("service: a process whose start fails has no exit to report, and can be deleted", async () => {
  const { shim, task } = await running();
  await shim.order("Exec", ExecProcessRequest, { id: "box", execId: "more" });
  const [added] = task.added;
  added!.held.set("start", Promise.reject(new Error("not found")));
  await assert.rejects(shim.start("box", "more"), /not found/);
  added!.finish(137);
  await shim.delete("box", "more");
  assert.deepEqual(shim.told.slice(2), ["more /tasks/exec-added"]);
  assert.equal(await refusal(shim.state("box", "more")), Code.notFound);
});

Deno.test("service: a slow start of a process holds up neither the container nor others", async () => {
  const { shim, task } = await running();
  for (const execId of ["slow", "quick"]) {
    await shim.order("Exec", ExecProcessRequest, { id: "box", execId });
  }
  const goOn = task.added[0]!.hold("start");
  const starting = shim.start("box", "slow");
  await shim.start("box", "quick");
  await shim.order("Pause", PauseRequest, { id: "box" });
  await shim.order("Resume", ResumeRequest, { id: "box" });
  task.added[0]!.finish(0);
  await settled();
  assert.ok(!shim.told.includes("slow /tasks/exit"), "not before its start");
  goOn();
  await starting;
  await settled();
  assert.deepEqual(shim.told.slice(-2), ["slow /tasks/exec-started", "slow /tasks/exit"]);
});

Deno.test("service: a container's exit is reported after those of its processes", async () => {
  const { shim, task } = await running("one", "two");
  task.finish(137);
  await settled();
  assert.ok(!shim.told.includes("box /tasks/exit"));
  for (const added of task.added) added.finish(137);
  await shim.delete("box");
  const ends = ["one /tasks/exit", "two /tasks/exit", "box /tasks/exit", "box /tasks/delete"];
  assert.deepEqual(shim.told.slice(-4), ends);
});

Deno.test("service: of a container's processes those are marked that were added", async () => {
  const { shim } = await running("more");
  const { processes } = await shim.ask("Pids", PidsRequest, { id: "box" }, PidsResponse);
  const marked = processes.map(({ pid, info }) => [
    pid,
    info && unpackAny(ProcessDetails, info)?.execId,
  ]);
  assert.deepEqual(marked, [[10, undefined], [11, undefined], [110, "more"]]);
});

Deno.test("service: an id is taken from its creation on, and free when that failed", async () => {
  const shim = new Shim();
  const { promise, resolve } = Promise.withResolvers<void>();
  shim.making = promise;
  const creating = shim.create("box");
  assert.equal(shim.service.isIdle, false);
  assert.equal(await refusal(shim.create("box")), Code.alreadyExists);
  shim.failure = new Error("no room");
  resolve();
  await assert.rejects(creating, /no room/);
  assert.equal(shim.service.isIdle, true);
  assert.deepEqual(shim.told, []);
  shim.failure = undefined;
  await shim.create("box");
  assert.equal(await refusal(shim.create("box")), Code.alreadyExists);
});

Deno.test("service: it ends when it is asked to and has no task", async () => {
  const shim = new Shim();
  const shutDown = () => shim.order("Shutdown", Nothing, {});
  await shim.create("box");
  await shutDown();
  assert.equal(shim.shutdowns, 0);
  shim.tasks.get("box")!.finish(0);
  await shim.delete("box");
  assert.equal(shim.shutdowns, 0, "nobody has asked since");
  await shutDown();
  assert.equal(shim.shutdowns, 1);
});

Deno.test("service: missing things are rejected with containerd's code", async () => {
  const shim = new Shim();
  const unknown: [method: string, type: MessageType<unknown>][] = [
    ["State", StateRequest],
    ["Start", StartRequest],
    ["Delete", DeleteRequest],
    ["Pids", PidsRequest],
    ["Pause", PauseRequest],
    ["Resume", ResumeRequest],
    ["Kill", KillRequest],
    ["Exec", ExecProcessRequest],
    ["ResizePty", ResizePtyRequest],
    ["Update", UpdateTaskRequest],
    ["Wait", WaitRequest],
    ["Stats", StatsRequest],
  ] as [string, MessageType<unknown>][];
  for (const [method, type] of unknown) {
    const answer = shim.order(method, type, { id: "nobody" } as Input<unknown>);
    assert.equal(await refusal(answer), Code.notFound, method);
  }
  await shim.create("box");
  const box = { id: "box" } as Input<unknown>;
  const checkpoint = shim.order("Checkpoint", StateRequest as MessageType<unknown>, box);
  assert.equal(await refusal(checkpoint), Code.unimplemented);
});
