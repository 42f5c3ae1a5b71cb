import assert from "node:assert/strict";
import { InvalidConfigurationError } from "../../../lib/errors.ts";
import { decodeSpec, maximumSpecBytes, parseSpec } from "../../../lib/oci/parse.ts";
import type { Spec } from "../../../lib/oci/types.ts";

type Json = Record<string, unknown>;

/** The least that is a config.json. */
const minimal: Json = {
  ociVersion: "1.2.0",
  root: { path: "rootfs" },
  process: { cwd: "/" },
};

function parse(changes: Json): Spec {
  return parseSpec(JSON.stringify({ ...minimal, ...changes }));
}

function parseProcess(changes: Json): Spec {
  return parse({ process: { cwd: "/", ...changes } });
}

Deno.test("parseSpec fills in every absent section", () => {
  const spec = parse({});
  assert.deepEqual(JSON.parse(JSON.stringify(spec)), {
    ociVersion: "1.2.0",
    root: { path: "rootfs", readonly: false },
    process: {
      terminal: false,
      user: { uid: 0, gid: 0, additionalGids: [] },
      args: [],
      env: [],
      cwd: "/",
      rlimits: [],
      noNewPrivileges: false,
    },
    mounts: [],
    hooks: {
      prestart: [],
      createRuntime: [],
      createContainer: [],
      startContainer: [],
      poststart: [],
      poststop: [],
    },
    annotations: {},
    unsupported: {
      refused: [],
      warned: [{
        property: "linux.namespaces without network",
        reason: "the guest has no network: it cannot share the host's",
      }],
    },
    linux: {
      namespaces: [],
      uidMappings: [],
      gidMappings: [],
      devices: [],
      resources: {
        devices: [],
        memory: {},
        cpu: {},
        pids: {},
        blockIO: {},
        hugepageLimits: [],
        network: {},
        unified: {},
      },
      sysctl: {},
      maskedPaths: [],
      readonlyPaths: [],
    },
  });
});

Deno.test("parseSpec takes null and Go's empty strings for absent", () => {
  const spec = parse({
    hostname: "",
    mounts: null,
    hooks: null,
    annotations: null,
    future: { ignored: true },
    linux: {
      namespaces: [{ type: "pid", path: "" }],
      resources: null,
      cgroupsPath: "",
      rootfsPropagation: "",
      seccomp: null,
    },
    process: {
      cwd: "/",
      args: null,
      env: null,
      apparmorProfile: "",
      oomScoreAdj: null,
      user: { additionalGids: null },
      capabilities: { bounding: null },
    },
  });
  const { process, linux } = spec;
  assert.equal(spec.hostname, undefined);
  assert.deepEqual(spec.hooks.prestart, []);
  assert.deepEqual(linux.namespaces, [{ type: "pid", path: undefined }]);
  assert.equal(linux.cgroupsPath, undefined);
  assert.equal(linux.seccomp, undefined);
  assert.equal(process.apparmorProfile, undefined);
  assert.equal(process.oomScoreAdj, undefined);
  assert.deepEqual(process.capabilities?.bounding, []);
});

