/** Namespaces of a container: new, joined by path, or none asked for. */
import assert from "node:assert/strict";
import { readStatus, run, waitFor } from "../support/process.ts";
import {
  assertFailed,
  assertNothingLeft,
  assertSucceeded,
  type Container,
  type ContainerOptions,
  doubleContainer,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { markedMounts } from "../support/leaks.ts";
import { RUN_PREFIX } from "../support/mark.ts";

const needs = ["root", "gcc", "unshare", "nsenter", "ip"];

/** Types of config.json and their files in /proc/PID/ns. */
const FILES = {
  mount: "mnt",
  network: "net",
  ipc: "ipc",
  uts: "uts",
  pid: "pid",
  cgroup: "cgroup",
} as const;
type Type = keyof typeof FILES;
const TYPES = Object.keys(FILES) as Type[];

function namespaceOf(pid: number | "self", type: Type): string {
  return Deno.readLinkSync(`/proc/${pid}/ns/${FILES[type]}`);
}

/** A process with a namespace of its own of each type; returns its pid. */
async function holder(scope: Scope): Promise<number> {
  const flags = ["--mount", "--net", "--ipc", "--uts", "--pid", "--cgroup"];
  const script = "hostname of-the-holder; exec sleep 60";
  const child = new Deno.Command("unshare", {
    args: [...flags, "--fork", "--kill-child", "sh", "-c", script],
  }).spawn();
  scope.defer("end the holder", async () => {
    child.kill("SIGKILL");
    await child.status;
  });
  return await waitFor(() => {
    const text = Deno.readTextFileSync(`/proc/${child.pid}/task/${child.pid}/children`).trim();
    return text !== "" && readStatus(Number(text)).name === "sleep" ? Number(text) : undefined;
  }, { timeoutSeconds: 5, what: "the holder" });
}

async function inNamespace(pid: number, flag: string, ...command: string[]): Promise<string> {
  return (await run(["nsenter", "-t", `${pid}`, flag, ...command], { check: true })).stdout.trim();
}

/** config.json without the hostname that needs a uts namespace. */
async function unnamed(scope: Scope, options: ContainerOptions): Promise<Container> {
  return await doubleContainer(scope, "report; idle", {
    ...options,
    edit: (config) => {
      options.edit?.(config);
      delete config.hostname;
    },
  });
}

testIf("namespaces without a path are new ones, of the container alone", { needs }, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "report; idle", {
    namespaces: TYPES.map((type) => ({ type })),
  });
  const pid = await container.mustStart();
  for (const type of TYPES) {
    assert.notEqual(namespaceOf(pid, type), namespaceOf("self", type), type);
  }
  assert.deepEqual(readStatus(pid).nsPids, [pid, 1]);
  // Its cgroup is the root of what it sees; from the host it has its real place.
  assert.match(
    Deno.readTextFileSync(`/proc/${pid}/cgroup`),
    new RegExp(`/urunc/${container.id}$`, "m"),
  );
  const seen = await inNamespace(pid, "-C", "cat", `/proc/${pid}/cgroup`);
  assert.match(seen, /:\/$/m);
  assert.doesNotMatch(seen, new RegExp(container.id));
});

testIf(
  "with none listed the monitor still has namespaces of its own",
  { needs },
  async () => {
    await using scope = new Scope();
    const before = Deno.readTextFileSync("/proc/self/mountinfo");
    const name = Deno.hostname();
    const container = await unnamed(scope, { namespaces: [] });
    const pid = await container.mustStart();
    const report = await container.report();
    for (const type of TYPES) {
      const same = namespaceOf(pid, type) === namespaceOf("self", type);
      assert.equal(same, type === "cgroup", type);
    }
    assert.equal(report.ppid, 1);
    assert.equal(report.hostname, name);
    const mine = (text: string) => text.split("\n").filter((it) => it.includes(container.root));
    assert.deepEqual(mine(Deno.readTextFileSync("/proc/self/mountinfo")), mine(before));
    assert.ok(!report.root.some((it) => it.name === "etc"));
    assertSucceeded(await container.delete("--force"), "delete");
    assertNothingLeft(container, pid);
  },
);

