/** What becomes of the init of a container that is not made. */
import assert from "node:assert/strict";
import { close, kill, SIGKILL, SOCK_STREAM, socketpair, spawn, waitpid } from "../../ffi/linux.ts";
import { createContainer } from "../../lib/container/create.ts";
import { readBundle } from "../../lib/container/prepare.ts";
import { Store } from "../../lib/container/store.ts";
import { loadConfiguration } from "../../lib/host/configuration.ts";
import { readProcessStat } from "../../lib/os/process.ts";
import { Channel } from "../../lib/launch/channel.ts";
import { SILENT_OBSERVER } from "../../lib/launch/observer.ts";
import { spawnInit } from "../../lib/launch/spawn.ts";
import { Reactor } from "../../lib/shim/daemon/reactor.ts";
import { Reaper } from "../../lib/shim/daemon/reaper.ts";
import { WarmInit } from "../../lib/shim/daemon/warm_init.ts";
import { doubleConfiguration } from "../support/double.ts";
import { isAlive, waitFor } from "../support/process.ts";
import { assertNothingLeft, doubleContainer } from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

testIf("an unused init is killed once, and no process that reuses its pid", {
  needs: ["root", "gcc", "sleep"],
}, async () => {
  await using scope = new Scope();
  const config = await doubleConfiguration(scope, 'accelerator = "tcg"');
  const container = await doubleContainer(scope, "idle", {
    config,
    edit: (it) => {
      it.hooks = { createRuntime: [{ path: "/bin/false" }] };
    },
  });
  const next = new Deno.Command("sleep", { args: ["60"] }).spawn();
  try {
    let pid = 0;
    let reaped = 0;
    const creation = createContainer({
      id: container.id,
      bundle: readBundle(container.bundle),
      store: new Store(container.root),
      configuration: () => loadConfiguration(config),
      systemdCgroup: false,
      newKeyring: true,
      observer: SILENT_OBSERVER,
      spawn: (pidNamespace, observer) => {
        const init = spawnInit(pidNamespace, observer);
        pid = init.pid;
        return {
          channel: init.channel,
          get pid() {
            return reaped === 0 ? init.pid : next.pid;
          },
          reaped: () => reaped++,
        };
      },
    });
    await assert.rejects(creation, /run createRuntime hook \/bin\/false/);
    assert.equal(reaped, 1);
    assert.equal(readProcessStat(pid), undefined);
    assert.ok(isAlive(next.pid));
    assertNothingLeft(container, pid);
  } finally {
    next.kill("SIGKILL");
    await next.status;
  }
});

/** A reaper that tells whom it has forgotten. */
class ToldReaper extends Reaper {
  readonly forgotten: number[] = [];

  override forget(pid: number): void {
    this.forgotten.push(pid);
    super.forget(pid);
  }
}

testIf("an init that was reaped is not waited for again", { needs: ["root", "true"] }, async () => {
  const reaper = new ToldReaper(new Reactor());
  const inits = new WarmInit(SILENT_OBSERVER, reaper);
  const [ours, theirs] = socketpair(SOCK_STREAM);
  try {
    const pid = spawn({ path: "/bin/true", argv: ["true"], env: [], fds: [] });
    inits.adopt({ pid, channel: new Channel(ours) });
    await waitFor(() => readProcessStat(pid)?.state === "Z", {
      timeoutSeconds: 10,
      what: "its end",
    });
    // One that has ended is of no use: another is started.
    const init = inits.take({ kind: "new" });
    assert.notEqual(init.pid, pid);
    assert.deepEqual(reaper.forgotten, [pid]);
    kill(init.pid, SIGKILL);
    waitpid(init.pid, 0);
    init.channel.close();
    init.reaped?.();
    assert.deepEqual(reaper.forgotten, [pid, init.pid]);
  } finally {
    [ours, theirs].forEach(close);
  }
});