Deno.test("parseSpec reads a whole container", () => {
  const spec = parse({
    hostname: "web",
    domainname: "example.org",
    process: {
      terminal: true,
      consoleSize: { height: 24, width: 80 },
      user: { uid: 65534, gid: 4294967294, umask: 0o27, additionalGids: [108, 0] },
      args: ["/init", "a b", ""],
      env: ["A=1", "B=", "C=x=y"],
      cwd: "/srv",
      capabilities: { bounding: ["CAP_KILL"], ambient: [] },
      rlimits: [{ type: "RLIMIT_NOFILE", soft: 1024, hard: 4096 }],
      noNewPrivileges: true,
      oomScoreAdj: -1000,
    },
    mounts: [{ destination: "/proc", type: "proc", source: "proc", options: ["ro"] }],
    hooks: {
      prestart: [{ path: "/bin/h", args: ["h", "x"], env: ["A=1"], timeout: 5 }],
    },
    annotations: { a: "b", "": "", __proto__x: "y" },
    linux: {
      namespaces: [{ type: "network", path: "/var/run/netns/x" }, { type: "mount" }],
      devices: [{ type: "c", path: "/dev/x", major: 10, minor: 232, fileMode: 438, uid: 0 }],
      resources: {
        devices: [{ allow: false, access: "rwm" }, {
          allow: true,
          type: "c",
          major: -1,
          minor: 5,
        }],
        memory: { limit: 134217728, swap: -1 },
        cpu: { shares: 1024, quota: -1, cpus: "0-1" },
        pids: { limit: 100 },
        unified: { "memory.high": "max" },
        hugepageLimits: [{ pageSize: "2MB", limit: 0 }],
      },
      seccomp: { defaultAction: "SCMP_ACT_ERRNO" },
      sysctl: { "net.ipv4.ip_forward": "1" },
      rootfsPropagation: "rslave",
    },
  });
  assert.deepEqual(spec.process.user, {
    uid: 65534,
    gid: 4294967294,
    umask: 0o27,
    additionalGids: [108, 0],
  });
  assert.deepEqual(spec.process.args, ["/init", "a b", ""]);
  assert.deepEqual(spec.process.rlimits, [{ type: "RLIMIT_NOFILE", soft: 1024n, hard: 4096n }]);
  assert.deepEqual(spec.hooks.prestart, [
    { path: "/bin/h", args: ["h", "x"], env: ["A=1"], timeout: 5 },
  ]);
  assert.deepEqual(spec.linux.resources.devices, [
    { allow: false, type: undefined, major: undefined, minor: undefined, access: "rwm" },
    { allow: true, type: "c", major: undefined, minor: 5, access: undefined },
  ]);
  assert.equal(spec.linux.resources.memory.swap, -1);
  assert.deepEqual(spec.linux.seccomp, {
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: undefined,
    architectures: [],
    flags: [],
    listenerPath: undefined,
    syscalls: [],
  });
});

Deno.test("an annotation named __proto__ is an annotation", () => {
  const document = '{"ociVersion":"1.0.0","root":{"path":"r"},"process":{"cwd":"/"},' +
    '"annotations":{"__proto__":"x"}}';
  const { annotations } = parseSpec(document);
  assert.deepEqual(Object.entries(annotations), [["__proto__", "x"]]);
  assert.equal(Object.getPrototypeOf(annotations), Object.prototype);
});

const limits: [string, bigint][] = [
  ["0", 0n],
  ["9007199254740991", 2n ** 53n - 1n],
  ["9007199254740993", 2n ** 53n + 1n],
  ["9223372036854775807", 2n ** 63n - 1n],
  ["18446744073709551614", 2n ** 64n - 2n],
  ["18446744073709551615", 2n ** 64n - 1n],
];

function parseLimit(soft: string): Spec {
  return parseSpec(
    `{"ociVersion":"1.0.0","root":{"path":"r"},"process":{"cwd":"/","rlimits":[` +
      `{"type":"RLIMIT_CORE","soft":${soft},"hard":18446744073709551615}]}}`,
  );
}

for (const [source, value] of limits) {
  Deno.test(`a limit of ${source} is read exactly`, () => {
    const [rlimit] = parseLimit(source).process.rlimits;
    assert.deepEqual(rlimit, { type: "RLIMIT_CORE", soft: value, hard: 2n ** 64n - 1n });
  });
}

for (const source of ["-1", "18446744073709551616", "1.5", "1e30", '"1"', "1e400"]) {
  Deno.test(`a limit of ${source} is refused`, () => {
    assert.throws(() => parseLimit(source), /process\.rlimits\[0\]\.soft: .*18446744073709551615/);
  });
}

const namespaces = (...list: unknown[]) => ({ linux: { namespaces: list } });
const processOf = (changes: Json) => ({ process: { cwd: "/", ...changes } });
const hook = (changes: Json) => ({ hooks: { poststop: [{ path: "/h", ...changes }] } });
const resources = (changes: Json) => ({ linux: { resources: changes } });

