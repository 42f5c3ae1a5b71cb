/** How a property of config.json is handled. */
export type Treatment = "honoured" | "by design" | "warned" | "refused";

/** A property, or a group of them, and how it is handled. */
export interface SpecRow {
  /** JSON path; `*` stands for all properties below it that have no row of their own. */
  property: string;
  treatment: Treatment;
  how: string;
}

/**
 * Every property of config.json (runtime-spec 1.2, config.md and config-linux.md), and how
 * it is handled. `by design`: it is about the container's file system or processes, which a guest does
 * not share, and nothing is lost by ignoring it. `warned` and `refused` are found by unsupported.ts and
 * validate.ts, where a test looks for each.
 */
export const specTable: SpecRow[] = [
  { property: "ociVersion", treatment: "honoured", how: "1.x.y; anything else is refused" },
  {
    property: "root.path",
    treatment: "honoured",
    how: "kernel, initrd, disk image and urunc.json are in it; with mountRootfs it is the disk",
  },
  {
    property: "root.readonly",
    treatment: "honoured",
    how:
      "of the guest's first disk, image or root, and by an agent of the guest's root; nothing else " +
      "of the root file system is ever written",
  },
  {
    property: "mounts",
    treatment: "refused",
    how:
      "volumes that are not disks, by name, and tmpfs, except by an agent, which shares volumes, or " +
      "has copies of small ones, and makes the file systems of a kernel; what else engines mount in every container is ignored",
  },
  {
    property: "mounts options of disks",
    treatment: "honoured",
    how:
      "ro, rw, rro and rrw, as runc does; the others concern a mount on the host, and the guest " +
      "mounts its disk itself",
  },
  {
    property: "hostname",
    treatment: "honoured",
    how: "of the UTS namespace; passed to Linux guests",
  },
  { property: "domainname", treatment: "honoured", how: "of the UTS namespace" },
  {
    property: "annotations",
    treatment: "honoured",
    how: "com.urunc.unikernel.* describe the guest",
  },
  {
    property: "hooks.*",
    treatment: "honoured",
    how: "startContainer hooks run during create, before the pivot, with paths of the host",
  },
  {
    property: "process.terminal",
    treatment: "honoured",
    how: "the guest's console is on the terminal",
  },
  { property: "process.consoleSize", treatment: "honoured", how: "of the terminal" },
  { property: "process.user.uid", treatment: "honoured", how: "the monitor's, proven" },
  { property: "process.user.gid", treatment: "honoured", how: "the monitor's, proven" },
  {
    property: "process.user.additionalGids",
    treatment: "honoured",
    how: "exactly these; none when it is empty",
  },
  { property: "process.user.umask", treatment: "honoured", how: "the monitor's; 0022 without it" },
  {
    property: "process.args",
    treatment: "honoured",
    how: "the guest's; the wrapper of --init is removed",
  },
  {
    property: "process.env",
    treatment: "honoured",
    how:
      "of Linux, Unikraft and Rumprun guests, complete or refused; the others have none by design. " +
      "Never the monitor's. The host's ps may show it, unless a Linux guest stays in its initramfs",
  },
  {
    property: "process.cwd",
    treatment: "warned",
    how: "unless it is /: the guest does not get it, except by an agent",
  },
  {
    property: "process.capabilities",
    treatment: "by design",
    how:
      "the monitor has none, regardless of the list; the operator's configuration may grant some. " +
      "An agent's program has them inside of its guest",
  },
  {
    property: "process.rlimits",
    treatment: "honoured",
    how:
      "the monitor's; RLIMIT_NOFILE is 1024, RLIMIT_CORE 0, and RLIMIT_FSIZE the largest of guest " +
      "memory and disk images without it. An agent's program has them inside of its guest, " +
      "RLIMIT_NOFILE there alone",
  },
  { property: "process.noNewPrivileges", treatment: "by design", how: "it is always set" },
  {
    property: "process.apparmorProfile",
    treatment: "honoured",
    how: "confines the monitor, verified; refused without AppArmor",
  },
  { property: "process.selinuxLabel", treatment: "refused", how: "labels are not set yet" },
  { property: "process.oomScoreAdj", treatment: "honoured", how: "the monitor's" },
  { property: "process.scheduler", treatment: "refused", how: "policies are not set" },
  { property: "process.ioPriority", treatment: "refused", how: "priorities are not set" },
  {
    property: "process.execCPUAffinity",
    treatment: "refused",
    how: "use linux.resources.cpu.cpus",
  },
  {
    property: "linux.namespaces",
    treatment: "warned",
    how:
      "created or joined as listed; pid, ipc, uts and mount are created even if not listed; without " +
      "network the guest has none",
  },
  {
    property: "linux.namespaces user",
    treatment: "by design",
    how: "made or joined: the monitor is in it, as whom the mappings make of process.user",
  },
  {
    property: "linux.namespaces time",
    treatment: "refused",
    how: "a guest has its own clock",
  },
  { property: "linux.uidMappings", treatment: "honoured", how: "see namespaces user" },
  { property: "linux.gidMappings", treatment: "honoured", how: "see namespaces user" },
  { property: "linux.timeOffsets", treatment: "refused", how: "a guest has its own clock" },
  {
    property: "linux.devices",
    treatment: "refused",
    how: "other than block devices, which are the guest's disks, and the conventional ones",
  },
  { property: "linux.cgroupsPath", treatment: "honoured", how: "/urunc/ID without it" },
  {
    property: "linux.resources.devices",
    treatment: "by design",
    how: "exactly this container's nodes are allowed; a disk of linux.devices no more than listed",
  },
  {
    property: "linux.resources.*",
    treatment: "honoured",
    how: "or refused by name, if the host or this version does not support it",
  },
  {
    property: "linux.seccomp",
    treatment: "by design",
    how:
      "the profile is for a container's programs: an agent gives it to those of its guest; monitors " +
      "have filters of ours and of their own",
  },
  {
    property: "linux.sysctl",
    treatment: "honoured",
    how: "of the container's namespaces, and by an agent of its guest; any other is refused",
  },
  {
    property: "linux.maskedPaths",
    treatment: "by design",
    how: "the monitor's root has neither /proc nor /sys; in its guest an agent does it",
  },
  { property: "linux.readonlyPaths", treatment: "by design", how: "as maskedPaths" },
  {
    property: "linux.rootfsPropagation",
    treatment: "by design",
    how: "the image is mounted nowhere in the monitor's namespace",
  },
  { property: "linux.mountLabel", treatment: "by design", how: "nothing of the image is mounted" },
  { property: "linux.personality", treatment: "refused", how: "a guest has its own kernel" },
  { property: "linux.intelRdt", treatment: "refused", how: "allocations are not made" },
  { property: "linux.netDevices", treatment: "refused", how: "devices are not moved" },
];
