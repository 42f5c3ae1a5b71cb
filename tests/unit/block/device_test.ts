import assert from "node:assert/strict";
import { readBlockDevice, readDeviceUsers } from "../../../lib/block/device.ts";
import { Scope } from "../../support/scope.ts";

/** What the kernel writes for a device-mapper device, a loop device, a partition and a whole disk. */
const SYSFS: Record<string, Record<string, string>> = {
  "253:3": {
    "uevent": "MAJOR=253\nMINOR=3\nDEVNAME=dm-3\nDEVTYPE=disk\nDISKSEQ=12\n",
    "size": "2097152\n",
    "ro": "0\n",
    "dm/name": "pool-snap-3\n",
    "dm/uuid": "\n",
    "holders/dm-4/x": "",
  },
  "7:0": {
    "uevent": "MAJOR=7\nMINOR=0\nDEVNAME=loop0\nDEVTYPE=disk\n",
    "size": "65536\n",
    "ro": "1\n",
    "loop/backing_file": "/var/lib/a b/1\n",
  },
  "259:1": {
    "uevent": "MAJOR=259\nMINOR=1\nDEVNAME=nvme0n1p1\nDEVTYPE=partition\nPARTN=1\n",
    "size": "8\n",
    "ro": "0\n",
    "partition": "1\n",
  },
  "254:0": {
    "uevent": "MAJOR=254\nMINOR=0\nDEVNAME=vda\nDEVTYPE=disk\n",
    "size": "8\n",
    "ro": "0\n",
  },
  "8:0": { "uevent": "MAJOR=8\nMINOR=0\n", "size": "8\n", "ro": "0\n" },
};

async function sysfs(scope: Scope): Promise<string> {
  const directory = await scope.temporaryDirectory("sysfs");
  for (const [number, files] of Object.entries(SYSFS)) {
    for (const [name, content] of Object.entries(files)) {
      const path = `${directory}/${number}/${name}`;
      await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
      await Deno.writeTextFile(path, content);
    }
  }
  return directory;
}

Deno.test("sysfs is read for device mapper, loop devices, partitions and disks", async () => {
  await using scope = new Scope();
  const directory = await sysfs(scope);
  const read = (major: number, minor: number) => readBlockDevice({ major, minor }, directory);
  assert.deepEqual(read(253, 3), {
    major: 253,
    minor: 3,
    name: "dm-3",
    kind: "device mapper",
    mapperName: "pool-snap-3",
    mapperUuid: "",
    readOnly: false,
    size: 1 << 30,
  });
  const loop = read(7, 0);
  assert.deepEqual(
    [loop?.kind, loop?.backingFile, loop?.readOnly, loop?.size],
    ["loop", "/var/lib/a b/1", true, 32 * 1024 * 1024],
  );
  assert.deepEqual([read(259, 1)?.kind, read(254, 0)?.kind], ["partition", "disk"]);
  assert.equal(read(0, 50), undefined);
  assert.throws(() => read(8, 0), /look at block device 8:0: .* has no name or no size/);
});

Deno.test("devices that are made of one are named", async () => {
  await using scope = new Scope();
  const directory = await sysfs(scope);
  assert.deepEqual(readDeviceUsers({ major: 253, minor: 3 }, directory), ["dm-4"]);
  assert.deepEqual(readDeviceUsers({ major: 254, minor: 0 }, directory), []);
});
