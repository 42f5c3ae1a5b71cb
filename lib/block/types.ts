/** A device's number: two file systems of one number are one and the same. */
export interface DeviceNumber {
  major: number;
  minor: number;
}

/** A block device whose file system is mounted. */
export interface MountedDisk extends DeviceNumber {
  /** Where, without symlinks. */
  mountPoint: string;
}
