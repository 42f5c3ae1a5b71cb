/** Files of the host that a container names, while another process changes what their names lead to. */
import assert from "node:assert/strict";
import { close, fstat } from "../../ffi/linux.ts";
import { openNamed } from "../../lib/host/named.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

const USER = 65534;
const ROUNDS = 10_000;

/** Puts a link of root's and one of the user's in each other's place, for ever. Hard links keep owners. */
const SWAP = `
my $d = shift;
while (1) {
  for my $whose ("user", "root") { link("$d/$whose", "$d/next"); rename("$d/next", "$d/link"); }
}`;

testIf("a link that is swapped while it is opened leads only where root's leads", {
  needs: ["root", "perl"],
}, async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("named");
  for (const name of ["meant", "secret"]) await Deno.writeTextFile(`${directory}/${name}`, name);
  await Deno.symlink("meant", `${directory}/root`);
  await Deno.symlink("secret", `${directory}/user`);
  await new Deno.Command("chown", { args: ["-h", `${USER}:${USER}`, `${directory}/user`] })
    .output();
  await Deno.link(`${directory}/root`, `${directory}/link`);
  const meant = Deno.statSync(`${directory}/meant`).ino;
  const swapper = new Deno.Command("perl", { args: ["-e", SWAP, directory], stdout: "null" })
    .spawn();
  scope.defer("end the other process", async () => {
    swapper.kill("SIGKILL");
    await swapper.status;
  });
  const seen = { opened: 0, refused: 0 };
  for (let round = 0; round < ROUNDS; round++) {
    try {
      const fd = openNamed(`${directory}/link`);
      assert.equal(Number(fstat(fd).ino), meant, "the user's link was followed");
      close(fd);
      seen.opened++;
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      assert.match(
        (error as Error).message,
        /is a symbolic link of uid 65534: name the file itself/,
      );
      seen.refused++;
    }
  }
  assert.ok(seen.opened > 0 && seen.refused > 0, JSON.stringify(seen));
});
