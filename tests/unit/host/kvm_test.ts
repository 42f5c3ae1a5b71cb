import assert from "node:assert/strict";
import { LinuxError } from "../../../ffi/linux.ts";
import { readDevice } from "../../../lib/host/devices.ts";
import { type KvmInterface, probeKvm } from "../../../lib/host/kvm.ts";

const GET_API_VERSION = 0xae00;
const CREATE_VM = 0xae01;
const CHECK_EXTENSION = 0xae03;
const errnos = {
  EPERM: 1,
  EINTR: 4,
  EIO: 5,
  ENODEV: 19,
  EBUSY: 16,
  ENOMEM: 12,
  EACCES: 13,
  ENOTTY: 25,
};

function failure(operation: string, code: keyof typeof errnos): LinuxError {
  return new LinuxError(operation, undefined, errnos[code]);
}

/** A kernel whose KVM works, but for what `changes` say; counts what is open. */
function kernel(
  changes: {
    open?: keyof typeof errnos;
    version?: number | keyof typeof errnos;
    lacks?: number;
    create?: (keyof typeof errnos)[];
  } = {},
) {
  const open = new Set<number>();
  const failures = [...(changes.create ?? [])];
  const linux: KvmInterface = {
    open() {
      if (changes.open !== undefined) throw failure("open", changes.open);
      open.add(10);
      return 10;
    },
    ioctl(_fd, request, argument) {
      switch (request) {
        case GET_API_VERSION: {
          const version = changes.version ?? 12;
          if (typeof version === "string") throw failure("ioctl", version);
          return version;
        }
        case CHECK_EXTENSION:
          return argument === changes.lacks ? 0 : 1;
        case CREATE_VM: {
          const code = failures.shift();
          if (code !== undefined) throw failure("ioctl", code);
          open.add(11);
          return 11;
        }
        default:
          throw new Error(`unexpected ioctl ${request.toString(16)}`);
      }
    },
    close(fd) {
      assert.ok(open.delete(fd), `fd ${fd} was not open`);
    },
    closeInBackground(fd) {
      this.close(fd);
    },
  };
  return { linux, open };
}

/** A device node that every machine has stands in for the path; the interface is a fake. */
const NODE = "/dev/null";

Deno.test("a working KVM is usable, and nothing stays open", () => {
  const { linux, open } = kernel();
  const facts = probeKvm(NODE, linux);
  assert.deepEqual([facts.usable, facts.apiVersion, facts.reason], [true, 12, undefined]);
  assert.equal(facts.device?.path, NODE);
  assert.equal(open.size, 0);
});

Deno.test("an interrupted KVM_CREATE_VM is repeated", () => {
  assert.equal(probeKvm(NODE, kernel({ create: ["EINTR", "EINTR"] }).linux).usable, true);
});

const UNUSABLE: [string, Parameters<typeof kernel>[0], RegExp][] = [
  ["may not be opened", { open: "EACCES" }, /run the runtime as root/],
  ["is refused by the device cgroup", { open: "EPERM" }, /device cgroup/],
  ["has no driver", { open: "ENODEV" }, /modprobe kvm_intel or kvm_amd/],
  ["cannot be opened for another reason", { open: "ENOMEM" }, /\(ENOMEM\)/],
  ["is something else", { version: "ENOTTY" }, /is not KVM/],
  ["has another version", { version: 11 }, /version 11 of the interface, not 12/],
  ["lacks an extension", { lacks: 3 }, /lacks KVM_CAP_USER_MEMORY/],
  ["is held by another hypervisor", { create: ["EBUSY"] }, /VirtualBox, VMware/],
  ["is turned off in the firmware", { create: ["EIO"] }, /VT-x or AMD-V/],
  ["has no memory", { create: ["ENOMEM"] }, /memory/],
];

for (const [what, changes, reason] of UNUSABLE) {
  Deno.test(`a KVM that ${what} is unusable for that reason`, () => {
    const { linux, open } = kernel(changes);
    const facts = probeKvm(NODE, linux);
    assert.equal(facts.usable, false);
    assert.match(facts.reason ?? "", reason);
    assert.equal(open.size, 0);
  });
}

Deno.test("without a device node the reason says how to get one", () => {
  const facts = probeKvm("/dev/nonexistent", kernel().linux);
  assert.deepEqual([facts.usable, facts.device], [false, undefined]);
  assert.match(facts.reason ?? "", /does not exist: load the kernel module/);
});

Deno.test("another device than KVM is not usable", () => {
  const facts = probeKvm(NODE);
  assert.equal(facts.usable, false);
  assert.match(facts.reason ?? "", /is not KVM/);
});

Deno.test("a device node is read", () => {
  const device = readDevice("/dev/null");
  assert.deepEqual([device?.type, device?.major, device?.minor], ["char", 1, 3]);
  assert.equal(device?.acl, undefined);
});

Deno.test("what is not a device node is rejected, what is missing is undefined", () => {
  assert.equal(readDevice("/dev/nonexistent"), undefined);
  assert.equal(readDevice("/dev/null/x"), undefined);
  assert.throws(() => readDevice("/etc/passwd"), /not a device node/);
});
