import assert from "node:assert/strict";
import { close, SOCK_STREAM, socketpair } from "../../ffi/linux.ts";
import { prepareMove } from "../../lib/cgroups/prepare_move.ts";
import { createContainer } from "../../lib/container/create.ts";
import { readBundle } from "../../lib/container/prepare.ts";
import { Store } from "../../lib/container/store.ts";
import { loadConfiguration } from "../../lib/host/configuration.ts";
import { Channel } from "../../lib/launch/channel.ts";
import { SILENT_OBSERVER } from "../../lib/launch/observer.ts";
import { spawnInit } from "../../lib/launch/spawn.ts";
import { Reactor } from "../../lib/shim/daemon/reactor.ts";
import { Reaper } from "../../lib/shim/daemon/reaper.ts";
import { WarmInit } from "../../lib/shim/daemon/warm_init.ts";
import { delay } from "../../lib/os/timer.ts";
import { doubleConfiguration } from "../support/double.ts";
import { doubleContainer } from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

testIf(
  "a process whose move is prepared stays where it is",
  { needs: ["root", "sleep"] },
  async () => {
    const child = new Deno.Command("sleep", { args: ["60"] }).spawn();
    try {
      const cgroups = () => Deno.readTextFileSync(`/proc/${child.pid}/cgroup`);
      const before = cgroups();
      await prepareMove(child.pid);
      assert.equal(cgroups(), before);
    } finally {
      child.kill("SIGKILL");
      await child.status;
    }
  },
);

testIf("a process that is gone is not an error", { needs: ["root", "true"] }, async () => {
  const child = new Deno.Command("true").spawn();
  await child.status;
  await prepareMove(child.pid);
});

testIf(
  "a container's init is moved only after its move was prepared",
  { needs: ["root", "gcc"] },
  async () => {
    await using scope = new Scope();
    const config = await doubleConfiguration(scope, 'accelerator = "tcg"');
    const { id, bundle, root } = await doubleContainer(scope, "idle", { config });
    let isOver = false;
    let wasOver: boolean | undefined;
    await createContainer({
      id,
      bundle: readBundle(bundle),
      store: new Store(root),
      configuration: () => loadConfiguration(config),
      systemdCgroup: false,
      newKeyring: true,
      observer: {
        ...SILENT_OBSERVER,
        afterStep(_phase, _index, name) {
          if (name === "join cgroup") wasOver = isOver;
        },
      },
      spawn: (pidNamespace, observer) => ({
        ...spawnInit(pidNamespace, observer),
        moving: delay(1000).then(() => {
          isOver = true;
        }),
      }),
    });
    assert.equal(wasOver, true);
  },
);

testIf("a waiting init is handed out with its pending move", {
  needs: ["root", "sleep"],
}, async () => {
  const child = new Deno.Command("sleep", { args: ["60"] }).spawn();
  const [ours, theirs] = socketpair(SOCK_STREAM);
  try {
    const inits = new WarmInit(SILENT_OBSERVER, new Reaper(new Reactor()));
    inits.adopt({ pid: child.pid, channel: new Channel(ours) });
    const { pid, moving } = inits.take({ kind: "new" });
    assert.equal(pid, child.pid);
    assert.ok(moving instanceof Promise);
    await moving;
  } finally {
    child.kill("SIGKILL");
    await child.status;
    [ours, theirs].forEach(close);
  }
});
