import assert from "node:assert/strict";
import { NotAllowedError } from "../../../lib/errors.ts";
import { requireOrdinaryAllowed } from "../../../lib/runc/kind.ts";

const SANDBOX = { "io.kubernetes.cri.container-type": "sandbox" };
const PROXY = { "io.kubernetes.cri.container-name": "queue-proxy" };

const cases: [annotations: Record<string, string>, undescribed: "runc" | "refuse", ok: boolean][] =
  [
    [{}, "runc", true],
    [PROXY, "runc", true],
    [SANDBOX, "runc", true],
    [{}, "refuse", false],
    [PROXY, "refuse", false],
    [{ "io.kubernetes.cri.container-type": "container" }, "refuse", false],
    [SANDBOX, "refuse", true],
  ];

for (const [annotations, undescribed, ok] of cases) {
  const what = `${JSON.stringify(annotations)} that is not a guest`;
  Deno.test(`guests.undescribed = "${undescribed}" ${ok ? "allows" : "refuses"} ${what}`, () => {
    const check = () => requireOrdinaryAllowed({ annotations }, { guests: { undescribed } });
    if (ok) return check();
    assert.throws(check, (error) => {
      assert.ok(error instanceof NotAllowedError);
      assert.match(error.message, /guests\.undescribed is "refuse" in the configuration/);
      return true;
    });
  });
}
