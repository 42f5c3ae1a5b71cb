/** The manifests in fixtures/kubernetes, by Kubernetes' own schemas. */
import assert from "node:assert/strict";
import { DaemonSet } from "kubernetes-models/apps/v1/DaemonSet";
import { Deployment } from "kubernetes-models/apps/v1/Deployment";
import { RuntimeClass } from "kubernetes-models/node.k8s.io/v1/RuntimeClass";
import { parse as parseToml } from "smol-toml";
import { parseAllDocuments } from "yaml";
import { repositoryDirectory } from "../../support/urunc.ts";

const DIRECTORY = `${repositoryDirectory()}fixtures/kubernetes`;

/** Kinds that our manifests have. */
const KINDS = [DaemonSet, Deployment, RuntimeClass];

// deno-lint-ignore no-explicit-any -- as it comes from YAML
type Manifest = any;

function readManifests(name: string): Manifest[] {
  return parseAllDocuments(Deno.readTextFileSync(`${DIRECTORY}/${name}`)).map((document) => {
    assert.deepEqual([document.errors, document.warnings], [[], []]);
    return document.toJS();
  });
}

/**
 * Validates a manifest; what the schema does not know is an error as well, as it is for kubectl. The
 * validator never looks at that, so whatever it has not looked at is unknown.
 */
function validate(manifest: Manifest): void {
  const seen = new Set<string>();
  const Kind = KINDS.find((it) => it.is(manifest));
  assert.ok(Kind, `there is no ${manifest.apiVersion} ${manifest.kind}`);
  // A model would be a copy, for which everything is looked at.
  Kind.prototype.validate.call(watched(manifest, "", seen));
  const unknown = paths(manifest, "").filter((path) => !seen.has(path));
  assert.deepEqual(unknown, [], "the schema does not know");
}

/** The same object, which writes down whatever is looked at. */
function watched(value: Manifest, path: string, seen: Set<string>): Manifest {
  if (typeof value !== "object" || value === null) return value;
  return new Proxy(value, {
    get(target, key) {
      const child = `${path}/${String(key)}`;
      seen.add(child);
      return watched(target[key], child, seen);
    },
  });
}

/** Of all properties and elements. */
function paths(value: Manifest, path: string): string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, child]) => [
    `${path}/${key}`,
    ...paths(child, `${path}/${key}`),
  ]);
}

const files = [...Deno.readDirSync(DIRECTORY)].map(({ name }) => name)
  .filter((name) => name.endsWith(".yaml"));

for (const name of files) {
  Deno.test(`fixtures/kubernetes/${name} is what Kubernetes takes`, () => {
    const manifests = readManifests(name);
    assert.ok(manifests.length > 0);
    for (const manifest of manifests) validate(manifest);
  });
}

Deno.test("a manifest with a wrong value, or a misspelt name at any depth, is found", () => {
  const changed = (change: (manifest: Manifest) => void) => {
    const [manifest] = readManifests("deployment.yaml");
    change(manifest);
    return () => validate(manifest);
  };
  const context = (it: Manifest) => it.spec.template.spec.containers[0].securityContext;
  assert.throws(changed((it) => context(it).runAsUser = "nobody"), /runAsUser must be integer/);
  assert.throws(changed((it) => delete it.spec.selector), /must have required property selector/);
  assert.throws(changed((it) => context(it).runAsUsr = 1), /does not know[^]*runAsUsr/);
  assert.throws(changed((it) => it.specs = {}), /does not know[^]*specs/);
  assert.throws(changed((it) => it.apiVersion = "apps/v2"), /there is no apps\/v2/);
});

Deno.test("the manifests agree with one another and with containerd's configuration", () => {
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
});
