import assert from "node:assert/strict";
import { defaultConfiguration } from "../../../lib/config/parse.ts";
import { planIds } from "../../../lib/plan/host_ids.ts";
import { specOf } from "../../support/plan_inputs.ts";

const SHARED = { sharedMounts: [{ index: 0, isFile: false }] };

function configurationWith(mode: "container" | "uid" | "userns", file_access: "user" | "userns") {
  const configuration = defaultConfiguration();
  Object.assign(configuration.ids, { mode, range: "100000-300000" });
  configuration["guests.linux"].file_access = file_access;
  return configuration;
}

const maps = (hostID: number) => [{ containerID: 0, hostID, size: 65536 }];

Deno.test("host ids: files have some where they are shared, and the monitor is none of their owners", () => {
  const of = (
    mode: "container" | "uid",
    access: "user" | "userns",
    facts = SHARED,
    first?: number,
    spec = specOf(),
  ) => planIds({ spec, configuration: configurationWith(mode, access), facts }, first);
  assert.deepEqual(of("container", "user"), { count: 0 });
  assert.deepEqual(of("uid", "user", SHARED, 100007), { count: 1, monitor: 100007 });
  assert.deepEqual(of("container", "userns"), {
    count: 65536,
    files: { uids: maps(100000), gids: maps(100000) },
  });
  assert.deepEqual(of("uid", "userns", SHARED, 165537), {
    ...{ count: 65537, monitor: 231073 },
    files: { uids: maps(165537), gids: maps(165537) },
  });
  assert.deepEqual(of("uid", "userns", { sharedMounts: [] }), { count: 1, monitor: 100000 });
  // Those of config.json's user namespace are the engine's.
  const uids = [{ containerID: 0, hostID: 7, size: 8 }];
  const gids = [{ containerID: 0, hostID: 9, size: 8 }];
  const linux = { namespaces: [{ type: "user" }], uidMappings: uids, gidMappings: gids };
  const spec = specOf({ linux });
  const files = { uids, gids };
  for (const access of ["user", "userns"] as const) {
    assert.deepEqual(of("container", access, SHARED, undefined, spec), { count: 0, files });
    const own = of("uid", access, SHARED, 100007, spec);
    assert.deepEqual(own, { count: 1, monitor: 100007, files });
    assert.deepEqual(of("container", access, { sharedMounts: [] }, undefined, spec), { count: 0 });
  }
  for (const id of [7, 16]) {
    assert.throws(() => of("uid", "user", SHARED, id, spec), /has this id, too/);
  }
});
