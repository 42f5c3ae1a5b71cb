import assert from "node:assert/strict";
import { KNOWN_BASE, readBase } from "../../../lib/build/base.ts";

Deno.test("readBase accepts the Deno that runs the tests", async () => {
  assert.equal(Deno.version.deno, KNOWN_BASE.version);
  assert.ok((await readBase()).length > 50_000_000);
});

Deno.test("readBase refuses another version, and says how to get the right one", async () => {
  await assert.rejects(readBase("/bin/true", "2.9.5"), {
    name: "HostError",
    message: "read Deno executable /bin/true: its version is 2.9.5, the linker knows 2.9.6 " +
      "(run the task with npx --yes deno@2.9.6 task compile)",
  });
});

Deno.test("readBase refuses another file of the same version", async () => {
  await assert.rejects(readBase("/bin/true"), /its SHA-256 is [0-9a-f]{64}, that of the npm pack/);
});