for (const type of TYPES) {
  testIf(`a ${type} namespace is joined by its path`, { needs }, async () => {
    await using scope = new Scope();
    const held = await holder(scope);
    const mounts = markedMounts(held);
    const namespaces = TYPES.map((it) =>
      it === type ? { type: it, path: `/proc/${held}/ns/${FILES[it]}` } : { type: it }
    );
    const container = await doubleContainer(scope, "report; idle", { namespaces });
    const pid = await container.mustStart();
    const report = await container.report();
    for (const it of TYPES) {
      // A joined mount namespace is copied: it belongs to other processes too.
      const joined = namespaceOf(pid, it) === namespaceOf(held, it);
      assert.equal(joined, it === type && it !== "mount", it);
    }
    assert.equal(report.hostname, type === "uts" ? "of-the-holder" : "guest");
    assert.equal(report.ppid === 1, type !== "pid");
    assert.deepEqual(markedMounts(held), mounts);

    assertSucceeded(await container.delete("--force"), "delete");
    assertNothingLeft(container, pid);
    assert.equal(readStatus(held).name, "sleep", "the holder was killed with it");
    assert.equal(await inNamespace(held, "-u", "hostname"), "of-the-holder");
  });
}

testIf("all namespaces are joined, the network by its name", { needs }, async () => {
  await using scope = new Scope();
  const netns = `${RUN_PREFIX}${crypto.randomUUID().slice(0, 8)}`;
  await run(["ip", "netns", "add", netns], { check: true });
  scope.defer(`delete ${netns}`, () => run(["ip", "netns", "delete", netns], { check: true }));
  const held = await holder(scope);
  const others = TYPES.filter((it) => it !== "network");
  const container = await doubleContainer(scope, "report; idle", {
    namespaces: [
      ...others.map((type) => ({ type, path: `/proc/${held}/ns/${FILES[type]}` })),
      { type: "network", path: `/run/netns/${netns}` },
    ],
  });
  const pid = await container.mustStart();
  const inode = Deno.statSync(`/run/netns/${netns}`).ino;
  assert.equal(namespaceOf(pid, "network"), `net:[${inode}]`);
  for (const type of others.filter((it) => it !== "mount")) {
    assert.equal(namespaceOf(pid, type), namespaceOf(held, type), type);
  }
  assertSucceeded(await container.delete("--force"), "delete");
  const links = await run(["ip", "-n", netns, "-o", "link"], { check: true });
  assert.match(links.stdout, /^1: lo:[^\n]*\n$/);
  assertNothingLeft(container, pid);
});

testIf("the path of the runtime's own network namespace is rejected, and it stays unchanged", {
  needs,
}, async () => {
  await using scope = new Scope();
  // The part of the host is played by a namespace that the runtime is called in.
  const netns = `${RUN_PREFIX}${crypto.randomUUID().slice(0, 8)}`;
  await run(["ip", "netns", "add", netns], { check: true });
  scope.defer(`delete ${netns}`, () => run(["ip", "netns", "delete", netns], { check: true }));
  const ip = (...args: string[]) => run(["ip", "-n", netns, ...args], { check: true });
  await ip("link", "add", "eth0", "type", "veth", "peer", "name", "peer0");
  await ip("address", "add", "198.18.77.2/24", "dev", "eth0");
  for (const link of ["eth0", "peer0"]) await ip("link", "set", link, "up");
  await ip("route", "add", "default", "via", "198.18.77.1");
  const describe = async () =>
    (await ip("-o", "link")).stdout.replace(/ state \w+ /g, " ") +
    (await run(["tc", "-n", netns, "qdisc"], { check: true })).stdout;
  const before = await describe();

  const namespaces = [{ type: "mount" }, { type: "network", path: `/run/netns/${netns}` }];
  const container = await unnamed(scope, { namespaces });
  const wrapper = ["nsenter", `--net=/run/netns/${netns}`];
  assertFailed(await container.create({ wrapper }), [
    "linux.namespaces[1].path",
    "the runtime's own network namespace",
  ]);
  assert.equal(await describe(), before);
  assertNothingLeft(container);

  const pod = await unnamed(scope, {
    namespaces,
    edit: ({ annotations }) => {
      Object.assign(annotations as object, { "io.kubernetes.cri.container-type": "container" });
    },
  });
  assertFailed(await pod.create({ wrapper }), [
    "the runtime's own network namespace",
    "hostNetwork: true",
    "leave hostNetwork out of the pod",
  ]);
  assert.equal(await describe(), before);
  assertNothingLeft(pod);

  // The same, called from elsewhere, is the container's own network.
  await container.mustCreate();
  assert.notEqual(await describe(), before);
  assertSucceeded(await container.delete("--force"), "delete");
  assert.equal(await describe(), before);
});

