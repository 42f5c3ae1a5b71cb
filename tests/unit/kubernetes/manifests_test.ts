/** The manifests in fixtures/kubernetes, by Kubernetes' own schemas. */
import assert from "node:assert/strict";
import { parse as parseToml } from "smol-toml";
import { crioDropIn } from "../../../lib/install/edits.ts";
import { type Manifest, parseManifests, validateManifest } from "../../support/manifests.ts";
import { repositoryDirectory } from "../../support/urunc.ts";

const DIRECTORY = `${repositoryDirectory()}fixtures/kubernetes`;

function readManifests(name: string): Manifest[] {
  return parseManifests(Deno.readTextFileSync(`${DIRECTORY}/${name}`));
}

const files = [...Deno.readDirSync(DIRECTORY)].map(({ name }) => name)
  .filter((name) => name.endsWith(".yaml") && name !== "kustomization.yaml");

for (const name of files) {
  Deno.test(`fixtures/kubernetes/${name} is what Kubernetes takes`, () => {
    const manifests = readManifests(name);
    assert.ok(manifests.length > 0);
    for (const manifest of manifests) validateManifest(manifest);
  });
}

Deno.test("a manifest with a wrong value, or a misspelt name at any depth, is found", () => {
  const changed = (change: (manifest: Manifest) => void) => {
    const [manifest] = readManifests("deployment.yaml");
    change(manifest);
    return () => validateManifest(manifest);
  };
  const context = (it: Manifest) => it.spec.template.spec.containers[0].securityContext;
  assert.throws(changed((it) => context(it).runAsUser = "nobody"), /runAsUser must be integer/);
  assert.throws(changed((it) => delete it.spec.selector), /must have required property selector/);
  assert.throws(changed((it) => context(it).runAsUsr = 1), /does not know[^]*runAsUsr/);
  assert.throws(changed((it) => it.specs = {}), /does not know[^]*specs/);
  assert.throws(changed((it) => it.apiVersion = "apps/v2"), /there is no apps\/v2/);
});

Deno.test("the manifests agree with one another and with the configuration of containerd and CRI-O", () => {
  const [runtimeClass] = readManifests("runtime-class.yaml");
  const [deployment] = readManifests("deployment.yaml");
  const [install] = readManifests("install.yaml");
  assert.equal(deployment.spec.template.spec.runtimeClassName, runtimeClass.metadata.name);
  assert.deepEqual(
    runtimeClass.scheduling.nodeSelector,
    install.spec.template.spec.nodeSelector,
  );
  const toml: Manifest = parseToml(Deno.readTextFileSync(`${DIRECTORY}/containerd.toml`));
  const { runtimes } = toml.plugins["io.containerd.grpc.v1.cri"].containerd;
  assert.equal(runtimes[runtimeClass.handler].runtime_type, "io.containerd.urunc.v2");
  const crio: Manifest = parseToml(Deno.readTextFileSync(`${DIRECTORY}/crio.conf`));
  const runtime = crio.crio.runtime.runtimes[runtimeClass.handler];
  // What urunc install writes, and nothing besides: CRI-O ignores a runtime with annotations of others.
  assert.deepEqual(
    crio,
    parseToml(crioDropIn(runtime.runtime_path).text),
  );
  // containerd's default_runtime_name, which it does not add beside others.
  assert.equal(runtimes.runc.runtime_type, "io.containerd.runc.v2");
});
