import assert from "node:assert/strict";
import type { DiskFacts } from "../../../lib/inspect/types.ts";
import { fileSizeLimit } from "../../../lib/plan/file_size.ts";

const MIB = 2n ** 20n;

function disk(kind: "imageFile" | "hostFile", size: number): Pick<DiskFacts, "source"> {
  const file = { path: "/disk.img", size, uid: 0, gid: 0, mode: 0o600 };
  return { source: { kind, file } };
}

const device = { source: { kind: "device", device: { path: "/dev/vdb" } } } as unknown as DiskFacts;

const cases: [what: string, memory: number, disks: Pick<DiskFacts, "source">[], MiB: bigint][] = [
  ["memory, without disks", 256, [], 256n],
  ["memory, with smaller disks", 64, [disk("imageFile", 512), device], 64n],
  ["the largest disk", 64, [disk("imageFile", 2 ** 30), disk("hostFile", 2 ** 31)], 2048n],
  ["a disk of a size of its own, rounded up", 64, [disk("imageFile", 2 ** 30 + 1)], 1025n],
];

for (const [what, guestMemoryMiB, disks, expected] of cases) {
  Deno.test(`a monitor writes no file that is larger than ${what}`, () => {
    const limit = fileSizeLimit({ process: { rlimits: [] }, guestMemoryMiB, disks });
    assert.deepEqual(limit, { soft: expected * MIB, hard: expected * MIB });
  });
}

Deno.test("config.json decides how large a file the monitor may write", () => {
  const rlimits = [{ type: "RLIMIT_FSIZE", soft: 1n, hard: 2n ** 64n - 1n }];
  const limit = fileSizeLimit({ process: { rlimits }, guestMemoryMiB: 64, disks: [] });
  assert.deepEqual(limit, { soft: 1n, hard: 2n ** 64n - 1n });
});

Deno.test("a limit of config.json has room for the memory of a guest that sees files of the host", () => {
  const limitOf = (soft: bigint, hasMemoryFile: boolean) =>
    fileSizeLimit({
      process: { rlimits: [{ type: "RLIMIT_FSIZE", soft, hard: soft }] },
      guestMemoryMiB: 1,
      hasMemoryFile,
      disks: [],
    });
  assert.throws(
    () => limitOf(1048575n, true),
    /RLIMIT_FSIZE: .* a file of 1048576 bytes.*fsize=1048576/s,
  );
  assert.equal(limitOf(1048576n, true).soft, 1048576n);
  assert.equal(limitOf(1n, false).soft, 1n);
});
