/** What the shim writes into containerd's log at `-debug`. */
import assert from "node:assert/strict";
import { close, O_NONBLOCK, O_RDWR, open, read } from "../../ffi/linux.ts";
import {
  ConnectRequest,
  ConnectResponse,
  CreateTaskRequest,
  DeleteRequest,
  KillRequest,
  packAny,
  RuntimeOptions,
  StartRequest,
  WaitRequest,
} from "../../lib/protocol/containerd/messages.ts";
import { Client } from "../../lib/protocol/ttrpc/client.ts";
import { connectUnix } from "../../lib/protocol/ttrpc/transport.ts";
import { doubleConfiguration } from "../support/double.ts";
import { isAlive, run, waitFor } from "../support/process.ts";
import { doubleContainer } from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { withoutSocketDirectories } from "../support/shim_sockets.ts";
import { testIf } from "../support/skip.ts";
import { uruncBinary } from "../support/urunc.ts";

const SIGKILL = 9;

/** The life of one task, and all that its shim wrote into the fifo `log` of the bundle meanwhile. */
async function logOfTask(scope: Scope, flags: string[]): Promise<{ id: string; log: string }> {
  withoutSocketDirectories(scope);
  const { id, bundle, root } = await doubleContainer(scope, "idle", {
    unikernelType: "linux",
    unikernel: { environment: "cmdline" },
    args: ["/init", "idle"],
    env: ["TOKEN=guest-secret"],
  });
  await run(["mkfifo", `${bundle}/log`], { check: true });
  const fifo = open(`${bundle}/log`, O_RDWR | O_NONBLOCK);
  scope.defer("close the fifo", () => close(fifo));
  const directory = await scope.temporaryDirectory("shim");
  const program = `${directory}/containerd-shim-urunc-v2`;
  await Deno.symlink(await uruncBinary(), program);
  const args = ["-namespace", "test", "-address", `${directory}/c.sock`, "-id", id, ...flags];
  const { stdout } = await run([program, ...args, "start"], { cwd: bundle, check: true });
  const client = new Client(() => connectUnix(stdout.replace(/^unix:\/\//, "")));
  scope.defer("disconnect from the shim", () => client.disconnect());
  const call = (method: string, payload: Uint8Array) =>
    client.call("containerd.task.v2.Task", method, payload, 20_000);

  const connected = await call("Connect", ConnectRequest.encode({ id }));
  const { shimPid } = ConnectResponse.decode(connected);
  scope.defer("end the shim", async () => {
    if (isAlive(shimPid)) Deno.kill(shimPid, "SIGKILL");
    await waitFor(() => !isAlive(shimPid), { timeoutSeconds: 10, what: "the shim to end" });
  });
  const options = packAny(RuntimeOptions, {
    configPath: await doubleConfiguration(scope, 'accelerator = "tcg"'),
    configBody: new TextEncoder().encode(`Root = "${root}"`),
  });
  await call("Create", CreateTaskRequest.encode({ id, bundle, options }));
  await call("Start", StartRequest.encode({ id }));
  await call("Kill", KillRequest.encode({ id, signal: SIGKILL }));
  await call("Wait", WaitRequest.encode({ id }));
  await call("Delete", DeleteRequest.encode({ id }));
  await call("Shutdown", new Uint8Array());
  await waitFor(() => !isAlive(shimPid), { timeoutSeconds: 10, what: "the shim to end" });
  return { id, log: readAll(fifo) };
}

/** What is in a pipe, which is not empty. */
function readAll(fd: number): string {
  const buffer = new Uint8Array(64 * 1024);
  try {
    return new TextDecoder().decode(buffer.subarray(0, read(fd, buffer)));
  } catch {
    return "";
  }
}

const needs = ["root", "gcc"];

testIf("-debug logs a task's requests and steps, with its id, and nothing secret", {
  needs,
}, async () => {
  await using scope = new Scope();
  const { id, log } = await logOfTask(scope, ["-debug"]);
  const lines = log.trimEnd().split("\n");
  const said = lines.map((line) => /^time="[^"]+" level=debug msg="(.*?)"( |$)/.exec(line)?.[1]);
  for (
    const expected of [
      /^the container is a guest: /,
      /^create: mount root$/,
      /^namespaces step 0 undumpable$/,
      /^launch step \d+ pivotRoot$/,
      /^exec .* TOKEN=\* /,
      /^create: launch$/,
      /^request Create$/,
      /^launch step \d+ exec qemu$/,
      /^request Start$/,
      /^kill: signal 9 to the waiter$/,
      /^delete: remove the state$/,
      /^request Delete$/,
    ]
  ) {
    assert.ok(said.some((msg) => expected.test(msg ?? "")), `${expected} in\n${log}`);
  }
  const steps = lines.filter((line) => / step \d+ /.test(line));
  assert.deepEqual(steps.filter((line) => !line.includes(`id=${id}`)), []);
  assert.doesNotMatch(log, /secret/);
});

testIf("the shim logs nothing of a task that is in order without -debug", { needs }, async () => {
  await using scope = new Scope();
  const { log } = await logOfTask(scope, []);
  assert.equal(log, "");
});
