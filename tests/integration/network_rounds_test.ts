/** Many starts in namespaces that outlive them and in ones of their own: what is left. */
import assert from "node:assert/strict";
import { run } from "../support/process.ts";
import {
  assertNothingLeft,
  assertSucceeded,
  type Container,
  doubleContainer,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { makePair, type Namespace } from "./network_support.ts";

/** In all, one in each kind of namespace at a time. */
const STARTS = 200;

/** Lives that go on at the same time, each in a namespace of its own. */
const MODES = ["shared", "routed", "own"] as const;

interface Lane {
  container: Container;
  /** Undefined: the container's is made for it each time. */
  namespace?: Namespace;
}

async function makeLane(scope: Scope, mode: typeof MODES[number]): Promise<Lane> {
  const types = ["pid", "ipc", "uts", "mount"].map((type) => ({ type }));
  if (mode === "own") {
    const namespaces = [...types, { type: "network" }];
    return { container: await doubleContainer(scope, "idle", { namespaces }) };
  }
  const { container: namespace } = await makePair(scope);
  const container = await doubleContainer(scope, "idle", {
    namespaces: [...types, { type: "network", path: `/run/netns/${namespace.name}` }],
    edit(config) {
      if (mode !== "routed") return;
      const annotations = { "io.kubernetes.cri.container-name": "user-container" };
      config.annotations = { ...config.annotations as object, ...annotations };
    },
  });
  return { container, namespace };
}

/** Every other one ends by itself, as far as `delete` can tell; the others are killed by it. */
async function liveOnce({ container }: Lane, number: number): Promise<void> {
  const pid = await container.mustStart();
  if (number % 2 === 0) {
    assertSucceeded(await container.kill("KILL"));
    await container.waitForStatus("stopped");
    assertSucceeded(await container.delete());
  } else {
    assertSucceeded(await container.delete("--force"));
  }
  assertNothingLeft(container, pid);
}

/** Links, addresses, routes, tc, taps, rules and forwarding; and how many namespaces have names. */
async function describe(lanes: Lane[]): Promise<string> {
  const texts = await Promise.all(lanes.map(async ({ namespace }) => {
    if (namespace === undefined) return "";
    const filters = await namespace.look("tc filter show dev eth0 ingress");
    const rules = await namespace.look("nft list ruleset");
    const forwarding = await namespace.look("cat /proc/sys/net/ipv4/conf/eth0/forwarding");
    return [await namespace.snapshot(), filters, rules, forwarding].join("\n");
  }));
  // Others on this machine have no tap of this name in the machine's own namespace either.
  return texts.join("\n") + (await run(["ip", "tuntap"], { check: true })).stdout;
}

testIf(`${STARTS} starts leave namespaces, taps and tc unchanged`, {
  needs: ["root", "gcc", "ip", "tc", "nft"],
  timeoutSeconds: 240,
}, async () => {
  await using scope = new Scope();
  const lanes: Lane[] = [];
  for (const mode of MODES) lanes.push(await makeLane(scope, mode));
  const before = await describe(lanes);
  let started = 0;
  const results = await Promise.allSettled(lanes.map(async (lane) => {
    while (started < STARTS) await liveOnce(lane, ++started);
  }));
  for (const result of results) if (result.status === "rejected") throw result.reason;
  assert.equal(await describe(lanes), before);
});
