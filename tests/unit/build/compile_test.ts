import assert from "node:assert/strict";
import { UsageError } from "../../../lib/errors.ts";
import { parseCompileArguments } from "../../../lib/build/compile.ts";
import { repositoryDirectory } from "../../support/urunc.ts";

const ROOT = repositoryDirectory();

Deno.test("parseCompileArguments has defaults within the repository", () => {
  assert.deepEqual(parseCompileArguments([]), {
    output: `${ROOT}dist/urunc`,
    entry: `${ROOT}main.ts`,
  });
});

Deno.test("parseCompileArguments takes paths from the working directory", () => {
  assert.deepEqual(parseCompileArguments(["--entry", "/a/b.ts", "--output", "c/d"]), {
    output: `${Deno.cwd()}/c/d`,
    entry: "/a/b.ts",
  });
});

Deno.test("parseCompileArguments refuses anything else", () => {
  for (const args of [["x"], ["--output"], ["--output", ""], ["--entry=x"], ["--help", "x"]]) {
    assert.throws(() => parseCompileArguments(args), UsageError, args.join(" "));
  }
});
