/**
 * Every monitor as the clean room has it, seen from the inside: the test double stands in for each,
 * by the operator's configuration. (Solo5's real tenders: solo5_test.ts.)
 */
import assert from "node:assert/strict";
import { type DoubleStat, doubleTable, extraFds } from "../support/double.ts";
import {
  agentDoubleContainer,
  assertFailed,
  assertNothingLeft,
  assertSucceeded,
  Container,
  type ContainerOptions,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { makePair } from "./network_support.ts";

/** errno.h */
const ENOSPC = 28;

const CONFIGURATION_FILE = "/guest/firecracker.json";

interface MonitorCase {
  hypervisor: string;
  needs: string[];
  /** In /dev without a network. */
  devices: string[];
  /** Of the arguments and configuration of a guest with 256 MiB. */
  memory: string;
  /** Of one with a network. */
  network: string[];
}

const MONITORS: MonitorCase[] = [
  {
    hypervisor: "qemu",
    needs: ["kvm"],
    devices: ["kvm"],
    memory: "size=256M",
    network: ["tap,id=net0,fd=3"],
  },
  {
    hypervisor: "firecracker",
    needs: ["kvm"],
    devices: ["kvm"],
    memory: '"mem_size_mib":256',
    network: ['"host_dev_name":"tap0_urunc"', '"guest_mac":"02:42:0a:09:00:02"'],
  },
  {
    hypervisor: "hvt",
    needs: ["kvm"],
    devices: ["kvm"],
    memory: "--mem=256",
    network: ["--net:service=tap0_urunc", "--net-mac:service=02:42:0a:09:00:02"],
  },
  {
    hypervisor: "spt",
    needs: [],
    devices: [],
    memory: "--mem=256",
    network: ["--net:service=tap0_urunc", "--net-mac:service=02:42:0a:09:00:02"],
  },
];

async function prepare(
  scope: Scope,
  hypervisor: string,
  options: ContainerOptions,
  settings = "",
): Promise<Container> {
  const config = `${await scope.temporaryDirectory("config")}/config.toml`;
  await Deno.writeTextFile(config, `${settings}\n${await doubleTable(hypervisor)}`);
  return await Container.prepare(scope, {
    ...options,
    unikernel: { hypervisor, ...options.unikernel },
    config,
  });
}

/** Of a Linux guest what follows its init, of others the whole line. */
function commands(hypervisor: string, line: string): ContainerOptions {
  return hypervisor === "firecracker"
    ? { unikernelType: "linux", args: ["/init", ...line.split(" ")] }
    : { args: [line] };
}

const test = (what: string, needs: string[], fn: (scope: Scope) => Promise<void>) =>
  testIf(what, { needs: ["root", "gcc", ...needs], timeoutSeconds: 60 }, async () => {
    await using scope = new Scope();
    await fn(scope);
  });

for (const { hypervisor, needs, devices, memory, network } of MONITORS) {
  const isFirecracker = hypervisor === "firecracker";

  test(`${hypervisor}: what it is, has and sees`, needs, async (scope) => {
    const container = await prepare(scope, hypervisor, {
      ...commands(hypervisor, `report ${CONFIGURATION_FILE} /guest/kernel; list /guest; exit 7`),
      user: { uid: 1234, gid: 4321, additionalGids: [99] },
    });
    const result = await container.run();
    // QEMU tells 3 from a debug exit of 1 by 2n + 1.
    assert.equal(result.code, hypervisor === "qemu" ? 3 : 7, result.stderr);
    const report = await container.report();
    assert.deepEqual(report.uids, [1234, 1234, 1234]);
    assert.deepEqual(report.gids, [4321, 4321, 4321]);
    assert.deepEqual(report.groups, [99]);
    for (const set of Object.values(report.capabilities)) assert.match(set, /^0+$/);
    assert.equal(report.noNewPrivs, 1);
    assert.equal(report.ppid, 1);
    assert.deepEqual(report.env, []);
    assert.deepEqual(extraFds(report), []);
    assert.deepEqual(report.dev.map(({ name }) => name), devices);
    for (const node of report.dev) {
      assert.deepEqual([node.type, node.uid, node.gid, node.mode], ["char", 1234, 4321, 0o600]);
    }
    assert.equal(report.opens["/guest/kernel"]?.errno, 0);
    assert.equal(report.opens[CONFIGURATION_FILE]?.errno, isFirecracker ? 0 : 2);
    const files = JSON.parse(result.stdout.trim().split("\n")[1]!);
    const configuration = files.find(({ name }: { name: string }) => name.endsWith(".json"));
    assert.equal(configuration !== undefined, isFirecracker);
    if (isFirecracker) {
      const { uid, gid, mode } = configuration;
      assert.deepEqual([uid, gid, mode], [1234, 4321, 0o400]);
    }
    assertNothingLeft(container);
  });

  test(`${hypervisor}: a network and the default memory`, [...needs, "ip", "tc"], async (scope) => {
    const { container: namespace } = await makePair(scope);
    const types = ["pid", "ipc", "uts", "mount"].map((type) => ({ type }));
    const container = await prepare(scope, hypervisor, {
      ...commands(hypervisor, "report; idle"),
      namespaces: [...types, { type: "network", path: `/run/netns/${namespace.name}` }],
      solo5Devices: [{ name: "service", kind: "network" }],
    });
    const before = await namespace.snapshot();
    const pid = await container.mustStart();
    const report = await container.report();
    // QEMU has the tap by a descriptor.
    const opens = hypervisor === "qemu" ? [] : ["net"];
    assert.deepEqual(report.dev.map(({ name }) => name).sort(), [...devices, ...opens].sort());
    const nodes = report.devNet.map(({ name, uid, mode }) => [name, uid, mode]);
    assert.deepEqual(nodes, opens.map(() => ["tun", 65534, 0o600]));
    const [waiter, monitor] = [pid, await container.monitorPid()].map((it) =>
      Deno.readLinkSync(`/proc/${it}/ns/net`)
    );
    assert.equal(waiter === monitor, hypervisor !== "qemu");
    const configuration = `/proc/${pid}/root${CONFIGURATION_FILE}`;
    const given = report.argv.join("\n") +
      (isFirecracker ? await Deno.readTextFile(configuration) : "");
    for (const text of [memory, ...network]) assert.ok(given.includes(text), `${text} in ${given}`);
    const tap = await namespace.look("ip -d tuntap");
    assert.match(tap, /tap0_urunc: tap.*user 65534.*group 65534/);

    assertSucceeded(await container.kill("TERM"));
    await container.waitForStatus("stopped", 5);
    assertSucceeded(await container.delete());
    assertNothingLeft(container, pid);
    assert.equal(await namespace.snapshot(), before);
  });
}

test(
  "spt takes no notice of a node that emulates",
  [],
  async (scope) => {
    // Were KVM looked at or wanted, this would be refused or reported.
    const container = await prepare(scope, "spt", { args: ["print ran"] }, 'accelerator = "tcg"');
    assert.match((await container.run()).stdout, /^ran$/m);
  },
);

test("firecracker: a guest's agent connects by vsock, and its exit code is the container's", [
  "kvm",
], async (scope) => {
  const container = await agentDoubleContainer(scope, "vsock-agent 41");
  assert.deepEqual(await container.run(), { code: 41, stdout: "by vsock\n", stderr: "" });
  assertNothingLeft(container);
});

test("firecracker: a further process gets a connection that the guest has made", [
  "kvm",
], async (scope) => {
  const container = await agentDoubleContainer(scope, "vsock-agent 0 9");
  await container.mustStart();
  const process = { cwd: "/", args: ["program"], user: { uid: 0, gid: 0 } };
  const path = `${container.bundle}/process.json`;
  await Deno.writeTextFile(path, JSON.stringify(process));
  const { code, stdout } = await container.urunc(["exec", "--process", path, container.id]);
  assert.deepEqual([code, stdout], [9, "by exec\n"]);
  await container.waitForStatus("stopped");
  assert.equal(container.output(), "by vsock\n");
  assertSucceeded(await container.delete());
  assertNothingLeft(container);
});

test("firecracker: vsock's directory is the monitor's, and has room for its sockets only", [
  "kvm",
], async (scope) => {
  const commands = "list /guest/vsock; write /guest/vsock/v; write /guest/vsock/w; exit 0";
  const container = await agentDoubleContainer(scope, commands, {
    user: { uid: 1234, gid: 4321 },
  });
  const result = await container.run();
  assert.equal(result.code, 255, "it has not reported");
  const console = result.stderr.split("\n").filter((it) => /^[[{]/.test(it)).map((it) =>
    JSON.parse(it)
  );
  const [files, ...written] = console;
  // Not the name server's, 1028: the container has none.
  const names = ["v_1024", "v_1025", "v_1026", "v_1027", "v_1029"];
  const found = files.map((it: DoubleStat & { name: string }) => it.name).sort();
  assert.deepEqual(found, names);
  for (const { type, uid, gid, mode } of files) {
    assert.deepEqual([type, uid, gid, mode], ["socket", 1234, 4321, 0o600]);
  }
  assert.deepEqual(written.map(({ errno }) => errno), [0, ENOSPC]);
  assertNothingLeft(container);
});

for (const hypervisor of ["firecracker", "hvt"]) {
  test(
    `${hypervisor}: emulation is rejected, by configuration and by annotation`,
    [],
    async (scope) => {
      const guest = commands(hypervisor, "report");
      const byNode = await prepare(scope, hypervisor, guest, 'accelerator = "tcg"');
      assertFailed(await byNode.create(), [
        `${hypervisor} cannot emulate a processor`,
        "configuration",
      ]);
      assertNothingLeft(byNode);
      const byImage = await prepare(scope, hypervisor, { ...guest, accelerator: "tcg" });
      assertFailed(await byImage.create(), ["com.urunc.unikernel.accelerator"]);
    },
  );
}

test("a pair that does not work is refused with those that do", [], async (scope) => {
  const container = await prepare(scope, "firecracker", { unikernelType: "rumprun" });
  assertFailed(await container.create(), [
    "rumprun on firecracker is not supported",
    "rumprun on hvt or spt",
  ]);
  assertNothingLeft(container);
});

test(
  "name servers are those of the file that is mounted for the container",
  ["kvm"],
  async (scope) => {
    const directory = await scope.temporaryDirectory("etc");
    await Deno.writeTextFile(
      `${directory}/resolv.conf`,
      "# made\nsearch a.b\nnameserver fd00::53\nnameserver 10.96.0.10\noptions ndots:5\n",
    );
    const { container: namespace } = await makePair(scope);
    const types = ["pid", "ipc", "uts", "mount"].map((type) => ({ type }));
    const container = await prepare(scope, "qemu", {
      unikernelType: "unikraft",
      args: ["app", "report", "x y"],
      namespaces: [...types, { type: "network", path: `/run/netns/${namespace.name}` }],
      edit(config) {
        config.mounts = [{
          destination: "/etc/resolv.conf",
          type: "bind",
          source: `${directory}/resolv.conf`,
          options: ["rbind", "ro"],
        }];
      },
    });
    await container.mustStart();
    const { argv } = await container.report();
    assert.ok(
      argv.includes("unikraft netdev.ip=10.9.0.2/24:10.9.0.1:10.96.0.10::guest -- report 'x y'"),
      `${argv}`,
    );
  },
);
