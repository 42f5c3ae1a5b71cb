const MIB = 1024 * 1024;

/**
 * Heap, stacks, firmware and device state, in bytes: all anonymous memory besides guest RAM.
 * Measured 15.7 to 16.6 MiB with KVM, 20.1 to 20.4 MiB with TCG before any translated code.
 */
const PROCESS_BYTES = { kvm: 17 * MIB, tcg: 21 * MIB };

/** A processor's thread, allocator arena and state in KVM or TCG. Measured 1 to 2.4 MiB. */
const VCPU_BYTES = 2.5 * MIB;

/** Queues and buffers of a virtio-net device and its tap. Measured below 0.5 MiB. */
const NETWORK_BYTES = MIB;

/**
 * A virtio-blk device, its queue and the threads that read and write for it. Measured 0.3 to 0.5 MiB
 * with one request at a time. Not measured: a guest that keeps all 64 threads busy
 * (util/thread-pool.c), for whose stacks the rest is.
 */
const DISK_BYTES = 3 * MIB;

/** Kernel memory charged for the process whatever the guest's size. Measured 0.5 to 1.2 MiB. */
const KERNEL_BYTES = 1.5 * MIB;

/**
 * Page tables per byte of guest RAM, when every page is touched. Measured 0.45 % with KVM (the
 * process's and the guest's second-level tables, 8 bytes for each 4 KiB page each, and KVM's own
 * 8 bytes) and 0.19 % with TCG; 1/128 is 0.78 %.
 */
const PAGE_TABLE_SHARE = 1 / 128;

/**
 * Left for pages of the monitor's own binary and libraries. They are reclaimable, so that less
 * would work, but slowly: with 2 MiB and cold caches the monitor only re-reads its code.
 */
const PAGE_CACHE_BYTES = 8 * MIB;

/**
 * Size of TCG's buffer of translated code in MiB, for a guest of `memoryMiB` MiB. QEMU's default
 * is an eighth of the host's RAM, up to 1 GiB (`tcg/region.c`), and a guest fills it. When a small
 * buffer is full, code is only translated again. A stock Linux boots as fast with 16 MiB as without a limit.
 */
export function translationBufferMiB(memoryMiB: number): number {
  return Math.min(32, Math.max(8, Math.floor(memoryMiB / 8)));
}

/**
 * Memory that QEMU needs beside the guest's RAM, in bytes.
 *
 * Measured with QEMU 10.0 (Debian 13) and the arguments of `qemu.argv`, in a memory cgroup (v1,
 * with kernel memory): anonymous pages from `/proc/PID/smaps` without the mapping of guest RAM,
 * plus `memory.kmem.usage_in_bytes`. Guests of 20 MiB to 2 GiB touched all their RAM (fixture
 * `touch`), or were a stock Linux with one or two processors and a network card that wrote at
 * random to nearly all of it. Then limits of 48 to 1024 MiB, each with KVM and TCG and dropped page
 * caches: no OOM kill, nor with 4 MiB less. `tests/integration/qemu_memory_test.ts` repeats a part.
 *
 * @param guest.memoryMiB guest RAM in MiB
 * @param guest.kernelBytes size of the kernel file: QEMU keeps a Linux image on its heap while it runs.
 *   An initrd is mapped from its file and takes only memory that can be reclaimed.
 */
export function memoryOverheadBytes(
  guest: {
    memoryMiB: number;
    vcpus: number;
    /** How many interfaces. */
    networks: number;
    disks?: number;
    accelerator: "kvm" | "tcg";
    kernelBytes?: number;
  },
): number {
  const translated = guest.accelerator === "tcg" ? translationBufferMiB(guest.memoryMiB) * MIB : 0;
  return Math.ceil(
    PROCESS_BYTES[guest.accelerator] + guest.vcpus * VCPU_BYTES +
      guest.networks * NETWORK_BYTES + (guest.disks ?? 0) * DISK_BYTES + KERNEL_BYTES +
      guest.memoryMiB * MIB * PAGE_TABLE_SHARE + translated + (guest.kernelBytes ?? 0) +
      PAGE_CACHE_BYTES,
  );
}
