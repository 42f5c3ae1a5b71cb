/** The operator's config.toml. */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import { defaultConfiguration, parseConfiguration } from "../../../lib/config/parse.ts";
import { RuncOptions, RuntimeOptions } from "../../../lib/protocol/containerd/messages.ts";
import { decodeOptions } from "../../../lib/shim/task/options.ts";
import { anyBytes } from "../bytes.ts";
import { parsedLater, target } from "../target.ts";

const KEYS = [
  ...["device_access", "accelerator", "default_memory_mib", "default_vcpus", "network_filter"],
  ...["denied_kernel_parameters", "oci_runtime", "shim_group", "nothing", '"a b"', "a.b.c"],
  ...["__proto__", "constructor", "__proto__.x", "allow.monitors", "ids.default_user"],
  ...["allow.annotations", "allow.host_devices", "guests.undescribed", "monitors.qemu.path"],
  ...["monitors.qemu.capabilities", "monitors.firecracker.data_paths", "monitors.x.path"],
  ...["monitors.qemu.firmware.bios", "log.level", "timestamps.enabled"],
];

const VALUES = [
  ...['"private"', '"kvm"', '"runc"', '"/usr/bin/x"', '"*"', '"1:1"', '"0:0"', '"CAP_NET_ADMIN"'],
  ...["true", "false", "0", "1", "-1", "256", "1.5", "1e400", "inf", "nan", "0x7fffffff", "1_0"],
  ...["9223372036854775807", "9223372036854775808", "1979-05-27T07:32:00Z", "07:32:00"],
  ...["[]", '["a"]', "[1, 2]", '[["qemu"]]', "{}", "{ a = 1 }", "{ __proto__ = 1 }", '""', "''"],
  ...['"\\u0000"', '"\\ud800"', '"\\n"', "'''\n'''", '"""a"""', `"${"x".repeat(3000)}"`],
  ...[
    "[".repeat(500) + "]".repeat(500),
    "[".repeat(5000) + "]".repeat(5000),
    "{ a = ".repeat(3000),
  ],
];

const TABLES = ["[allow]", "[ids]", "[monitors.qemu]", "[monitors.spt]", "[monitors]", "[[allow]]"];

const FITTING = [
  ...['device_access = "fd"', 'accelerator = "tcg"', "default_memory_mib = 512"],
  ...[
    "default_vcpus = 2",
    'denied_kernel_parameters = ["init", "rd*"]',
    "allow.host_devices = true",
  ],
  ...['allow.monitors = ["*"]', 'ids.default_user = "1000:1000"', 'guests.undescribed = "refuse"'],
  ...['monitors.qemu.path = "/q"', "log.level = 1", 'monitors.spt.capabilities = ["CAP_CHOWN"]'],
];

const line = fc.oneof(
  { arbitrary: fc.constantFrom(...FITTING), weight: 14 },
  { arbitrary: fc.tuple(fc.constantFrom(...KEYS), fc.constantFrom(...VALUES)), weight: 8 },
  { arbitrary: fc.constantFrom(...TABLES), weight: 2 },
  { arbitrary: fc.string({ unit: "binary", maxLength: 12 }), weight: 1 },
).map((it) => typeof it === "string" ? it : `${it[0]} = ${it[1]}`);

const wanted = fc.record({
  default_memory_mib: fc.integer({ min: 1, max: 2 ** 20 }),
  default_vcpus: fc.integer({ min: 1, max: 255 }),
  device_access: fc.constantFrom("private", "groups", "fd"),
  denied_kernel_parameters: fc.array(fc.stringMatching(/^[a-z]{1,8}\*?$/), { maxLength: 3 }),
});

const OPTION_TYPES = [RuncOptions.name, RuntimeOptions.name, "", "other"];

/** In containerd's configuration: a text of TOML in a message. */
const body = fc.array(
  fc.tuple(
    fc.constantFrom("Root", "BinaryName", "SystemdCgroup", "ConfigPath", "ShimCgroup", "Other"),
    fc.constantFrom(...VALUES),
  ).map(([key, value]) => `${key} = ${value}`),
  { maxLength: 3 },
).map((lines) =>
  RuntimeOptions.encode({
    configBody: new TextEncoder().encode(lines.join("\n")),
    configPath: "/x",
  })
);

export const CONFIGURATIONS = [
  target({
    name: "config.toml",
    weight: 8,
    inputs: fc.array(line, { maxLength: 5 }).map((lines) => lines.join("\n")),
    async check(toml) {
      const configuration = await parsedLater(() => parseConfiguration(toml));
      assert.equal(({} as { x?: unknown }).x, undefined);
      if (configuration === undefined) return;
      const { warnings: _, ...values } = configuration;
      assert.deepEqual(Object.keys(values).sort(), Object.keys(defaultConfiguration()).sort());
    },
  }),
  target({
    name: "a shim's options",
    weight: 2,
    inputs: fc.tuple(fc.constantFrom(...OPTION_TYPES), fc.oneof(body, anyBytes)),
    async check([typeUrl, value]) {
      const options = await parsedLater(() => decodeOptions({ typeUrl, value }));
      if (options !== undefined) assert.equal(typeof options.systemdCgroup, "boolean");
    },
  }),
  target({
    name: "config.toml, valid",
    weight: 1,
    inputs: wanted,
    async check(values) {
      const toml = Object.entries(values).map(([key, it]) => `${key} = ${JSON.stringify(it)}`);
      const found = await parseConfiguration(toml.join("\n"));
      assert.deepEqual({ ...found, ...values }, found);
    },
  }),
];
