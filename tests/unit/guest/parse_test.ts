import assert from "node:assert/strict";
import { InvalidConfigurationError, UnsupportedError, UruncError } from "../../../lib/errors.ts";
import { isUnikernel, type MonitorSupport, parseUnikernel } from "../../../lib/guest/parse.ts";
import type { UnikernelConfig, UnikernelType } from "../../../lib/guest/types.ts";

const guests: Record<string, UnikernelType[]> = {
  qemu: ["linux", "elf", "unikraft", "mirage", "mewz"],
  firecracker: ["linux", "unikraft"],
  hvt: ["elf", "mirage", "rumprun"],
  spt: ["elf", "mirage", "rumprun"],
};
const monitors: MonitorSupport = {
  names: Object.keys(guests),
  usual: "qemu",
  guestsOf: (name) => guests[name]!,
};

const minimal = { unikernelType: "linux", hypervisor: "qemu", binary: "/boot/kernel" };
const minimalConfig: UnikernelConfig = {
  unikernelType: "linux",
  unikernelVersion: undefined,
  hypervisor: "qemu",
  binary: "/boot/kernel",
  initrd: undefined,
  cmdline: undefined,
  accelerator: "kvm",
  environment: undefined,
  kernelParameters: undefined,
  stop: undefined,
  agent: undefined,
  block: undefined,
  blockMountPoint: undefined,
  rootDisk: false,
  solo5NetDev: undefined,
  solo5BlkDev: undefined,
};

function annotations(values: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => [`com.urunc.unikernel.${key}`, value]),
  );
}

function base64(text: string): string {
  return btoa(Array.from(new TextEncoder().encode(text), (it) => String.fromCharCode(it)).join(""));
}

function file(values: Record<string, string>): string {
  return JSON.stringify(
    annotations(
      Object.fromEntries(Object.entries(values).map(([key, value]) => [key, base64(value)])),
    ),
  );
}

const accepted: {
  name: string;
  annotations?: Record<string, string>;
  uruncJson?: string;
  config: Partial<UnikernelConfig>;
}[] = [
  { name: "plain annotations", annotations: minimal, config: {} },
  {
    name: "keys of others in the file, and empty values of any",
    uruncJson: JSON.stringify({
      ...JSON.parse(file(minimal)),
      "org.opencontainers.image.source": "https://example.org",
      maintainer: "somebody",
      labels: { a: 1 },
      "com.urunc.unikernel.cmdline": "",
      "com.urunc.unikernel.initrd": null,
      "com.urunc.unikernel.ofNewerTools": "",
    }),
    config: {},
  },
  {
    name: "parameters of the kernel",
    annotations: { ...minimal, kernelParameters: "quiet loglevel=3" },
    config: { kernelParameters: "quiet loglevel=3" },
  },
  {
    name: "an agent",
    annotations: { ...minimal, agent: "on" },
    config: { agent: "on" },
  },
  {
    name: "no agent",
    annotations: { ...minimal, agent: "none" },
    config: { agent: "none" },
  },
  {
    name: "a network device of a Solo5 guest",
    annotations: { ...minimal, unikernelType: "mirage", hypervisor: "spt", solo5NetDev: "net0" },
    config: { unikernelType: "mirage", hypervisor: "spt", solo5NetDev: "net0" },
  },
  {
    name: "base64 annotations",
    annotations: Object.fromEntries(
      Object.entries({ ...minimal, cmdline: "-c 'à b'", initrd: "boot/initrd" })
        .map(([key, value]) => [key, base64(value)]),
    ),
    config: { cmdline: "-c 'à b'", initrd: "/boot/initrd" },
  },
  { name: "the file alone", uruncJson: file(minimal), config: {} },
  {
    name: "annotations over the file, key by key",
    annotations: { binary: "/other", accelerator: "tcg" },
    uruncJson: file({ ...minimal, unikernelVersion: "6.12" }),
    config: { binary: "/other", accelerator: "tcg", unikernelVersion: "6.12" },
  },
  {
    name: "empty values, which say nothing",
    annotations: { binary: "", cmdline: "", initrd: "", block: "", useDMBlock: "" },
    uruncJson: file({ ...minimal, initrd: "", mountRootfs: "false" }),
    config: {},
  },
  {
    name: "keys that ask for no disk",
    annotations: { ...minimal, useDMBlock: "false", mountRootfs: base64("false"), block: "" },
    config: {},
  },
  {
    name: "a disk image, and where it is mounted",
    annotations: { ...minimal, block: "/disk.img", blkMntPoint: base64("/") },
    config: { block: "/disk.img", blockMountPoint: "/" },
  },
  {
    name: "the image's root as a disk",
    annotations: { ...minimal, mountRootfs: base64("true") },
    config: { rootDisk: true },
  },
  {
    name: "the same by its older name, and a Solo5 guest's name for it",
    annotations: {
      ...minimal,
      unikernelType: "rumprun",
      hypervisor: "hvt",
      useDMBlock: "true",
      mountRootfs: "true",
      blkMntPoint: "/srv/",
      solo5BlkDev: "disk0",
    },
    config: {
      unikernelType: "rumprun",
      hypervisor: "hvt",
      rootDisk: true,
      blockMountPoint: "/srv",
      solo5BlkDev: "disk0",
    },
  },
  {
    name: "a path with doubled slashes and dots",
    annotations: { ...minimal, binary: "/boot//./a..b/kernel-6.1_x" },
    config: { binary: "/boot/a..b/kernel-6.1_x" },
  },
  // `/abc` is base64, but of bytes that are no UTF-8: never taken for it.
  {
    name: "a path of base64's form",
    annotations: { ...minimal, binary: "/abc" },
    config: {
      binary: "/abc",
    },
  },
  {
    name: "a plain cmdline",
    annotations: { ...minimal, cmdline: "/init --a=b, c" },
    config: { cmdline: "/init --a=b, c" },
  },
  {
    name: "a plain word as cmdline that is no base64 of text",
    annotations: { ...minimal, cmdline: "test" },
    config: { cmdline: "test" },
  },
  {
    name: "a cmdline that is base64 of text",
    annotations: { ...minimal, cmdline: "Wm05dg==" },
    config: { cmdline: "Zm9v" },
  },
  {
    name: "elf",
    annotations: { ...minimal, unikernelType: "elf" },
    config: {
      unikernelType: "elf",
    },
  },
];

