import {
  AF_UNIX,
  close,
  connectUnix,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  send,
  SOCK_DGRAM,
  socket,
} from "../../ffi/linux.ts";

/** Where syslog(3) sends messages; systemd's journal listens there, too. */
const SOCKET = "/dev/log";

/** Facility daemon (3), severity warning (4): RFC 5424, 6.2.1. */
const PRIORITY = 3 * 8 + 4;

/**
 * Sends a warning to the system's log, `journalctl -t urunc`. Where nobody takes it, it is dropped: there
 * is nowhere else.
 *
 * @param text one line
 * @param path of the socket; another one in tests
 */
export function sendToSyslog(text: string, path = SOCKET): void {
  const fd = socket(AF_UNIX, SOCK_DGRAM, 0);
  try {
    connectUnix(fd, path);
    const message = new TextEncoder().encode(`<${PRIORITY}>urunc[${Deno.pid}]: ${text}`);
    send(fd, message, MSG_DONTWAIT | MSG_NOSIGNAL);
  } catch {
    // See above.
  } finally {
    close(fd);
  }
}
