/** What the entry stub answers without V8 must be what the program would have answered. */
import assert from "node:assert/strict";
import { RuntimeInfo } from "../../lib/protocol/containerd/messages.ts";
import { groupOf, SOCKET_DIRECTORY, socketPath } from "../../lib/shim/command/group.ts";
import { exists } from "../../lib/os/files.ts";
import { DeleteResponse } from "../../lib/protocol/containerd/messages.ts";
import { millisecondsOf } from "../support/ttrpc.ts";
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
      const path = socketPath(`${bundle}.sock`, "test", group);
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

/** The operator's configuration, and the group of a container's shim or what the start fails with. */
const OPERATORS: [name: string, toml: string, group: "container" | "namespace" | RegExp][] = [
  ["the key", 'shim_group = "namespace"\n', "namespace"],
  ["the default", 'shim_group = "container"', "container"],
  [
    "blanks and a remark",
    '\n \tshim_group="namespace" # for all\r\n[monitors.qemu]\n',
    "namespace",
  ],
  ["other keys", 'device_access = "private"\nshim_group = "namespace"\n', "namespace"],
  ["another key's value", 'oci_runtime = "/opt/shim_group/runc"\n', "container"],
  ["a remark", '# shim_group = "namespace"\n', "container"],
  ["a remark at the end of the file", '  # shim_group = "namespace"', "container"],
  ["a remark after a key", 'accelerator = "kvm" # shim_group = "namespace"\n', "container"],
  ["a remark before the key", '# shim_group = "container"\nshim_group = "namespace"', "namespace"],
  ["a quoted key", '"shim_group" = "namespace"\n', "namespace"],
  ["an escaped key", '"shim\\u005fgroup" = "namespace"\n', "namespace"],
  ["another kind of text", "shim_group = 'namespace'\n", "namespace"],
  ["a longer text", 'shim_group = """namespace"""\n', "namespace"],
  ["a text of lines", 'oci_runtime = """\\\nshim_group = "namespace"\\\n"""\n', "container"],
  ["a table's key", '[monitors.qemu]\nshim_group = "namespace"\n', /shim_group/],
  [
    "the key twice",
    'shim_group = "container"\nshim_group = "namespace"\n',
    /redefine|twice|shim_group/,
  ],
  ["no such group", 'shim_group = "pod"\n', /shim_group/],
];

for (const [name, toml, expected] of OPERATORS) {
  testIf(`start reads the operator's shim_group: ${name}`, {
    needs: ["root", "unshare"],
  }, async () => {
    await using scope = new Scope();
    const bundle = await scope.temporaryDirectory("bundle");
    await Deno.writeTextFile(`${bundle}/config.json`, "{}");
    await Deno.writeTextFile(`${bundle}/config.toml`, toml);
    withoutSocketDirectories(scope);
    await Deno.mkdir(SOCKET_DIRECTORY, { recursive: true, mode: 0o711 });
    const paths = new Map<string, string>();
    for (const shimGroup of ["container", "namespace"] as const) {
      const group = groupOf({ id: "one", annotations: {}, shimGroup });
      const path = socketPath(`${bundle}.sock`, "test", group);
      const listener = Deno.listen({ transport: "unix", path });
      scope.defer("stop listening", () => listener.close());
      paths.set(shimGroup, path);
    }
    // Another /etc, which only this process sees.
    const etc = 'mount -t tmpfs none /etc && mkdir /etc/urunc && cp "$0" /etc/urunc && exec "$@"';
    const { code, stdout, stderr } = await run([
      ...["unshare", "--mount", "--propagation=private", "sh", "-c", etc, `${bundle}/config.toml`],
      await shimBinary(scope),
      ...["-namespace", "test", "-address", `${bundle}.sock`, "-id", "one", "start"],
    ], { cwd: bundle, stdin: "" });
    if (typeof expected === "string") {
      assert.deepEqual([code, stdout, stderr], [0, `unix://${paths.get(expected)}`, ""]);
    } else {
      assert.notEqual(code, 0, stdout);
      assert.match(stderr, expected);
    }
  });
}

