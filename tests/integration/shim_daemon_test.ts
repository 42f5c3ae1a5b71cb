/** The process that `start` leaves running, before it has any task. */
import assert from "node:assert/strict";
import {
  Any,
  BootstrapParams,
  ConnectRequest,
  ConnectResponse,
  packAny,
  RuncOptions,
} from "../../lib/protocol/containerd/messages.ts";
import { Client } from "../../lib/protocol/ttrpc/client.ts";
import { connectUnix } from "../../lib/protocol/ttrpc/transport.ts";
import { cgroupDirectories, removeCgroupTree } from "../support/cgroups.ts";
import { isAlive, readStatus, run, waitFor } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { withoutSocketDirectories } from "../support/shim_sockets.ts";
import { testIf } from "../support/skip.ts";
import { uruncBinary } from "../support/urunc.ts";
import { RUN_PREFIX } from "../support/mark.ts";

const NAMESPACE = "test";
const ID = "one";

/** A shim that nobody's containerd has started. */
class Shim {
  readonly address: string;
  readonly #client: Client;

  private constructor(scope: Scope, address: string) {
    this.address = address;
    this.#client = new Client(() => connectUnix(this.socket));
    scope.defer("disconnect from the shim", () => this.#client.disconnect());
  }

  /** @param input what containerd writes to the standard input of `start` */
  static async start(scope: Scope, input: Uint8Array): Promise<Shim> {
    withoutSocketDirectories(scope);
    const directory = await scope.temporaryDirectory("shim");
    const path = `${directory}/containerd-shim-urunc-v2`;
    await Deno.symlink(await uruncBinary(), path);
    await Deno.writeTextFile(`${directory}/config.json`, "{}");
    const args = ["-namespace", NAMESPACE, "-address", `${directory}/c.sock`, "-id", ID, "start"];
    const { stdout } = await run([path, ...args], { cwd: directory, stdin: input, check: true });
    const shim = new Shim(scope, stdout);
    const pid = await shim.pid();
    scope.defer("end the shim", async () => {
      if (isAlive(pid)) Deno.kill(pid, "SIGKILL");
      await endOf(pid);
    });
    return shim;
  }

  get socket(): string {
    return this.address.replace(/^unix:\/\//, "");
  }

  async pid(): Promise<number> {
    const payload = ConnectRequest.encode({ id: ID });
    const answer = await this.#client.call("containerd.task.v2.Task", "Connect", payload, 20_000);
    return ConnectResponse.decode(answer).shimPid;
  }

  /** By the name that newer containerds call. */
  async shutDown(): Promise<void> {
    const payload = new Uint8Array();
    await this.#client.call("containerd.task.v3.Task", "Shutdown", payload, 20_000);
  }
}

/** What each containerd says of the options, and of much else. */
const INPUTS: [name: string, encode: (options: Parameters<typeof Any.encode>[0]) => Uint8Array][] =
  [
    ["1.7", (options) => Any.encode(options)],
    ["2.3", (options) =>
      BootstrapParams.encode({
        instanceId: ID,
        namespace: NAMESPACE,
        extensions: [{ value: options }],
      })],
  ];

for (const [version, encode] of INPUTS) {
  testIf(
    `a shim of containerd ${version} is in the cgroup named for it, and no part of its caller`,
    {
      needs: ["root"],
    },
    async () => {
      await using scope = new Scope();
      const parent = `/${RUN_PREFIX}shim-${crypto.randomUUID()}`;
      scope.defer("remove the cgroup", () => removeSoon(parent));
      // In every hierarchy, as a caller that wants one makes it.
      for (const root of cgroupDirectories("/")) {
        await Deno.mkdir(`${root}${parent}`).catch(() => {});
      }
      scope.defer("wait for the cgroup to be empty", () => endOf(pid));
      const options = packAny(RuncOptions, { shimCgroup: parent });
      const shim = await Shim.start(scope, encode(options));
      const pid = await shim.pid();
      await waitFor(() => Deno.readTextFileSync(`/proc/${pid}/cgroup`).includes(parent), {
        timeoutSeconds: 10,
        what: "the shim to be in its cgroup",
      });

      const score = (of: number | "self") =>
        Number(Deno.readTextFileSync(`/proc/${of}/oom_score_adj`));
      assert.equal(score(pid), Math.min(score("self") + 1, 1000));
      assert.equal(Deno.readLinkSync(`/proc/${pid}/cwd`), "/");
      for (const fd of [0, 1, 2]) {
        assert.equal(Deno.readLinkSync(`/proc/${pid}/fd/${fd}`), "/dev/null");
      }
      assert.notEqual(readStatus(pid).ppid, Deno.pid);
      assert.equal(Deno.statSync(shim.socket).mode! & 0o777, 0o600);

      await shim.shutDown();
      await endOf(pid);
      assert.throws(() => Deno.statSync(shim.socket), Deno.errors.NotFound);
    },
  );
}

/** The kernel takes a process out of its cgroup a little after its end was to be seen. */
async function removeSoon(cgroup: string): Promise<void> {
  await waitFor(() => {
    try {
      removeCgroupTree(cgroup);
      return true;
    } catch {
      return false;
    }
  }, { timeoutSeconds: 10, what: `${cgroup} to be removed` });
}

async function endOf(pid: number): Promise<void> {
  await waitFor(() => !isAlive(pid), { timeoutSeconds: 10, what: "the shim to end" });
}

testIf("a shim survives malformed input", { needs: ["root"] }, async () => {
  await using scope = new Scope();
  const shim = await Shim.start(scope, new Uint8Array());
  const pid = await shim.pid();
  for (let round = 0; round < 300; round++) {
    using connection = await Deno.connect({ transport: "unix", path: shim.socket });
    const bytes = crypto.getRandomValues(new Uint8Array(10 + round));
    // Every other one is a frame of a length that comes, so that its content is looked at.
    if (round % 2 === 0) {
      const view = new DataView(bytes.buffer);
      view.setUint32(0, round);
      view.setUint32(4, 1);
      view.setUint16(8, 0x0100);
    }
    await connection.write(bytes).catch(() => {});
  }
  assert.equal(await shim.pid(), pid);
  await shim.shutDown();
  await endOf(pid);
});
