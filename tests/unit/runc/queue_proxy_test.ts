import assert from "node:assert/strict";
import { InvalidConfigurationError } from "../../../lib/errors.ts";
import { redirectQueueProxy, withRedirect } from "../../../lib/runc/queue_proxy.ts";
import { Scope } from "../../support/scope.ts";

const redirect = (config: unknown) => withRedirect(JSON.stringify(config), "/b/config.json");

Deno.test("queue-proxy's environment gets the guest's address appended", () => {
  const before = { process: { args: ["/queue"], env: ["USER_PORT=8080"] }, root: {} };
  const after = redirect(before);
  assert.deepEqual(JSON.parse(after!), {
    ...before,
    process: { args: ["/queue"], env: ["USER_PORT=8080", "REDIRECT_IP=172.16.1.2"] },
  });
  assert.equal(withRedirect(after!, ""), undefined, "and not twice");
});

Deno.test("a queue-proxy without any environment gets one", () => {
  assert.deepEqual(JSON.parse(redirect({ process: {} })!).process.env, ["REDIRECT_IP=172.16.1.2"]);
});

Deno.test("numbers of 64 bits stay what they are", () => {
  const text = '{"process":{"rlimits":[{"hard":18446744073709551615,"soft":9223372036854771712}],' +
    '"x":1.5},"y":-9007199254740993}';
  const after = withRedirect(text, "")!;
  for (const number of ["18446744073709551615,", "9223372036854771712}", "1.5,", "40993}"]) {
    assert.ok(after.includes(number), `${number} in ${after}`);
  }
});

for (
  const config of [null, [], {}, { process: 1 }, { process: [] }, { process: null }, {
    process: { env: "A=B" },
  }]
) {
  Deno.test(`the config.json ${JSON.stringify(config)} is an error`, () => {
    assert.throws(() => redirect(config), /\/b\/config\.json: process\.env is not a list/);
  });
}

for (
  const text of [
    "",
    "{",
    '{"process":9007199254740993}',
    `{"process":${"[".repeat(100_000)}${"]".repeat(100_000)}}`,
  ]
) {
  Deno.test(`the config.json ${text.slice(0, 20)} is an error of its own`, () => {
    assert.throws(() => withRedirect(text, "/b/config.json"), InvalidConfigurationError);
  });
}

Deno.test("only queue-proxy's file is changed, and keeps its mode", async () => {
  await using scope = new Scope();
  const bundle = await scope.temporaryDirectory("bundle");
  const path = `${bundle}/config.json`;
  const text = '{"process":{"env":[]}}';
  await Deno.writeTextFile(path, text, { mode: 0o640 });
  for (const name of ["user-container", "proxy"]) {
    redirectQueueProxy(bundle, { "io.kubernetes.cri.container-name": name });
  }
  redirectQueueProxy(bundle, {});
  assert.equal(await Deno.readTextFile(path), text);
  redirectQueueProxy(bundle, { "io.kubernetes.cri.container-name": "queue-proxy" });
  assert.match(await Deno.readTextFile(path), /REDIRECT_IP/);
  assert.equal((await Deno.stat(path)).mode! & 0o777, 0o640);
  assert.deepEqual([...Deno.readDirSync(bundle)].map(({ name }) => name), ["config.json"]);
});
