/** The installer of nodes in fixtures/kubernetes: its kustomizations, and its scripts as its pods run them. */
import assert from "node:assert/strict";
import { parse } from "yaml";
import { type Manifest, parseManifests, validateManifest } from "../../support/manifests.ts";
import { run } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { repositoryDirectory } from "../../support/urunc.ts";

const BASE = `${repositoryDirectory()}fixtures/kubernetes`;
const REMOVE = `${BASE}/remove`;

const read = (path: string): Manifest[] => parseManifests(Deno.readTextFileSync(path));

Deno.test("the kustomizations name files that Kubernetes takes, and the installer's image", () => {
  const images: string[] = [];
  for (const directory of [BASE, REMOVE]) {
    const kustomization = parse(Deno.readTextFileSync(`${directory}/kustomization.yaml`));
    assert.equal(kustomization.kind, "Kustomization");
    for (const name of kustomization.resources) {
      read(`${directory}/${name}`).forEach(validateManifest);
    }
    images.push(...(kustomization.images ?? []).map(({ name }: { name: string }) => name));
  }
  const [install] = read(`${BASE}/install.yaml`);
  const [{ image }] = install.spec.template.spec.initContainers;
  assert.deepEqual(images, [image.replace(/:.*/, "")]);
});

Deno.test("what removes the executable runs where it was installed, with the same rights", () => {
  const [install] = read(`${BASE}/install.yaml`);
  const [remove] = read(`${REMOVE}/remove.yaml`);
  const { nodeSelector, volumes, initContainers: [copy] } = install.spec.template.spec;
  const { initContainers: [it], ...spec } = remove.spec.template.spec;
  assert.deepEqual([spec.nodeSelector, spec.volumes], [nodeSelector, volumes]);
  assert.deepEqual(
    [it.securityContext, it.volumeMounts],
    [copy.securityContext, copy.volumeMounts],
  );
});

/** Runs the script of a DaemonSet's pod, with other directories in place of its volume and its image. */
async function runScript(path: string, target: string, image: string): Promise<void> {
  const [{ spec: { template: { spec: { initContainers: [{ command }] } } } }] = read(path) as [
    Manifest,
  ];
  const [shell, flag, script] = command;
  const here = script.replaceAll("/target", target).replaceAll("cp /urunc", `cp ${image}/urunc`);
  await run([shell, flag, here], { check: true });
}

Deno.test("install, upgrade and remove: names, modes, and a file that runs", async () => {
  await using scope = new Scope();
  const target = await scope.temporaryDirectory("target");
  const image = await scope.temporaryDirectory("image");
  const list = () => [...Deno.readDirSync(target)].map(({ name }) => name).sort();
  for (const version of ["one", "two"]) {
    await Deno.writeTextFile(`${image}/urunc`, version);
    const before = list().length === 0 ? undefined : Deno.openSync(`${target}/urunc`);
    await runScript(`${BASE}/install.yaml`, target, image);
    assert.deepEqual(list(), ["containerd-shim-urunc-v2", "urunc"]);
    assert.equal(Deno.readTextFileSync(`${target}/containerd-shim-urunc-v2`), version);
    assert.equal(Deno.statSync(`${target}/urunc`).mode! & 0o7777, 0o755);
    // What runs keeps the old one.
    if (before !== undefined) {
      assert.equal(await new Response(before.readable).text(), "one");
    }
  }
  await runScript(`${REMOVE}/remove.yaml`, target, image);
  assert.deepEqual(list(), []);
  // Twice is once; and a package's files stay.
  await runScript(`${REMOVE}/remove.yaml`, target, image);
  await Deno.writeTextFile(`${target}/urunc`, "another's");
  await Deno.symlink("/usr/bin/urunc", `${target}/containerd-shim-urunc-v2`);
  await runScript(`${REMOVE}/remove.yaml`, target, image);
  assert.deepEqual(list(), ["containerd-shim-urunc-v2", "urunc"]);
});

testIf("kubectl builds the kustomizations", { needs: ["kubectl"] }, async () => {
  for (
    const [directory, kinds] of [[BASE, ["RuntimeClass", "DaemonSet"]], [REMOVE, ["DaemonSet"]]]
  ) {
    const { stdout } = await run(["kubectl", "kustomize", `${directory}`], { check: true });
    const manifests = parseManifests(stdout);
    manifests.forEach(validateManifest);
    assert.deepEqual(manifests.map(({ kind }) => kind).sort(), [...kinds!].sort());
  }
});
