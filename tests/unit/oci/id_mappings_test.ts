import assert from "node:assert/strict";
import { mapsOfMount } from "../../../lib/oci/id_mappings.ts";
import { parseSpec } from "../../../lib/oci/parse.ts";

const ids = (hostID: number) => [{ containerID: 0, hostID, size: 10 }];

Deno.test("a mount has its own mappings, or with idmap those of the container, or none", () => {
  const { mounts, linux } = parseSpec(JSON.stringify({
    ociVersion: "1.2.0",
    root: { path: "rootfs" },
    process: { cwd: "/" },
    mounts: [
      { destination: "/a", uidMappings: ids(5), gidMappings: ids(6), options: ["idmap"] },
      { destination: "/b", options: ["bind", "ridmap"] },
      { destination: "/c", options: ["bind"], uidMappings: [], gidMappings: null },
    ],
    linux: { namespaces: [{ type: "user" }], uidMappings: ids(7), gidMappings: ids(8) },
  }));
  assert.deepEqual(mounts.map((mount) => mapsOfMount(mount, linux)), [
    { uids: ids(5), gids: ids(6) },
    { uids: ids(7), gids: ids(8) },
    undefined,
  ]);
});
