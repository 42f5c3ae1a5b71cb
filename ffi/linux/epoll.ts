/**
 * Waiting for many descriptors at once.
 * @module
 */
import { EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD } from "../constants/epoll.ts";
import { EFD_CLOEXEC, EFD_NONBLOCK } from "../constants/eventfd.ts";
import { checked, retried } from "../errors.ts";
import { allocateStruct, EPOLL_EVENT, getField, setField } from "../structs.ts";
import * as sysEpoll from "../symbols/sys_epoll.ts";
import * as sysEventfd from "../symbols/sys_eventfd.ts";

/** A descriptor and its EPOLL* events. */
export interface EpollEvent {
  fd: number;
  events: number;
}

/** The most that one wait returns; the next one returns the others. */
const MAXIMUM_EVENTS = 64;

/**
 * @returns a descriptor
 * @throws {LinuxError}
 * @see epoll_create(2)
 */
export function epollCreate(): number {
  return checked("epoll_create1", undefined, () => sysEpoll.epoll_create1(EPOLL_CLOEXEC));
}

/**
 * Takes effect during a wait, too.
 *
 * @param epfd from `epollCreate`
 * @param fd to add
 * @param events EPOLL*
 * @throws {LinuxError} EPERM: a file that is always ready; EEXIST
 * @see epoll_ctl(2)
 */
export function epollAdd(epfd: number, fd: number, events: number): void {
  control(epfd, EPOLL_CTL_ADD, fd, events);
}

/** As `epollAdd`, for a descriptor that was added. */
export function epollModify(epfd: number, fd: number, events: number): void {
  control(epfd, EPOLL_CTL_MOD, fd, events);
}

/** Undoes `epollAdd`. Closing the last copy of a descriptor does it too. */
export function epollRemove(epfd: number, fd: number): void {
  control(epfd, EPOLL_CTL_DEL, fd, 0);
}

function control(epfd: number, operation: number, fd: number, events: number): void {
  const event = allocateStruct(EPOLL_EVENT);
  setField(event, "events", events);
  setField(event, "data", fd);
  checked("epoll_ctl", `fd ${fd}`, () => sysEpoll.epoll_ctl(epfd, operation, fd, event.bytes));
}

/**
 * Waits in a thread of its own.
 *
 * @param epfd from `epollCreate`
 * @param timeoutMs milliseconds; negative: no end
 * @returns what came true; nothing when the time was over, or a signal came
 * @throws {LinuxError}
 * @see epoll_wait(2)
 */
export async function epollWaitAsync(epfd: number, timeoutMs: number): Promise<EpollEvent[]> {
  const events = allocateStruct(EPOLL_EVENT, MAXIMUM_EVENTS);
  let count = await sysEpoll.epoll_waitNonblocking(epfd, events.bytes, MAXIMUM_EVENTS, timeoutMs);
  if (count < 0) {
    // The other thread keeps its errno: a signal, or something that fails here as well.
    count = retried(
      "epoll_wait",
      `fd ${epfd}`,
      () => sysEpoll.epoll_wait(epfd, events.bytes, MAXIMUM_EVENTS, 0),
    );
  }
  return Array.from({ length: count }, (_, index) => ({
    fd: getField(events, "data", index),
    events: getField(events, "events", index),
  }));
}

/**
 * A counter that the kernel, or another process, adds to; reading it takes 8 bytes and sets it to 0.
 *
 * @returns a descriptor that can be read while the counter is not 0, and does not block
 * @throws {LinuxError}
 * @see eventfd(2)
 */
export function eventfd(): number {
  const flags = EFD_CLOEXEC | EFD_NONBLOCK;
  return checked("eventfd", undefined, () => sysEventfd.eventfd(0, flags));
}
