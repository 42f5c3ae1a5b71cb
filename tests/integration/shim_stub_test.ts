/** What the entry stub answers without V8 must be what the program would have answered. */
import assert from "node:assert/strict";
import { groupOf, SOCKET_DIRECTORY, socketPath } from "../../lib/shim/group.ts";
import { DeleteResponse, millisecondsOf } from "../../lib/shim/protobuf/messages.ts";
import { run } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { withoutSocketDirectories } from "../support/shim_sockets.ts";
import { testIf } from "../support/skip.ts";
import { uruncBinary } from "../support/urunc.ts";

/** The executable under a shim's name. */
async function shimBinary(scope: Scope): Promise<string> {
  const path = `${await scope.temporaryDirectory("shim")}/containerd-shim-urunc-v2`;
  await Deno.symlink(await uruncBinary(), path);
  return path;
}

const SANDBOX = "io.kubernetes.cri.sandbox-id";
const RUNC = "io.containerd.runc.v2.group";

/** config.json as text, and whether the stub can judge it; otherwise the program does. */
const configurations: [name: string, text: string][] = [
  ["no annotations", '{"ociVersion":"1.2.0"}'],
  ["an empty object", "{}"],
  ["a pod", JSON.stringify({ annotations: { [SANDBOX]: "pod" }, process: { args: ["a"] } })],
  ["a group before a pod", JSON.stringify({ annotations: { [RUNC]: "g", [SANDBOX]: "pod" } })],
  ["a group after a pod", JSON.stringify({ annotations: { [SANDBOX]: "pod", [RUNC]: "g" } })],
  ["an empty group", JSON.stringify({ annotations: { [RUNC]: "" } })],
  ["the same key twice", `{"annotations":{"${SANDBOX}":"first","${SANDBOX}":"second"}}`],
  ["annotations twice", `{"annotations":{"${SANDBOX}":"a"},"annotations":{"${SANDBOX}":"b"}}`],
  ["an escaped value", `{"annotations":{"${SANDBOX}":"p\\u006fd"}}`],
  ["an escaped key", `{"annotations":{"io.kubernetes.cri.sandbox-\\u0069d":"pod"}}`],
  ["an escaped name", `{"annotation\\u0073":{"${SANDBOX}":"pod"}}`],
  ["no text", `{"annotations":{"${SANDBOX}":7,"${RUNC}":null}}`],
  [
    "elsewhere",
    `{"process":{"annotations":{"${SANDBOX}":"x"}},"x":["annotations",{"${SANDBOX}":"y"}]}`,
  ],
  ["in a value", JSON.stringify({ a: `{"annotations":{"${SANDBOX}":"x"}}`, annotations: {} })],
  [
    "brackets in texts",
    JSON.stringify({ "}": '{["\\', annotations: { "]": "}", [SANDBOX]: "p" } }),
  ],
  ["deeper in it", `{"annotations":{"a":{"${SANDBOX}":"x"},"b":["${SANDBOX}","y"]}}`],
  ["white space", ` {\n "annotations" :\t{ "${SANDBOX}" : "pod" } } \r\n`],
];

for (const [name, text] of configurations) {
  testIf(
    `start joins the shim of the container's group: ${name}`,
    { needs: ["root"] },
    async () => {
      await using scope = new Scope();
      const bundle = await scope.temporaryDirectory("bundle");
      await Deno.writeTextFile(`${bundle}/config.json`, text);
      const found = JSON.parse(text).annotations ?? {};
      const annotations = Object.fromEntries(
        Object.entries(found).filter(([, value]) => typeof value === "string"),
      ) as Record<string, string>;
      const group = groupOf({ id: "one", annotations, shimGroup: "container" });
      // What it would start instead cannot come: the name of this containerd is nobody else's.
      const path = await socketPath(`${bundle}.sock`, "test", group);
      withoutSocketDirectories(scope);
      await Deno.mkdir(SOCKET_DIRECTORY, { recursive: true, mode: 0o711 });
      const listener = Deno.listen({ transport: "unix", path });
      // It removes the socket, too.
      scope.defer("stop listening", () => listener.close());
      const result = await run([
        await shimBinary(scope),
        ...[
          "-namespace",
          "test",
          "-address",
          `${bundle}.sock`,
          "-publish-binary",
          "",
          "-id",
          "one",
        ],
        "start",
      ], { cwd: bundle, stdin: "" });
      assert.deepEqual(result, { code: 0, stdout: `unix://${path}`, stderr: "" });
      assert.equal(await Deno.readTextFile(`${bundle}/address`), `unix://${path}`);
    },
  );
}

testIf("delete of what is gone answers at once, and right", { needs: ["root"] }, async () => {
  await using scope = new Scope();
  const bundle = await scope.temporaryDirectory("bundle");
  const shim = await shimBinary(scope);
  const args = ["-namespace", "test", "-address", "/no.sock", "-id", "one"];
  // A socket that nobody listens on makes the program look, and it finds nothing either.
  for (const address of [undefined, "unix:///run/containerd/s/urunc-test-nobody"]) {
    if (address !== undefined) await Deno.writeTextFile(`${bundle}/address`, address);
    const child = new Deno.Command(shim, {
      args: [...args, "-bundle", bundle, "delete"],
      cwd: bundle,
      stdout: "piped",
    });
    const { code, stdout } = await child.output();
    assert.equal(code, 0);
    const { pid, exitStatus, exitedAt } = DeleteResponse.decode(stdout);
    assert.deepEqual([pid, exitStatus], [0, 137]);
    assert.ok(Math.abs(millisecondsOf(exitedAt!) - Date.now()) < 10_000);
    assert.deepEqual([...Deno.readDirSync(bundle)], []);
  }
});

testIf("a shim that is called wrongly says so, and nothing else", { needs: ["root"] }, async () => {
  await using scope = new Scope();
  const shim = await shimBinary(scope);
  const bundle = await scope.temporaryDirectory("bundle");
  const cases: [args: string[], says: RegExp][] = [
    [[], /start or delete: it is missing/],
    [["start"], /-namespace: it is required/],
    [["-namespace", "n", "-id", "i", "-address", "a", "-colour", "start"], /-colour/],
    [["-namespace", "n", "-id", "i", "-address", "a", "start"], /config\.json/],
  ];
  for (const [args, says] of cases) {
    const result = await run([shim, ...args], { cwd: bundle, stdin: "" });
    assert.notEqual(result.code, 0);
    assert.equal(result.stdout, "");
    assert.match(result.stderr, says);
  }
  assert.match((await run([shim, "-v"])).stdout, /version/);
  const { stdout } = await new Deno.Command(shim, { args: ["-info"], stdin: "null" }).output();
  assert.match(new TextDecoder().decode(stdout), /io\.containerd\.urunc\.v2/);
});