for (const { name, annotations: values, uruncJson, config } of accepted) {
  Deno.test(`parseUnikernel accepts ${name}`, () => {
    const found = parseUnikernel({
      annotations: { "org.example": "x", ...annotations(values ?? {}) },
      uruncJson,
      monitors,
    });
    assert.deepEqual(found, { ...minimalConfig, ...config });
  });
}

const prefix = "com.urunc.unikernel.";
const invalid = InvalidConfigurationError;

const refused: {
  name: string;
  values?: Record<string, string>;
  uruncJson?: string;
  error: typeof UruncError;
  /** What the message must hold. */
  message: string[];
}[] = [
  // CVE-2020-27151, CVE-2024-3154: annotations as host paths.
  ...[
    "../../x",
    "/boot/../../etc/shadow",
    "/boot/kernel,if=none",
    "/boot/a=b",
    "/boot/a\nb",
    "/boot/kernel\n",
    "/boot/a b",
    "/boot/é",
    "/",
    "/./",
    "kernel",
    "/" + "x".repeat(5000),
  ].flatMap((path) =>
    ["binary", "initrd", "block"].flatMap((key) => [
      {
        name: `the path ${JSON.stringify(path.slice(0, 30))} as ${key}`,
        values: { ...minimal, [key]: path },
        error: invalid,
        message: [prefix + key, "allowed: a path"],
      },
      ...path === "kernel" ? [] : [{
        name: `the path ${JSON.stringify(path.slice(0, 30))} as ${key} in base64`,
        values: { ...minimal, [key]: base64(path) },
        error: invalid,
        message: [prefix + key, "allowed: a path"],
      }],
    ])
  ),
  {
    name: "another guest",
    values: { ...minimal, unikernelType: "osv" },
    error: UnsupportedError,
    message: [prefix + "unikernelType", '"osv"', "supported: linux, elf"],
  },
  {
    name: "another monitor, in base64",
    values: { ...minimal, hypervisor: base64("xen") },
    error: UnsupportedError,
    message: [prefix + "hypervisor", '"xen"', "supported: qemu, firecracker"],
  },
  ...[
    ["rumprun", "firecracker"],
    ["rumprun", "qemu"],
    ["linux", "hvt"],
    ["elf", "firecracker"],
    ["unikraft", "spt"],
    ["mirage", "firecracker"],
    ["mewz", "hvt"],
  ].map(([unikernelType, hypervisor]) => ({
    name: `${unikernelType} on ${hypervisor}`,
    values: { ...minimal, unikernelType: unikernelType!, hypervisor: hypervisor! },
    error: UnsupportedError,
    message: [
      prefix + "hypervisor",
      `${unikernelType} on ${hypervisor} is not supported`,
      "supported: linux on qemu or firecracker",
      "mewz on qemu",
    ],
  })),
  ...["tap 0", "net0=tap9", "a".repeat(68), "ä"].map((solo5NetDev) => ({
    name: `a network device called ${solo5NetDev}`,
    values: { ...minimal, solo5NetDev },
    error: invalid,
    message: [prefix + "solo5NetDev", "1 to 67 of A-Z a-z 0-9"],
  })),
  {
    name: "a host binary as monitor",
    values: { ...minimal, hypervisor: "/usr/bin/id" },
    error: invalid,
    message: [prefix + "hypervisor"],
  },
  {
    name: "an unknown accelerator",
    values: { ...minimal, accelerator: "hvf" },
    error: UnsupportedError,
    message: [prefix + "accelerator", "kvm, tcg"],
  },
  {
    name: "a misspelt key",
    values: { ...minimal, unikernelTyp: "linux" },
    error: invalid,
    message: [
      prefix + "unikernelTyp",
      "no such key",
      'did you mean "' + prefix + 'unikernelType"?',
    ],
  },
  {
    name: "a key of every object",
    values: { ...minimal, constructor: "x" },
    error: invalid,
    message: [prefix + "constructor", "no such key"],
  },
  ...["unikernelType", "hypervisor", "binary"].map((key) => ({
    name: `no ${key}`,
    values: { ...minimal, [key]: "" },
    error: invalid,
    message: [prefix + key, "missing"],
  })),
  {
    name: "a place to mount no disk",
    values: { ...minimal, blkMntPoint: "/data" },
    error: invalid,
    message: [prefix + "blkMntPoint", "no key asks for one"],
  },
  {
    name: "a disk image in the file system that is to be a disk",
    values: { ...minimal, block: "/disk.img", useDMBlock: "true" },
    error: invalid,
    message: [prefix + "block", prefix + "useDMBlock"],
  },
  {
    name: "two names of one key that contradict each other",
    values: { ...minimal, mountRootfs: "false", useDMBlock: "true" },
    error: invalid,
    message: [prefix + "mountRootfs", prefix + "useDMBlock", "opposite"],
  },
  {
    name: "a word that is neither true nor false",
    values: { ...minimal, mountRootfs: "yes" },
    error: UnsupportedError,
    message: [prefix + "mountRootfs", '"yes"', "true, false"],
  },
  ...["data", "/data/../etc", "/a,b", "/a b"].map((path) => ({
    name: `the place ${path} to mount a disk`,
    values: { ...minimal, block: "/disk.img", blkMntPoint: path },
    error: invalid,
    message: [prefix + "blkMntPoint", "allowed: an absolute path"],
  })),
  {
    name: "a cmdline with a control character",
    values: { ...minimal, cmdline: "a\x1b[2J" },
    error: invalid,
    message: [prefix + "cmdline"],
  },
  {
    name: "plain values in the file",
    uruncJson: JSON.stringify(annotations(minimal)),
    error: invalid,
    message: [prefix, "in base64"],
  },
  {
    name: "a plain path in the file",
    uruncJson: JSON.stringify({
      ...JSON.parse(file(minimal)),
      [`${prefix}binary`]: "/boot/kernel",
    }),
    error: invalid,
    message: [prefix + "binary", "in base64"],
  },
  {
    name: "base64 with stray bits in the file",
    uruncJson: JSON.stringify({ ...JSON.parse(file(minimal)), [`${prefix}cmdline`]: "YR==" }),
    error: invalid,
    message: [prefix + "cmdline", "in base64"],
  },
  {
    name: "base64 with a line feed in the file",
    uruncJson: JSON.stringify({ ...JSON.parse(file(minimal)), [`${prefix}cmdline`]: "YQ==\n" }),
    error: invalid,
    message: [prefix + "cmdline", "in base64"],
  },
  {
    name: "base64 without its padding in the file",
    uruncJson: JSON.stringify({ ...JSON.parse(file(minimal)), [`${prefix}cmdline`]: "YQ" }),
    error: invalid,
    message: [prefix + "cmdline", "in base64"],
  },
  {
    name: "a key in the file that is almost ours",
    uruncJson: JSON.stringify({ ...JSON.parse(file(minimal)), "com.urunc.other": "eA==" }),
    error: invalid,
    message: ['"com.urunc.other"', "no such key"],
  },
  { name: "no JSON", uruncJson: "{", error: invalid, message: ["/urunc.json", "not JSON"] },
  { name: "an array", uruncJson: "[]", error: invalid, message: ["/urunc.json", "object"] },
  { name: "null", uruncJson: "null", error: invalid, message: ["/urunc.json", "object"] },
  {
    name: "a number in the file",
    uruncJson: `{"${prefix}binary": 1}`,
    error: invalid,
    message: ["/urunc.json", prefix + "binary", "not a string"],
  },
  {
    name: "a large file",
    uruncJson: JSON.stringify({ x: "A".repeat(65536) }),
    error: invalid,
    message: ["/urunc.json", "65536"],
  },
  {
    name: "a file of great depth",
    uruncJson: `{"com.urunc.unikernel.binary":${"[".repeat(10000)}${"]".repeat(10000)}}`,
    error: invalid,
    message: ["/urunc.json", "not a string"],
  },
];

