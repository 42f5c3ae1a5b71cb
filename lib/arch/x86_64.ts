import type { Architecture } from "./types.ts";
import { readBzImage, readBzImageContent } from "./x86_64_linux_image.ts";
import { CALLS } from "./x86_64_calls.ts";
import { COMPAT_CALLS } from "./x86_64_compat_calls.ts";
import { kvmRequests } from "./x86_64_kvm_requests.ts";
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
    imageName: "bzImage",
    readImage: readBzImage,
    readImageContent: readBzImageContent,
    // arch/x86/include/asm/setup.h
    commandLineBytes: 2048,
    parameterNames: () => KERNEL_PARAMETERS,
  },
  calls: {
    // AUDIT_ARCH_X86_64, linux/audit.h. Programs of 32 bits have another one, and are refused by that.
    auditArchitecture: 0xc000_003e,
    // __X32_SYSCALL_BIT, asm/unistd.h.
    foreignFrom: 0x4000_0000,
    names: () => CALLS,
    // AUDIT_ARCH_I386.
    compat: {
      profileName: "SCMP_ARCH_X86",
      auditArchitecture: 0x4000_0003,
      names: () => COMPAT_CALLS,
    },
  },
  kvm: {
    requests: kvmRequests,
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
    // arch/x86/include/asm/cpufeatures.h: X86_FEATURE_VMX, X86_FEATURE_SVM, X86_FEATURE_HYPERVISOR.
    processorFlags: ["vmx", "svm"],
    guestFlag: "hypervisor",
  },
  qemu: {
    // hw/i386/x86-common.c and multiboot.c.
    kernels: "a bzImage, an ELF kernel with a PVH note, or one of 32 bits with a multiboot header",
    convertToElf32: "objcopy -O elf32-i386 FROM TO",
    binaryNames: ["qemu-system-x86_64"],
    debianPackage: "qemu-system-x86",
    // q35 has what stock guests look for: PCI by port I/O, a keyboard controller to reset by, ACPI with
    // a power button. Its disk and bus controllers are left out.
    machine: ["q35", "sata=off", "smbus=off", "usb=off", "vmport=off"],
    // At boot kernels wait for a few of the timer's interrupts, and panic if they miss too many of ten
    // (timer_irq_works() in arch/x86/kernel/apic/io_apic.c): with TCG on a busy host that happens. With
    // KVM they skip this by themselves (arch/x86/kernel/kvm.c).
    linuxParameters: ["no_timer_check"],
    // On Debian all of these are regular files; on Fedora /usr/share/qemu has links to some of them.
    firmware: {
      // It boots bzImage, PVH and multiboot kernels given by `-kernel`, and nothing else. Measured to
      // the guest's first line: 0.1 s against SeaBIOS's 1.3 s where KVM interprets instructions, 0.04 s
      // against 0.07 s with TCG. It leaves PCI devices without addresses and reserves no memory above a
      // guest's RAM, which not every guest can do with (`Guest.needsBios`).
      qboot: {
        isBios: false,
        paths: [
          "/usr/share/qemu/qboot.rom",
          "/usr/share/qboot/qboot.rom",
          "/usr/local/share/qemu/qboot.rom",
        ],
        debianPackage: "qemu-system-data",
      },
      seabios: {
        isBios: true,
        paths: [
          "/usr/share/seabios/bios-256k.bin",
          "/usr/share/qemu/bios-256k.bin",
          "/usr/local/share/qemu/bios-256k.bin",
        ],
        debianPackage: "seabios",
      },
    },
    // Option ROMs that q35 loads: pvh.bin, kvmvapic.bin, linuxboot_dma.bin, multiboot_dma.bin. iPXE's
    // directory is not needed.
    romDirectories: ["/usr/share/qemu", "/usr/local/share/qemu"],
    // Fedora's, Arch's and Debian's directories; Debian builds it in.
    modulePaths: [
      "/usr/lib64/qemu/accel-tcg-x86_64.so",
      "/usr/lib/qemu/accel-tcg-x86_64.so",
      "/usr/lib/x86_64-linux-gnu/qemu/accel-tcg-x86_64.so",
    ],
    // hw/misc/debugexit.c
    exitDevice: "isa-debug-exit,iobase=0x501,iosize=2",
    // At a port: its PCI variant would need an address, and Unikraft knows only the port.
    panicDevice: "pvpanic",
    hostProcessor,
  },
  firecracker: {
    // It ends with a reset by the keyboard controller, and with no other.
    linuxParameters: ["reboot=k"],
    // CMDLINE_MAX_SIZE, src/vmm/src/arch/x86_64/layout.rs.
    commandLineBytes: 2048,
    // Since 1.8: SYSTEM_MEM_START in the same file.
    reservesVideoMemory: true,
  },
  solo5: {
    // It takes whole pages of 2 MiB and gives at least one; in a single one no guest has a heap.
    minimumMemoryMiB: 4,
    // X86_GUEST_MAX_MEM_SIZE, hvt_cpu_x86_64.h.
    maximumMemoryMiB: 4096,
    memoryStepMiB: 2,
  },
};

/**
 * AMD's processors have no register IA32_ARCH_CAPABILITIES. KVM emulates one all the same, which
 * QEMU before 10.1 passes on, and dies when KVM then rejects the value.
 */
function hostProcessor(vendor?: string): string {
  const isAmd = vendor === "AuthenticAMD" || vendor === "HygonGenuine";
  return isAmd ? "host,arch-capabilities=off" : "host";
}