/** What stands at a path, and what the error must say of it besides the path. */
const refused: [path: string, changes: Json, says: string][] = [
  ["ociVersion", { ociVersion: 1 }, "found the number 1, allowed: a string"],
  ["ociVersion", { ociVersion: undefined }, "missing"],
  ["root", { root: null }, "missing"],
  ["root", { root: [] }, "found an array, allowed: an object"],
  ["root.path", { root: {} }, "missing"],
  ["root.path", { root: { path: "" } }, "empty string"],
  ["root.readonly", { root: { path: "r", readonly: "yes" } }, 'the string "yes"'],
  ["process", { process: "sh" }, 'the string "sh"'],
  ["process.cwd", { process: {} }, "missing"],
  ["process.cwd", processOf({ cwd: "srv" }), "absolute"],
  ["process.cwd", processOf({ cwd: "" }), "absolute"],
  ["process.terminal", processOf({ terminal: 1 }), "true or false"],
  ["process.args", processOf({ args: "sh" }), "an array"],
  ["process.args[1]", processOf({ args: ["a", 2] }), "found the number 2, allowed: a string"],
  ["process.args[0]", processOf({ args: ["a\0b"] }), "NUL"],
  ["process.args[0]", processOf({ args: ["\ud800"] }), "surrogate"],
  ["process.args[0]", processOf({ args: [null] }), "found null"],
  ["process.env[1]", processOf({ env: ["A=1", "B"] }), "NAME=VALUE"],
  ["process.env[0]", processOf({ env: ["=x"] }), "NAME=VALUE"],
  ["process.env[0]", processOf({ env: ["A=\0"] }), "NUL"],
  ["process.user", processOf({ user: "root" }), "an object"],
  ["process.user.uid", processOf({ user: { uid: 4294967295 } }), "0 to 4294967294"],
  ["process.user.uid", processOf({ user: { uid: -1 } }), "0 to 4294967294"],
  ["process.user.gid", processOf({ user: { gid: 4294967296 } }), "0 to 4294967294"],
  ["process.user.gid", processOf({ user: { gid: "0" } }), "0 to 4294967294"],
  ["process.user.gid", processOf({ user: { gid: 0.5 } }), "the number 0.5"],
  [
    "process.user.additionalGids[1]",
    processOf({ user: { additionalGids: [0, 2 ** 32 - 1] } }),
    "4294967295",
  ],
  ["process.user.umask", processOf({ user: { umask: 0o1000 } }), "0 to 511"],
  ["process.oomScoreAdj", processOf({ oomScoreAdj: 1001 }), "-1000 to 1000"],
  ["process.consoleSize.width", processOf({ consoleSize: { height: 1 } }), "missing"],
  [
    "process.consoleSize.width",
    processOf({ consoleSize: { height: 1, width: 65536 } }),
    "0 to 65535",
  ],
  ["process.capabilities", processOf({ capabilities: ["CAP_KILL"] }), "an object"],
  ["process.capabilities.bounding[0]", processOf({ capabilities: { bounding: [1] } }), "a string"],
  ["process.rlimits[0].type", processOf({ rlimits: [{ type: "NOFILE" }] }), "RLIMIT_NOFILE"],
  ["process.rlimits[0].soft", processOf({ rlimits: [{ type: "RLIMIT_AS" }] }), "missing"],
  ["mounts[0].destination", { mounts: [{}] }, "missing"],
  ["mounts[0].options[0]", { mounts: [{ destination: "/p", options: [1] }] }, "a string"],
  ["hooks", { hooks: [] }, "an object"],
  ["hooks.poststop", { hooks: { poststop: {} } }, "an array"],
  ["hooks.poststop[0].path", hook({ path: "h" }), "absolute"],
  ["hooks.poststop[0].path", hook({ path: undefined }), "missing"],
  ["hooks.poststop[0].timeout", hook({ timeout: 0 }), "from 1"],
  ["hooks.poststop[0].timeout", hook({ timeout: -5 }), "from 1"],
  ["hooks.poststop[0].env[0]", hook({ env: ["A"] }), "NAME=VALUE"],
  ["annotations", { annotations: "x" }, "an object"],
  ['annotations["com.urunc.unikernel.binary"]', {
    annotations: { "com.urunc.unikernel.binary": 1 },
  }, "a string"],
  ["annotations.a", { annotations: { a: null } }, "found null"],
  ["annotations.a", { annotations: { a: "x\0" } }, "NUL"],
  ["linux.namespaces", { linux: { namespaces: {} } }, "an array"],
  [
    "linux.namespaces[2].type",
    namespaces({ type: "pid" }, { type: "ipc" }, { type: "net" }),
    'found the string "net", allowed: pid, network, mount',
  ],
  ["linux.namespaces[0].type", namespaces({}), "missing"],
  ["linux.namespaces[0].path", namespaces({ type: "pid", path: "proc/1/ns/pid" }), "absolute"],
  ["linux.namespaces[0]", namespaces("pid"), "an object"],
  ["linux.cgroupsPath", { linux: { cgroupsPath: 1 } }, "a string"],
  ["linux.devices[0].type", { linux: { devices: [{ type: "x", path: "/d" }] } }, "c, b, u, p"],
  ["linux.devices[0].major", {
    linux: { devices: [{ type: "c", path: "/d", major: 4096 }] },
  }, "0 to 4095"],
  ["linux.rootfsPropagation", { linux: { rootfsPropagation: "open" } }, "private"],
  ["linux.seccomp", { linux: { seccomp: "default" } }, "an object"],
  ["linux.sysctl.a", { linux: { sysctl: { a: 1 } } }, "a string"],
  ["linux.resources.memory.limit", resources({ memory: { limit: "1G" } }), "64 bits"],
  ["linux.resources.memory.limit", resources({ memory: { limit: 1.5 } }), "64 bits"],
  ["linux.resources.memory.limit", resources({ memory: { limit: 1e20 } }), "64 bits"],
  ["linux.resources.cpu.shares", resources({ cpu: { shares: -1 } }), "not negative"],
  ["linux.resources.pids.limit", resources({ pids: { limit: true } }), "the boolean true"],
  ["linux.resources.devices[0].access", resources({ devices: [{ access: "rwx" }] }), "r, w and m"],
  [
    "linux.resources.hugepageLimits[0].pageSize",
    resources({
      hugepageLimits: [{ pageSize: "../2MB", limit: 1 }],
    }),
    "a size",
  ],
  ['linux.resources.unified["../../x"]', resources({ unified: { "../../x": "1" } }), "cgroup"],
  ["linux.resources.blockIO", resources({ blockIO: 1 }), "an object"],
  ["linux.resources.blockIO.weight", resources({ blockIO: { weight: 9 } }), "10 to 1000"],
  [
    "linux.resources.blockIO.throttleReadBpsDevice[0].rate",
    resources({ blockIO: { throttleReadBpsDevice: [{ major: 8, minor: 0 }] } }),
    "missing",
  ],
  [
    "linux.resources.blockIO.weightDevice[0].minor",
    resources({ blockIO: { weightDevice: [{ major: 8, minor: -1 }] } }),
    "0 to 1048575",
  ],
  ["linux.resources.rdma", resources({ rdma: [] }), "an object"],
];

