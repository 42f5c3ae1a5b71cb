import assert from "node:assert/strict";
import { InvalidConfigurationError, UnsupportedError } from "../../../lib/errors.ts";
import { guestOf } from "../../../lib/guest/families/registry.ts";
import type {
  BootingMonitor,
  GuestInput,
  GuestNetwork,
  UnikernelType,
} from "../../../lib/guest/types.ts";
import { firecracker } from "../../../lib/monitor/firecracker.ts";
import { qemu } from "../../../lib/monitor/qemu/qemu.ts";
import {
  type Booted,
  bootMewz,
  bootMirage,
  bootRumprun,
  bootUnikraft,
  firecrackerLine,
  multibootLine,
} from "./guest_models.ts";

const boot: Record<string, (line: string) => Booted> = {
  mewz: bootMewz,
  mirage: bootMirage,
  rumprun: bootRumprun,
  // As behind a monitor that changes nothing.
  unikraft: bootUnikraft,
};
const families = Object.keys(boot) as UnikernelType[];

const network: GuestNetwork = {
  mac: "02:42:0a:58:03:07",
  mtu: 1500,
  ipv4: { address: "10.88.3.7", prefixLength: 20, gateway: "10.88.0.1" },
  ipv6: { address: "fd00::7", prefixLength: 64, gateway: "fd00::1" },
};

function inputOf(changes: Partial<GuestInput> = {}): GuestInput {
  return { args: ["app"], env: [], hasInitrd: false, ...changes };
}

function lineOf(type: UnikernelType, changes: Partial<GuestInput> = {}): string | undefined {
  return guestOf(type).commandLine(inputOf(changes));
}

/** Every character that any of the notations makes something of, in every place. */
const hard = [
  "a",
  " ",
  "\t",
  "\n",
  '"',
  "'",
  "\\",
  ",",
  "=",
  "{",
  "}",
  "[",
  "]",
  "-",
  ":",
  "é",
  "",
];
const texts = [
  ...hard,
  ...hard.flatMap((one) => hard.map((other) => one + other)),
  ...hard.flatMap((one) => hard.map((other) => `x${one}y${other}z`)),
  "--",
  "--ipv4=1.2.3.4/8",
  "netdev.ip=1",
  'it\'s "quoted" \\ 漢字 \u{1f600}',
  '","net":{"if":"evil0"},"x":"',
  "\\u0027",
  "-n\n\n",
];

/** MirageOS has a name of its own for the program, and takes its own options out. */
function reachingOf(type: UnikernelType, args: string[]): string[] {
  if (type !== "mirage") return args;
  const given = args[0]!.startsWith("-") ? args : args.slice(1);
  return given.filter((it) => !it.startsWith("--ipv4="));
}

for (const type of families) {
  Deno.test(`${type}: an argument comes through unchanged, or is refused`, () => {
    let told = 0;
    for (const text of texts) {
      for (const args of [["app", text], ["app", text, "after"], [text, "after"]]) {
        let line: string | undefined;
        try {
          line = lineOf(type, { args, network });
        } catch (error) {
          assert.ok(
            error instanceof InvalidConfigurationError,
            `${JSON.stringify(args)}: ${error}`,
          );
          assert.match(error.message, /process\.args\[[01]\]/);
          continue;
        }
        told++;
        const booted = boot[type]!(line!);
        assert.deepEqual(booted.args, reachingOf(type, args), line);
        assert.deepEqual(booted.env, [], line);
        assert.notEqual(Object.keys(booted.parameters).length, 0, line);
      }
    }
    const least = type === "mewz" ? texts.length / 2 : texts.length;
    assert.ok(told > least, `only ${told} of ${3 * texts.length} could be told`);
  });

  Deno.test(`${type}: the image's cmdline is used when there are no arguments`, () => {
    const words = type === "mewz" ? ["app", "two", "x=y"] : ["app", "two words", "x=y"];
    const line = lineOf(type, { args: [], cmdline: `app  "${words[1]}" x=y` });
    assert.deepEqual(boot[type]!(line!).args, reachingOf(type, words));
    assert.throws(() => lineOf(type, { args: [], cmdline: 'app "x' }), InvalidConfigurationError);
  });
}

