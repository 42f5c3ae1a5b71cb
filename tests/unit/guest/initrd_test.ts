import assert from "node:assert/strict";
import { InvalidConfigurationError } from "../../../lib/errors.ts";
import { decodeMessages } from "../../../lib/protocol/netlink/message.ts";
import { linux } from "../../../lib/guest/families/linux.ts";
import { isInitramfs } from "../../../lib/guest/initrd/format.ts";
import { GUEST_INIT } from "../../../lib/guest/initrd/init_bytes.ts";
import { initrdSegment } from "../../../lib/guest/initrd/segment.ts";
import type { GuestInput, GuestNetwork } from "../../../lib/guest/types.ts";

const decode = (bytes: Uint8Array) => new TextDecoder("utf-8", { fatal: true }).decode(bytes);
const encode = (text: string) => new TextEncoder().encode(text);

interface Unpacked {
  mode: number;
  content: Uint8Array;
}

/** Reads an archive as init/initramfs.c does: every part begins at a multiple of 4. */
function unpack(bytes: Uint8Array): { files: Map<string, Unpacked>; end: number } {
  const files = new Map<string, Unpacked>();
  for (let at = 0;;) {
    assert.equal(decode(bytes.subarray(at, at + 6)), "070701");
    const field = (index: number) => {
      const start = at + 6 + 8 * index;
      return parseInt(decode(bytes.subarray(start, start + 8)), 16);
    };
    const [mode, uid, gid, size, nameSize] = [field(1), field(2), field(3), field(6), field(11)];
    assert.deepEqual([uid, gid], [0, 0]);
    const name = decode(bytes.subarray(at + 110, at + 110 + nameSize - 1));
    const start = at + 110 + nameSize + (-(110 + nameSize) & 3);
    at = start + size + (-size & 3);
    if (name === "TRAILER!!!") return { files, end: at };
    files.set(name, { mode, content: bytes.slice(start, start + size) });
  }
}

const PROCESSES = [
  { args: ["/init"], env: [] },
  { args: ["sh", "-c", "a b", "", "é\n"], env: ["A=1", "B=", 'C="x" y', "dot.ted=\u{1f642}"] },
  { args: Array(500).fill("x"), env: [`BIG=${"y".repeat(100_000)}`] },
];

for (const [index, process] of PROCESSES.entries()) {
  Deno.test(`the segment of process ${index} unpacks to exactly it`, () => {
    const segment = initrdSegment(process);
    const { files, end } = unpack(segment);
    const strings = (name: string) =>
      decode(files.get(name)!.content).replace(/\0$/, "").split("\0");
    assert.deepEqual(strings("urunc/args"), process.args);
    assert.deepEqual(strings("urunc/env"), process.env.length === 0 ? [""] : process.env);
    assert.deepEqual(files.get("urunc/init")!.content, GUEST_INIT);
    assert.deepEqual(
      [...files].map(([name, { mode }]) => [name, mode.toString(8)]),
      [["urunc", "40700"], ["urunc/args", "100400"], ["urunc/env", "100400"], [
        "urunc/init",
        "100700",
      ]],
    );
    // The image's own archive follows at a multiple of 4, after nothing but zeros.
    assert.equal(segment.length % 512, 0);
    assert.ok(segment.subarray(end).every((byte) => byte === 0));
    assert.ok(isInitramfs(segment));
  });
}

const NETWORK = {
  mac: "02:42:0a:58:03:07",
  mtu: 1450,
  ipv4: { address: "10.88.3.7", prefixLength: 32, gateway: "169.254.1.1" },
  ipv6: { address: "fd00:88::7", prefixLength: 64, gateway: "fe80::1" },
  linkLocal: "fe80::7",
  addresses: [{ address: "10.88.3.8", prefixLength: 24 }],
  routes: [
    {
      family: "inet" as const,
      destination: "10.77.0.0",
      prefixLength: 16,
      gateway: "10.78.0.1",
      onLink: true as const,
    },
    { family: "inet" as const, destination: "10.78.0.1", prefixLength: 32 },
  ],
};

/** The messages of `/urunc/network`: type, flags, what follows the header. */
function messagesIn(file: Uint8Array, interfaces = 1): [number, number, string][] {
  return decodeMessages(file.slice(8 * interfaces)).map(({ type, flags, payload }) => [
    type,
    flags,
    payload.toHex(),
  ]);
}

/** Stands for the index of the first interface, and of the second. */
const [FIRST, SECOND] = ["ffffffff", "feffffff"];

