/** Judges Kubernetes manifests by Kubernetes' own schemas. */
import assert from "node:assert/strict";
import { DaemonSet } from "kubernetes-models/apps/v1/DaemonSet";
import { Deployment } from "kubernetes-models/apps/v1/Deployment";
import { RuntimeClass } from "kubernetes-models/node.k8s.io/v1/RuntimeClass";
import { Pod } from "kubernetes-models/v1/Pod";
import { parseAllDocuments } from "yaml";

/** Kinds that our manifests have. */
const KINDS = [DaemonSet, Deployment, Pod, RuntimeClass];

// deno-lint-ignore no-explicit-any -- as it comes from YAML
export type Manifest = any;

/** The manifests in a text of YAML. */
export function parseManifests(text: string): Manifest[] {
  return parseAllDocuments(text).map((document) => {
    assert.deepEqual([document.errors, document.warnings], [[], []]);
    return document.toJS();
  });
}

/**
 * Validates a manifest; what the schema does not know is an error as well, as it is for kubectl. The
 * validator never looks at that, so whatever it has not looked at is unknown.
 */
export function validateManifest(manifest: Manifest): void {
  const seen = new Set<string>();
  const Kind = KINDS.find((it) => it.is(manifest));
  assert.ok(Kind, `there is no ${manifest.apiVersion} ${manifest.kind}`);
  // A model would be a copy, for which every property is read.
  Kind.prototype.validate.call(watched(manifest, "", seen));
  const unknown = paths(manifest, "").filter((path) => !seen.has(path));
  assert.deepEqual(unknown, [], "the schema does not know");
}

/** The same object, which records the properties that are read. */
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
