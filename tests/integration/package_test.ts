/** The Debian package, and what is published beside it. */
import assert from "node:assert/strict";
import { describeComponents, writeDebianPackage } from "../../lib/build/package.ts";
import config from "../../deno.json" with { type: "json" };
import { run } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

const DATE = 1_700_000_000;

/** Compressing the executable takes a minute: a small program stands for it. */
async function pack(scope: Scope, umask: string): Promise<string> {
  const directory = await scope.temporaryDirectory("package");
  const path = `${directory}/urunc.deb`;
  const former = Deno.umask(parseInt(umask, 8));
  try {
    await writeDebianPackage("/bin/true", path, DATE);
  } finally {
    Deno.umask(former);
  }
  return path;
}

const needs = ["dpkg-deb"];

testIf("the package is the same, wherever and however it is built", { needs }, async () => {
  await using scope = new Scope();
  const [one, other] = [await pack(scope, "022"), await pack(scope, "077")];
  assert.deepEqual(await Deno.readFile(one), await Deno.readFile(other));
});

testIf(
  "the package has the executable by both names, manual pages and completion",
  { needs },
  async () => {
    await using scope = new Scope();
    const deb = await pack(scope, "022");
    const { stdout } = await run(["dpkg-deb", "--contents", deb], { check: true });
    const lines = stdout.trimEnd().split("\n");
    for (const line of lines) assert.match(line, /^[dl-]rw[x-]r[w-][x-]r[w-][x-] root\/root /);
    for (
      const file of [
        /^-rwxr-xr-x .* \.\/usr\/bin\/urunc$/m,
        /^lrwxrwxrwx .* \.\/usr\/bin\/containerd-shim-urunc-v2 -> urunc$/m,
        /^-rw-r--r-- .* \.\/usr\/share\/man\/man8\/urunc\.8\.gz$/m,
        /^-rw-r--r-- .* \.\/usr\/share\/man\/man5\/urunc-config\.5\.gz$/m,
        /^-rw-r--r-- .* \.\/usr\/share\/bash-completion\/completions\/urunc$/m,
      ]
    ) assert.match(stdout, file);
    const directory = await scope.temporaryDirectory("unpacked");
    await run(["dpkg-deb", "--extract", deb, directory], { check: true });
    assert.deepEqual(
      await Deno.readFile(`${directory}/usr/bin/urunc`),
      await Deno.readFile("/bin/true"),
    );
    const version = await run(["dpkg-deb", "--field", deb, "Version"]);
    assert.equal(version.stdout.trim(), config.version);
  },
);

testIf("lintian has nothing to say", { needs: [...needs, "lintian"] }, async () => {
  await using scope = new Scope();
  const result = await run(["lintian", "--no-cfg", await pack(scope, "022")], {
    timeoutSeconds: 60,
  });
  // The stand-in is Debian's own program, which needs no exceptions.
  const said = result.stdout.split("\n").filter((line) => /^[EW]:/.test(line));
  assert.deepEqual(said, [], result.stderr);
});

testIf("the list of components has what is linked into the executable", {}, async () => {
  // deno-lint-ignore no-explicit-any -- as it is written
  const bom: any = await describeComponents();
  assert.equal(bom.bomFormat, "CycloneDX");
  for (const { purl, hashes } of bom.components) {
    assert.match(purl, /^pkg:npm\/.+@\d/);
    assert.match(hashes[0].content, /^[0-9a-f]{64}([0-9a-f]{64})?$/);
  }
  // Every package that the program's modules import, and no other.
  const { stdout } = await run([Deno.execPath(), "info", "--json", "main.ts"], { check: true });
  const modules: { npmPackage?: string }[] = JSON.parse(stdout).modules;
  const packages = new Set(modules.flatMap(({ npmPackage }) => npmPackage ?? []));
  const imported = [...packages].map((it) => `pkg:npm/${it}`);
  const linked = bom.components.map((it: { purl: string }) => it.purl)
    .filter((purl: string) => !purl.includes("deno"));
  assert.deepEqual(linked.sort(), imported.sort());
});
