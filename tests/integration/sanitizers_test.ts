/**
 * The C sources under AddressSanitizer and UndefinedBehaviorSanitizer, with random input that is the
 * same in every run; and what the entry stub decides compared with what the program decides.
 */
import assert from "node:assert/strict";
import { parse } from "smol-toml";
import { type AgentProcess, processFile } from "../../lib/guest/initrd/process.ts";
import { groupOf, SOCKET_DIRECTORY, socketPath } from "../../lib/shim/command/group.ts";
import { guestMounts } from "../../lib/plan/guest_mounts.ts";
import { run } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { Random } from "../unit/shim/_random.ts";

const ROUNDS = 20_000;
const SANITIZE = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

const encode = (text: string) => new TextEncoder().encode(text);

/**
 * Compiles a program with the sanitizers, and runs it.
 *
 * @param input its standard input
 * @returns the lines that it prints
 */
async function runSanitized(source: string, input: Uint8Array<ArrayBuffer>): Promise<string[]> {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("sanitized");
  const path = new URL(source, import.meta.url).pathname;
  await run(["gcc", ...SANITIZE, path, "-o", `${directory}/program`], { check: true });
  await Deno.writeFile(`${directory}/input`, input);
  // Leaks are looked for with ptrace, which a container may forbid; init never frees anything.
  const { stdout } = await run([
    "sh",
    "-c",
    'exec "$0" <"$1"',
    `${directory}/program`,
    `${directory}/input`,
  ], {
    env: { ASAN_OPTIONS: "detect_leaks=0" },
    check: true,
  });
  return stdout.trimEnd().split("\n");
}

