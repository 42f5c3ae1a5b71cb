/** How a monitor's exit code becomes the container's: the table of docs/signals.md, "How a guest ends". */
export interface End {
  monitor: string;
  /** A guest family. */
  guest: string;
  /** The monitor's exit code. */
  exited: number;
  /** The container's. */
  code: number;
}

const row = (monitor: string, guest: string, codes: Record<number, number>): End[] =>
  Object.entries(codes).map(([exited, code]) => ({ monitor, guest, exited: Number(exited), code }));

/** Exit code 41, written to the debug exit device, is 83. */
const DEBUG_EXIT = { 0: 0, 1: 1, 2: 2, 3: 1, 15: 7, 126: 126, 134: 134, 255: 127 };

export const ENDS: readonly End[] = [
  ...row("qemu", "linux", { ...DEBUG_EXIT, 83: 41 }),
  ...row("qemu", "elf", { ...DEBUG_EXIT, 83: 41 }),
  ...row("qemu", "mewz", { ...DEBUG_EXIT, 83: 41 }),
  // Power-off and debug exit race, and mean the same; a crash is not success.
  ...row("qemu", "unikraft", { ...DEBUG_EXIT, 83: 0, 85: 255 }),
  ...row("qemu", "mirage", { ...DEBUG_EXIT, 83: 0 }),
  ...row("firecracker", "linux", { 0: 0, 1: 1, 83: 83, 148: 148 }),
  ...row("firecracker", "unikraft", { 0: 0, 83: 83 }),
  ...row("hvt", "mirage", { 0: 0, 1: 1, 7: 7, 64: 64, 83: 83, 255: 255 }),
  ...row("hvt", "rumprun", { 0: 0, 83: 83 }),
  ...row("spt", "mirage", { 0: 0, 1: 1, 7: 7, 83: 83, 255: 255 }),
  ...row("spt", "elf", { 0: 0, 7: 7 }),
];
