import type { DeviceAccess } from "../config/types.ts";
import { HostError, InvalidConfigurationError, UnsupportedError } from "../errors.ts";
import {
  type Credentials,
  explainAccess,
  mayAccess,
  overridesPermissions,
  READ,
  WRITE,
} from "../host/access.ts";
import type { DeviceFacts } from "../host/types.ts";
import type { DiskFacts, HostFacts, ImageFileFacts, VolumeFacts } from "../inspect/types.ts";
import { monitorsThat } from "../monitor/registry.ts";
import type { Monitor, MonitorDisk } from "../monitor/types.ts";
import { userOnDisk } from "../oci/id_mappings.ts";
import type { User } from "../oci/types.ts";
import type { Guest } from "../guest/families/types.ts";
import { keyPrefix } from "../guest/keys.ts";
import type { UnikernelConfig } from "../guest/types.ts";
import { openStep, requireDescriptors } from "./devices.ts";
import { ROOT_DISK } from "./root.ts";
import type { Step } from "./types.ts";
import type { AllowedDevice } from "../cgroups/device_program.ts";

/** LOOP_MAJOR in linux/major.h. */
const LOOP_MAJOR = 7;

/** Input for planning disks. */
export interface DisksInput {
  facts: Pick<HostFacts, "disks" | "groupNames">;
  monitor: Monitor;
  guest: Guest;
  unikernel: Pick<UnikernelConfig, "solo5BlkDev">;
  /** Their names in the guest's manifest, if it has one. */
  names?: readonly string[];
  /** Who the monitor is. */
  user: User;
  /** Whose rights decide over files of the host. */
  filesUser: User;
  access: DeviceAccess;
  /** Lets the monitor inherit what a step opens by this name; returns the descriptor's number. */
  inherit(name: string): number;
}

/** The disks of a plan. */
export interface PlannedDisks {
  /** Bind files into the clean room, or open them. */
  files: Step[];
  /** Create nodes, after /dev. */
  nodes: Step[];
  /** Open devices, before the device rules. */
  opened: Step[];
  /** What the device cgroup must allow. */
  allowed: AllowedDevice[];
  /** For the monitor's arguments. */
  disks: MonitorDisk[];
}

/**
 * The guest's disks, each in the way that gives the monitor access to this disk only:
 *
 * - a block device is a node created for this container alone, like /dev/kvm (`devices.ts`); node and
 *   device cgroup of a read-only disk allow only reading. With `device_access = "fd"` init opens the
 *   device and the monitor inherits it; so for a loop device, if the monitor takes descriptors: see
 *   `isOpenedByInit`;
 * - a file that the monitor's user may open is bound;
 * - one of the image that this user may not open is opened by init and inherited, if the monitor takes
 *   descriptors. It is the container's own file, of whatever owner;
 * - one of the host, a volume, must be open to the container's user; to uid 0 all are. When it is not open
 *   to the monitor's, too, init opens it, as one of the image.
 *
 * A writable disk belongs to one guest for its lifetime: two writers destroy a file system. Init opens it
 * exclusively, and the monitor inherits that descriptor, although it may use a path: the claim lasts
 * exactly as long as the monitor. The root has a claim already (`root_disk.ts`).
 *
 * @throws UnsupportedError when guest or monitor cannot use such disks
 * @throws HostError when a file or device would refuse this user, naming its owner and mode
 */
