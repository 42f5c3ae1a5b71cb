import {
  close,
  dup2,
  fstat,
  MSG_NOSIGNAL,
  receiveDescriptor,
  S_IFDIR,
  S_IFMT,
  sendDescriptor,
} from "../../ffi/linux.ts";
import { HostError } from "../errors.ts";
import type { Channel, CreatorMessage, InitMessage } from "./channel.ts";

/** Descriptors that become a container's standard input, output and error. */
export type Stdio = readonly [stdin: number, stdout: number, stderr: number];

/**
 * Gives an init process its standard files, before its first plan. It may have been started before
 * they were known.
 *
 * @param stdio they stay open here
 * @throws LinuxError; HostError when one is a directory
 */
export function sendStdio(channel: Channel<CreatorMessage, InitMessage>, stdio: Stdio): void {
  stdio.forEach((fd, index) => refuseDirectory(fd, index));
  channel.send({ type: "stdio" });
  for (const fd of stdio) sendDescriptor(channel.fd, new Uint8Array(1), fd, MSG_NOSIGNAL);
}

/**
 * Takes what `sendStdio` sends.
 *
 * @param channel init's end
 * @throws LinuxError; Error when the creator sends something else
 */
export function receiveStdio(channel: number): void {
  for (const fd of [0, 1, 2]) {
    const { descriptor } = receiveDescriptor(channel, new Uint8Array(1), 0);
    if (descriptor === undefined) throw new Error(`no descriptor came for standard file ${fd}`);
    dup2(descriptor, fd);
    close(descriptor);
  }
}

/**
 * With a directory of the host as an open file the monitor could leave its root (CVE-2024-21626).
 *
 * @param fd to look at
 * @param index what it is to be: 0, 1 or 2
 * @throws HostError when it is a directory
 */
export function refuseDirectory(fd: number, index: number): void {
  if ((fstat(fd).mode & S_IFMT) !== S_IFDIR) return;
  throw new HostError({
    operation: "start the container's process",
    subject: `file descriptor ${index}`,
    reason: "it is a directory",
    remedy: "call urunc with a file, pipe, socket or terminal as standard input and output",
  });
}
