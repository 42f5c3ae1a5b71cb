import assert from "node:assert/strict";
import { basename, dirname, resolve } from "node:path/posix";
import { baseName, parentPath, resolvePath } from "../../../lib/os/path.ts";

const PATHS = [
  "/",
  "/a",
  "/a/",
  "/a/b",
  "/a//b//",
  "/a/./b",
  "/a/b/../c",
  "/../a",
  "/..",
  "/a b/é",
];

Deno.test("a path is resolved as Node does it", () => {
  for (const path of [...PATHS, "", ".", "..", "a", "a/", "./a", "../../../a", "a/../../b"]) {
    for (const directory of ["/", "/x", "/x/y/"]) {
      assert.equal(resolvePath(directory, path), resolve(directory, path), `${directory} ${path}`);
    }
  }
});

Deno.test("a path's parts are the same as Node's", () => {
  for (const path of PATHS) assert.equal(parentPath(path), dirname(path), path);
  for (const path of [...PATHS, "", "a", "a/", "a/b"]) {
    assert.equal(baseName(path), basename(path), path);
  }
});
