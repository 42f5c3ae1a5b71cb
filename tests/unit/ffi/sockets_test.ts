import assert from "node:assert/strict";
import { SCM_RIGHTS, SOL_SOCKET } from "../../../ffi/constants/socket.ts";
import * as linux from "../../../ffi/linux.ts";
import { addressOf } from "../../../ffi/memory.ts";
import { sendmsg } from "../../../ffi/symbols/sys_socket.ts";
import { Scope } from "../../support/scope.ts";
import { MSG_PEEK, SOCK_SEQPACKET } from "../../support/kernel.ts";

const encoder = new TextEncoder();

function unixSocket(scope: Scope): number {
  const fd = linux.socket(linux.AF_UNIX, linux.SOCK_STREAM, 0);
  scope.defer("close", () => linux.close(fd));
  return fd;
}

function receive(fd: number, size: number, flags = 0): string {
  const buffer = new Uint8Array(size);
  return new TextDecoder().decode(buffer.subarray(0, linux.recv(fd, buffer, flags)));
}

Deno.test("a unix socket is bound, listened on, connected to, accepted from", async () => {
  await using scope = new Scope();
  const path = `${await scope.temporaryDirectory("sock")}/socket`;
  const [server, client] = [unixSocket(scope), unixSocket(scope)];
  assert.throws(() => linux.connectUnix(client, path), { operation: "connect", code: "ENOENT" });
  linux.bindUnix(server, path);
  assert.throws(() => linux.connectUnix(client, path), { code: "ECONNREFUSED" });
  assert.throws(() => linux.bindUnix(unixSocket(scope), path), {
    operation: "bind",
    subject: path,
    code: "EADDRINUSE",
  });
  linux.listen(server, 1);
  linux.connectUnix(client, path);
  const connection = linux.accept(server);
  scope.defer("close", () => linux.close(connection));
  assert.equal(linux.send(client, encoder.encode("ping"), 0), 4);
  assert.equal(receive(connection, 16), "ping");
  assert.throws(() => receive(connection, 16, linux.MSG_DONTWAIT), { code: "EAGAIN" });
  for (const fd of [server, client, connection]) {
    assert.match(Deno.readTextFileSync(`/proc/self/fdinfo/${fd}`), /^flags:\s+0?2\d{6}$/m);
  }
});

Deno.test("a path that does not fit, or would not be a file, is refused", async () => {
  await using scope = new Scope();
  const fd = unixSocket(scope);
  const cases: [string, string][] = [
    [`/tmp/${"x".repeat(103)}`, "ENAMETOOLONG"],
    [`/tmp/${"ä".repeat(52)}`, "ENAMETOOLONG"],
    ["", "ENOENT"],
    ["\0abstract", "EINVAL"],
  ];
  for (const [path, code] of cases) {
    assert.throws(() => linux.bindUnix(fd, path), { operation: "bind", code }, path);
    assert.throws(() => linux.connectUnix(fd, path), { operation: "connect", code }, path);
  }
});

Deno.test("the longest path fits", async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("sock");
  const path = `${directory}/${"x".repeat(107 - directory.length - 1)}`;
  linux.bindUnix(unixSocket(scope), path);
  assert.equal(linux.statPath(path).mode & linux.S_IFMT, linux.S_IFSOCK);
});

Deno.test("messages keep their bounds in a pair", async () => {
  await using scope = new Scope();
  const [left, right] = linux.socketpair(SOCK_SEQPACKET);
  for (const fd of [left, right]) scope.defer("close", () => linux.close(fd));
  linux.send(left, encoder.encode("first"), 0);
  linux.send(left, encoder.encode("second"), 0);
  assert.equal(linux.recv(right, new Uint8Array(2), MSG_PEEK | linux.MSG_TRUNC), 5);
  assert.equal(receive(right, 16), "first");
  assert.equal(receive(right, 16), "second");
});

Deno.test("a closed peer reads as end of file and cannot be written to", () => {
  const [left, right] = linux.socketpair(linux.SOCK_STREAM);
  linux.close(right);
  try {
    assert.equal(receive(left, 1), "");
    assert.throws(() => linux.send(left, new Uint8Array(1), linux.MSG_NOSIGNAL), {
      operation: "send",
      code: "EPIPE",
    });
  } finally {
    linux.close(left);
  }
});

Deno.test("a descriptor travels with bytes, as a copy that is closed at exec", async () => {
  await using scope = new Scope();
  const [left, right] = linux.socketpair(linux.SOCK_STREAM);
  for (const fd of [left, right]) scope.defer("close", () => linux.close(fd));
  const path = `${await scope.temporaryDirectory("rights")}/file`;
  const file = linux.open(path, linux.O_RDWR | linux.O_CREAT, 0o600);
  assert.equal(linux.sendDescriptor(left, encoder.encode("/dev/ptmx"), file, 0), 9);
  linux.close(file);

  const buffer = new Uint8Array(64);
  const { count, descriptor } = linux.receiveDescriptor(right, buffer, 0);
  assert.equal(new TextDecoder().decode(buffer.subarray(0, count)), "/dev/ptmx");
  assert.ok(descriptor !== undefined);
  scope.defer("close", () => linux.close(descriptor));
  assert.equal(Deno.readLinkSync(`/proc/self/fd/${descriptor}`), path);
  assert.match(Deno.readTextFileSync(`/proc/self/fdinfo/${descriptor}`), /^flags:\s+0?2\d{6}$/m);
});