function concatenate(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(parts.reduce((size, it) => size + it.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}

function sized(data: Uint8Array): Uint8Array {
  return concatenate([new Uint8Array(Uint32Array.of(data.length).buffer), data]);
}

/** Has the stub's parser of this letter answer for each text. */
async function askStub(kind: string, texts: Uint8Array[]): Promise<string[]> {
  const letter = encode(kind);
  const answers = await runSanitized(
    "sanitized_stub.c",
    concatenate(texts.flatMap((it) => [letter, sized(it)])),
  );
  assert.equal(answers.length, texts.length);
  return answers;
}

function tryTo<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}

const TOML_PARTS = [
  ...['shim_group = "namespace"', 'shim_group = "container"', "shim_group", "=", '"namespace"'],
  ...["\n", "\n", "\n", " ", "\t", "\r\n", "#", "# a remark\n", "[", "]", "\n[monitors.qemu]\n"],
  ...['"', "'", '"""', "'''", "\\", "a = 1\n", 'path = "/x"\n', "b = [", ",", "\u00e9", "\0"],
];

testIf("the stub reads shim_group as the program does, or leaves it to that", {
  needs: ["gcc"],
}, async () => {
  const random = new Random(1);
  const texts = Array.from(
    { length: ROUNDS },
    () => Array.from({ length: random.below(10) }, () => random.pick(TOML_PARTS)).join(""),
  );
  const usual = [
    "",
    "a = 1\n",
    'shim_group = "container" # each\n',
    '\tshim_group = "namespace"\r\n',
  ];
  const answers = await askStub("t", [...usual, ...texts].map(encode));
  assert.deepEqual(answers.splice(0, usual.length), ["0", "0", "0", "1"]);
  let compared = 0;
  for (const [index, text] of texts.entries()) {
    const document = tryTo(() => parse(text));
    if (document === undefined || answers[index] === "-1") continue;
    compared++;
    const isNamespace = (document.shim_group ?? "container") === "namespace";
    assert.equal(answers[index], isNamespace ? "1" : "0", JSON.stringify(text));
    assert.match(`${document.shim_group ?? "container"}`, /^(namespace|container)$/, text);
  }
  assert.ok(compared > ROUNDS / 20, `only ${compared} could be compared`);
});

const KEYS = [
  ...["annotations", "io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id", "process"],
  ...["", "a", "io.kubernetes.cri.sandbox-i", 'q"{', "back\\slash", "\u00e9"],
];
const VALUES = [...KEYS, "pod", "{", "}]", '"', 7, null, true];

function randomValue(random: Random, depth: number): unknown {
  const kind = depth === 0 ? 0 : random.below(8);
  if (kind < 4) return random.pick(VALUES);
  const length = random.below(4);
  const values = Array.from({ length }, () => randomValue(random, depth - 1));
  if (kind === 4) return values;
  return Object.fromEntries(values.map((value) => [random.pick(KEYS), value]));
}

/** A config.json, now and then a damaged one. */
function randomConfiguration(random: Random): Uint8Array {
  const entries = Array.from({ length: random.below(4) }, () => [
    random.pick(KEYS),
    randomValue(random, 3),
  ]);
  const annotations = randomValue(random, 1 + random.below(2));
  const configuration = Object.fromEntries([...entries, ["annotations", annotations]]);
  const bytes = encode(JSON.stringify(configuration, undefined, random.below(2)));
  if (random.below(4) === 0) {
    bytes[random.below(bytes.length)] = random.pick([...encode('"\\{}[]:,a')]);
  }
  return random.below(8) === 0 ? bytes.subarray(0, random.below(bytes.length)) : bytes;
}

testIf("the stub finds a container's group as the program does, or leaves it to that", {
  needs: ["gcc"],
}, async () => {
  const random = new Random(2);
  const usual = [
    ["{}", "none"],
    ['{"annotations":{"io.kubernetes.cri.sandbox-id":"pod"}}', "=706f64"],
    ['{"annotations":{"a":"\\u003c\\"","io.containerd.runc.v2.group":""},"x":1}', "="],
  ];
  const texts = Array.from({ length: ROUNDS }, () => randomConfiguration(random));
  const answers = await askStub("j", [...usual.map(([text]) => encode(text!)), ...texts]);
  assert.deepEqual(answers.splice(0, usual.length), usual.map(([, answer]) => answer));
  let compared = 0;
  for (const [index, bytes] of texts.entries()) {
    const text = new TextDecoder().decode(bytes);
    const configuration = tryTo(() => JSON.parse(text));
    if (configuration === undefined || answers[index] === "undecided") continue;
    compared++;
    const annotations = Object.fromEntries(
      Object.entries(configuration.annotations ?? {}).filter(([, it]) => typeof it === "string"),
    ) as Record<string, string>;
    const group = groupOf({ id: "none", annotations, shimGroup: "container" });
    const expected = group === "none" ? group : `=${encode(group).toHex()}`;
    assert.equal(answers[index], expected, text);
  }
  assert.ok(compared > ROUNDS / 4, `only ${compared} could be compared`);
});

testIf("the stub names sockets as the program does", { needs: ["gcc"] }, async () => {
  const random = new Random(3);
  const names = Array.from({ length: 500 }, () => {
    const text = () => random.bytes(random.below(80)).toHex() + random.pick(["", "\u00e9", "/"]);
    return [text(), text(), text()] as const;
  });
  const answers = await askStub(
    "h",
    names.map((it) => encode(it.map((text) => `${text}\0`).join(""))),
  );
  assert.deepEqual(
    answers.map((it) => `${SOCKET_DIRECTORY}/${it}`),
    names.map((it) => socketPath(...it)),
  );
});

testIf("the stub accepts exactly the arguments that are UTF-8", { needs: ["gcc"] }, async () => {
  const random = new Random(4);
  const lead = [0x41, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff];
  const next = [0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0];
  const texts = Array.from({ length: ROUNDS }, () => {
    const characters = Array.from({ length: random.below(3) }, () => [
      random.pick(lead),
      ...Array.from({ length: random.below(4) }, () => random.pick(next)),
    ]);
    return Uint8Array.from([...characters.flat(), 0]);
  });
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const isUtf8 = (bytes: Uint8Array) => tryTo(() => decoder.decode(bytes)) !== undefined;
  assert.deepEqual(await askStub("u", texts), texts.map((it) => isUtf8(it) ? "1" : "0"));
});

/** An RTM_NEWLINK message of an interface that is up, with its address as the only attribute. */
function linkMessage(index: number): Uint8Array {
  const message = Uint8Array.fromHex(
    "2c000000" + "10000000" + "00000000" + "00000000" + "00000000" + "00000000" + "01000000" +
      "00000000" + "0a000100" + "02420a580307" + "0000",
  );
  message[20] = index;
  return message;
}

testIf("guest init reads no byte outside of a damaged message", { needs: ["gcc"] }, async () => {
  const random = new Random(5);
  const messages = [
    linkMessage(7),
    concatenate([new Uint8Array(20).fill(20, 0, 1), linkMessage(9)]),
  ];
  for (let round = 0; round < ROUNDS; round++) {
    const parts = Array.from({ length: 1 + random.below(3) }, () => linkMessage(random.below(200)));
    const bytes = concatenate(parts);
    for (let flip = random.below(6); flip > 0; flip--) {
      bytes[random.below(bytes.length)] = random.pick([0, 1, 2, 3, 4, 16, 255, random.below(256)]);
    }
    const cut = random.pick([0, 0, random.below(30)]);
    // The last message may say that it is shorter, or may not.
    if (random.below(2) === 0) bytes[bytes.length - 44] = 44 - cut;
    messages.push(bytes.subarray(0, bytes.length - cut));
  }
  const answers = await runSanitized("sanitized_init.c", concatenate(messages.map(sized)));
  assert.equal(answers.length, messages.length);
  assert.deepEqual(answers.slice(0, 2), ["7", "9"]);
});

const HELLO = frame(1, new Uint8Array(24));
const INPUT_END = frame(2, new Uint8Array(8).fill(7));
const DRAINED = frame(5, new Uint8Array());
const READY = frame(65, Uint8Array.of(1, 0, ...new Uint8Array(16)));
const EXITED = frame(66, Uint8Array.of(3, ...new Uint8Array(23)));

function frame(type: number, payload = new Uint8Array()): Uint8Array {
  return concatenate([Uint8Array.of(type, 0, payload.length, 0), payload]);
}

/** One after the other, now and then damaged or cut. */
function randomFrames(random: Random, kinds: Uint8Array[]): Uint8Array {
  const bytes = concatenate(Array.from({ length: random.below(6) }, () => random.pick(kinds)));
  const end = random.below(4) === 0 ? random.below(bytes.length + 1) : bytes.length;
  for (let flip = random.below(8) - 4; flip > 0 && bytes.length > 0; flip--) {
    bytes[random.below(bytes.length)] = random.pick([0, 1, 2, 65, 255, random.below(256)]);
  }
  return bytes.subarray(0, end);
}

/** In portions, each preceded by its length. */
function portions(random: Random, bytes: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = Math.min(bytes.length - at, random.pick([1, 2, 3, 30, 255]));
    parts.push(Uint8Array.of(length), bytes.subarray(at, at + length));
    at += length;
  }
  return concatenate(parts);
}

