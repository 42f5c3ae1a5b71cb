import assert from "node:assert/strict";
import plugin from "../../lint/plugin.ts";

const cases: [what: string, file: string, source: string, rules: string[]][] = [
  ["a pure room reads a file", "lib/plan/a.ts", "Deno.readFileSync('x');", ["pure-rooms"]],
  ["a pure room names a type of Deno's", "lib/oci/a.ts", "type A = Deno.Addr;", ["pure-rooms"]],
  ["a property called Deno", "lib/oci/a.ts", "x.Deno = { Deno: 1 };", []],
  ["a running monitor is read", "lib/monitor/qemu/running/a.ts", "Deno.readFileSync('x');", []],
  ["another room reads a file", "lib/host/a.ts", "Deno.readFileSync('x');", []],
  ["a room imports from one before it", "lib/plan/a.ts", "import '../oci/types.ts';", []],
  ["a room imports from itself", "lib/plan/a.ts", "import './types.ts';", []],
  ["a room imports from one after it", "lib/host/a.ts", "import '../plan/types.ts';", [
    "room-order",
  ]],
  ["a room passes on a later one's types", "lib/oci/a.ts", "export * from '../plan/types.ts';", [
    "room-order",
  ]],
  ["a file beside the rooms imports a later room", "lib/log.ts", "import './cli/help.ts';", [
    "room-order",
  ]],
  ["ffi imports from lib", "ffi/linux.ts", "import '../lib/errors.ts';", ["room-order"]],
  ["a new room", "lib/attic/a.ts", "export {};", ["room-order"]],
  ["a test imports what it likes", "tests/unit/a_test.ts", "import '../../lib/cli/help.ts';", []],
  ["a pure room imports ffi", "lib/oci/a.ts", "import '../../ffi/linux.ts';", ["pure-rooms"]],
  [
    "a pure room imports ffi's inside",
    "lib/config/deep/a.ts",
    "export * from '../../../ffi/memory.ts';",
    ["ffi-door", "pure-rooms"],
  ],
  ["lib uses the door", "lib/host/a.ts", "import { x } from '../../ffi/linux.ts'; x;", []],
  ["lib goes round it", "lib/host/a.ts", "import { x } from '../../ffi/memory.ts'; x;", [
    "ffi-door",
  ]],
  ["lib goes round it later", "lib/hooks.ts", "await import('../ffi/constants.ts');", ["ffi-door"]],
  ["ffi is at home", "ffi/linux.ts", "import './memory.ts';", []],
  ["node on the start-up path", "lib/host/a.ts", "import fs from 'node:fs'; fs;", ["no-node"]],
  ["node in main", "main.ts", "const a = await import('node:fs'); a;", ["no-node"]],
  ["node in a test", "tests/unit/a_test.ts", "import assert from 'node:assert'; assert;", []],
  ["node at build time", "lib/build/a.ts", "import 'node:fs'; process.exit(1);", []],
  ["the global process", "lib/host/a.ts", "export const a = process.env;", ["no-node"]],
  ["the global process, by another way", "main.ts", "globalThis.process.env;", ["no-node"]],
  ["the global process as shorthand", "lib/host/a.ts", "export const a = { process };", [
    "no-node",
  ]],
  ["the specification's process", "lib/oci/a.ts", "export const a = spec.process.args;", []],
  ["a variable process", "lib/oci/a.ts", "const { process } = spec; export { process };", []],
  ["a parameter process", "lib/oci/a.ts", "export const f = (process: P) => process.args;", []],
  ["a field process", "lib/oci/a.ts", "interface A { process: P } const b = { process: 1 };", []],
  ["a timer of Node's", "lib/shim/a.ts", "setTimeout(f, 1);", ["own-timers"]],
  ["a timer of Node's that is cleared", "lib/shim/a.ts", "clearTimeout(a);", ["own-timers"]],
  ["a timer of Node's in a test", "tests/unit/a_test.ts", "setTimeout(f, 1);", []],
  ["a method of that name", "lib/shim/a.ts", "socket.setTimeout(1);", []],
  ["lib exits", "lib/cli/a.ts", "Deno.exit(1);", ["exit-in-main"]],
  ["main exits", "main.ts", "Deno.exit(1);", []],
  ["a test script exits", "tests/run.ts", "Deno.exit(1);", []],
  ["the registry of monitors is imported", "lib/plan/a.ts", "import '../monitor/registry.ts';", []],
  ["one monitor is imported", "lib/container/a.ts", "import '../monitor/qemu/qmp.ts';", [
    "monitor-door",
  ]],
  ["one monitor is imported later", "lib/cli/a.ts", "await import('../monitor/solo5.ts');", [
    "monitor-door",
  ]],
  ["monitors import one another", "lib/monitor/registry.ts", "import './qemu/qemu.ts';", []],
  ["a processor's facts are read", "lib/arch/a.ts", "Deno.readFileSync('x');", ["pure-rooms"]],
  ["a word of a processor in a name", "lib/plan/a.ts", "export const EM_X86_64 = 62;", [
    "one-architecture",
  ]],
  ["words of a machine in texts", "lib/monitor/a.ts", "f('q35,usb=off', `console=ttyS0 ${a}`);", [
    "one-architecture",
    "one-architecture",
  ]],
  ["a word of a processor in a comment", "lib/host/a.ts", "// i8042, as x86-64 has it\nf();", [
    "one-architecture",
  ]],
  ["a package and a port", "lib/build/a.ts", "f('qemu-system-x86', 0x501, 'linux-x64-glibc');", [
    "one-architecture",
    "one-architecture",
    "one-architecture",
  ]],
  ["longer words", "lib/host/a.ts", "f(0x5010, 'max86', ECR0, 'ttyS', 'q350');", []],
  ["a processor's own file", "lib/arch/x86_64.ts", "export const a = 'q35';", []],
  ["machine code", "lib/guest/initrd/init_bytes.ts", "export const A = 'x64/CR3+q35';", []],
  ["how machine code is compiled", "lib/build/native/a.ts", "f('-march=x86-64');", []],
  ["a test of a processor", "tests/unit/a_test.ts", "f('ttyS0');", []],
  ["a copy of a helper", "lib/cli/a.ts", "function removeIfThere(path: string) { path; }", [
    "helpers-once",
  ]],
  ["the helper itself", "lib/os/files.ts", "export function removeIfThere() {}", []],
  ["a method of a helper's name", "lib/cli/a.ts", "class A { removeIfThere() {} }", []],
  ["a test's helper", "tests/unit/a.ts", "function removeIfThere() {}", []],
  [
    "the text of an error",
    "lib/cli/a.ts",
    "f(e instanceof Error ? e.message : String(e));",
    ["helpers-once"],
  ],
  ["an error", "lib/cli/a.ts", "f(e instanceof Error ? e : new Error(String(e)));", []],
  ["the text of one kind of error", "lib/cli/a.ts", "f(e instanceof A ? e.message : '');", []],
  ["a file is preloaded", "lib/shim/a.ts", "preload('../log.ts');", []],
  ["a file that is not there is preloaded", "lib/shim/a.ts", "preload('./log.ts');", [
    "preloaded-files",
  ]],
];

for (const [what, file, source, rules] of cases) {
  for (const path of [file, new URL(`../../../${file}`, import.meta.url).pathname]) {
    Deno.test(`lint: ${what} (${path === file ? "relative" : "absolute"})`, () => {
      const found = Deno.lint.runPlugin(plugin, path, source).map((it) => it.id).sort();
      assert.deepEqual(found, rules.map((it) => `urunc/${it}`));
    });
  }
}
