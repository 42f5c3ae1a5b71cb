import {
  close,
  closeInBackground,
  ioctl,
  LinuxError,
  O_CLOEXEC,
  O_RDWR,
  open,
} from "../../ffi/linux.ts";
import { arch } from "../arch/arch.ts";
import { readDevice } from "./devices.ts";
import type { KvmFacts } from "./types.ts";

/** linux/kvm.h: _IO(0xAE, nr) */
const KVM_GET_API_VERSION = 0xae00;
const KVM_CREATE_VM = 0xae01;
const KVM_CHECK_EXTENSION = 0xae03;

/** linux/kvm.h: KVM_API_VERSION; has not changed since Linux 2.6.22. */
const API_VERSION = 12;

/** Makes the node; the number is in linux/kvm.h and linux/miscdevice.h. */
export const MAKE_KVM = "mknod -m 0660 /dev/kvm c 10 232";

/** The kernel interface that the probe uses; replaced in tests. */
export interface KvmInterface {
  open(path: string): number;
  ioctl(fd: number, request: number, argument: number): number;
  close(fd: number): void;
  closeInBackground(fd: number): void;
}

const LINUX: KvmInterface = {
  open: (path) => open(path, O_RDWR | O_CLOEXEC),
  ioctl: (fd, request, argument) => ioctl(fd, request, argument),
  close,
  closeInBackground,
};

/**
 * Finds out whether this host can run virtual machines by creating one, which another thread closes at
 * once. Does not throw on a host without KVM: `reason` then says what is wrong and what to do.
 */
export function probeKvm(path = "/dev/kvm", linux: KvmInterface = LINUX): KvmFacts {
  const device = readDevice(path);
  if (device === undefined) {
    return {
      usable: false,
      reason:
        `${path} does not exist: load the kernel module (modprobe ${arch.kvm.modules}), make the node ` +
        `where it is loaded (${MAKE_KVM}), turn on ${arch.kvm.feature} in the firmware setup, or, in a virtual machine, have nested ` +
        "virtualisation turned on by its host",
    };
  }
  let fd: number;
  try {
    fd = linux.open(path);
  } catch (error) {
    return { device, usable: false, reason: openFailure(path, error) };
  }
  try {
    return { device, ...probeOpen(path, fd, linux) };
  } finally {
    linux.close(fd);
  }
}

function probeOpen(path: string, fd: number, linux: KvmInterface): Omit<KvmFacts, "device"> {
  let apiVersion: number;
  try {
    apiVersion = linux.ioctl(fd, KVM_GET_API_VERSION, 0);
  } catch (error) {
    return {
      usable: false,
      reason: `${path} is not KVM (${codeOf(error)}): rm ${path}; ${MAKE_KVM}`,
    };
  }
  const unusable = (reason: string) => ({ usable: false, apiVersion, reason });
  if (apiVersion !== API_VERSION) {
    return unusable(`${path} has version ${apiVersion} of the interface, not ${API_VERSION}`);
  }
  const missing = arch.kvm.extensions.filter(({ number }) =>
    linux.ioctl(fd, KVM_CHECK_EXTENSION, number) <= 0
  );
  if (missing.length > 0) {
    const list = missing.map(({ name, why }) => `${name} (${why})`).join(", ");
    return unusable(`the kernel's KVM lacks ${list}: use a newer kernel`);
  }
  try {
    // Closing a machine waits for all processors (SRCU): up to 15 ms.
    linux.closeInBackground(createMachine(fd, linux));
  } catch (error) {
    return unusable(createFailure(error));
  }
  return { usable: true, apiVersion };
}

/** KVM_CREATE_VM may be interrupted while it waits for other processors; then it is repeated. */
function createMachine(fd: number, linux: KvmInterface): number {
  for (;;) {
    try {
      return linux.ioctl(fd, KVM_CREATE_VM, 0);
    } catch (error) {
      if (codeOf(error) !== "EINTR") throw error;
    }
  }
}

function openFailure(path: string, error: unknown): string {
  switch (codeOf(error)) {
    case "EACCES":
      return `this user may not open ${path}: run the runtime as root`;
    case "EPERM":
      return `${path} is refused by the device cgroup of the runtime itself: ` +
        "allow device 10:232 there";
    case "ENODEV":
    case "ENXIO":
      return `${path} has no driver behind it: load the kernel module ` +
        `(modprobe ${arch.kvm.modules})`;
    default:
      return `${path} cannot be opened (${codeOf(error)})`;
  }
}

function createFailure(error: unknown): string {
  switch (codeOf(error)) {
    case "EBUSY":
      return "another hypervisor (VirtualBox, VMware) uses the processor's virtualisation: " +
        "stop its machines or unload its modules";
    case "EIO":
    case "EOPNOTSUPP":
      return `the processor's virtualisation is turned off: turn on ${arch.kvm.feature} in the firmware ` +
        "setup, or nested virtualisation on the host of this virtual machine";
    case "ENOMEM":
      return "there is not enough kernel memory for a virtual machine";
    default:
      return `no virtual machine could be created (${codeOf(error)})`;
  }
}

function codeOf(error: unknown): string {
  return error instanceof LinuxError ? error.code : String(error);
}
