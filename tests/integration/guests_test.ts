/** The committed fixture guests are what their source says. */
import assert from "node:assert/strict";
import { buildGuests, builtWith, guests } from "../../fixtures/guests/build.ts";
import { guestKernel, multibootGuestKernel } from "../support/fixtures.ts";
import { run } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

const committed = new URL("../../fixtures/guests/", import.meta.url).pathname;

Deno.test("the fixture guests are small", () => {
  for (const path of [guestKernel, multibootGuestKernel]) {
    assert.ok(Deno.statSync(path).size <= 8192, path);
  }
});

testIf(
  "the committed fixture guests are what gcc makes of their source",
  { needs: ["gcc", "qemu-system-x86_64"] },
  async () => {
    await using scope = new Scope();
    const directory = await scope.temporaryDirectory("guests");
    await buildGuests(directory);
    const compiler = (await run(["gcc", "--version"], { check: true })).stdout.split("\n")[0];
    for (const name of Object.keys(guests)) {
      if (compiler === builtWith) {
        const built = Deno.readFileSync(`${directory}/${name}`);
        assert.deepEqual(built, Deno.readFileSync(`${committed}${name}`), `${name} is out of date`);
      } else {
        console.log(`${name} was built with "${builtWith}", not "${compiler}": only booted here`);
        await boot(`${directory}/${name}`);
      }
    }
  },
);

async function boot(kernel: string): Promise<void> {
  const { code, stdout } = await run([
    "qemu-system-x86_64",
    ...["-machine", "q35", "-accel", "tcg", "-m", "32", "-nodefaults", "-display", "none"],
    ...["-no-reboot", "-serial", "stdio", "-kernel", kernel, "-append", "hello rebuilt"],
  ], { stdin: "" });
  assert.equal(stdout, "rebuilt\n");
  assert.equal(code, 0);
}
