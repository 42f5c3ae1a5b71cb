import assert from "node:assert/strict";
import { InvalidConfigurationError } from "../../../lib/errors.ts";
import { parseUpdate, readUpdate } from "../../../lib/oci/parse_resources.ts";

const encode = (json: string) => new TextEncoder().encode(json);

Deno.test("an update is read as linux.resources of config.json is", () => {
  const resources = parseUpdate(encode('{"memory": {"limit": 1048576}}'), "of a test");
  assert.equal(resources.memory.limit, 1048576);
  assert.deepEqual(resources, readUpdate({ memory: { limit: 1048576 } }));
});

const REFUSED: [what: string, json: Uint8Array, message: RegExp][] = [
  ["what is not JSON", encode("{"), /^read resources of a test: it is not JSON: .+ \(it must be/],
  ["what is not UTF-8", new Uint8Array([0xff]), /^read resources of a test: it is not JSON: /],
  ["what is not an object", encode("[]"), /^read resources: found an array, allowed: an object$/],
  [
    "a value of another type",
    encode('{"cpu": {"shares": "many"}}'),
    /^read resources cpu\.shares: found the string "many", allowed: /,
  ],
];

for (const [what, json, message] of REFUSED) {
  Deno.test(`an update: ${what} is refused, and config.json is not blamed`, () => {
    assert.throws(() => parseUpdate(json, "of a test"), (error) => {
      assert(error instanceof InvalidConfigurationError);
      assert.match(error.message, message);
      return true;
    });
  });
}