for (const type of ["rumprun", "unikraft"] as const) {
  Deno.test(`${type}: a variable comes through unchanged, or is refused`, () => {
    let told = 0;
    for (const text of texts) {
      const env = ["PATH=/bin", `X=${text}`, "LAST=1"];
      let line: string | undefined;
      try {
        line = lineOf(type, { env });
      } catch (error) {
        assert.ok(error instanceof InvalidConfigurationError, String(error));
        assert.match(error.message, /process\.env\[1\]/);
        continue;
      }
      told++;
      assert.deepEqual(boot[type]!(line!).env, env, line);
    }
    assert.ok(told > texts.length / 4, `only ${told} could be told`);
    assert.throws(() => lineOf(type, { env: ["=x"] }), /not NAME=VALUE/);
  });
}

interface AddressCase {
  type: UnikernelType;
  name: string;
  changes?: Partial<GuestInput>;
  ipv4?: Partial<NonNullable<GuestNetwork["ipv4"]>>;
  line: string | undefined;
}

const net = (addr: string, mask: string, gw?: string) =>
  `"net":{"if":"ukvmif0","cloner":"True","type":"inet","method":"static","addr":"${addr}",` +
  `"mask":"${mask}"${gw === undefined ? "" : `,"gw":"${gw}"`}}`;

