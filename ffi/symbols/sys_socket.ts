/** sys/socket.h @module */
import { declare } from "./_library.ts";

export const socket = declare("socket", {
  parameters: [/* int domain */ "i32", /* int type */ "i32", /* int protocol */ "i32"],
  result: "i32",
});

export const socketpair = declare("socketpair", {
  parameters: [
    /* int domain */ "i32",
    /* int type */ "i32",
    /* int protocol */ "i32",
    /* int sv[2] */ "buffer",
  ],
  result: "i32",
});

export const bind = declare("bind", {
  parameters: [
    /* int sockfd */ "i32",
    /* const struct sockaddr *addr */ "buffer",
    /* socklen_t addrlen */ "u32",
  ],
  result: "i32",
});

export const connect = declare("connect", {
  parameters: [
    /* int sockfd */ "i32",
    /* const struct sockaddr *addr */ "buffer",
    /* socklen_t addrlen */ "u32",
  ],
  result: "i32",
});

export const listen = declare("listen", {
  parameters: [/* int sockfd */ "i32", /* int backlog */ "i32"],
  result: "i32",
});

export const accept4 = declare("accept4", {
  parameters: [
    /* int sockfd */ "i32",
    /* struct sockaddr *addr */ "buffer",
    /* socklen_t *addrlen */ "buffer",
    /* int flags */ "i32",
  ],
  result: "i32",
});

export const send = declare("send", {
  parameters: [
    /* int sockfd */ "i32",
    /* const void *buf */ "buffer",
    /* size_t size */ "usize",
    /* int flags */ "i32",
  ],
  result: "isize",
});

export const recv = declare("recv", {
  parameters: [
    /* int sockfd */ "i32",
    /* void *buf */ "buffer",
    /* size_t size */ "usize",
    /* int flags */ "i32",
  ],
  result: "isize",
});

export const sendmsg = declare("sendmsg", {
  parameters: [
    /* int sockfd */ "i32",
    /* const struct msghdr *msg */ "buffer",
    /* int flags */ "i32",
  ],
  result: "isize",
});

export const recvmsg = declare("recvmsg", {
  parameters: [
    /* int sockfd */ "i32",
    /* struct msghdr *msg */ "buffer",
    /* int flags */ "i32",
  ],
  result: "isize",
});

export const setsockopt = declare("setsockopt", {
  parameters: [
    /* int sockfd */ "i32",
    /* int level */ "i32",
    /* int optname */ "i32",
    /* const void *optval */ "buffer",
    /* socklen_t optlen */ "u32",
  ],
  result: "i32",
});
