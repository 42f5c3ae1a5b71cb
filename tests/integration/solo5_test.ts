/**
 * Solo5's own test guests on its real tenders. They are in no package: `URUNC_SOLO5_TESTS` names the
 * directory `tests` of a built Solo5 tree, and its `solo5-hvt` and `solo5-spt` are on PATH.
 */
import assert from "node:assert/strict";
import { monitorOf, run, waitFor } from "../support/process.ts";
import { assertFailed, assertNothingLeft, assertSucceeded, Container } from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { findProgram, testIf } from "../support/skip.ts";
import { makePair } from "./network_support.ts";

const DIRECTORY = Deno.env.get("URUNC_SOLO5_TESTS");
const TENDERS = ["hvt", "spt"] as const;
type Tender = typeof TENDERS[number];

/** Serves ping on this address, and no other. */
const GUEST_ADDRESS = "10.0.0.2";

interface Options {
  unikernelType?: string;
  args?: string[];
  unikernel?: Record<string, string>;
  namespaces?: { type: string; path?: string }[];
  memoryLimit?: number;
  edit?: (config: Record<string, unknown>) => void;
}

async function prepare(
  scope: Scope,
  tender: Tender,
  guest: string,
  options: Options = {},
): Promise<Container> {
  const config = `${await scope.temporaryDirectory("config")}/config.toml`;
  const path = JSON.stringify(findProgram(`solo5-${tender}`));
  await Deno.writeTextFile(config, `[monitors.${tender}]\npath = ${path}\n`);
  return await Container.prepare(scope, {
    kernel: `${DIRECTORY}/${guest}/${guest}.${tender}`,
    args: ["x"],
    ...options,
    unikernel: { hypervisor: tender, ...options.unikernel },
    config,
  });
}

/** Solo5's own tests use a disk of this size. */
const DISK_BYTES = 1 << 20;

const IMAGE = "/unikernel/disk.img";

/** The disk image is in the container's image, which the container may write to. */
function withImage(unikernel: Record<string, string> = {}): Options {
  return {
    unikernel: { ...unikernel, block: IMAGE },
    edit: (config) => config.root = { path: "rootfs", readonly: false },
  };
}

async function makeDisk(container: Container, uid: number, bytes = DISK_BYTES): Promise<string> {
  const image = `${container.rootfs}${IMAGE}`;
  await Deno.writeFile(image, new Uint8Array(bytes), { mode: 0o600 });
  await Deno.chown(image, uid, uid);
  return image;
}

/** Of the first block: test_blk writes "0123456789…" to it. */
async function firstDigits(disk: string): Promise<string> {
  using file = await Deno.open(disk);
  const bytes = new Uint8Array(10);
  await file.read(bytes);
  return new TextDecoder().decode(bytes);
}

function testTender(
  tender: Tender,
  what: string,
  fn: (scope: Scope) => Promise<void>,
  needs: string[] = [],
): void {
  const kvm = tender === "hvt" ? ["kvm"] : [];
  testIf(`solo5-${tender}: ${what}`, {
    needs: ["root", `solo5-${tender}`, ...kvm, ...needs],
    skip: DIRECTORY === undefined
      ? "needs Solo5's test guests: URUNC_SOLO5_TESTS names their directory"
      : undefined,
    timeoutSeconds: 90,
  }, async () => {
    await using scope = new Scope();
    await fn(scope);
  });
}