const addressCases: AddressCase[] = [
  {
    type: "mirage",
    name: "address with its own prefix",
    line: "--ipv4=10.88.3.7/20 --ipv4-gateway=10.88.0.1",
  },
  {
    type: "mirage",
    name: "no gateway",
    ipv4: { gateway: undefined },
    line: "--ipv4=10.88.3.7/20",
  },
  { type: "mirage", name: "no network", changes: { network: undefined }, line: undefined },
  {
    type: "mirage",
    name: "an option in the place of the program's name",
    changes: { network: undefined, args: ["--hello=x", "-l", "debug"] },
    line: "--hello=x -l debug",
  },
  {
    type: "mirage",
    name: "name servers where the option has no value",
    changes: {
      network: undefined,
      args: ["app", "--dns-servers", "-l", "--dns-servers", "tls:9.9.9.9", "--dns-servers"],
      nameservers: ["10.96.0.10", "9.9.9.9"],
    },
    line: "--dns-servers=udp:10.96.0.10,udp:9.9.9.9 -l --dns-servers tls:9.9.9.9 " +
      "--dns-servers=udp:10.96.0.10,udp:9.9.9.9",
  },
  {
    type: "mirage",
    name: "name servers before an option that is quoted",
    changes: {
      network: undefined,
      args: ["app", "--dns-servers", '--hello=a "b"'],
      nameservers: ["9.9.9.9"],
    },
    line: '--dns-servers=udp:9.9.9.9 "--hello=a \\"b\\""',
  },
  {
    type: "mirage",
    name: "an address of its own",
    changes: { args: ["app", "--ipv4=10.0.0.9/8"] },
    line: "--ipv4-gateway=10.88.0.1 --ipv4=10.0.0.9/8",
  },
  {
    type: "mirage",
    name: "address and gateway of its own",
    changes: { args: ["app", "--ipv4", "10.0.0.9/8", "--ipv4-gateway=10.0.0.1"] },
    line: "--ipv4 10.0.0.9/8 --ipv4-gateway=10.0.0.1",
  },
  {
    type: "mirage",
    name: "an address of its own for a group",
    changes: { args: ["app", "--xx-ipv4=10.0.0.9/8"] },
    line: "--xx-ipv4=10.0.0.9/8",
  },
  {
    type: "mirage",
    name: "a gateway of its own for a group",
    changes: { args: ["app", "--a-b-ipv4-gateway", "10.0.0.1"] },
    line: "--a-b-ipv4-gateway 10.0.0.1",
  },
  {
    type: "mirage",
    name: "what only looks like an address of a group",
    changes: { args: ["app", "--x=-ipv4", "--xx-ipv4-only", "--ipv4x=1"] },
    line: "--ipv4=10.88.3.7/20 --ipv4-gateway=10.88.0.1 --x=-ipv4 --xx-ipv4-only --ipv4x=1",
  },
  {
    type: "mirage",
    name: "no name server for the option",
    changes: { network: undefined, args: ["app", "--dns-servers"] },
    line: undefined,
  },
  { type: "mirage", name: "nothing", changes: { network: undefined, args: [] }, line: undefined },
  { type: "mewz", name: "address", line: "ip=10.88.3.7/20 gateway=10.88.0.1 -- app" },
  {
    type: "mewz",
    name: "one name server of two, and arguments",
    changes: { args: ["app", "-x"], nameservers: ["10.96.0.10", "9.9.9.9"] },
    line: "ip=10.88.3.7/20 gateway=10.88.0.1 dns=10.96.0.10 -- app -x",
  },
  {
    type: "mewz",
    name: "no gateway, without which it has no network",
    ipv4: { gateway: undefined },
    line: "ip=10.88.3.7/20 gateway=10.88.3.7 -- app",
  },
  { type: "mewz", name: "no network", changes: { network: undefined }, line: "-- app" },
  { type: "mewz", name: "nothing", changes: { network: undefined, args: [] }, line: undefined },
  {
    type: "rumprun",
    name: "address",
    line: `{"cmdline":"app",${net("10.88.3.7", "20", "10.88.0.1")}}`,
  },
  {
    type: "rumprun",
    name: "no gateway",
    ipv4: { prefixLength: 32, gateway: undefined },
    line: `{"cmdline":"app",${net("10.88.3.7", "32")}}`,
  },
  {
    type: "rumprun",
    name: "a gateway outside the subnet widens it",
    ipv4: { address: "10.244.1.5", prefixLength: 32, gateway: "10.244.1.1" },
    line: `{"cmdline":"app",${net("10.244.1.5", "29", "10.244.1.1")}}`,
  },
  {
    type: "rumprun",
    name: "a gateway that has nothing in common",
    ipv4: { address: "10.244.1.5", prefixLength: 32, gateway: "169.254.1.1" },
    line: `{"cmdline":"app",${net("10.244.1.5", "0", "169.254.1.1")}}`,
  },
  {
    type: "unikraft",
    name: "address and one name server",
    changes: { nameservers: ["10.88.0.1"] },
    line: "app netdev.ip=10.88.3.7/20:10.88.0.1:10.88.0.1 --",
  },
  {
    type: "unikraft",
    name: "host and domain name keep their places",
    changes: { hostname: "web-0", domainname: "example.org" },
    line: "app netdev.ip=10.88.3.7/20:10.88.0.1:::web-0:example.org --",
  },
  {
    type: "unikraft",
    name: "three name servers, of which it takes two",
    changes: { nameservers: ["9.9.9.9", "8.8.8.8", "1.1.1.1"] },
    line: "app netdev.ip=10.88.3.7/20:10.88.0.1:9.9.9.9:8.8.8.8 --",
  },
  {
    type: "unikraft",
    name: "no gateway, no name server",
    ipv4: { gateway: undefined },
    line: "app netdev.ip=10.88.3.7/20 --",
  },
  {
    type: "unikraft",
    name: "a name server without a gateway keeps its place",
    ipv4: { gateway: undefined },
    changes: { nameservers: ["9.9.9.9"] },
    line: "app netdev.ip=10.88.3.7/20::9.9.9.9 --",
  },
  {
    type: "unikraft",
    name: "no network",
    changes: { network: undefined },
    line: "app unikraft --",
  },
  ...([
    [undefined, 'vfs.fstab=[ "initrd0:/:extract::ramfs=2:" ]'],
    ["0.17.0", 'vfs.fstab=[ "initrd0:/:extract::ramfs=2:" ]'],
    ["0.16.2", 'vfs.fstab=[ "initrd0:/:extract::ramfs=2:" ]'],
    ["0.16.1", 'vfs.fstab=[ "initrd0:/:extract:::" ]'],
    ["0.16.0", 'vfs.fstab=[ "initrd0:/:initrd" ]'],
    ["0.14.0", 'vfs.fstab=[ "initrd0:/:initrd" ]'],
    ["0.13.1", "vfs.rootfs=initrd"],
  ] as const).map(([version, parameter]): AddressCase => ({
    type: "unikraft",
    name: `initial RAM disk of ${version ?? "a version that is not told"}`,
    changes: { network: undefined, hasInitrd: true, version },
    line: `app ${parameter} --`,
  })),
  {
    type: "unikraft",
    name: "0.15.0",
    changes: { version: "0.15.0", hasInitrd: true, nameservers: ["9.9.9.9"] },
    line: "app netdev.ipv4_addr=10.88.3.7 netdev.ipv4_gw_addr=10.88.0.1 " +
      'netdev.ipv4_subnet_mask=255.255.240.0 vfs.fstab=[ "initrd0:/:initrd" ] --',
  },
  {
    type: "unikraft",
    name: "0.15.0 without a gateway",
    changes: { version: "0.15.0" },
    ipv4: { gateway: undefined },
    line: "app netdev.ipv4_addr=10.88.3.7 netdev.ipv4_subnet_mask=255.255.240.0 --",
  },
  {
    type: "unikraft",
    name: "no name",
    changes: { args: [], network: undefined },
    line: "unikraft unikraft --",
  },
];