Deno.test("the segment of a guest with a network sets up both families, in order", () => {
  const process = { args: ["/init"], env: [], network: NETWORK, resolvConf: "nameserver ::1\n" };
  const { files } = unpack(initrdSegment(process));
  const file = files.get("urunc/network")!;
  assert.equal(file.mode, 0o100400);
  assert.equal(file.content.subarray(0, 8).toHex(), "02420a5803070000");
  const ipv6 = "fd00008800000000" + "0000000000000007";
  const linkLocal = "fe80000000000000" + "0000000000000007";
  assert.deepEqual(messagesIn(file.content), [
    // RTM_NEWLINK: lo, then the interface whose index init fills in, up
    [16, 0x5, "00000000" + "01000000" + "01000000" + "01000000"],
    // IFLA_AF_SPEC, AF_INET6, IFLA_INET6_ADDR_GEN_MODE: the kernel makes no link-local address
    [16, 0x5, `00000000${FIRST}${"00".repeat(8)}` + "10001a80" + "0c000a80" + "0500080001000000"],
    [16, 0x5, "00000000" + FIRST + "01000000" + "01000000"],
    [20, 0x605, `0a400000${FIRST}${`14000200${linkLocal}`}14000100${linkLocal}0800080002000000`],
    // RTM_NEWADDR
    [20, 0x605, "02200000" + FIRST + "08000200" + "0a580307" + "08000100" + "0a580307"],
    // RTM_NEWROUTE, NLM_F_APPEND, with RTNH_F_ONLINK: no subnet says that the gateway is near
    [
      24,
      0xc05,
      "02000000fe030001" + "04000000" + "08000400" + FIRST + "08000500" + "a9fe0101",
    ],
    // without duplicate address detection
    [
      20,
      0x605,
      `0a400000${FIRST}${`14000200${ipv6}`}14000100${ipv6}0800080002000000`,
    ],
    [
      24,
      0xc05,
      "0a000000fe030001" + "00000000" + `08000400${FIRST}` +
      "14000500" + "fe80000000000000" + "0000000000000001",
    ],
    [20, 0x605, "02180000" + FIRST + "08000200" + "0a580308" + "08000100" + "0a580308"],
    // The link's first; RT_SCOPE_LINK.
    [
      24,
      0x605,
      "02200000fe03fd01" + "00000000" + "08000400" + FIRST + "08000100" + "0a4e0001",
    ],
    [
      24,
      0x605,
      "02100000fe030001" + "04000000" + "08000400" + FIRST + "08000100" + "0a4d0000" +
      "08000500" + "0a4e0001",
    ],
  ]);
  assert.equal(decode(files.get("etc/resolv.conf")!.content), "nameserver ::1\n");
  assert.equal(files.get("etc/resolv.conf")!.mode, 0o100644);
});

Deno.test("an agent names the interfaces before they are up, and sets up routes with their metrics", () => {
  const one: GuestNetwork = {
    mac: "02:42:0a:58:03:07",
    mtu: 1500,
    name: "eth1",
    ipv4: { address: "10.1.0.2", prefixLength: 24, gateway: "10.1.0.1", metric: 100 },
  };
  const other: GuestNetwork = {
    mac: "02:42:0a:58:03:08",
    mtu: 1500,
    name: "eth0",
    routes: [{ family: "inet", destination: "10.7.0.0", prefixLength: 16, metric: 5 }],
  };
  const process = { args: ["/init"], env: [], network: one, furtherNetworks: [other] };
  const { content } = unpack(initrdSegment(process)).files.get("urunc/network")!;
  assert.equal(content.subarray(0, 16).toHex(), "02420a5803070100" + "02420a5803080000");
  // IFLA_IFNAME, of 7 and 5 bytes.
  const rename = (index: string, name: string) => {
    const size = name.length + 5;
    const text = new TextEncoder().encode(name).toHex().padEnd(16, "0");
    return `00000000${index}${"00".repeat(8)}0${size.toString(16)}000300${text}`;
  };
  const messages = messagesIn(content, 2);
  assert.deepEqual(messages.slice(1, 5), [
    [16, 0x5, rename(FIRST!, "urunc0")],
    [16, 0x5, rename(SECOND!, "urunc1")],
    [16, 0x5, rename(FIRST!, "eth1")],
    [16, 0x5, rename(SECOND!, "eth0")],
  ]);
  // Addresses of both, then routes that somebody has set.
  assert.deepEqual(messages.slice(5).map(([type]) => type), [16, 16, 20, 24, 16, 16, 24]);
  const [default_, subnet] = messages.filter(([type]) => type === 24).map(([, , payload]) =>
    payload
  );
  assert.match(default_!, new RegExp(`08000400${FIRST}080005000a010001` + "0800060064000000$"));
  assert.match(subnet!, new RegExp(`08000400${SECOND}080001000a070000` + "0800060005000000$"));
});

