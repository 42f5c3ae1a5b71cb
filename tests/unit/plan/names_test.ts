import assert from "node:assert/strict";
import { HOSTS, RESOLV_CONF } from "../../../lib/oci/names.ts";
import { copiedNames, namesWarnings } from "../../../lib/plan/names.ts";

const FACTS = { hosts: "127.0.0.1 localhost\n", resolvConf: "nameserver 10.0.0.1\n" };

function sharing(...destinations: string[]) {
  const volumes = destinations.map((destination, index) => ({
    ...{ source: "/run/x", destination, isFile: true, readOnly: false, options: [], index },
  }));
  return { volumes };
}

Deno.test("a guest has copies of its names but of those that are shared with it", () => {
  const copied = (shared?: ReturnType<typeof sharing>) =>
    Object.keys(copiedNames({ facts: FACTS, shared }));
  assert.deepEqual(copied(), [HOSTS, RESOLV_CONF]);
  assert.deepEqual(copied(sharing("/etc/app.conf")), [HOSTS, RESOLV_CONF]);
  assert.deepEqual(copied(sharing(HOSTS)), [RESOLV_CONF]);
  assert.deepEqual(copied(sharing(RESOLV_CONF, HOSTS)), []);
  assert.deepEqual(copiedNames({ facts: { hosts: "x\n" }, shared: undefined }), {
    [HOSTS]: "x\n",
  });
});

Deno.test("names that the engine has not written yet are a warning where the guest would use a copy", () => {
  const mounts = [RESOLV_CONF, HOSTS, "/etc/hostname"].map((destination) => ({
    ...{ destination, type: "bind", source: "/run/x", options: ["rbind"] },
  }));
  const warnings = (names: typeof FACTS, ...used: string[]) =>
    namesWarnings({ mounts }, copiedNames({ facts: names, shared: undefined }), used);
  const empty = { hosts: "", resolvConf: "" };
  assert.deepEqual(warnings(FACTS, HOSTS, RESOLV_CONF), []);
  assert.deepEqual(warnings(empty), []);
  assert.match(
    warnings(empty, HOSTS).join("\n"),
    /^config.json mounts\[1\] \/etc\/hosts: it is empty/,
  );
  assert.equal(warnings(empty, HOSTS, RESOLV_CONF).length, 2);
  // An image's own, which may well be.
  assert.deepEqual(
    namesWarnings({ mounts: [] }, { [HOSTS]: "", [RESOLV_CONF]: "" }, [HOSTS, RESOLV_CONF]),
    [],
  );
});