/** What Solo5's own test suite (tests/tests.bats) expects of its guests; the rest needs devices. */
const GUESTS: { guest: string; args?: string[]; code: Record<Tender, number | undefined> }[] = [
  { guest: "test_hello", args: ["Hello_Solo5"], code: { hvt: 0, spt: 0 } },
  { guest: "test_quiet", args: ["--solo5:quiet"], code: { hvt: 0, spt: 0 } },
  { guest: "test_globals", code: { hvt: 0, spt: 0 } },
  { guest: "test_ssp", code: { hvt: 255, spt: 255 } },
  { guest: "test_tls", code: { hvt: 0, spt: 0 } },
  { guest: "test_time", code: { hvt: 0, spt: 0 } },
  // hvt: SSE does not run in every instruction emulator.
  { guest: "test_fpu", code: { hvt: undefined, spt: 0 } },
  { guest: "test_exception", code: { hvt: 255, spt: 128 + 11 } },
  { guest: "test_zeropage", code: { hvt: 255, spt: 128 + 11 } },
  { guest: "test_seccomp", code: { hvt: undefined, spt: 128 + 31 } },
];

for (const tender of TENDERS) {
  for (const { guest, args, code } of GUESTS) {
    const expected = code[tender];
    if (expected === undefined) continue;
    testTender(tender, `${guest} ends with ${expected}`, async (scope) => {
      const container = await prepare(scope, tender, guest, { args });
      const result = await container.run();
      assert.equal(result.code, expected, `${result.stdout}${result.stderr}`);
      if (expected === 0) assert.match(result.stdout, /SUCCESS/);
      assertNothingLeft(container);
    });
  }

  testTender(tender, "arguments arrive as they are, in either notation", async (scope) => {
    // MirageOS has a name of its own for the program.
    const args = ["app", "two words", 'quo"ted', "back\\slash", "a,b=c", "é漢", "line\nfeed"];
    const line = '"two words" "quo\\"ted" "back\\\\slash" a,b=c é漢 line\nfeed';
    const mirage = await prepare(scope, tender, "test_hello", { unikernelType: "mirage", args });
    assert.ok((await mirage.run()).stdout.includes(`Command line is: '${line}'`), mirage.output());

    const elf = await prepare(scope, tender, "test_hello", { args: ["two words", "é漢"] });
    assert.ok((await elf.run()).stdout.includes(`Command line is: '"two words" é漢'`));
  });

  testTender(tender, "the guest has the memory that the limit leaves", async (scope) => {
    const memoryLimit = 64 * 1024 * 1024;
    const container = await prepare(scope, tender, "test_hello", {
      args: ["Hello_Solo5"],
      memoryLimit,
    });
    const { code, stdout } = await container.run();
    assert.equal(code, 0, stdout);
    const [, text] = /Memory map: (\d+) MB addressable/.exec(stdout) ?? [];
    assert.ok(Number(text) >= 48 && Number(text) < 64, stdout);
  });

  testTender(tender, "a network, as a user without groups or devices of his own", async (scope) => {
    const { container, host } = await makePair(scope, "10.0.0");
    const types = ["pid", "ipc", "uts", "mount"].map((type) => ({ type }));
    const guest = await prepare(scope, tender, "test_net", {
      args: ["verbose"],
      namespaces: [...types, { type: "network", path: `/run/netns/${container.name}` }],
    });
    const before = await container.snapshot();
    const pid = await guest.mustStart();
    await guest.waitForOutput(
      `Serving ping on ${GUEST_ADDRESS}, with MAC: 02420a090002`,
    );

    const status = await Deno.readTextFile(`/proc/${pid}/status`);
    assert.match(status, /^Uid:\t65534\t65534\t65534\t65534$/m);
    assert.match(status, /^Groups:\t *$/m);
    assert.match(status, /^CapEff:\t0+$/m);
    const tenderStatus = await Deno.readTextFile(`/proc/${monitorOf(pid)}/status`);
    assert.match(tenderStatus, /^Seccomp:\t2$/m, "the tender filters its system calls");
    const nodes = [...Deno.readDirSync(`/proc/${pid}/root/dev`)].map(({ name }) => name).sort();
    assert.deepEqual(nodes, tender === "spt" ? ["net"] : ["kvm", "net"]);

    const ping = await run(host.command("ping", "-c", "3", "-i", "0.2", "-W", "10", GUEST_ADDRESS));
    assert.match(ping.stdout, /3 received/);

    // As PID 1 a tender hears no SIGTERM: without more, a stop would take until the caller kills.
    assertSucceeded(await guest.kill("TERM"));
    await waitFor(async () => (await guest.state()).status === "stopped", {
      timeoutSeconds: 3,
      what: "the guest to be stopped",
    });
    assertSucceeded(await guest.delete());
    assertNothingLeft(guest, pid);
    assert.equal(await container.snapshot(), before);
  }, ["ip", "tc", "ping"]);

  testTender(tender, "a disk image, read and written by its guest", async (scope) => {
    // With the device's name, and with that of most guests.
    const names: Record<string, string>[] = [{ solo5BlkDev: "storage" }, {}];
    for (const unikernel of names) {
      const container = await prepare(scope, tender, "test_blk", withImage(unikernel));
      const image = await makeDisk(container, 65534);
      const { code, stdout, stderr } = await container.run();
      assert.equal(code, 0, `${stdout}${stderr}`);
      assert.match(stdout, /SUCCESS/);
      assert.equal(await firstDigits(image), "0123456789");
      assertNothingLeft(container);
    }
  });

  testTender(tender, "a block device of the host as a volume", async (scope) => {
    const directory = await scope.temporaryDirectory("disk");
    await Deno.writeFile(`${directory}/image`, new Uint8Array(DISK_BYTES));
    const { stdout } = await run(["losetup", "--find", "--show", `${directory}/image`], {
      check: true,
    });
    const device = stdout.trim();
    scope.defer(`detach ${device}`, () => run(["losetup", "--detach", device], { check: true }));
    const container = await prepare(scope, tender, "test_blk", {
      edit(config) {
        const mount = { destination: "/disk", type: "bind", source: device, options: ["bind"] };
        config.mounts = [...config.mounts as object[] ?? [], mount];
      },
    });
    const { code, stdout: said, stderr } = await container.run();
    assert.equal(code, 0, `${said}${stderr}`);
    assert.equal(await firstDigits(device), "0123456789");
    assertNothingLeft(container);
  }, ["losetup"]);

  testTender(tender, "a disk that its user may not write to is refused", async (scope) => {
    const container = await prepare(scope, tender, "test_blk", withImage());
    const image = await makeDisk(container, 0);
    assertFailed(await container.create(), ["disk.img", "takes no opened files"]);
    assert.equal(await firstDigits(image), "\0".repeat(10));
    assertNothingLeft(container);
  });

  testTender(tender, "a disk image of an odd size is reported by the tender", async (scope) => {
    const container = await prepare(scope, tender, "test_blk", withImage());
    await makeDisk(container, 65534, DISK_BYTES + 1);
    const { code, stderr } = await container.run();
    assert.equal(code, 1);
    assert.match(stderr, /Backing storage size must be block aligned/);
  });

  testTender(
    tender,
    "what the manifest declares and the container lacks is refused",
    async (scope) => {
      const container = await prepare(scope, tender, "test_net");
      assertFailed(await container.create(), ["network device service0", "has no network"]);
      assertNothingLeft(container);
    },
  );

  testTender(tender, "a guest without a network device runs where there is one", async (scope) => {
    const { container: namespace } = await makePair(scope, "10.0.0");
    const types = ["pid", "ipc", "uts", "mount"].map((type) => ({ type }));
    const container = await prepare(scope, tender, "test_hello", {
      args: ["Hello_Solo5"],
      namespaces: [...types, { type: "network", path: `/run/netns/${namespace.name}` }],
    });
    const before = await namespace.snapshot();
    const { code, stdout, stderr } = await container.run();
    assert.equal(code, 0, `${stdout}${stderr}`);
    assert.equal(await namespace.snapshot(), before);
    assertNothingLeft(container);
  }, ["ip", "tc"]);
}
