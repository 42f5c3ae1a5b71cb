import assert from "node:assert/strict";
import { mayAccess } from "../../lib/host/access.ts";
import { readDevice } from "../../lib/host/devices.ts";
import { gatherHostFacts } from "../../lib/inspect/facts.ts";
import { openImageRoot } from "../../lib/inspect/image.ts";
import { probeKvm } from "../../lib/host/kvm.ts";
import { close } from "../../ffi/linux.ts";
import type { Monitor } from "../../lib/monitor/types.ts";
import { testIf } from "../support/skip.ts";
import { RUN_PREFIX } from "../support/mark.ts";

function run(program: string, ...args: string[]): boolean {
  return new Deno.Command(program, { args, stdout: "null", stderr: "null" }).outputSync().success;
}

function must(program: string, ...args: string[]): void {
  assert.ok(run(program, ...args), `${program} ${args.join(" ")} failed`);
}

/** Mode or ACL, and the credentials to try on it: uid, gid, groups. */
const NODES: { mode: string; owner: string; acl?: string }[] = [
  { mode: "0660", owner: "0:108" },
  { mode: "0606", owner: "0:108" },
  { mode: "0066", owner: "1000:108" },
  { mode: "0600", owner: "0:0" },
  { mode: "0666", owner: "0:0" },
  { mode: "0660", owner: "0:108", acl: "u:1000:rw,g:200:rw" },
  { mode: "0660", owner: "0:108", acl: "u:1000:rw,g:200:rw,m::r" },
  { mode: "0600", owner: "0:108", acl: "u:1000:-,g:200:rw,g::-,o::rw" },
  { mode: "0606", owner: "0:108", acl: "u:1000:rw,g:200:rw,m::-" },
  { mode: "0600", owner: "0:108", acl: "g::r,g:200:w,m::rw" },
];
const CREDENTIALS = [
  { uid: 0, gid: 0, groups: [] },
  { uid: 1000, gid: 1000, groups: [] },
  { uid: 1000, gid: 1000, groups: [108, 200] },
  { uid: 65534, gid: 65534, groups: [] },
  { uid: 65534, gid: 108, groups: [] },
  { uid: 65534, gid: 65534, groups: [200] },
  { uid: 65534, gid: 65534, groups: [4, 27, 108] },
];
const WANTS = [{ bits: 6, redirection: "<>" }, { bits: 4, redirection: "<" }];

testIf(
  "access to a device node is decided as by the kernel",
  { needs: ["root", "setpriv", "setfacl"] },
  () => {
    // Not in /tmp: it may be nodev.
    const directory = Deno.makeTempDirSync({ dir: "/dev", prefix: `${RUN_PREFIX}` });
    try {
      Deno.chmodSync(directory, 0o755);
      for (const [index, { mode, owner, acl }] of NODES.entries()) {
        const path = `${directory}/node${index}`;
        must("mknod", path, "c", "1", "3");
        must("chown", owner, path);
        must("chmod", mode, path);
        if (acl !== undefined) must("setfacl", "-m", acl, path);
        const device = readDevice(path);
        assert.ok(device);
        assert.equal(device.acl !== undefined, acl !== undefined);
        for (const who of CREDENTIALS) {
          for (const { bits, redirection } of WANTS) {
            const groups = who.groups.length === 0
              ? ["--clear-groups"]
              : ["--groups", who.groups.join(",")];
            const kernel = run(
              "setpriv",
              ...["--reuid", `${who.uid}`, "--regid", `${who.gid}`, ...groups],
              ...["--inh-caps=-all", "--bounding-set=-all"],
              ...["/bin/sh", "-c", `exec 3${redirection} "$0"`, path],
            );
            assert.equal(
              mayAccess(device, who, bits),
              kernel,
              `${mode} ${owner} ${acl ?? ""} for ${JSON.stringify(who)}, ${redirection}`,
            );
          }
        }
      }
    } finally {
      Deno.removeSync(directory, { recursive: true });
    }
  },
);

testIf("the machine's KVM makes a virtual machine", { needs: ["root", "kvm"] }, async () => {
  const before = [...Deno.readDirSync("/proc/self/fd")].length;
  const facts = probeKvm();
  assert.deepEqual([facts.usable, facts.apiVersion, facts.reason], [true, 12, undefined]);
  assert.deepEqual([facts.device?.major, facts.device?.minor], [10, 232]);
  // The machine is closed in another thread.
  for (let left = 500; [...Deno.readDirSync("/proc/self/fd")].length !== before; left--) {
    assert.ok(left > 0, "a descriptor is left open");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
});

testIf("facts of this machine are gathered", { needs: ["root", "qemu-system-x86_64"] }, () => {
  const image = Deno.makeTempDirSync({ prefix: "urunc-image-" });
  Deno.writeTextFileSync(`${image}/kernel`, "k");
  const imageRoot = openImageRoot(image);
  try {
    const monitor = {
      name: "qemu",
      binaryNames: ["qemu-system-x86_64"],
      dataPaths: ["/usr/share/qemu"],
      accelerators: ["kvm", "tcg"],
    } as Partial<Monitor> as Monitor;
    const facts = gatherHostFacts({ monitor, imageRoot, kernel: "/kernel", accelerator: "tcg" });
    assert.match(facts.monitor.binary, /\/qemu-system-x86_64$/);
    assert.deepEqual(facts.monitor.dataPaths, [{ path: "/usr/share/qemu", kind: "directory" }]);
    assert.equal(facts.kernel.size, 1);
    assert.equal(facts.initrd, undefined);
    assert.match(facts.kvm.reason ?? "", /emulation was asked for/);
  } finally {
    close(imageRoot);
    Deno.removeSync(image, { recursive: true });
  }
});
