import assert from "node:assert/strict";
import {
  allocateStruct,
  CAP_USER_DATA,
  getField,
  getField64,
  POLLFD,
  RLIMIT64,
  setField,
  SOCKADDR_UN,
} from "../../../ffi/structs.ts";
import * as structs from "../../../ffi/structs.ts";
import { testIf } from "../../support/skip.ts";
import { compileAndRun } from "./_compiler.ts";

const LAYOUTS = Object.values(structs).filter((it): it is structs.StructLayout =>
  typeof it === "object"
);

/** A prefix is no longer than what it is a prefix of. */
function sizeOf({ name, size, prefix }: structs.StructLayout): string {
  return prefix ? `(sizeof(${name}) >= ${size} ? ${size} : -1)` : `sizeof(${name})`;
}

testIf("every structure is laid out as C lays it out", { needs: ["gcc"] }, async () => {
  const sources: Record<string, string> = {};
  const expected: string[] = [];
  LAYOUTS.forEach((layout, index) => {
    const { name, header, fields } = layout;
    sources[`s${index}.c`] = [
      "#define _GNU_SOURCE",
      // Before stdio.h, which brings the C library's sigset_t where the kernel's is meant.
      `#include <${header}>`,
      "int printf(const char *, ...);",
      `void print_${index}(void) {`,
      `  printf("${index} - %d %d\\n", (int)${sizeOf(layout)}, (int)_Alignof(${name}));`,
      ...Object.keys(fields).map((field) =>
        `  printf("${index} ${field} %d %d\\n", (int)__builtin_offsetof(${name}, ${field}), ` +
        `(int)sizeof(((${name} *)0)->${field}));`
      ),
      "}\n",
    ].join("\n");
    expected.push(`${index} - ${layout.size} ${layout.alignment}`);
    for (const [field, { offset, size }] of Object.entries(fields)) {
      expected.push(`${index} ${field} ${offset} ${size}`);
    }
  });
  const calls = LAYOUTS.map((_, index) => `print_${index}();`).join(" ");
  const declarations = LAYOUTS.map((_, index) => `void print_${index}(void);`).join(" ");
  sources["main.c"] = `${declarations}\nint main(void) { ${calls} }\n`;
  assert.deepEqual((await compileAndRun(sources)).trim().split("\n"), expected);
});

Deno.test("fields of every width are written and read back", () => {
  const cases = [
    { struct: allocateStruct(POLLFD), field: "revents", value: 0xfffe, read: 0xfffe },
    { struct: allocateStruct(POLLFD), field: "fd", value: -1, read: 0xffff_ffff },
    {
      struct: allocateStruct(CAP_USER_DATA),
      field: "effective",
      value: 0xffff_ffffn,
      read: 2 ** 32 - 1,
    },
    { struct: allocateStruct(RLIMIT64), field: "rlim_max", value: 4096, read: 4096 },
  ];
  for (const { struct, field, value, read } of cases) {
    const any = struct as structs.Struct<string>;
    setField(any, field, value);
    assert.equal(getField(any, field), read, field);
  }
});

Deno.test("64 bits are kept exactly", () => {
  const limit = allocateStruct(RLIMIT64);
  setField(limit, "rlim_cur", 0xffff_ffff_ffff_ffffn);
  assert.equal(getField64(limit, "rlim_cur"), 0xffff_ffff_ffff_ffffn);
  assert.equal(getField64(limit, "rlim_max"), 0n);
});

Deno.test("structures in a row do not touch each other", () => {
  const fds = allocateStruct(POLLFD, 3);
  setField(fds, "fd", 7, 1);
  assert.deepEqual([0, 1, 2].map((index) => getField(fds, "fd", index)), [0, 7, 0]);
});

Deno.test("a field that is an array is not taken for an integer", () => {
  const address = allocateStruct(SOCKADDR_UN);
  assert.throws(() => setField(address, "sun_path", 1), /struct sockaddr_un\.sun_path/);
  assert.throws(() => getField(address, "sun_path"), /struct sockaddr_un\.sun_path/);
});
