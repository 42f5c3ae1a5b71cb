import assert from "node:assert/strict";
import { bigTemporaryDirectory, freeMib, missingSpace } from "../../support/space.ts";

Deno.test("too little space is a reason that says how much is there", () => {
  const path = bigTemporaryDirectory();
  assert.equal(missingSpace(path, 1), undefined);
  // More than any file system holds.
  assert.match(
    missingSpace(path, 2 ** 44) ?? "",
    /^needs 17592186044416 MiB of space in \/\S+, \d+ MiB are there$/,
  );
  // No file system at all.
  assert.equal(missingSpace("/proc", 1), "needs 1 MiB of space in /proc, 0 MiB are there");
});

Deno.test("free space is what df says", async () => {
  const { stdout } = await new Deno.Command("df", { args: ["--output=avail", "-BM", "/"] })
    .output();
  const said = parseInt(new TextDecoder().decode(stdout).split("\n")[1] ?? "");
  assert.ok(Math.abs(freeMib("/") - said) < 1024, `${freeMib("/")} and ${said}`);
});
