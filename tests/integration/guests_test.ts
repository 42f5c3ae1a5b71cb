/** The committed fixture guests. */
import assert from "node:assert/strict";
import { guestKernel, multibootGuestKernel } from "../support/fixtures.ts";

Deno.test("the fixture guests are small", () => {
  for (const path of [guestKernel, multibootGuestKernel]) {
    assert.ok(Deno.statSync(path).size <= 8192, path);
  }
});
