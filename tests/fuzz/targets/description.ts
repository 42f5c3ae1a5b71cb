/** What an image says of its guest: annotations, /urunc.json. */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import { guestOf } from "../../../lib/guest/families/registry.ts";
import { type Key, keyPrefix, keys } from "../../../lib/guest/keys.ts";
import { isUnikernel, parseUnikernel } from "../../../lib/guest/parse.ts";
import type { UnikernelConfig } from "../../../lib/guest/types.ts";
import { monitorByName, supportedMonitors as monitors } from "../../../lib/monitor/registry.ts";
import { planLaunch } from "../../../lib/plan/launch.ts";
import { specOf } from "../../support/plan_inputs.ts";
import { factsOf, kernelFormatFor, launchInputOf } from "../../support/plan_inputs.ts";
import { hostileJsonText } from "../json.ts";
import { parsed, target } from "../target.ts";

const FAMILIES = ["linux", "unikraft", "rumprun", "mirage", "mewz", "elf"];

/** Values that a key takes, or that would be something else on a monitor's command line or on the host. */
const VALUES = [
  ...FAMILIES,
  ...["qemu", "firecracker", "hvt", "spt", "kvm", "tcg", "true", "false", "initrd", "cmdline"],
  ...["auto", "button", "1.0", "/kernel", "kernel", "/data", "service", "panic=1 quiet"],
  ...["/etc/shadow", "../../x", "/../x", "/a,b", "/a=b", "/a\nb", "//", "/.", "-x", "", " "],
  ...["__proto__", "\u0000", "\ud800", "\u001b[2J", "a".repeat(70), "/" + "x".repeat(5000), "Zm9v"],
  ...['a "b" c', "a\\b", "${HOME}", "%s%n", "init=/bin/sh -- x", "é😀"],
];

const base64 = (text: string) => new TextEncoder().encode(text.toWellFormed()).toBase64();

const value = fc.tuple(
  fc.oneof(fc.constantFrom(...VALUES), fc.string({ unit: "binary", maxLength: 20 })),
  fc.nat(2),
).map(([text, how]) => how === 0 ? base64(text) : text);

/** What a key is for. */
const FITTING: readonly (readonly [Key, string])[] = [
  ["unikernelVersion", "1.0"],
  ["initrd", "/boot/initrd"],
  ["cmdline", 'run "a b" \\ -- x'],
  ["accelerator", "tcg"],
  ["environment", "initrd"],
  ["kernelParameters", "quiet panic=1"],
  ["stop", "button"],
  ["block", "/disk.img"],
  ["blkMntPoint", "/data"],
  ["useDMBlock", "false"],
  ["mountRootfs", "true"],
  ["solo5NetDev", "service"],
  ["solo5BlkDev", "storage"],
];

const fitting = fc.constantFrom(...FITTING).map(([key, value]) =>
  [keyPrefix + key, value] as [string, string]
);

const name = fc.oneof(
  { arbitrary: fc.constantFrom(...keys), weight: 8 },
  { arbitrary: fc.constantFrom("__proto__", "constructor", "binry", "", "Binary"), weight: 1 },
).map((key) => keyPrefix + key);

/** Enough of a description to be one, and anything over it. */
const annotations = fc.tuple(
  fc.constantFrom(...FAMILIES),
  fc.constantFrom(...monitors.names),
  fc.array(
    fc.oneof({ arbitrary: fitting, weight: 4 }, { arbitrary: fc.tuple(name, value), weight: 1 }),
    { maxLength: 6 },
  ),
).map(([unikernelType, hypervisor, others]) => ({
  [`${keyPrefix}unikernelType`]: unikernelType,
  [`${keyPrefix}hypervisor`]: hypervisor,
  [`${keyPrefix}binary`]: "/boot/kernel",
  ...Object.fromEntries(others),
}));

/** What is made of a description: the monitor's command line. */
function plan(unikernel: UnikernelConfig): void {
  const monitor = monitorByName(unikernel.hypervisor);
  const { argv } = planLaunch(launchInputOf({
    unikernel,
    monitor,
    guest: guestOf(unikernel.unikernelType),
    spec: specOf(),
    facts: factsOf({
      kernelFormat: kernelFormatFor(monitor.name),
      monitor: { binary: "/usr/bin/monitor", dataPaths: [] },
      ...(unikernel.initrd === undefined ? {} : {
        initrd: { path: unikernel.initrd, size: 4096, uid: 0, gid: 0, mode: 0o644 },
      }),
    }),
  })).plan.steps.find((it) => it.step === "exec")!;
  // A line of the host's process list is a line.
  assert.ok(argv.every((it) => !it.includes("\0")));
}

function check(sources: { annotations: Record<string, string>; uruncJson?: string }): void {
  isUnikernel(sources.annotations, sources.uruncJson);
  const unikernel = parsed(() => parseUnikernel({ ...sources, monitors }));
  if (unikernel === undefined) return;
  for (const path of [unikernel.binary, unikernel.initrd, unikernel.block]) {
    assert.doesNotMatch(path ?? "/", /(^|\/)\.\.(\/|$)|[,=\s\0]/);
  }
  parsed(() => plan(unikernel));
}

const DESCRIPTION = {
  unikernelType: "linux",
  hypervisor: "qemu",
  binary: "/boot/vmlinuz",
  initrd: "/boot/initrd",
  cmdline: "run fast",
  kernelParameters: "quiet",
  block: "/disk.img",
  blkMntPoint: "/data",
  stop: "button",
} satisfies Partial<Record<Key, string>>;

const withPrefix = (text: (value: string) => string) =>
  Object.fromEntries(
    Object.entries(DESCRIPTION).map(([key, value]) => [keyPrefix + key, text(value)]),
  );

/** What cannot be mistaken for base64 of something else. */
const freeText = fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 40 })
  .map((it) => `${it} -`);

export const DESCRIPTIONS = [
  target({
    name: "annotations",
    weight: 9,
    inputs: annotations,
    check: (annotations) => check({ annotations }),
  }),
  target({
    name: "urunc.json",
    weight: 8,
    inputs: hostileJsonText(withPrefix(base64), {}),
    check: (uruncJson) => check({ annotations: {}, uruncJson }),
  }),
  target({
    name: "annotations and urunc.json, valid",
    weight: 2,
    inputs: freeText,
    check(cmdline) {
      const sources = [
        { annotations: { ...withPrefix((it) => it), [`${keyPrefix}cmdline`]: cmdline } },
        { annotations: { ...withPrefix(base64), [`${keyPrefix}cmdline`]: base64(cmdline) } },
        {
          annotations: {},
          uruncJson: JSON.stringify({
            ...withPrefix(base64),
            [`${keyPrefix}cmdline`]: base64(cmdline),
          }),
        },
      ];
      for (const source of sources) {
        const found = parseUnikernel({ ...source, monitors });
        assert.equal(found.cmdline, cmdline);
        assert.equal(found.initrd, DESCRIPTION.initrd);
        assert.equal(found.block, DESCRIPTION.block);
      }
    },
  }),
];
