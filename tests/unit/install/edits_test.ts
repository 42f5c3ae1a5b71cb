/** Configuration of other programs: what is inserted, and that nothing else changes. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { parse } from "smol-toml";
import {
  addContainerdRuntime,
  addDockerRuntime,
  removeInserted,
} from "../../../lib/install/edits.ts";

const RUNTIME = { runtimeType: "io.containerd.urunc.v2" };

Deno.test("docker's file: the runtime is added, and the rest stays as it is, byte for byte", () => {
  const texts = [
    "",
    "\n",
    "{}",
    "{\n}\n",
    '{ "debug": true }',
    '{\n\t"runtimes": {},\n\t"debug": true\n}',
    '{"runtimes":{"kata":{"path":"/usr/bin/kata"}}}',
    // The name elsewhere: as a value, as a key further inside, with characters that JSON escapes.
    '{ "a": "runtimes", "b": { "runtimes": { "x": {} } }, "c\\"{": ["runtimes", "{"] }',
    '{ "b": { "runtimes": {} }, "run\\u0074imes": { "kata": {} } }',
  ];
  for (const text of texts) {
    const edit = addDockerRuntime("daemon.json", text)!;
    const before = text.trim() === "" ? {} : JSON.parse(text);
    const expected = { ...before, runtimes: { ...before.runtimes, urunc: RUNTIME } };
    assert.deepEqual(JSON.parse(edit.text), expected, text);
    assert.equal(removeInserted(edit.text, edit.inserted), text);
    // Once is enough.
    assert.equal(addDockerRuntime("daemon.json", edit.text), undefined);
  }
});

Deno.test("docker's file: whatever is in it", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.nat(4), (document, space) => {
      fc.pre(document.runtimes === undefined || isTable(document.runtimes));
      fc.pre(!Object.hasOwn(Object(document.runtimes), "urunc"));
      const text = JSON.stringify(document, null, space);
      const edit = addDockerRuntime("daemon.json", text)!;
      assert.deepEqual(
        JSON.parse(edit.text),
        JSON.parse(JSON.stringify({
          ...document,
          runtimes: { ...document.runtimes as object, urunc: RUNTIME },
        })),
      );
      assert.equal(removeInserted(edit.text, edit.inserted), text);
    }),
  );
});

function isTable(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

Deno.test("docker's file: what cannot be added to is refused with the reason", () => {
  const cases: [text: string, reason: RegExp][] = [
    ["{", /not JSON/],
    ["[]", /not an object/],
    ['{ "runtimes": [] }', /"runtimes" is not an object/],
    ['{ "runtimes": { "urunc": { "runtimeType": "io.containerd.kata.v2" } } }', /another runtime/],
  ];
  for (const [text, reason] of cases) {
    assert.throws(() => addDockerRuntime("daemon.json", text), reason);
  }
  const byPath = '{ "runtimes": { "urunc": { "path": "/opt/urunc" } } }';
  assert.equal(addDockerRuntime("daemon.json", byPath), undefined);
});

const PLUGIN = "io.containerd.grpc.v1.cri";

Deno.test("containerd's file: tables are appended, in the version that the file has", async () => {
  const cases: [text: string, plugin: string, runtimes: string[]][] = [
    ["", PLUGIN, ["runc", "urunc"]],
    ["# a comment alone", PLUGIN, ["runc", "urunc"]],
    ["version = 2\n# kept\n", PLUGIN, ["runc", "urunc"]],
    ["version = 3\n", "io.containerd.cri.v1.runtime", ["runc", "urunc"]],
    ['disabled_plugins = ["cri"]\n', "cri", ["runc", "urunc"]],
    [
      `version = 2\n[plugins."${PLUGIN}".containerd.runtimes.kata]\n  runtime_type = "k"`,
      PLUGIN,
      ["kata", "urunc"],
    ],
  ];
  for (const [text, plugin, runtimes] of cases) {
    const edit = (await addContainerdRuntime("config.toml", text))!;
    // deno-lint-ignore no-explicit-any -- as it comes from TOML
    const document: any = parse(edit.text);
    const found = document.plugins[plugin].containerd.runtimes;
    assert.deepEqual(Object.keys(found), runtimes, text);
    assert.equal(found.urunc.runtime_type, "io.containerd.urunc.v2");
    assert.ok(edit.text.startsWith(text));
    assert.equal(removeInserted(edit.text, edit.inserted), text);
    assert.equal(await addContainerdRuntime("config.toml", edit.text), undefined);
  }
});

Deno.test("containerd's file: systemd's cgroups are used where runc uses them", async () => {
  const runc = `[plugins."${PLUGIN}".containerd.runtimes.runc`;
  const text = `version = 2\n${runc}]\nruntime_type = "io.containerd.runc.v2"\n` +
    `${runc}.options]\nSystemdCgroup = true\n`;
  const edit = (await addContainerdRuntime("config.toml", text))!;
  assert.match(edit.inserted, /runtimes\.urunc\.options\]\n {2}SystemdCgroup = true/);
});

Deno.test("containerd's file: what cannot be added to is refused with the reason", async () => {
  const cases: [text: string, reason: RegExp][] = [
    ["version = ", /not TOML/],
    ["version = 4\n", /version 4/],
    [`version = 2\nplugins = { "${PLUGIN}" = {} }\n`, /inline/],
    [
      `version = 2\n[plugins."${PLUGIN}".containerd.runtimes.urunc]\nruntime_type = "x"\n`,
      /another runtime urunc/,
    ],
  ];
  for (const [text, reason] of cases) {
    await assert.rejects(addContainerdRuntime("config.toml", text), reason);
  }
});

Deno.test("what was changed beside the insertion stays", () => {
  const { text, inserted } = addDockerRuntime("daemon.json", "{}")!;
  const changed = text.replace("}\n  }", "}\n  }").replace("{", '{ "debug": true,');
  assert.equal(removeInserted(changed, inserted), '{ "debug": true,}');
  assert.equal(removeInserted("nothing", inserted), undefined);
  assert.equal(removeInserted(inserted + inserted, inserted), undefined);
});
