import assert from "node:assert/strict";
import {
  ARGV0_VARIABLE,
  DENO_ENVIRONMENT,
  DROPPED_VARIABLES,
  FILE_LIMIT_VARIABLE,
} from "../../../lib/build/start_up.ts";

const isDropped = (variable: string) => DROPPED_VARIABLES.some((it) => variable.startsWith(it));

Deno.test("what is set in every run cannot be inherited as well", () => {
  for (const variable of [...DENO_ENVIRONMENT, `${ARGV0_VARIABLE}=x`, `${FILE_LIMIT_VARIABLE}=1`]) {
    assert.match(variable, /^[A-Z0-9_]+=./);
    assert.equal(isDropped(variable), true, variable);
  }
});

Deno.test("what a runtime's caller hands over is kept", () => {
  const kept = ["PATH=/bin", "TTRPC_ADDRESS=x", "LISTEN_FDS=1", "NO_COLOR=1", "XDG_RUNTIME_DIR=/x"];
  for (const variable of [...kept, "COMPLETED=1", "HOMEPAGE=x"]) {
    assert.equal(isDropped(variable), false, variable);
  }
});