for (const { name, values, uruncJson, error: expected, message } of refused) {
  Deno.test(`parseUnikernel refuses ${name}`, () => {
    assert.throws(
      () => parseUnikernel({ annotations: annotations(values ?? {}), uruncJson, monitors }),
      (error) => {
        assert.ok(error instanceof expected, String(error));
        for (const part of message) assert.ok(error.message.includes(part), error.message);
        assert.ok(error.message.length < 700, `${error.message.length} characters`);
        return true;
      },
    );
  });
}

const recognised: [string, Record<string, string>, string | undefined, boolean][] = [
  ["no annotations", {}, undefined, false],
  ["other annotations", { "io.kubernetes.cri.container-type": "sandbox" }, undefined, false],
  ["empty annotations", annotations({ binary: "" }), undefined, false],
  ["an annotation", annotations({ binary: "/k" }), undefined, true],
  ["a misspelt annotation", annotations({ binry: "/k" }), undefined, true],
  ["a misspelt prefix", { "com.urunc.unikernl.binary": "/k" }, undefined, true],
  ["an empty misspelt prefix", { "com.urunc.unikernl.binary": "" }, undefined, false],
  ["a file", {}, "{}", true],
  ["annotations of this container", inPod("app", "app"), undefined, true],
  ["annotations of another container", inPod("app", "sidecar"), undefined, false],
  ["a file, and annotations of another container", inPod("app", "sidecar"), "{}", true],
  ["the name of this container alone", inPod("app", "app", {}), undefined, true],
  ["a bad name", inPod("App", "sidecar"), undefined, true],
  ["a name outside of a pod", annotations({ container: "app" }), undefined, true],
  [
    "CRI-O's container, whose pod has containerd's annotation",
    { ...ofCrio("sidecar"), ...annotations({ ...minimal, container: "app" }) },
    undefined,
    false,
  ],
];

