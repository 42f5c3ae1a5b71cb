import assert from "node:assert/strict";
import { UsageError } from "../../../../lib/errors.ts";
import { parseShimArguments } from "../../../../lib/shim/command/arguments.ts";

const USUAL = ["-namespace", "moby", "-address", "/c.sock", "-publish-binary", "/c", "-id", "one"];

const PARSED = {
  namespace: "moby",
  address: "/c.sock",
  publishBinary: "/c",
  id: "one",
  bundle: undefined,
  debug: false,
  socket: undefined,
  shared: false,
};

const accepted: [name: string, args: string[], parsed: Record<string, unknown>][] = [
  ["start", [...USUAL, "start"], { ...PARSED, action: "start" }],
  ["debug", [...USUAL, "-debug", "start"], { ...PARSED, action: "start", debug: true }],
  ["delete", [...USUAL, "-bundle", "/b", "delete"], { ...PARSED, action: "delete", bundle: "/b" }],
  ["two dashes and an equals sign", ["--namespace=a=b", "--id=c", "start"], {
    ...PARSED,
    action: "start",
    namespace: "a=b",
    id: "c",
    address: "",
    publishBinary: undefined,
  }],
  ["the daemon", [...USUAL, "-shared", "-socket", "/s", "daemon"], {
    ...PARSED,
    action: "daemon",
    shared: true,
    socket: "/s",
  }],
];

for (const [name, args, parsed] of accepted) {
  Deno.test(`parseShimArguments: ${name}`, () => {
    assert.deepEqual(parseShimArguments(args), parsed);
  });
}

Deno.test("parseShimArguments: version and info need nothing else", () => {
  assert.equal(parseShimArguments(["-v"]).action, "version");
  assert.equal(parseShimArguments(["-info"]).action, "info");
});

const refused: [args: string[], says: RegExp][] = [
  [[], /start or delete: it is missing/],
  [USUAL, /start or delete: it is missing/],
  [[...USUAL, "stop"], /stop: no such action/],
  [[...USUAL, "start", "now"], /now: nothing may follow/],
  [["-id", "x", "start"], /-namespace: it is required/],
  [["-namespace", "x", "start"], /-id: it is required/],
  [["-id"], /-id: its value is missing/],
  [["-colour", "start"], /-colour: no such option/],
];

for (const [args, says] of refused) {
  Deno.test(`parseShimArguments refuses ${JSON.stringify(args)}`, () => {
    assert.throws(() => parseShimArguments(args), (error: Error) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, says);
      return true;
    });
  });
}