/** One message with several descriptors: see cmsg(3) for its parts. */
function sendDescriptors(fd: number, descriptors: number[]): void {
  const [header, vector, control] = [new Uint8Array(56), new Uint8Array(16), new Uint8Array(64)];
  const data = encoder.encode("x");
  const length = 16 + 4 * descriptors.length;
  const view = new DataView(control.buffer);
  view.setBigUint64(0, BigInt(length), true);
  view.setInt32(8, SOL_SOCKET, true);
  view.setInt32(12, SCM_RIGHTS, true);
  descriptors.forEach((it, index) => view.setInt32(16 + 4 * index, it, true));
  new BigUint64Array(vector.buffer).set([addressOf(data), 1n]);
  const controlLength = BigInt(16 + 8 * Math.ceil(descriptors.length / 2));
  new BigUint64Array(header.buffer, 16).set([
    addressOf(vector),
    1n,
    addressOf(control),
    controlLength,
  ]);
  assert.equal(sendmsg(fd, header, 0), 1n);
}

for (const sent of [1, 2, 3, 4]) {
  Deno.test(`of ${sent} descriptors in a message one is received, and no other stays open`, () => {
    const [left, right] = linux.socketpair(linux.SOCK_STREAM);
    const file = linux.open("/dev/null", linux.O_RDONLY);
    try {
      const opened = () =>
        [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => linkOf(name))
          .filter((target) => target === "/dev/null").length;
      const before = opened();
      sendDescriptors(left, Array(sent).fill(file));
      const { count, descriptor } = linux.receiveDescriptor(right, new Uint8Array(8), 0);
      assert.equal(count, 1);
      assert.ok(descriptor !== undefined);
      linux.close(descriptor);
      assert.equal(opened(), before);
    } finally {
      [left, right, file].forEach(linux.close);
    }
  });
}

/** Undefined for the descriptor that the directory was read by. */
function linkOf(name: string): string | undefined {
  try {
    return Deno.readLinkSync(`/proc/self/fd/${name}`);
  } catch {
    return undefined;
  }
}

Deno.test("bytes without a descriptor, and end of file, are distinguished from a descriptor", () => {
  const [left, right] = linux.socketpair(linux.SOCK_STREAM);
  try {
    linux.send(left, encoder.encode("bytes"), 0);
    assert.deepEqual(linux.receiveDescriptor(right, new Uint8Array(2), 0), {
      count: 2,
      descriptor: undefined,
    });
    assert.equal(receive(right, 16), "tes");
    linux.close(left);
    assert.deepEqual(linux.receiveDescriptor(right, new Uint8Array(16), 0), {
      count: 0,
      descriptor: undefined,
    });
    assert.throws(() => linux.sendDescriptor(right, new Uint8Array(1), 0, linux.MSG_NOSIGNAL), {
      operation: "sendmsg",
      code: "EPIPE",
    });
  } finally {
    linux.close(right);
  }
});

Deno.test("a netlink socket takes its address as bytes", async () => {
  await using scope = new Scope();
  const NETLINK_ROUTE = 0; // linux/netlink.h
  const fd = linux.socket(linux.AF_NETLINK, linux.SOCK_RAW, NETLINK_ROUTE);
  scope.defer("close", () => linux.close(fd));
  const address = new Uint8Array(12); // struct sockaddr_nl
  address[0] = linux.AF_NETLINK;
  linux.connect(fd, address);
  assert.throws(() => linux.connect(fd, address.subarray(0, 4)), {
    operation: "connect",
    code: "EINVAL",
  });
});

Deno.test("an option is set, and an unknown one refused", async () => {
  await using scope = new Scope();
  const NETLINK_EXT_ACK = 11; // linux/netlink.h
  const fd = linux.socket(linux.AF_NETLINK, linux.SOCK_RAW, 0);
  scope.defer("close", () => linux.close(fd));
  linux.setsockopt(fd, linux.SOL_NETLINK, NETLINK_EXT_ACK, new Uint8Array([1, 0, 0, 0]));
  assert.throws(() => linux.setsockopt(fd, linux.SOL_NETLINK, 9999, new Uint8Array(4)), {
    operation: "setsockopt",
    code: "ENOPROTOOPT",
  });
});

Deno.test("what is not a socket, or an unknown kind, is an error", () => {
  assert.throws(() => linux.socket(-1, linux.SOCK_STREAM, 0), { code: "EAFNOSUPPORT" });
  assert.throws(() => linux.socketpair(99), { operation: "socketpair", code: "EINVAL" });
  const fd = linux.open("/dev/null", linux.O_RDWR);
  try {
    assert.throws(() => linux.listen(fd, 1), { operation: "listen", code: "ENOTSOCK" });
    assert.throws(() => linux.accept(fd), { operation: "accept4", code: "ENOTSOCK" });
    assert.throws(() => receive(fd, 1), { operation: "recv", code: "ENOTSOCK" });
  } finally {
    linux.close(fd);
  }
});
