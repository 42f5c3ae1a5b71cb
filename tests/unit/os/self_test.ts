import assert from "node:assert/strict";
import { invokedAs, isLinked, selfCommand } from "../../../lib/os/self.ts";
import { versionInfo } from "../../../lib/version.ts";
import config from "../../../deno.json" with { type: "json" };

Deno.test("from sources the name is urunc, or what URUNC_ARGV0 says", () => {
  const before = Deno.env.get("URUNC_ARGV0");
  try {
    Deno.env.delete("URUNC_ARGV0");
    assert.equal(invokedAs(), "urunc");
    for (
      const [argv0, name] of [["/a/containerd-shim-urunc-v2", "containerd-shim-urunc-v2"], [
        "x",
        "x",
      ], ["", ""]]
    ) {
      Deno.env.set("URUNC_ARGV0", argv0 ?? "");
      assert.equal(invokedAs(), name);
    }
  } finally {
    if (before === undefined) Deno.env.delete("URUNC_ARGV0");
    else Deno.env.set("URUNC_ARGV0", before);
  }
});

Deno.test("from sources the command runs main.ts with this Deno", () => {
  const command = selfCommand();
  assert.equal(isLinked(), false);
  assert.ok(command.includes(Deno.execPath()));
  assert.equal(command.at(-1), new URL("../../../main.ts", import.meta.url).pathname);
});

Deno.test("from sources the version is that of deno.json", () => {
  assert.deepEqual(versionInfo(), {
    version: config.version,
    commit: "unknown",
    specVersion: "1.2.0",
    deno: Deno.version.deno,
  });
});
