import assert from "node:assert/strict";
import { MS_BIND, MS_NODEV, MS_NOSUID, MS_RDONLY, MS_REC } from "../../../../ffi/linux.ts";
import {
  mapsOf,
  type MountOptions,
  parseMountOptions,
} from "../../../../lib/shim/rootfs/mount_options.ts";
import { shortenLowerDirectories } from "../../../../lib/shim/rootfs/rootfs.ts";

const cases: [options: string[], parsed: MountOptions][] = [
  [[], { flags: 0, data: [], loop: false }],
  [["rw", "defaults", ""], { flags: 0, data: [], loop: false }],
  [["rbind", "ro"], { flags: MS_BIND | MS_REC | MS_RDONLY, data: [], loop: false }],
  [["ro", "nosuid", "nodev", "rw"], { flags: MS_NOSUID | MS_NODEV, data: [], loop: false }],
  [["loop", "ro"], { flags: MS_RDONLY, data: [], loop: true }],
  [["lowerdir=/a:/b", "index=off"], {
    flags: 0,
    data: ["lowerdir=/a:/b", "index=off"],
    loop: false,
  }],
  [["uidmap=0:7:1", "gidmap=0:8:1", "index=off"], { flags: 0, data: ["index=off"], loop: false }],
  [["constructor"], { flags: 0, data: ["constructor"], loop: false }],
];

for (const [options, parsed] of cases) {
  Deno.test(`parseMountOptions ${JSON.stringify(options)}`, () => {
    assert.deepEqual(parseMountOptions(options), parsed);
  });
}

Deno.test("shortenLowerDirectories keeps what does not change and what is not lower", () => {
  assert.deepEqual(
    shortenLowerDirectories(["index=off", "lowerdir=/r/s/12/fs:/r/s/1/fs", "upperdir=/r/s/3/fs"]),
    { base: "/r/s/", options: ["index=off", "lowerdir=12/fs:1/fs", "upperdir=/r/s/3/fs"] },
  );
  assert.deepEqual(shortenLowerDirectories(["lowerdir=/a/b:/c"]), {
    base: "/",
    options: ["lowerdir=a/b:c"],
  });
});

Deno.test("mapsOf reads the maps of containerd's options", () => {
  assert.equal(mapsOf(["rw", "lowerdir=/a"]), undefined);
  assert.equal(mapsOf(["uidmap=0:7:1"]), undefined);
  assert.deepEqual(mapsOf(["ro", "uidmap=0:100000:65536,65536:1000:1", "gidmap=0:200000:65536"]), {
    uids: [
      { containerID: 0, hostID: 100000, size: 65536 },
      { containerID: 65536, hostID: 1000, size: 1 },
    ],
    gids: [{ containerID: 0, hostID: 200000, size: 65536 }],
  });
});