export function planDisks(input: DisksInput): PlannedDisks {
  const planned: PlannedDisks = { files: [], nodes: [], opened: [], allowed: [], disks: [] };
  const { disks = [] } = input.facts;
  requireAbilities(disks, input);
  disks.forEach((disk, index) => {
    const { source, name, readOnly } = disk;
    const monitorDisk: MonitorDisk = {
      kind: source.kind === "device" ? "device" : "file",
      readOnly,
      serial: name,
      solo5Device: input.names?.[index],
    };
    if (source.kind === "device" && isOpenedByInit(source.device, input)) {
      requireDescriptors(input.monitor, source.device);
      const opened = `disk${index}`;
      planned.opened.push({
        ...openStep(opened, source.device, readOnly ? "r" : "rw"),
        ...exclusive(disk),
      });
      planned.disks.push({ ...monitorDisk, fd: input.inherit(opened) });
    } else if (source.kind === "device") {
      const path = `/dev/disk${index}`;
      planned.nodes.push(nodeStep(path, source.device, disk, input));
      planned.allowed.push(allowedDevice(source.device, disk));
      planned.disks.push({ ...monitorDisk, path });
      if (isExclusive(disk)) {
        const claim = claimName(index);
        planned.opened.push({ ...openStep(claim, source.device, "r"), exclusive: true });
        input.inherit(claim);
      }
    } else if (source.kind === "hostFile") {
      planVolume(planned, index, { ...disk, source }, monitorDisk, input);
    } else if (mayAccess(source.file, credentials(input.user), wanted(disk))) {
      const path = `/guest/disk${index}`;
      planned.files.push(bindStep(path, disk));
      planned.disks.push({ ...monitorDisk, path });
      if (isExclusive(disk)) {
        const claim = claimName(index);
        planned.files.push(openFileStep(claim, source, disk));
        input.inherit(claim);
      }
    } else {
      requireFileDescriptors(source.file, disk, input);
      const opened = `disk${index}`;
      planned.files.push(openFileStep(opened, source, disk));
      planned.disks.push({ ...monitorDisk, fd: input.inherit(opened) });
    }
  });
  return planned;
}

/** A disk image that is a volume; one lookup of its path, whatever it is opened for. */
function planVolume(
  planned: PlannedDisks,
  index: number,
  disk: DiskFacts & { source: { kind: "hostFile"; file: VolumeFacts } },
  monitorDisk: MonitorDisk,
  input: DisksInput,
): void {
  const { file } = disk.source;
  const user = opener(input.filesUser, file);
  if (!overridesPermissions(user) && !mayAccess(file, user, wanted(disk))) {
    throw new HostError({
      operation: "plan disk",
      subject: subjectOf(disk),
      reason: explainAccess(file, user, wanted(disk)),
      remedy: "change its owner or mode, or run the container as its owner",
    });
  }
  const access = disk.readOnly ? "r" : "rw";
  const open = (name: string) =>
    planned.files.push({
      ...{ step: "openVolume", name, path: file.path, access, ...exclusive(disk) },
      user,
    });
  if (mayAccess(file, credentials(input.user), wanted(disk))) {
    const name = isExclusive(disk) ? claimName(index) : `volume${index}`;
    const target = `/guest/disk${index}`;
    open(name);
    const writable = disk.readOnly ? {} : { writable: true as const };
    planned.files.push({ step: "bindVolume", name, target, ...writable });
    planned.disks.push({ ...monitorDisk, path: target });
    if (isExclusive(disk)) input.inherit(name);
    return;
  }
  // The container's user could open it: root by its capabilities, which the monitor does not have; or the
  // monitor is another user.
  requireFileDescriptors(file, disk, input);
  const name = `disk${index}`;
  open(name);
  planned.disks.push({ ...monitorDisk, fd: input.inherit(name) });
}

/** The container's user, as the owner of the volume's file is compared with it. */
function opener(user: User, { maps }: VolumeFacts): Credentials {
  if (maps === undefined) return credentials(user);
  return { ...credentials(userOnDisk(user, maps)), isMapped: true };
}

function isExclusive({ name, readOnly }: DiskFacts): boolean {
  return !readOnly && name !== ROOT_DISK;
}

function exclusive(disk: DiskFacts): { exclusive?: true } {
  return isExclusive(disk) ? { exclusive: true } : {};
}

function claimName(index: number): string {
  return `claim${index}`;
}

/**
 * Whether init opens a device, so that the monitor needs no node of it. A loop device is released when it
 * is no longer open, or detached, which needs no privilege (LOOP_CLR_FD in drivers/block/loop.c). Then
 * the next file gets its number, such as another container's snapshot, and a node would give a hostile
 * monitor access to that. A descriptor keeps referring to the same device.
 */
function isOpenedByInit({ major }: DeviceFacts, { access, monitor }: DisksInput): boolean {
  if (access === "fd") return true;
  return access === "private" && major === LOOP_MAJOR && monitor.takesDescriptors;
}