async function askAgent(records: [kind: string, data: Uint8Array][]): Promise<string[]> {
  const input = records.flatMap(([kind, data]) => [encode(kind), sized(data)]);
  const answers = await runSanitized("sanitized_agent.c", concatenate(input));
  assert.equal(answers.length, records.length);
  return answers;
}

testIf("a port for further processes: after the zeros a hello is found, whatever was before", {
  needs: ["gcc"],
}, async () => {
  const random = new Random(8);
  /** EXEC_HELLO, EXEC_PADDING: lib/build/guest_init/exec_protocol.h */
  const hello = frame(129, Uint8Array.of(1, 0, ...new Uint8Array(16).fill(130)));
  const padding = new Uint8Array(8196);
  const records = Array.from({ length: ROUNDS / 10 }, (): [string, Uint8Array] => {
    const bytes = new Uint8Array(random.below(3) === 0 ? 8196 : random.below(20));
    const types = [129, 130, 132, 134, 135, 136, 137];
    for (let index = 0; index < bytes.length; index++) bytes[index] = random.below(256);
    // The beginning of a frame, mostly of a right length.
    if (bytes.length > 4) bytes.set([random.pick(types), 0, random.below(256), random.below(33)]);
    return ["x", concatenate([bytes, padding, hello])];
  });
  const answers = await askAgent(records);
  assert.deepEqual(new Set(answers), new Set(["129"]));
});

testIf("each connection that an agent makes for further processes begins with the hello's bytes", {
  needs: ["gcc"],
}, async () => {
  const said = await runSanitized("sanitized_exec.c", new Uint8Array());
  assert.deepEqual(said, ["0123456789abcdef", "0123456789abcdef"]);
});

