import assert from "node:assert/strict";
import { NotAllowedError } from "../../../lib/errors.ts";
import { isGuestByPolicy, requireOrdinaryAllowed } from "../../../lib/runc/kind.ts";

const SANDBOX = { "io.kubernetes.cri.container-type": "sandbox" };
const CRIO_SANDBOX = {
  "io.kubernetes.cri-o.ContainerType": "sandbox",
  "io.container.manager": "cri-o",
  "io.kubernetes.container.name": "POD",
};
/** A container of CRI-O's, whose pod's author calls it a sandbox in containerd's words. */
const CRIO_CONTAINER = {
  ...SANDBOX,
  ...CRIO_SANDBOX,
  "io.kubernetes.cri-o.ContainerType": "container",
};
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
    [CRIO_SANDBOX, "refuse", true],
    [CRIO_CONTAINER, "refuse", false],
    [{ ...SANDBOX, "io.kubernetes.cri-o.ContainerType": "container" }, "refuse", false],
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

Deno.test('guests.undescribed = "linux" makes a guest of all but the sandboxes of pods', () => {
  const isGuest = (
    annotations: Record<string, string>,
    undescribed: "linux" | "runc" | "refuse",
  ) => {
    const linux = { kernel: "debian", kernels: "/k", file_access: "user" as const };
    return isGuestByPolicy({ annotations }, { guests: { undescribed }, "guests.linux": linux });
  };
  const others: Record<string, string>[] = [{}, PROXY, CRIO_CONTAINER, {
    "io.kubernetes.cri.container-type": "container",
  }];
  for (const annotations of others) {
    assert.equal(isGuest(annotations, "linux"), true);
    assert.equal(isGuest(annotations, "runc"), false);
    assert.equal(isGuest(annotations, "refuse"), false);
  }
  for (const annotations of [SANDBOX, CRIO_SANDBOX]) {
    assert.equal(isGuest(annotations, "linux"), false);
    requireOrdinaryAllowed({ annotations }, { guests: { undescribed: "linux" } });
  }
});

Deno.test("without a kernel of the node there is no guest to be made", () => {
  const configuration = {
    guests: { undescribed: "linux" as const },
    "guests.linux": { kernel: undefined, kernels: "/k", file_access: "user" as const },
  };
  assert.equal(isGuestByPolicy({ annotations: SANDBOX }, configuration), false);
  assert.throws(() => isGuestByPolicy({ annotations: {} }, configuration), {
    message: /guests\.linux\.kernel: it names none.*urunc kernel add/,
  });
});