testIf("start joins a shim that runs without booting Deno", {
  needs: ["root", "unshare"],
}, async () => {
  await using scope = new Scope();
  const bundle = await scope.temporaryDirectory("bundle");
  await Deno.writeTextFile(`${bundle}/config.json`, `{"annotations":{"${SANDBOX}":"pod"}}`);
  withoutSocketDirectories(scope);
  await Deno.mkdir(SOCKET_DIRECTORY, { recursive: true, mode: 0o711 });
  const path = socketPath(`${bundle}.sock`, "test", "pod");
  const listener = Deno.listen({ transport: "unix", path });
  scope.defer("stop listening", () => listener.close());
  // Deno cannot boot without /proc.
  const result = await run([
    ...["unshare", "--mount", "--propagation=private", "sh", "-c"],
    ...['umount -l /proc && exec "$0" "$@"', await shimBinary(scope)],
    ...["-namespace", "test", "-address", `${bundle}.sock`, "-id", "one", "start"],
  ], { cwd: bundle, stdin: "" });
  assert.deepEqual(result, { code: 0, stdout: `unix://${path}`, stderr: "" });
});

/** A bundle of which a task was deleted, and whose shim was killed then. */
async function deletedBundle(scope: Scope): Promise<{ bundle: string; socket: string }> {
  const bundle = await scope.temporaryDirectory("bundle");
  withoutSocketDirectories(scope);
  await Deno.mkdir(SOCKET_DIRECTORY, { recursive: true, mode: 0o711 });
  const socket = socketPath(`${bundle}.sock`, "test", "one");
  await Deno.writeTextFile(`${bundle}/address`, `unix://${socket}`);
  return { bundle, socket };
}

for (const isBooted of [false, true]) {
  for (const isListening of [false, true]) {
    testIf(
      `delete ${
        isListening ? "leaves the socket of a shim alone" : "removes the socket of a killed shim"
      }, ${isBooted ? "also in Deno" : "without booting Deno"}`,
      { needs: ["root", "unshare"] },
      async () => {
        await using scope = new Scope();
        const { bundle, socket } = await deletedBundle(scope);
        const listener = Deno.listen({ transport: "unix", path: `${socket}.listening` });
        await Deno.rename(`${socket}.listening`, socket);
        scope.defer("remove the socket", () => Deno.remove(socket).catch(() => {}));
        if (isListening) scope.defer("stop listening", () => listener.close());
        else listener.close();
        // With the record, which is of a task that was never made, the program looks itself.
        if (isBooted) {
          const record = { version: 1, kind: "unikernel", root: `${bundle}/state` };
          await Deno.writeTextFile(`${bundle}/urunc.task`, JSON.stringify(record));
        }
        const withoutProc = ["sh", "-c", `${isBooted ? "" : "umount -l /proc && "}exec "$0" "$@"`];
        const { code, stderr } = await run([
          ...["unshare", "--mount", "--propagation=private", ...withoutProc],
          await shimBinary(scope),
          ...["-namespace", "test", "-address", `${bundle}.sock`, "-id", "one"],
          ...["-bundle", bundle, "delete"],
        ], { cwd: bundle, stdin: "" });
        assert.deepEqual([code, stderr], [0, ""]);
        assert.deepEqual([...Deno.readDirSync(bundle)], []);
        assert.equal(exists(socket), isListening);
      },
    );
  }
}

testIf("delete waits for a shim that is about to end, and removes its socket", {
  needs: ["root"],
}, async () => {
  await using scope = new Scope();
  const { bundle, socket } = await deletedBundle(scope);
  const listener = Deno.listen({ transport: "unix", path: `${socket}.listening` });
  await Deno.rename(`${socket}.listening`, socket);
  scope.defer("remove the socket", () => Deno.remove(socket).catch(() => {}));
  const deleted = run([
    await shimBinary(scope),
    ...["-namespace", "test", "-address", `${bundle}.sock`, "-id", "one"],
    ...["-bundle", bundle, "delete"],
  ], { cwd: bundle, stdin: "" });
  // It has connected once: the listener is closed after that.
  (await listener.accept()).close();
  listener.close();
  assert.equal((await deleted).code, 0);
  assert.ok(!exists(socket));
});

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

testIf(
  "a shim that is called wrongly prints the error, and nothing else",
  { needs: ["root"] },
  async () => {
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
    const { name, features } = RuntimeInfo.decode(stdout);
    assert.equal(name, "io.containerd.urunc.v2");
    assert.match(features!.typeUrl, /runtime-spec\/1\/features\/Features$/);
    const { linux } = JSON.parse(new TextDecoder().decode(features!.value));
    // Without these, no pod may have a user namespace: containerd's supportsCRIUserns.
    assert.ok(linux.namespaces.includes("user") && linux.mountExtensions.idmap.enabled);
  },
);
