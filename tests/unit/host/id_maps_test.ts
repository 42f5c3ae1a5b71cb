import assert from "node:assert/strict";
import {
  compareIdMaps,
  idMapText,
  parseIdMap,
  readIdMaps,
  readMapsOfNamespace,
} from "../../../lib/host/id_maps.ts";

Deno.test("maps of ids are parsed as the kernel prints them", () => {
  assert.deepEqual(
    parseIdMap("         0     100000      65536\n     65536       1000          1\n"),
    [
      { containerID: 0, hostID: 100000, size: 65536 },
      { containerID: 65536, hostID: 1000, size: 1 },
    ],
  );
  assert.deepEqual(parseIdMap(""), []);
});

Deno.test("the maps of a namespace are those of a process in it, however it is named", () => {
  const own = readIdMaps("self");
  assert.equal(own.uids.length, 1);
  for (const path of [`/proc/${Deno.pid}/ns/user`, "/proc/self/ns/user"]) {
    const name = Deno.readLinkSync("/proc/self/ns/user");
    assert.deepEqual(readMapsOfNamespace(path), { ...own, name }, path);
  }
  assert.equal(readMapsOfNamespace("/proc/self/ns/net"), undefined);
  assert.equal(readMapsOfNamespace("/no/such/path"), undefined);
});

Deno.test("each difference of maps is a sentence; their order is none", () => {
  const one = { containerID: 0, hostID: 100000, size: 65536 };
  const other = { containerID: 65536, hostID: 1000, size: 1 };
  const planned = { uids: [one, other], gids: [one] };
  assert.deepEqual(compareIdMaps({ uids: [other, one], gids: [one] }, planned), []);
  assert.deepEqual(compareIdMaps({ uids: [], gids: [{ ...one, hostID: 0 }] }, planned), [
    "mapping of uids is empty, planned was 0:100000:65536,65536:1000:1",
    "mapping of gids is 0:0:65536, planned was 0:100000:65536",
  ]);
  assert.equal(idMapText(planned.uids), "0 100000 65536\n65536 1000 1\n");
});
