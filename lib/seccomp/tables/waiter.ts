import {
  AF_INET,
  F,
  IPPROTO_IP,
  IPPROTO_TCP,
  O_ASYNC,
  requests,
  SOCK_STREAM,
  SOCK_TYPE,
} from "../numbers.ts";
import type { CallGroup } from "../types.ts";

/** The container's process (lib/build/waiter) when it has started the monitor, to its exit. */
export const WAITER: readonly CallGroup[] = [
  {
    why: "output, input, signals and events are copied and read",
    calls: "poll read write recvfrom",
  },
  { why: "QMP: it asks for events and for the reason of a stop", calls: "sendto" },
  { why: "whether what it writes to is a terminal", calls: "fstat" },
  { why: "whether a pipe is empty", calls: "ioctl", where: [requests("FIONREAD")] },
  { why: "output is closed when it has ended", calls: "close" },
  { why: "output is kept blocking", calls: "fcntl", where: [{ argument: 1, among: [F.GETFL] }] },
  {
    why: "the same; signals to an owner of the file, which may be any process, are none of it",
    calls: "fcntl",
    where: [
      { argument: 1, among: [F.SETFL] },
      { argument: 2, mask: O_ASYNC, equals: 0 },
    ],
  },
  {
    why: "the caller's terminal has a size, and leaves a guest's bytes as they are",
    calls: "ioctl",
    where: [requests("TIOCGWINSZ TCGETS TCSETS")],
    when: "agent",
  },
  {
    why: "a connection to the name server for each that the guest makes",
    calls: "socket",
    where: [
      { argument: 0, among: [AF_INET] },
      { argument: 1, mask: SOCK_TYPE, equals: SOCK_STREAM },
      { argument: 2, among: [IPPROTO_IP, IPPROTO_TCP] },
    ],
    when: "dns",
  },
  { why: "the same, and another port for datagrams", calls: "connect", when: "dns" },
  {
    why: "how long the name server has not answered, mostly without a call",
    calls: "clock_gettime",
    when: "dns",
  },
  { why: "a guest connects to its agent's sockets", calls: "accept4", when: "vsock" },
  {
    why: "the agent's connections for further processes are handed over, and none is written to",
    calls: "sendmsg",
    when: "vsock",
  },
  {
    why: "the monitor is signalled by a descriptor that was opened before, and waited for",
    calls: "pidfd_send_signal wait4 getpid",
  },
  { why: "a poll that was stopped continues", calls: "restart_syscall rt_sigreturn" },
  { why: "its exit", calls: "exit exit_group" },
];