for (const { type, name, changes, ipv4, line } of addressCases) {
  Deno.test(`${type}: ${name}`, () => {
    const changed = { ...network, ipv4: { ...network.ipv4!, ...ipv4 } };
    assert.equal(lineOf(type, { network: changed, ...changes }), line);
  });
}

const versions: [version: string | undefined, isCurrent: boolean][] = [
  [undefined, true],
  ["latest", true],
  ["0.16.1", true],
  ["v0.16.1", true],
  ["0.16.2", true],
  ["0.17", true],
  ["0.18.0-abc", true],
  ["1", true],
  ["0.16.0", false],
  ["0.16", false],
  ["v0.15.0", false],
  ["0.9.9", false],
  ["0", false],
];

for (const [version, isCurrent] of versions) {
  Deno.test(`unikraft ${version} takes ${isCurrent ? "netdev.ip" : "netdev.ipv4_addr"}`, () => {
    const line = lineOf("unikraft", { version, network })!;
    assert.equal(line.includes("netdev.ip="), isCurrent);
    assert.equal(line.includes("netdev.ipv4_addr="), !isCurrent);
  });
}

Deno.test("unikraft on QEMU: the kernel's path is the program's name, not args[0]", () => {
  for (const args of [["app", "a", "-x"], ["help"], ["lib.x=[", "--", "b"], ["", "--"], ["a b"]]) {
    for (const changes of [{}, { network }, { env: ["A=1", "B=c d"] }]) {
      const line = lineOf("unikraft", { args, monitor: qemu, ...changes })!;
      const { args: found, env } = bootUnikraft(multibootLine(line));
      assert.deepEqual(found, ["/guest/kernel", ...args.slice(1)], line);
      assert.deepEqual(env, "env" in changes ? changes.env : []);
    }
  }
});

Deno.test("unikraft rejects more words than it reads behind its monitor", () => {
  const words = (count: number) => Array.from({ length: count }, (_, index) => `a${index}`);
  const cases = [
    { monitor: qemu, network: undefined, most: 59, own: 2 },
    { monitor: qemu, network, most: 59, own: 3 },
    { monitor: firecracker, network: undefined, most: 59, own: 3 },
    { monitor: firecracker, network, most: 58, own: 3 },
  ];
  for (const { monitor, network, most, own } of cases) {
    // `--`, the name's place and parameters, besides the arguments.
    const args = ["app", ...words(most - own)];
    const line = lineOf("unikraft", { args, monitor, network })!;
    const behind = monitor === qemu
      ? multibootLine(line)
      : firecrackerLine(line, network !== undefined);
    assert.deepEqual(bootUnikraft(behind).args.slice(1), args.slice(1));
    assert.throws(
      () => lineOf("unikraft", { args: [...args, "more"], monitor, network }),
      (error) =>
        error instanceof UnsupportedError &&
        error.message.includes(`${most + 1} words, and Unikraft reads ${most}`),
    );
  }
});

