import assert from "node:assert/strict";
import { testIf } from "../../support/skip.ts";
import { compileAndRun } from "./_compiler.ts";

const DIRECTORY = new URL("../../../ffi/symbols/", import.meta.url);

/** Declarations that C cannot be asked about as they stand; their widths are compared all the same. */
const NOT_COMPARED: Record<string, string> = {
  open: "variadic",
  openat: "variadic",
  fcntl: "variadic",
  ioctl: "variadic",
  prctl: "variadic",
  syscall: "variadic",
  capget: "no header of the C library declares it",
  capset: "no header of the C library declares it",
  bind: "its address is a transparent union",
  connect: "its address is a transparent union",
  accept4: "its address is a transparent union",
  prlimit64: "its resource is an enumeration",
};

/** Deno's type → size in bytes. */
const WIDTHS: Record<string, number> = {
  i16: 2,
  i32: 4,
  u32: 4,
  i64: 8,
  u64: 8,
  usize: 8,
  isize: 8,
  pointer: 8,
  buffer: 8,
};

/** Results are written without C's type where Deno's has only one meaning here. */
const RESULTS: Record<string, string> = { i32: "int", isize: "ssize_t", i64: "long" };

interface Declaration {
  file: string;
  name: string;
  parameters: { c: string; deno: string }[];
  result: { c: string; deno: string };
}

const PARAMETERS = String.raw`parameters: \[([\s\S]*?)\],\s*result: (?:\/\* (.*?) \*\/ )?"(\w+)"`;

function readDeclarations(): Declaration[] {
  const found: Declaration[] = [];
  for (const { name: fileName } of Deno.readDirSync(DIRECTORY)) {
    if (fileName.startsWith("_")) continue;
    const text = Deno.readTextFileSync(new URL(fileName, DIRECTORY));
    const shared = new Map(
      [...text.matchAll(new RegExp(String.raw`const (\w+) = \{\s*${PARAMETERS}`, "g"))]
        .map((match) => [match[1] as string, match.slice(2)]),
    );
    const pattern = new RegExp(
      String.raw`declare\(\s*"(\w+)",\s*(?:(?:\{ \.\.\.)?([A-Z]+)\b|\{\s*${PARAMETERS})`,
      "g",
    );
    for (const match of text.matchAll(pattern)) {
      const [parameters, resultC, resultDeno] = match[2] === undefined
        ? match.slice(3)
        : shared.get(match[2]) as string[];
      found.push({
        file: fileName.replace(/\.ts$/, ""),
        name: match[1] as string,
        parameters: [...(parameters as string).matchAll(/\/\* (.*?) \*\/ "(\w+)"/g)]
          .map((it) => ({ c: it[1] as string, deno: it[2] as string })),
        result: {
          c: resultC ?? RESULTS[resultDeno as string] ?? `no C type for ${resultDeno}`,
          deno: resultDeno as string,
        },
      });
    }
    assert.equal(
      found.filter(({ file }) => `${file}.ts` === fileName).length,
      text.split("= declare(").length - 1,
      `declarations of ${fileName} that this test understands`,
    );
  }
  return found;
}

/** `sys_mount` → `sys/mount.h`. */
function headersOf(file: string): string[] {
  if (file === "syscall") return ["unistd.h", "signal.h"];
  if (file === "sys_capability") return ["linux/capability.h"];
  return [`${file.replace("_", "/")}.h`];
}

testIf(
  "every declaration has the widths and the types that C has",
  { needs: ["gcc"] },
  async () => {
    const sources: Record<string, string> = { "main.c": "int main(void) { return 0; }\n" };
    readDeclarations().forEach(({ file, name, parameters, result }, index) => {
      const list = parameters.map(({ c }) => c.replace(/,.*/, "")).join(", ") || "void";
      // A parameter as a variable of its own type has the size of what travels; an array travels as a pointer.
      const widths = parameters.map(({ c, deno }, position) => {
        const type = c.replace(/,.*/, "");
        const isPointer = /[*\]]|cap_user_(header|data)_t/.test(type);
        const width = WIDTHS[deno];
        assert.ok(width !== undefined, `${name}: ${deno}`);
        assert.equal(
          isPointer,
          deno === "buffer" || deno === "pointer",
          `${name}: ${c} as ${deno}`,
        );
        if (isPointer) return "";
        const typeOnly = type.replace(/\s*\w+$/, "");
        return `_Static_assert(sizeof(${typeOnly}) == ${width}, "${name} parameter ${position}");\n` +
          `_Static_assert(((${typeOnly})-1 < 0) == ${
            /^i/.test(deno) ? 1 : 0
          }, "${name} sign ${position}");\n`;
      });
      const prototype = NOT_COMPARED[name] === undefined
        ? `${result.c} ours(${list});\n` +
          `_Static_assert(__builtin_types_compatible_p(__typeof__(ours), __typeof__(${name})), "${name}");\n`
        : "";
      sources[`d${index}.c`] = "#define _GNU_SOURCE\n#include <sys/types.h>\n" +
        headersOf(file).map((header) => `#include <${header}>\n`).join("") +
        widths.join("") +
        `_Static_assert(sizeof(${result.c}) == ${WIDTHS[result.deno]}, "${name} result");\n` +
        prototype;
    });
    await compileAndRun(sources);
  },
);

Deno.test("the C library has every function that is declared", () => {
  const names = [...new Set(readDeclarations().map(({ name }) => name))];
  assert.ok(names.length > 60);
  const symbols = Object.fromEntries(
    names.map((name) => [name, { parameters: [], result: "void", optional: true } as const]),
  );
  const library = Deno.dlopen("libc.so.6", symbols);
  const missing = names.filter((name) => !library.symbols[name]);
  library.close();
  assert.deepEqual(missing, []);
});