function requireAbilities(disks: DiskFacts[], { monitor, guest, unikernel }: DisksInput): void {
  if (disks.length === 0) {
    if (unikernel.solo5BlkDev === undefined) return;
    throw new InvalidConfigurationError({
      operation: "plan disk",
      subject: `${keyPrefix}solo5BlkDev`,
      reason: "the guest has no disk to give this name",
      remedy: "leave the key out",
    });
  }
  const most = Math.min(monitor.mostDisks, guest.disks?.most ?? 0);
  const extra = disks[most];
  if (extra !== undefined) {
    throw unsupported(
      extra,
      `a ${guest.type} guest on ${monitor.name} can have ${
        most === 0 ? "none" : `${most} at most`
      }`,
    );
  }
  const readOnly = disks.find((disk) => disk.readOnly);
  if (readOnly !== undefined && !monitor.readOnlyDisks) {
    throw unsupported(
      readOnly,
      `it can only be read, and ${monitor.name} opens every disk for writing`,
      "root.readonly in config.json, the file's mode or the mount's options make it read-only",
    );
  }
  for (const disk of disks) {
    const { mountPoint, fileSystem } = disk;
    const known = guest.disks!.fileSystems;
    if (mountPoint === undefined || fileSystem === undefined || known.includes(fileSystem)) {
      continue;
    }
    throw unsupported(
      disk,
      `its file system is ${fileSystem}, and a ${guest.type} guest mounts ${known.join(", ")}`,
    );
  }
}

function unsupported(disk: DiskFacts, reason: string, remedy?: string): UnsupportedError {
  return new UnsupportedError({ operation: "plan disk", subject: subjectOf(disk), reason, remedy });
}

function subjectOf({ name, source }: DiskFacts): string {
  return `${name} (${source.kind === "device" ? source.device.path : source.file.path})`;
}

function credentials({ uid, gid, additionalGids }: User) {
  return { uid, gid, groups: additionalGids };
}

function wanted({ readOnly }: DiskFacts): number {
  return readOnly ? READ : READ | WRITE;
}

function nodeStep(
  path: string,
  device: DeviceFacts,
  disk: DiskFacts,
  { access, user, facts }: DisksInput,
): Step {
  if (access === "private") {
    const { type, major, minor } = device;
    const mode = disk.readOnly ? 0o400 : 0o600;
    return { step: "mknod", path, type, major, minor, uid: user.uid, gid: user.gid, mode };
  }
  if (device.noNode) {
    throw new HostError({
      operation: "plan disk",
      subject: subjectOf(disk),
      reason:
        'device_access = "groups" is configured, and this machine has no node of block device ' +
        `${device.major}:${device.minor} whose owner and mode could decide`,
      remedy:
        `make it: mknod -m 0660 ${device.path} b ${device.major} ${device.minor}, and chgrp; ` +
        'or device_access = "private", which needs none',
    });
  }
  const who = credentials(user);
  if (!mayAccess(device, who, wanted(disk))) {
    const named = (gid: number) => facts.groupNames?.[gid];
    throw new HostError({
      operation: "plan disk",
      subject: subjectOf(disk),
      reason: 'device_access = "groups" is configured, and ' +
        explainAccess(device, who, wanted(disk), named),
    });
  }
  return { step: "bindDevice", source: device.path, target: path };
}

function allowedDevice(
  { type, major, minor }: DeviceFacts,
  { readOnly }: DiskFacts,
): AllowedDevice {
  return { type, major, minor, access: readOnly ? "r" : "rw" };
}

function bindStep(target: string, { source, readOnly }: DiskFacts): Step {
  const writable = readOnly ? {} : { writable: true as const };
  const { path } = (source as { file: ImageFileFacts }).file;
  return { step: "bindImageFile", source: path, target, ...writable };
}

function openFileStep(name: string, source: DiskFacts["source"], disk: DiskFacts): Step {
  const { readOnly } = disk;
  const { path } = (source as { file: ImageFileFacts }).file;
  return { step: "openFile", name, path, access: readOnly ? "r" : "rw", ...exclusive(disk) };
}

function requireFileDescriptors(file: ImageFileFacts, disk: DiskFacts, input: DisksInput): void {
  if (input.monitor.takesDescriptors) return;
  const { uid, gid } = input.user;
  const mode = file.mode.toString(8).padStart(4, "0");
  throw new HostError({
    operation: "plan disk",
    subject: subjectOf(disk),
    reason:
      `it belongs to uid ${file.uid}, group ${file.gid}, with mode ${mode}: uid ${uid}, gid ` +
      `${gid} may not ${disk.readOnly ? "read" : "read and write"} it, and ${input.monitor.name} ` +
      "takes no opened files",
    remedy: `change its owner or mode in the image, or use ${
      monitorsThat((it) => it.takesDescriptors)
    }`,
  });
}