Deno.test("unikraft: more variables than a usual build takes are warned of", () => {
  const variables = (count: number) => Array.from({ length: count }, (_, index) => `V${index}=1`);
  const warnings = (count: number) =>
    guestOf("unikraft").warnings!(inputOf({ env: variables(count) }));
  assert.deepEqual(warnings(8), []);
  assert.match(warnings(9)[0]!, /9 variables: .* drops those after its first 8 /);
  const small = guestOf("unikraft").warnings!(inputOf({ network: { ...network, mtu: 1450 } }));
  assert.match(small.join(), /MTU is 1450, which a Unikraft guest is not given/);
  assert.deepEqual(guestOf("unikraft").warnings!(inputOf({ network })), []);
});

Deno.test("unikraft on Firecracker: versions that do not boot there are warned of", () => {
  const warnings = (version: string | undefined, monitor: BootingMonitor) =>
    guestOf("unikraft").warnings!(inputOf({ version, monitor }));
  for (const version of ["0.15.0", "0.16.3", "0.17.0"]) {
    assert.match(warnings(version, firecracker).join(), new RegExp(`${version}: .* assertion`));
    assert.deepEqual(warnings(version, qemu), []);
  }
  for (const version of [undefined, "0.18.0"]) {
    assert.deepEqual(warnings(version, firecracker), []);
  }
});

Deno.test("unikraft on Firecracker: arguments survive what Firecracker does to the line", () => {
  const guest = guestOf("unikraft");
  let told = 0;
  for (const text of [...texts, "a -- b", `"a" -- b`, `it's -- "b" -- c`, `x" -- y`]) {
    for (const [args, env] of [[["app", text], ["A=1"]], [["app"], [`A=${text}`]]] as const) {
      const input = { args: [...args], env: [...env], hasInitrd: false, network };
      let line: string;
      try {
        line = guest.commandLine({ ...input, monitor: firecracker })!;
      } catch (error) {
        assert.ok(error instanceof InvalidConfigurationError, String(error));
        continue;
      }
      told++;
      const booted = bootUnikraft(firecrackerLine(line, true));
      assert.deepEqual([booted.args, booted.env], [args, env], line);
      assert.equal(booted.parameters["netdev.ip"], "10.88.3.7/20:10.88.0.1");
    }
  }
  assert.ok(told > texts.length, `only ${told}`);
  // Without a parameter of ours, too: Firecracker's own come after the line where it has no `--`.
  for (const args of [["app"], ["app", "a", "--", "b"]]) {
    for (const hasNetwork of [false, true]) {
      const v6 = hasNetwork ? { ...network, ipv4: undefined } : undefined;
      const input = { args, env: [], hasInitrd: false, network: v6, monitor: firecracker };
      const line = guest.commandLine(input)!;
      assert.deepEqual(bootUnikraft(firecrackerLine(line, hasNetwork)).args, args, line);
    }
  }
});

Deno.test("unikraft: names that no parameter can hold are refused", () => {
  for (const name of ["a:b", "a b", "x".repeat(65)]) {
    assert.throws(() => lineOf("unikraft", { network, hostname: name }), /hostname: found/);
    assert.throws(() => lineOf("unikraft", { network, domainname: name }), /domainname: found/);
  }
});

Deno.test("mewz refuses more arguments than it reads, and its kernel's own parameters", () => {
  const args = Array.from({ length: 65 }, (_, index) => `a${index}`);
  assert.ok(lineOf("mewz", { args: args.slice(1) }));
  assert.throws(() => lineOf("mewz", { args }), /65 arguments, and Mewz reads 64/);
  for (const argument of ["ip=1.2.3.4/8", "gateway=x", "dns=", "epoch=1", "--", "a b", ""]) {
    assert.throws(() => lineOf("mewz", { args: ["app", argument] }), /process\.args\[1\]/);
  }
});

Deno.test("rumprun refuses what would name another configuration", () => {
  for (
    const changes of [{ args: ["a", "_RUMPRUN_ROOTFSCFG=/x"] }, { env: ["_RUMPRUN_ROOTFSCFG=/x"] }]
  ) {
    assert.throws(() => lineOf("rumprun", changes), /look for a configuration file/);
  }
});

Deno.test("these families are not asked to shut down", () => {
  for (const type of families) assert.equal(guestOf(type).shutsDown, false);
});
