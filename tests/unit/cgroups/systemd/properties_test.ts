import assert from "node:assert/strict";
import { annotationProperties } from "../../../../lib/cgroups/systemd/annotations.ts";
import {
  bitMask,
  limitProperties,
  scopeProperties,
} from "../../../../lib/cgroups/systemd/properties.ts";
import { InvalidConfigurationError, UnsupportedError } from "../../../../lib/errors.ts";
import type { Property } from "../../../../lib/cgroups/systemd/manager.ts";
import { Writer } from "../../../../lib/protocol/dbus/writer.ts";

const INFINITY = 2n ** 64n - 1n;

/** As `name=value`; bytes in hexadecimal. */
function print(properties: Property[]): string[] {
  // Whatever it is, it must be sendable.
  new Writer().write("a(sv)", [properties]);
  return properties.map(([name, { signature, value }]) =>
    `${name}=${signature} ${value instanceof Uint8Array ? value.toHex() : value}`
  );
}

Deno.test("a scope is delegated, accounted for and forgotten when it fails", () => {
  assert.deepEqual(print(scopeProperties({ unit: "a-b.scope", slice: "a.slice" }, "one")), [
    "Description=s urunc container one",
    "Slice=s a.slice",
    "Delegate=b true",
    "MemoryAccounting=b true",
    "CPUAccounting=b true",
    "IOAccounting=b true",
    "TasksAccounting=b true",
    "DefaultDependencies=b false",
    "CollectMode=s inactive-or-failed",
  ]);
});

const LIMITS: [write: string, properties: string[]][] = [
  ["memory.max=67108864", ["MemoryMax=t 67108864"]],
  ["memory.max=max", [`MemoryMax=t ${INFINITY}`]],
  ["memory.high=1", ["MemoryHigh=t 1"]],
  ["memory.low=1", ["MemoryLow=t 1"]],
  ["memory.min=1", ["MemoryMin=t 1"]],
  ["memory.swap.max=0", ["MemorySwapMax=t 0"]],
  ["pids.max=64", ["TasksMax=t 64"]],
  ["pids.max=max", [`TasksMax=t ${INFINITY}`]],
  ["cpu.weight=20", ["CPUWeight=t 20"]],
  ["io.weight=default 50", ["IOWeight=t 50"]],
  ["io.weight=50", ["IOWeight=t 50"]],
  ["io.weight=8:0 50", []],
  ["cpu.max=50000 100000", ["CPUQuotaPeriodUSec=t 100000", "CPUQuotaPerSecUSec=t 500000"]],
  ["cpu.max=33333 100000", ["CPUQuotaPeriodUSec=t 100000", "CPUQuotaPerSecUSec=t 340000"]],
  ["cpu.max=300000", ["CPUQuotaPeriodUSec=t 100000", "CPUQuotaPerSecUSec=t 3000000"]],
  ["cpu.max=max 20000", ["CPUQuotaPeriodUSec=t 20000", `CPUQuotaPerSecUSec=t ${INFINITY}`]],
  ["cpu.max=1 0", []],
  ["cpuset.cpus=0-1", ["AllowedCPUs=ay 03"]],
  ["cpuset.mems=0", ["AllowedMemoryNodes=ay 01"]],
  // The kernel takes these, or says what is wrong with them; systemd need not know.
  ["memory.high=1G", ["MemoryHigh=t 1073741824"]],
  ["memory.high=much", []],
  ["memory.max=99999999999999999999", []],
  ["cpuset.cpus=0-x", []],
  ["cpu.idle=1", []],
  ["hugetlb.2MB.max=0", []],
  ["io.max=8:0 rbps=1", []],
];

for (const [write, properties] of LIMITS) {
  Deno.test(`systemd's properties of ${write}: ${properties.join(", ") || "none"}`, () => {
    const [file, value] = [write.slice(0, write.indexOf("=")), write.slice(write.indexOf("=") + 1)];
    assert.deepEqual(print(limitProperties([{ file: `/cg/a/${file}`, value }])), properties);
  });
}

Deno.test("a property written twice has the last value", () => {
  const writes = ["1", "2"].map((value) => ({ file: "/cg/a/memory.max", value }));
  assert.deepEqual(print(limitProperties(writes)), ["MemoryMax=t 2"]);
});

const MASKS: [list: string, hex: string | undefined][] = [
  ["0", "01"],
  ["0-7", "ff"],
  ["8", "0001"],
  ["1,3-4, 17", "1a0002"],
  ["", undefined],
  ["1-", undefined],
  ["-1", undefined],
  ["3-1", undefined],
  ["0-99999", undefined],
  ["0:1", undefined],
];

for (const [list, hex] of MASKS) {
  Deno.test(`the processors ${JSON.stringify(list)} as bits: ${hex}`, () => {
    assert.equal(bitMask(list)?.toHex(), hex);
  });
}

Deno.test("the annotations that podman sets become properties", () => {
  const annotations = {
    "com.urunc.unikernel.binary": "/x",
    "org.systemd.property.CollectMode": "'inactive-or-failed'",
    "org.systemd.property.KillMode": '"mixed"',
    "org.systemd.property.KillSignal": "37",
    "org.systemd.property.TimeoutStopUSec": "uint64 10000000",
  };
  assert.deepEqual(print(annotationProperties(annotations)), [
    "CollectMode=s inactive-or-failed",
    "KillMode=s mixed",
    "KillSignal=i 37",
    "TimeoutStopUSec=t 10000000",
  ]);
});

for (
  const name of [
    "SuccessAction",
    "FailureAction",
    "Conflicts",
    "OnFailure",
    "MemoryMax",
    "Slice",
    "PIDs",
    "constructor",
    "",
  ]
) {
  Deno.test(`an annotation may not set the property ${JSON.stringify(name)}`, () => {
    const key = `org.systemd.property.${name}`;
    assert.throws(() => annotationProperties({ [key]: "'poweroff-force'" }), (error: Error) => {
      assert.ok(error instanceof UnsupportedError);
      assert.ok(error.message.includes(key) && error.message.includes("CollectMode"));
      return true;
    });
  });
}

const BAD_VALUES: [name: string, value: string][] = [
  ["CollectMode", "inactive"],
  ["CollectMode", "'a' 'b'"],
  ["CollectMode", "7"],
  ["KillSignal", "'9'"],
  ["KillSignal", "-1"],
  ["TimeoutStopUSec", "10"],
  ["TimeoutStopUSec", "uint64 1e9"],
];

for (const [name, value] of BAD_VALUES) {
  Deno.test(`the property ${name} cannot be ${value}`, () => {
    const key = `org.systemd.property.${name}`;
    assert.throws(() => annotationProperties({ [key]: value }), (error: Error) => {
      assert.ok(error instanceof InvalidConfigurationError);
      assert.ok(error.message.includes(key) && error.message.includes("GVariant"));
      return true;
    });
  });
}
