import assert from "node:assert/strict";
import { capabilityNames, capabilityNumber } from "../../../lib/config/capabilities.ts";
import { testIf } from "../../support/skip.ts";
import { compileAndRun } from "./_compiler.ts";

const DIRECTORY = new URL("../../../ffi/constants/", import.meta.url);

/** A file of constants → what a C program includes to have them. */
const HEADERS: Record<string, string[]> = {
  bpf: ["linux/bpf.h"],
  capability: ["linux/capability.h"],
  epoll: ["sys/epoll.h"],
  errno: ["errno.h"],
  eventfd: ["sys/eventfd.h"],
  fcntl: ["fcntl.h", "sys/file.h"],
  keyctl: ["linux/keyctl.h"],
  landlock: ["linux/landlock.h"],
  mman: ["sys/mman.h"],
  mount: ["sys/mount.h", "linux/mount.h"],
  openat2: ["linux/openat2.h"],
  poll: ["poll.h"],
  prctl: ["sys/prctl.h"],
  resource: ["sys/resource.h"],
  sched: ["sched.h"],
  seccomp: ["linux/seccomp.h"],
  signal: ["signal.h"],
  socket: ["sys/socket.h"],
  spawn: ["spawn.h"],
  stat: ["sys/stat.h"],
  syscall: ["sys/syscall.h"],
  termios: ["sys/ioctl.h", "termios.h"],
  unistd: ["unistd.h", "linux/close_range.h", "sys/mman.h"],
  wait: ["sys/wait.h"],
};

type Constants = Record<string, number | bigint>;

/** All of a file, tables included: C's name → value. */
async function constantsOf(file: string): Promise<Constants> {
  const module: Record<string, unknown> = await import(new URL(`${file}.ts`, DIRECTORY).href);
  const constants: Constants = {};
  for (const [name, value] of Object.entries(module)) {
    if (typeof value === "object") Object.assign(constants, value);
    else constants[name] = value as number | bigint;
  }
  return constants;
}

function printer(file: string, constants: Constants): string {
  return [
    "#define _GNU_SOURCE",
    "#include <stdio.h>",
    ...(HEADERS[file] as string[]).map((header) => `#include <${header}>`),
    `void print_${file}(void) {`,
    ...Object.keys(constants).map((name) =>
      `  printf("${file} ${name} %llu\\n", (unsigned long long)(${name}));`
    ),
    "}\n",
  ].join("\n");
}

/** C widens an int with its sign, an unsigned int without: both spellings of 32 bits are the same. */
function sameValue(ours: number | bigint, theirs: bigint): boolean {
  return BigInt.asUintN(64, BigInt(ours)) === theirs ||
    (typeof ours === "number" && BigInt.asUintN(32, BigInt(ours)) === BigInt.asUintN(32, theirs));
}

Deno.test("every file of constants names the headers it is compared with", () => {
  const files = [...Deno.readDirSync(DIRECTORY)].map(({ name }) => name.replace(/\.ts$/, ""));
  const compared = files.filter((name) => !name.startsWith("_")).sort();
  assert.deepEqual(compared, Object.keys(HEADERS).sort());
});

testIf("every constant has the value that C gives it", { needs: ["gcc"] }, async () => {
  const files = Object.keys(HEADERS);
  const ours = new Map<string, number | bigint>();
  const sources: Record<string, string> = {};
  for (const file of files) {
    const constants = await constantsOf(file);
    assert.ok(Object.keys(constants).length > 0, file);
    for (const [name, value] of Object.entries(constants)) ours.set(`${file} ${name}`, value);
    sources[`${file}.c`] = printer(file, constants);
  }
  sources["main.c"] = files.map((file) => `void print_${file}(void);\n`).join("") +
    `int main(void) {\n${files.map((file) => `  print_${file}();\n`).join("")}}\n`;

  const lines = (await compileAndRun(sources)).trim().split("\n");
  assert.equal(lines.length, ours.size);
  const wrong = lines.filter((line) => {
    const [file, name, value] = line.split(" ") as [string, string, string];
    return !sameValue(ours.get(`${file} ${name}`) as number | bigint, BigInt(value));
  });
  assert.deepEqual(wrong, []);
});

Deno.test("a table holds its names and nothing that every object has", async () => {
  const { rlimits, errnos } = await import("../../../ffi/linux.ts");
  assert.equal(rlimits.RLIMIT_NOFILE, 7);
  assert.equal(errnos.EPERM, 1);
  for (const table of [rlimits, errnos]) {
    assert.equal(table.constructor, undefined);
    assert.equal(table["__proto__"], undefined);
  }
});

testIf("every capability has the number that C gives it", { needs: ["gcc"] }, async () => {
  const printed = await compileAndRun({
    "main.c": [
      "#include <stdio.h>",
      "#include <linux/capability.h>",
      "int main(void) {",
      ...capabilityNames.map((name) => `  printf("${name} %d\\n", ${name});`),
      '  printf("%d\\n", CAP_LAST_CAP);',
      "}\n",
    ].join("\n"),
  });
  const ours = capabilityNames.map((name) => `${name} ${capabilityNumber(name)}\n`).join("");
  assert.equal(printed, `${ours}${capabilityNames.length - 1}\n`);
  assert.equal(capabilityNumber("CAP_NO"), undefined);
});