testIf("agent and waiter read any bytes of each other, in any portions", {
  needs: ["gcc"],
}, async () => {
  const random = new Random(6);
  const oneByOne = (...frames: Uint8Array[]) =>
    concatenate([...concatenate(frames)].map((byte) => Uint8Array.of(1, byte)));
  const usual: [string, Uint8Array, string][] = [
    ["f", concatenate([HELLO, INPUT_END, DRAINED]), "3 whole"],
    ["f", HELLO.subarray(0, 20), "0 more"],
    ["f", frame(1, new Uint8Array(23)), "0 broken"],
    ["f", Uint8Array.of(1, 0, 255, 255), "0 broken"],
    [
      "n",
      concatenate([frame(1, Uint8Array.of(1)), frame(2, Uint8Array.of(1, 2)), frame(3)]),
      "3 whole",
    ],
    ["n", frame(1, new Uint8Array(200)).subarray(0, 100), "0 more"],
    ["n", frame(1), "0 broken"],
    ["n", frame(3, Uint8Array.of(1)), "0 broken"],
    ["n", Uint8Array.of(1, 0, 1, 16), "0 broken"],
    ["n", Uint8Array.of(1, 0, 0, 16, ...new Uint8Array(4096)), "1 whole"],
    // State, whether it is broken, whether the program has exited, its code, whether the console fits.
    ["c", oneByOne(READY, EXITED), "2 0 1 3 1"],
    ["c", oneByOne(EXITED), "1 1 0 0 1"],
    ["c", oneByOne(READY, READY), "2 1 0 0 1"],
    ["c", oneByOne(READY, EXITED, EXITED), "2 1 1 3 1"],
    ["c", oneByOne(frame(65, Uint8Array.of(2, ...new Uint8Array(17)))), "1 1 0 0 1"],
    ["c", oneByOne(frame(65, new Uint8Array(18).fill(1))), "1 1 0 0 1"],
    ["c", oneByOne(encode("[ 1.2] uruurunc-agent: serial line\r\n")), "3 1 0 0 1"],
  ];
  const records: [string, Uint8Array][] = usual.map(([kind, data]) => [kind, data]);
  for (let round = 0; round < ROUNDS; round++) {
    const kinds = [HELLO, INPUT_END, DRAINED, READY, EXITED, encode("urunc-agent: serial line\n")];
    const bytes = randomFrames(random, kinds);
    if (round % 2 === 0) records.push(["n", bytes]);
    records.push(random.below(2) === 0 ? ["f", bytes] : ["c", portions(random, bytes)]);
  }
  const answers = await askAgent(records);
  assert.deepEqual(answers.slice(0, usual.length), usual.map(([, , answer]) => answer));
});

/** The bytes by which libblkid knows what a disk has, and where they are; negative: from its end. */
const DISKS: [kind: string, text: string, at: number][] = [
  ["LUKS", "LUKS\xba\xbe", 0],
  ["LVM", "LABELONE", 512],
  ...[0, 4096, -8192, -65536].map((
    at,
  ): [string, string, number] => ["RAID", "\xfc\x4e\x2b\xa9", at]),
  ["ext4", "\x53\xef", 0x438],
  ["xfs", "XFSB", 0],
  ["squashfs", "hsqs", 0],
  ["btrfs", "_BHRfS_M", 0x10040],
  ["erofs", "\xe2\xe1\xf5\xe0", 1024],
  ["partitions", "\x55\xaa", 510],
];
const NOTHING = "nothing that is known";

testIf("the agent knows what a disk has by its bytes, whatever they are", {
  needs: ["gcc"],
}, async () => {
  const disk = (...parts: [text: string, at: number][]) => {
    const bytes = new Uint8Array(256 * 1024);
    for (const [text, at] of parts) {
      bytes.set([...text].map((it) => it.charCodeAt(0)), at < 0 ? bytes.length + at : at);
    }
    return bytes;
  };
  const whole = DISKS.map(([kind, text, at]): [string, Uint8Array] => [kind, disk([text, at])]);
  const [, text, at] = DISKS.find(([kind]) => kind === "ext4")!;
  const cases: [string, Uint8Array][] = [
    ...whole,
    // What is at its end is of a mirror, which has a file system; a boot sector may be in front of one.
    ["RAID", disk([text, at], ["\xfc\x4e\x2b\xa9", -8192])],
    ["ext4", disk([text, at], ["\x55\xaa", 510])],
    [NOTHING, disk()],
    [NOTHING, new Uint8Array()],
    [NOTHING, Uint8Array.of(0x4c, 0x55)],
    ["LUKS", disk(["LUKS\xba\xbe", 0]).subarray(0, 600)],
  ];
  const answers = await askAgent(cases.map(([, bytes]) => ["d", bytes]));
  assert.deepEqual(answers, cases.map(([kind]) => kind));
});

