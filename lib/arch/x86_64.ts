import type { Architecture } from "./types.ts";
import { KERNEL_PARAMETERS } from "./x86_64_kernel_parameters.ts";

/** Intel's and AMD's processors of 64 bits. */
export const x86_64: Architecture = {
  name: "x86-64",
  imageName: "amd64",
  // EM_X86_64.
  elfMachine: 62,
  // EM_386: multiboot kernels are programs of 32 bits.
  otherKernelMachines: [3],
  denoPackage: "@deno/linux-x64-glibc",
  linux: {
    // The first serial port of a PC.
    console: "ttyS0",
    // arch/x86/include/asm/setup.h
    commandLineBytes: 2048,
    parameterNames: () => KERNEL_PARAMETERS,
  },
  kvm: {
    // Each is in every kernel since 3.x, so a missing one means that something else answers on /dev/kvm:
    // linux/kvm.h, Documentation/virt/kvm/api.rst of Linux.
    extensions: [
      { name: "KVM_CAP_IRQCHIP", number: 0, why: "interrupt controllers in the kernel" },
      { name: "KVM_CAP_USER_MEMORY", number: 3, why: "guest memory that the monitor allocates" },
      { name: "KVM_CAP_SET_TSS_ADDR", number: 4, why: "real mode on Intel processors" },
      { name: "KVM_CAP_EXT_CPUID", number: 7, why: "processor features shown to the guest" },
      {
        name: "KVM_CAP_DESTROY_MEMORY_REGION_WORKS",
        number: 21,
        why: "memory regions that move, which QEMU insists on",
      },
      {
        name: "KVM_CAP_JOIN_MEMORY_REGIONS_WORKS",
        number: 30,
        why: "memory regions that meet, which QEMU insists on",
      },
      { name: "KVM_CAP_IRQFD", number: 32, why: "interrupts of virtio devices" },
      { name: "KVM_CAP_IOEVENTFD", number: 36, why: "notifications of virtio devices" },
    ],
    modules: "kvm_intel or kvm_amd",
    feature: "VT-x or AMD-V",
  },
};
