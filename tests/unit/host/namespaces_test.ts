import assert from "node:assert/strict";
import {
  compareNamespaces,
  type Namespaces,
  readNamespaces,
} from "../../../lib/host/namespaces.ts";

const FILES = ["user", "mnt", "net", "ipc", "uts", "cgroup", "pid"] as const;

/** Namespaces whose number is `number`, but for these. */
function namespaces(number: number, but: Partial<Namespaces> = {}): Namespaces {
  const all = Object.fromEntries(FILES.map((file) => [file, `${file}:[${number}]`]));
  return { ...all as Namespaces, ...but };
}

const [container, runtime] = [namespaces(2), namespaces(1, { user: "user:[2]" })];

Deno.test("a process in the container's namespaces is where it should be", () => {
  assert.deepEqual(compareNamespaces(container, { container, runtime }), []);
});

Deno.test("each other namespace is a difference that names its kind", () => {
  for (const file of FILES) {
    const actual = { ...container, [file]: `${file}:[3]` };
    assert.deepEqual(compareNamespaces(actual, { container, runtime }), [
      `${file} namespace is ${file}:[3], planned was ${file}:[2]`,
    ]);
  }
});

Deno.test("a namespace of its own is neither the container's nor the runtime's", () => {
  const own = ["network", "ipc", "pid"] as const;
  const differences = (net: string) =>
    compareNamespaces(namespaces(2, { net, ipc: "ipc:[3]", pid: "pid:[3]" }), {
      container,
      runtime,
      own,
    });
  assert.deepEqual(differences("net:[3]"), []);
  for (const net of ["net:[1]", "net:[2]"]) {
    assert.deepEqual(differences(net), [`net namespace is ${net}, planned was one of its own`]);
  }
});

Deno.test("this process's namespaces are as /proc names them", () => {
  const own = readNamespaces(Deno.pid);
  assert.deepEqual(Object.keys(own), [...FILES]);
  for (const file of FILES) assert.match(own[file], RegExp(`^${file}:\\[\\d+\\]$`));
});
