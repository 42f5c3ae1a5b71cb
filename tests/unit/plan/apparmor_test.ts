import assert from "node:assert/strict";
import { planAppArmor } from "../../../lib/plan/apparmor.ts";
import { planLaunch } from "../../../lib/plan/launch.ts";
import { factsOf, launchInputOf, specOf } from "../../support/plan_inputs.ts";

const PROCESS = { user: { uid: 1, gid: 1 }, args: ["x"], cwd: "/" };

Deno.test("AppArmor profiles: planned with AppArmor, rejected without", async (t) => {
  const rows: [string | undefined, boolean, number | "refused"][] = [
    [undefined, true, 0],
    [undefined, false, 0],
    ["", false, 0],
    ["docker-default", true, 1],
    ["docker-default", false, "refused"],
    ["unconfined", true, 1],
    ["unconfined", false, 0],
  ];
  for (const [profile, apparmor, expected] of rows) {
    await t.step(`${profile}, ${apparmor ? "with" : "without"} AppArmor`, () => {
      const plan = () => planAppArmor(profile, factsOf({ apparmor }));
      if (expected === "refused") {
        assert.throws(plan, { name: "HostError", message: /docker-default.*no AppArmor/ });
      } else {
        assert.equal(plan().length, expected);
      }
    });
  }
});

Deno.test("the profile is set after all hooks, before /proc is gone, and proven after the exec", () => {
  const hook = { path: "/bin/hook" };
  const spec = specOf({
    process: { ...PROCESS, apparmorProfile: "docker-default" },
    hooks: { createContainer: [hook], startContainer: [hook] },
  });
  const { plan, identity } = planLaunch(
    launchInputOf({ spec, facts: factsOf({ apparmor: true }) }),
  );
  const names = plan.steps.map(({ step }) => step);
  assert.ok(names.lastIndexOf("runHooks") < names.indexOf("apparmorProfile"));
  assert.ok(names.indexOf("apparmorProfile") < names.indexOf("pivotRoot"));
  assert.equal(identity.apparmorProfile, "docker-default");
});