for (const [path, changes, says] of refused) {
  Deno.test(`parseSpec refuses ${path} in ${JSON.stringify(changes).slice(0, 90)}`, () => {
    assert.throws(() => parse(changes), (error) => {
      assert.ok(error instanceof InvalidConfigurationError, String(error));
      assert.ok(error.message.startsWith(`read config.json ${path}: `), error.message);
      assert.ok(error.message.includes(says), error.message);
      return true;
    });
  });
}

for (
  const document of ["", "null", "[]", "3", '"x"', "{", '{"ociVersion": "1.0.0",}', "\ufeff{}"]
) {
  Deno.test(`parseSpec refuses the document ${JSON.stringify(document)}`, () => {
    assert.throws(() => parseSpec(document), (error) => {
      assert.ok(error instanceof InvalidConfigurationError);
      assert.match(error.message, /^read config\.json: (not JSON|found .*allowed: an object)/);
      return true;
    });
  });
}

Deno.test("parseSpec accepts edge cases", () => {
  assert.equal(parseProcess({ user: { uid: 4294967294 } }).process.user.uid, 4294967294);
  const { memory } = parse(resources({ memory: { limit: 9223372036854775807 } })).linux.resources;
  assert.equal(memory.limit, 2 ** 63);
});

Deno.test("an error does not repeat a long value", () => {
  assert.throws(() => parse({ root: "x".repeat(100_000) }), (error) => {
    assert.ok((error as Error).message.length < 200);
    return true;
  });
  assert.throws(() => parse({ annotations: { ["k".repeat(100_000)]: 1 } }), (error) => {
    assert.ok((error as Error).message.length < 300);
    return true;
  });
});

Deno.test("decodeSpec refuses bytes that are not UTF-8", () => {
  const bytes = new TextEncoder().encode(JSON.stringify(minimal));
  assert.equal(decodeSpec(bytes).root.path, "rootfs");
  bytes[bytes.length - 4] = 0xff;
  assert.throws(() => decodeSpec(bytes), /not UTF-8/);
});

Deno.test("decodeSpec refuses what is too large", () => {
  assert.throws(() => decodeSpec(new Uint8Array(maximumSpecBytes + 1)), /more than 2097152 bytes/);
  assert.throws(() => decodeSpec(new Uint8Array(100 * 1024 * 1024)), /more than 2097152 bytes/);
});