const heads: [name: string, head: number[], is: boolean][] = [
  ["cpio", [...encode("070701")], true],
  ["cpio with checksums", [...encode("070702")], true],
  ["gzip", [0x1f, 0x8b, 8, 0, 0, 0], true],
  ["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0], true],
  ["zstd", [0x28, 0xb5, 0x2f, 0xfd, 4, 0], true],
  ["lz4", [0x02, 0x21, 0x4c, 0x18], true],
  ["old cpio", [...encode("070707")], false],
  ["ext2", [0, 0, 0, 0, 0, 0], false],
  ["squashfs", [...encode("hsqs")], false],
  ["cut short", [0x1f], false],
  ["nothing", [], false],
];

for (const [name, head, is] of heads) {
  Deno.test(`${name} is ${is ? "an archive" : "none"} that Linux unpacks`, () => {
    assert.equal(isInitramfs(Uint8Array.from(head)), is);
  });
}

const withInitrd: GuestInput = { args: ["/init"], env: [], hasInitrd: true, isInitramfs: true };
const lineOf = (input: Partial<GuestInput>) => linux.commandLine({ ...withInitrd, ...input });
const initrdOf = (input: Partial<GuestInput>) =>
  linux.processInInitrd!({ ...withInitrd, ...input });
const PRESET = ["HOME=/", "TERM=linux"];

const ROOT: GuestInput["disks"] = [{ mountPoint: "/", readOnly: false, fileSystem: "ext4" }];

const ways: { name: string; input: Partial<GuestInput>; way: "cmdline" | "initrd" }[] = [
  { name: "arguments that fit", input: { args: ["/init", "a b"] }, way: "cmdline" },
  { name: "no arguments", input: { args: [] }, way: "cmdline" },
  { name: "one variable", input: { env: ["A=1"] }, way: "initrd" },
  { name: "a long argument", input: { args: ["/init", "x".repeat(3000)] }, way: "initrd" },
  { name: "33 arguments", input: { args: Array(34).fill("a") }, way: "initrd" },
  { name: "a quote", input: { args: ["/init", 'a"b'] }, way: "initrd" },
  { name: "a second --", input: { args: ["/init", "--"] }, way: "initrd" },
  { name: "a file system", input: { env: ["A=1"], isInitramfs: false }, way: "cmdline" },
  { name: "no disk", input: { env: ["A=1"], hasInitrd: false }, way: "cmdline" },
  {
    name: "the command line asked for",
    input: { env: ["A=1"], environment: "cmdline" },
    way: "cmdline",
  },
  { name: "the disk asked for", input: { environment: "initrd" }, way: "initrd" },
  { name: "IPv6", input: { network: NETWORK }, way: "initrd" },
  { name: "IPv4", input: { network: { ...NETWORK, ipv6: undefined } }, way: "cmdline" },
  {
    name: "name servers",
    input: { network: { ...NETWORK, ipv6: undefined }, resolvConf: "nameserver ::1" },
    way: "initrd",
  },
  { name: "a variable and a root disk", input: { env: ["A=1"], disks: ROOT }, way: "cmdline" },
  { name: "IPv6 and a root disk", input: { network: NETWORK, disks: ROOT }, way: "cmdline" },
  { name: "IPv6 and no disk", input: { network: NETWORK, hasInitrd: false }, way: "cmdline" },
];

for (const { name, input, way } of ways) {
  Deno.test(`linux guest with ${name}: passed by the ${way}`, () => {
    const handed = initrdOf(input);
    assert.equal(handed === undefined ? "cmdline" : "initrd", way);
    const line = lineOf(input)!;
    assert.equal(line.endsWith(" rdinit=/urunc/init"), way === "initrd", line);
    if (handed !== undefined) {
      assert.deepEqual(handed.args, input.args ?? withInitrd.args);
      assert.deepEqual(handed.env, [...PRESET, ...input.env ?? []]);
      assert.deepEqual(handed.network, input.network);
      assert.doesNotMatch(line, /A=1/);
    }
  });
}

Deno.test("linux: variables that a command line could not carry arrive unchanged", () => {
  const env = ["console=x", "my.name=1", 'Q=a "b', "NL=a\nb", "HOME=/root", "A=1", "A=2"];
  assert.deepEqual(initrdOf({ env })!.env, [
    ...["HOME=/root", "TERM=linux", "console=x", "my.name=1", 'Q=a "b', "NL=a\nb", "A=2"],
  ]);
});

Deno.test("linux: the image's command line is used without arguments", () => {
  const env = ["A=1"];
  assert.deepEqual(initrdOf({ args: [], cmdline: ' /sh  -c "a b" ', env })!.args, [
    "/sh",
    "-c",
    "a b",
  ]);
  assert.deepEqual(initrdOf({ args: [], env })!.args, ["/init"]);
});

const refused: { name: string; input: Partial<GuestInput>; message: RegExp }[] = [
  {
    name: "a long environment without a disk",
    input: { env: [`A=${"x".repeat(2048)}`], hasInitrd: false },
    message: /2\d{3} bytes long.*at most 2047.*initial RAM disk/,
  },
  {
    name: "a long environment with a root disk",
    input: { env: [`A=${"x".repeat(2048)}`], disks: ROOT },
    message: /2\d{3} bytes long.*at most 2047.*initial RAM disk, without a root disk/,
  },
  {
    name: "a long environment on the command line by wish",
    input: { env: [`A=${"x".repeat(2048)}`], environment: "cmdline" },
    message: /2\d{3} bytes long.*at most 2047/,
  },
  {
    name: "the disk without one",
    input: { hasInitrd: false, environment: "initrd" },
    message: /unikernel\.environment.*no initial RAM disk/,
  },
  {
    name: "the disk that is a file system",
    input: { isInitramfs: false, environment: "initrd" },
    message: /unikernel\.environment.*not an archive/,
  },
  { name: "a variable without a value", input: { env: ["A"] }, message: /process\.env\[0\]/ },
  { name: "a variable without a name", input: { env: ["B=1", "=x"] }, message: /env\[1\]/ },
  { name: "a NUL", input: { env: ["A=b\0c"] }, message: /process\.env.*NUL/ },
  {
    name: "an empty init",
    input: { args: ["", "x"], environment: "initrd" },
    message: /process\.args\[0\].*empty/,
  },
  {
    name: "a string longer than Linux takes",
    input: { env: [`A=${"é".repeat(65536)}`] },
    message: /process\.env.*131074 bytes long.*at most 131071/,
  },
  {
    name: "more than an execve takes",
    input: { env: Array.from({ length: 20 }, (_, index) => `V${index}=${"x".repeat(120_000)}`) },
    message: /24\d{5} bytes long together.*at most 2093056/,
  },
];

for (const { name, input, message } of refused) {
  Deno.test(`linux guest refuses ${name}`, () => {
    const tell = () => [initrdOf(input), lineOf(input)];
    assert.throws(tell, (error) => {
      assert.ok(error instanceof InvalidConfigurationError);
      assert.match(error.message, message);
      assert.ok(error.message.length < 400, "a secret may be in it");
      return true;
    });
  });
}

Deno.test("an agent's segment has whom it runs, and the engine's files where the image's cannot hide them", () => {
  const { files } = unpack(initrdSegment({
    args: ["a"],
    env: [],
    resolvConf: "nameserver 9.9.9.9\n",
    hosts: "10.0.0.1 a\n",
    agent: {
      ...{ uid: 7, gid: 8, groups: [9], umask: 18, cwd: "/w", hostname: "name" },
      rlimits: [{ type: "RLIMIT_NOFILE", soft: "1", hard: "18446744073709551615" }],
      capabilities: {
        ...{ bounding: "1", effective: "2", inheritable: "3", permitted: "4", ambient: "5" },
      },
      noNewPrivileges: true,
      sysctls: { "net.ipv4.ip_forward": "1" },
      mounts: [{ target: "/a b", type: "tmpfs", flags: 14, options: "size=1m" }],
      openFiles: 5000,
      devices: [{ disk: "vdb", path: "/dev/a b", mode: 0o660, uid: 7, gid: 6 }],
      maskedPaths: ["/proc/keys"],
      readonlyPaths: ["/proc/sys"],
      readOnlyRoot: true,
    },
  }));
  const text = (name: string) => decode(files.get(`urunc/${name}`)!.content);
  assert.deepEqual(text("process").split("\0"), [
    ...["uid=7", "gid=8", "groups=9", "umask=18", "cwd=/w", "hostname=name"],
    ...["limit=7:1:18446744073709551615", "capabilities=1:2:3:4:5"],
    ...["sysctl=net/ipv4/ip_forward=1", "no-new-privileges", "mount=e tmpfs size=1m /a b"],
    ...["open-files=5000", "device=660 7 6 vdb /dev/a b"],
    ...["masked=/proc/keys", "read-only=/proc/sys", "read-only-root", ""],
  ]);
  assert.equal(text("etc/resolv.conf"), "nameserver 9.9.9.9\n");
  assert.equal(text("etc/hosts"), "10.0.0.1 a\n");
  assert.equal(text("etc/hostname"), "name\n");
  assert.ok(![...files.keys()].some((name) => name.startsWith("etc/")));
});