const PROCESS_PARTS = [
  ...[
    "uid=7\0",
    "gid=8\0",
    "groups=1,2,3\0",
    "umask=18\0",
    "open-files=9\0",
    "limit=7:1:2\0",
    "limit=0:1:1\0",
  ],
  ...[
    "capabilities=1:2:3:4:ff\0",
    "cwd=/a\0",
    "hostname=h\0",
    "domainname=d\0",
    "sysctl=a/b=c\0",
    "sysctl=a\0",
  ],
  ...[
    "mount=e tmpfs size=1 /a b\0",
    "mount=",
    "e ",
    " ",
    "/a\0",
    "masked=/a\0",
    "device=",
    "660 ",
    "/dev/a\0",
    "read-only=/a\0",
    "root=",
    "vda",
    ":ro\0",
  ],
  ...["no-new-privileges\0", "uid=", "4294967295\0", ",", ":", "=", "\0", "-1", "limit=99:1:1\0"],
];

testIf("the agent reads whom it is to run, or refuses the whole", { needs: ["gcc"] }, async () => {
  const random = new Random(7);
  const process: AgentProcess = {
    ...{ uid: 1000, gid: 1001, groups: [4, 5], umask: 0o27, cwd: "/x\ny", hostname: "name" },
    rlimits: [{ type: "RLIMIT_CORE", soft: "0", hard: `${2n ** 64n - 1n}` }],
    capabilities: {
      bounding: "1",
      effective: "1",
      inheritable: "0",
      permitted: "1",
      ambient: "1ff",
    },
    noNewPrivileges: true,
    sysctls: { "net.ipv4.ip_forward": "1", "kernel.domainname": "a=b" },
    mounts: guestMounts({ mounts: [] }),
    devices: [{ disk: "vda", path: "/dev/a b", mode: 0o660, uid: 1, gid: 6 }],
    maskedPaths: ["/proc/keys"],
    readonlyPaths: ["/a=b"],
    readOnlyRoot: true,
  };
  const usual: [string, string][] = [
    ["", "1 0 0 0 0"],
    [new TextDecoder().decode(processFile(process)), "1 1000 2 1 1ff"],
    ["uid=1", "0 0 0 0 0"],
    ["uid=-1\0", "0 0 0 0 0"],
    ["uid=4294967295\0", "0 0 0 0 0"],
    ["limit=1:2:3:4\0", "0 0 0 0 0"],
    ["cwd=relative\0", "0 0 0 0 0"],
    ["root=vda:ro\0", "1 0 0 0 0"],
    ["root=../vda:ro\0", "0 0 0 0 0"],
    ["root=vda:maybe\0", "0 0 0 0 0"],
    ["unknown\0", "0 0 0 0 0"],
    ["limit=1:2:3\0".repeat(17), "0 0 0 16 0"],
    ["mount=e tmpfs size=1 /a b\0mount=0 proc  /proc\0", "1 0 0 0 0"],
    ["mount=e tmpfs /a\0", "0 0 0 0 0"],
    ["mount=x tmpfs size=1 /a\0", "0 0 0 0 0"],
    ["mount=e tmpfs size=1 a\0", "0 0 0 0 0"],
    ["masked=a\0", "0 0 0 0 0"],
    ["device=660 1 6 vda /dev/a\0".repeat(8), "1 0 0 0 0"],
    ["device=660 1 6 vda /dev/a\0".repeat(9), "0 0 0 0 0"],
    ["device=660 1 6 ../vda /dev/a\0", "0 0 0 0 0"],
    ["device=660 1 6 vda /srv/a\0", "0 0 0 0 0"],
    ["device=680 1 6 vda /dev/a\0", "0 0 0 0 0"],
    ["device=660 1 6 /dev/a\0", "0 0 0 0 0"],
  ];
  const texts = Array.from(
    { length: ROUNDS },
    () => Array.from({ length: random.below(6) }, () => random.pick(PROCESS_PARTS)).join(""),
  );
  const all = [...usual.map(([text]) => text), ...texts];
  const answers = await askAgent(all.map((text) => ["p", encode(text)]));
  assert.deepEqual(answers.slice(0, usual.length), usual.map(([, answer]) => answer));
});
