import assert from "node:assert/strict";
import { validateId } from "../../../lib/container/id.ts";
import { InvalidConfigurationError } from "../../../lib/errors.ts";

for (const id of ["a", "A-1_b.c+d", "...", ".hidden", "0", "x".repeat(255)]) {
  Deno.test(`the id ${id.slice(0, 20)} (${id.length}) is allowed`, () => validateId(id));
}

for (
  const id of ["", ".", "..", "a/b", "../x", "a b", "a\nb", "a\0b", "ü", "a:b", "x".repeat(256)]
) {
  Deno.test(`the id ${JSON.stringify(id.slice(0, 20))} (${id.length}) is refused`, () => {
    assert.throws(() => validateId(id), (error: Error) => {
      assert.ok(error instanceof InvalidConfigurationError);
      assert.match(error.message, /ASCII letters, digits and _ \+ - \. are allowed/);
      return true;
    });
  });
}
