import assert from "node:assert/strict";
import { defaultConfiguration } from "../../../lib/config/parse.ts";
import { UnsupportedError } from "../../../lib/errors.ts";
import { monitorNamespaces } from "../../../lib/plan/namespaces.ts";
import { makesPidNamespace, planUserNamespace } from "../../../lib/plan/user_namespace.ts";
import { specOf } from "../../support/plan_inputs.ts";

const MAPPINGS = [{ containerID: 0, hostID: 100000, size: 65536 }];
const USER = { uid: 2100000000, gid: 2100000001 };

function specIn(...namespaces: { type: string; path?: string }[]) {
  const isIn = namespaces.some(({ type }) => type === "user");
  const mappings = isIn ? { uidMappings: MAPPINGS, gidMappings: MAPPINGS } : {};
  return specOf({
    process: { user: USER, args: ["x"], cwd: "/" },
    linux: { namespaces, ...mappings },
  });
}

function plan(mode: "container" | "uid" | "userns", spec = specIn(), capabilities: string[] = []) {
  const defaults = defaultConfiguration();
  const configuration = { ids: { ...defaults.ids, mode, range: "2100000000-2100000001" } };
  return planUserNamespace({ spec, configuration, capabilities, monitor: { name: "qemu" } });
}

const ALONE = {
  uids: [{ containerID: 2100000000, hostID: 2100000000, size: 1 }],
  gids: [{ containerID: 2100000001, hostID: 2100000001, size: 1 }],
};

Deno.test("a monitor is in config.json's user namespace, or in one that has only its own user", () => {
  const path = "/proc/7/ns/user";
  const [made, joined] = [specIn({ type: "user" }), specIn({ type: "user", path })];
  assert.equal(plan("container"), undefined);
  assert.equal(plan("uid"), undefined);
  assert.deepEqual(plan("userns"), ALONE);
  assert.deepEqual(plan("container", made), { uids: MAPPINGS, gids: MAPPINGS });
  assert.deepEqual(plan("container", joined), { uids: MAPPINGS, gids: MAPPINGS, path });
  // config.json's does not have the user.
  for (const mode of ["uid", "userns"] as const) {
    assert.deepEqual(plan(mode, made), ALONE);
    assert.deepEqual(plan(mode, joined), ALONE);
  }
});

Deno.test("capabilities that would be over nothing are refused", () => {
  assert.throws(
    () => plan("userns", specIn(), ["CAP_NET_ADMIN"]),
    (error) => {
      assert.ok(error instanceof UnsupportedError);
      assert.match(error.message, /monitors\.qemu\.capabilities/);
      return true;
    },
  );
  assert.equal(plan("uid", specIn(), ["CAP_NET_ADMIN"]), undefined);
});

Deno.test("a PID namespace below one of a user namespace is made in that", () => {
  const pid = { type: "pid", path: "/proc/7/ns/pid" };
  const user = { type: "user", path: "/proc/7/ns/user" };
  const makes = (
    mode: "container" | "userns",
    ...namespaces: { type: string; path?: string }[]
  ) => {
    const spec = specIn(...namespaces);
    return makesPidNamespace(spec, plan(mode, spec));
  };
  assert.ok(makes("container", pid, user));
  assert.ok(!makes("container", { type: "pid" }, user));
  assert.ok(!makes("container", pid, { type: "user" }));
  assert.ok(!makes("userns", pid, user));
  assert.ok(!makes("userns", pid));
  assert.deepEqual(monitorNamespaces(specIn(pid), false), ["network", "ipc", "pid"]);
  assert.deepEqual(monitorNamespaces(specIn(pid, { type: "user" }), false), ["network", "ipc"]);
});