testIf("a namespace's path that is not a namespace, or of another type", { needs }, async () => {
  const cases: [type: Type, path: string, texts: string[]][] = [
    ["network", "/no/such/namespace", ["/no/such/namespace", "ENOENT"]],
    ["network", "/etc/hostname", ["setns", "EINVAL"]],
    ["ipc", "/proc/self/ns/net", ["setns", "EINVAL"]],
    ["pid", "/no/such/namespace", ["/no/such/namespace", "ENOENT"]],
    ["pid", "/proc/self/ns/net", ["setns", "EINVAL"]],
    ["mount", "relative", ["linux.namespaces[0].path"]],
  ];
  for (const [type, path, texts] of cases) {
    await using scope = new Scope();
    const container = await unnamed(scope, { namespaces: [{ type, path }] });
    assertFailed(await container.create(), texts);
    assertNothingLeft(container);
  }
});

testIf("what the host mounts later does not appear in the monitor's root", {
  needs: [...needs, "mount", "findmnt"],
}, async () => {
  await using scope = new Scope();
  const held = await holder(scope);
  // As on a machine with systemd, where everything mounted is shared, but only with this namespace.
  await inNamespace(held, "-m", "mount", "--make-rshared", "/");
  const data = await scope.temporaryDirectory("data");
  await Deno.mkdir(`${data}/below`);
  const container = await doubleContainer(scope, "idle", {
    monitor: `data_paths = ["${data}"]`,
  });
  const pid = await container.mustStart({ wrapper: ["nsenter", "-t", `${held}`, "-m"] });
  const before = Deno.readTextFileSync(`/proc/${pid}/mountinfo`);
  assert.ok(before.includes(` ${data} `), before);
  await inNamespace(held, "-m", "mount", "-t", "tmpfs", "later", `${data}/below`);
  await inNamespace(held, "-m", "findmnt", `${data}/below`);
  assert.equal(Deno.readTextFileSync(`/proc/${pid}/mountinfo`), before);
  assert.doesNotMatch(before, / (master|shared):\d/);
});

testIf("sysctls are set in the container's namespaces, never on the host", { needs }, async () => {
  await using scope = new Scope();
  const netns = `${RUN_PREFIX}${crypto.randomUUID().slice(0, 8)}`;
  await run(["ip", "netns", "add", netns], { check: true });
  scope.defer(`delete ${netns}`, () => run(["ip", "netns", "delete", netns], { check: true }));
  // An interface with a dot in its name, as VLANs have.
  await run(["ip", "-n", netns, "link", "add", "v.1", "type", "veth", "peer", "name", "v.2"], {
    check: true,
  });
  const files = ["net/ipv4/ip_default_ttl", "kernel/msgmax"].map((it) => `/proc/sys/${it}`);
  const host = files.map((it) => Deno.readTextFileSync(it));
  const container = await doubleContainer(scope, "idle", {
    namespaces: [
      ...["pid", "ipc", "uts", "mount"].map((type) => ({ type })),
      { type: "network", path: `/run/netns/${netns}` },
    ],
    edit: (config) => {
      (config.linux as Record<string, unknown>).sysctl = {
        "net.ipv4.ip_default_ttl": "77",
        "net/ipv4/conf/v.1/accept_local": "1",
        "net.ipv4.conf.v/2.accept_local": "1",
        "kernel.msgmax": "4321",
      };
    },
  });
  const pid = await container.mustCreate();
  const read = (flag: string, key: string) => inNamespace(pid, flag, "cat", `/proc/sys/${key}`);
  assert.equal(await read("-n", "net/ipv4/ip_default_ttl"), "77");
  assert.equal(await read("-n", "net/ipv4/conf/v.1/accept_local"), "1");
  assert.equal(await read("-n", "net/ipv4/conf/v.2/accept_local"), "1");
  assert.equal(await read("-i", "kernel/msgmax"), "4321");
  assert.deepEqual(files.map((it) => Deno.readTextFileSync(it)), host);
});

testIf(
  "sysctls of the host, or of a namespace that is not the container's",
  { needs },
  async () => {
    const cases: [key: string, namespaces: string[], text: string][] = [
      ["kernel.panic", ["mount", "network"], "kernel.panic"],
      ["net.ipv4.ip_forward", ["mount"], "net.ipv4.ip_forward"],
      ["../../x", ["mount", "network"], "linux.sysctl"],
      ["net.no_such_thing", ["mount", "network"], "sysctl"],
    ];
    for (const [key, types, text] of cases) {
      await using scope = new Scope();
      const container = await unnamed(scope, {
        namespaces: types.map((type) => ({ type })),
        edit: (config) => (config.linux as Record<string, unknown>).sysctl = { [key]: "1" },
      });
      assertFailed(await container.create(), [text]);
      assertNothingLeft(container);
    }
  },
);
