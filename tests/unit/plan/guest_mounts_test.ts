import assert from "node:assert/strict";
import type { Mount } from "../../../lib/oci/types.ts";
import { guestMounts } from "../../../lib/plan/guest_mounts.ts";

const mountsOf = (...mounts: Mount[]) => guestMounts({ mounts });
const targets = (...mounts: Mount[]) => mountsOf(...mounts).map(({ target }) => target);

Deno.test("what the specification promises is mounted where config.json does not name it", () => {
  const all = ["/proc", "/sys", "/dev/pts", "/dev/shm", "/dev/mqueue"];
  assert.deepEqual(targets(), all);
  const proc = { destination: "/proc", type: "proc", options: [] };
  assert.deepEqual(targets(proc), [...all.slice(1), "/proc"]);
  assert.deepEqual(mountsOf(proc).at(-1), { target: "/proc", type: "proc", flags: 0, options: "" });
});

Deno.test("options of a mount are its flags, those of the file system, or without a meaning", () => {
  const options = ["nosuid", "noexec", "nodev", "ro", "rw", "relatime", "rprivate"];
  const shm = {
    destination: "/dev/shm",
    type: "tmpfs",
    options: [...options, "mode=1777", "size=67108864"],
  };
  // MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_RELATIME: linux/mount.h.
  const flags = 2 | 4 | 8 | 1 << 21;
  assert.deepEqual(mountsOf(shm).at(-1), {
    target: "/dev/shm",
    type: "tmpfs",
    flags,
    options: "mode=1777,size=67108864",
  });
});

Deno.test("a tmpfs begins with what its place has, where that is asked for; nothing else can", () => {
  const copied = { destination: "/run", type: "tmpfs", options: ["tmpcopyup", "mode=711"] };
  const expected = { target: "/run", type: "tmpcopyup", flags: 0, options: "mode=711" };
  assert.deepEqual(mountsOf(copied).at(-1), expected);
  const proc = { destination: "/proc", type: "proc", options: ["tmpcopyup"] };
  assert.deepEqual(mountsOf(proc).at(-1), { target: "/proc", type: "proc", flags: 0, options: "" });
});

Deno.test("cgroups are the guest's own, in the unified hierarchy, whatever the host has", () => {
  const cgroup = { destination: "/sys/fs/cgroup", type: "cgroup", options: ["ro", "nsdelegate"] };
  const expected = { target: "/sys/fs/cgroup", type: "cgroup2", flags: 1, options: "" };
  assert.deepEqual(mountsOf(cgroup).at(-1), expected);
});

Deno.test("binds are not the guest kernel's, nor is /dev, and other types are no file systems of it", () => {
  const found = targets(
    { destination: "/dev", type: "tmpfs", options: ["nosuid"] },
    { destination: "/tmp", type: "tmpfs", source: "/srv", options: ["rbind"] },
    { destination: "/etc/hosts", type: "bind", source: "/srv", options: [] },
    { destination: "/data", source: "/srv", options: ["bind"] },
  );
  assert.deepEqual(found, targets());
});

Deno.test("an option with a space is refused", () => {
  const mount = { destination: "/x", type: "tmpfs", options: ["size=1 mode=0"] };
  assert.throws(() => mountsOf(mount), /mounts\[0\]\.options.*no spaces/);
});
