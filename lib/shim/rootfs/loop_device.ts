import { close, ioctl, LinuxError, O_RDONLY, O_RDWR, open } from "../../../ffi/linux.ts";

/** linux/loop.h */
const LOOP_CTL_GET_FREE = 0x4C82;
const LOOP_CONFIGURE = 0x4C0A;
const LO_FLAGS_READ_ONLY = 1;
const LO_FLAGS_AUTOCLEAR = 4;

/**
 * struct loop_config: the file's descriptor, the block size, then struct loop_info64, of which only
 * lo_flags is set (linux/loop.h).
 */
const LOOP_CONFIG = { size: 304, fd: 0, flags: 60 };

/** How often another process may take the free device first. */
const ATTEMPTS = 50;

/**
 * Makes a file a block device for as long as something of it is mounted: when the last user is gone,
 * so is the device.
 *
 * @param file a file system's image
 * @param use mounts the device that it is called with
 * @throws LinuxError
 */
export function withLoopDevice(
  file: string,
  readOnly: boolean,
  use: (device: string) => void,
): void {
  const mode = readOnly ? O_RDONLY : O_RDWR;
  const backing = open(file, mode);
  try {
    const { device, fd } = attach(backing, mode, readOnly);
    try {
      use(device);
    } finally {
      close(fd);
    }
  } finally {
    close(backing);
  }
}

function attach(
  backing: number,
  mode: number,
  readOnly: boolean,
): { device: string; fd: number } {
  const config = new Uint8Array(LOOP_CONFIG.size);
  const view = new DataView(config.buffer);
  view.setUint32(LOOP_CONFIG.fd, backing, true);
  view.setUint32(
    LOOP_CONFIG.flags,
    LO_FLAGS_AUTOCLEAR | (readOnly ? LO_FLAGS_READ_ONLY : 0),
    true,
  );
  for (let attempt = 1;; attempt++) {
    const device = `/dev/loop${freeDevice()}`;
    const fd = open(device, mode);
    try {
      ioctl(fd, LOOP_CONFIGURE, config);
      return { device, fd };
    } catch (error) {
      close(fd);
      const taken = error instanceof LinuxError && error.code === "EBUSY";
      if (!taken || attempt === ATTEMPTS) throw error;
    }
  }
}

function freeDevice(): number {
  const control = open("/dev/loop-control", O_RDWR);
  try {
    return ioctl(control, LOOP_CTL_GET_FREE, 0);
  } finally {
    close(control);
  }
}