/** As containerd hands it over; the pod's annotations are for `named`. */
function inPod(named: string, name: string, values: Record<string, string> = minimal) {
  return {
    "io.kubernetes.cri.container-name": name,
    ...annotations({ ...values, container: named }),
  };
}

/** As CRI-O hands it over; the pod's author has set containerd's name of it. */
function ofCrio(name: string): Record<string, string> {
  return {
    "io.kubernetes.cri-o.ContainerType": "container",
    "io.container.manager": "cri-o",
    "io.kubernetes.container.name": name,
    "io.kubernetes.cri.container-name": "app",
  };
}

Deno.test("a pod's annotations describe the container that they name, and no other", () => {
  const parse = (given: Record<string, string>, uruncJson?: string) =>
    parseUnikernel({ annotations: given, uruncJson, monitors });
  assert.deepEqual(parse(inPod("app", "app")), minimalConfig);
  const file = JSON.stringify(
    annotations({ unikernelType: btoa("elf"), hypervisor: btoa("qemu"), binary: btoa("/e") }),
  );
  assert.equal(parse(inPod("app", "app"), file).unikernelType, "linux");
  assert.equal(parse(inPod("app", "sidecar"), file).unikernelType, "elf");
  const fails: [Record<string, string>, RegExp][] = [
    [inPod("App", "app"), /unikernel\.container: found "App", allowed: .*names the container/],
    [inPod("", "app", {}), /unikernelType: required/],
    [annotations({ ...minimal, container: "app" }), /unikernel\.container: .*no name in a pod/],
  ];
  for (const [given, message] of fails) {
    assert.throws(() => parse(given), { name: "InvalidConfigurationError", message });
  }
  const inFile = JSON.stringify(annotations({ container: "app" }));
  assert.throws(() => parse(inPod("app", "app"), inFile), /unikernel\.container": no such key/);
});

for (const [name, given, uruncJson, expected] of recognised) {
  Deno.test(`isUnikernel: ${name}`, () => assert.equal(isUnikernel(given, uruncJson), expected));
}

Deno.test("parseUnikernel refuses a misspelt prefix, also beside a whole description", () => {
  const misspelt = { ...annotations(minimal), "com.urunc.unikernl.initrd": "/initrd" };
  assert.throws(
    () => parseUnikernel({ annotations: misspelt, monitors }),
    /com\.urunc\.unikernl\.initrd.*no such key.*did you mean "com\.urunc\.unikernel\.initrd"/,
  );
  const empty = { ...annotations(minimal), "com.urunc.unikernl.initrd": "" };
  assert.equal(parseUnikernel({ annotations: empty, monitors }).binary, "/boot/kernel");
});

/** `minimalConfig` with a kernel of the node. */
const nodeConfig = (kernel: string): UnikernelConfig => {
  const { binary: _, ...rest } = minimalConfig;
  return { ...rest, kernel, rootDisk: true, sharesRoot: "otherwise" };
};

Deno.test("an image that brings no kernel runs with the node's, which the operator or a key names", () => {
  const parse = (values: Record<string, string>, defaultKernel?: string) =>
    parseUnikernel({ annotations: annotations(values), monitors, defaultKernel });
  assert.deepEqual(parse({}, "debian"), nodeConfig("debian"));
  assert.deepEqual(parse({ unikernelType: "linux" }, "debian"), nodeConfig("debian"));
  assert.deepEqual(parse({ kernel: "6.12.1+deb13-cloud" }), nodeConfig("6.12.1+deb13-cloud"));
  assert.deepEqual(parse({ kernel: "mine" }, "debian"), nodeConfig("mine"));
  const initrd = parse({ kernel: "k", initrd: "/initrd" });
  const { sharesRoot: _, ...unshared } = nodeConfig("k");
  assert.deepEqual(initrd, { ...unshared, initrd: "/initrd", rootDisk: false });
  const rootOf = (values: Record<string, string>) => {
    const { rootDisk, sharesRoot } = parse({ kernel: "k", ...values });
    return [rootDisk, sharesRoot];
  };
  assert.deepEqual(rootOf({ block: "/disk" }), [false, undefined]);
  assert.deepEqual(rootOf({ mountRootfs: "false" }), [false, "always"]);
  assert.deepEqual(rootOf({ mountRootfs: "true" }), [true, undefined]);
  assert.equal(parse({ kernel: "k", hypervisor: "firecracker" }).hypervisor, "firecracker");
  // It brings one.
  assert.deepEqual(parse(minimal, "debian"), minimalConfig);
});

Deno.test("a kernel of the node is for Linux guests without one, by a name and no path", () => {
  const cases: [Record<string, string>, string | undefined, RegExp][] = [
    [{ ...minimal, kernel: "k" }, undefined, /unikernel\.kernel: the image brings its own/],
    [{ kernel: "k", unikernelType: "unikraft" }, undefined, /unikernel\.kernel: it is Linux, and/],
    [{ kernel: "/boot/vmlinuz" }, undefined, /unikernel\.kernel: found "\/boot\/vmlinuz"/],
    [{ kernel: "../k" }, undefined, /allowed: a kernel's name/],
    [{ unikernelType: "linux", hypervisor: "qemu" }, undefined, /binary: required.*guests\.linux/],
    [{ unikernelType: "unikraft", hypervisor: "qemu" }, "debian", /binary: required/],
    [{ kernel: "k", hypervisor: "hvt" }, undefined, /linux on hvt is not supported/],
  ];
  for (const [values, defaultKernel, message] of cases) {
    const sources = { annotations: annotations(values), monitors, defaultKernel };
    assert.throws(() => parseUnikernel(sources), { message });
  }
});
