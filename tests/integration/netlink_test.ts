/** The netlink sockets by which lib/network speaks with the kernel. */
import assert from "node:assert/strict";
import { AF_NETLINK, close, connect, send, SOCK_RAW, socket } from "../../ffi/linux.ts";
import { findLink } from "../../lib/network/link.ts";
import { NetlinkSocket } from "../../lib/protocol/netlink/socket.ts";
import { testIf } from "../support/skip.ts";

/** Ports of this network namespace's netlink sockets of routing: fields Eth and Pid. */
function netlinkPorts(): number[] {
  return Deno.readTextFileSync("/proc/thread-self/net/netlink").trim().split("\n").slice(1)
    .map((line) => line.trim().split(/\s+/)).filter(([, protocol]) => protocol === "0")
    .map(([, , port]) => Number(port));
}

testIf("only the kernel can send to our netlink sockets", { needs: ["root"] }, () => {
  const before = netlinkPorts();
  using ours = new NetlinkSocket();
  const port = netlinkPorts().find((it) => !before.includes(it))!;
  const theirs = socket(AF_NETLINK, SOCK_RAW, 0);
  try {
    const address = new Uint8Array(12);
    address[0] = AF_NETLINK;
    new DataView(address.buffer).setUint32(4, port, true);
    connect(theirs, address);
    // A struct nlmsghdr: done, to the first request.
    const message = new Uint8Array(16);
    new Uint32Array(message.buffer).set([16, 3, 1, 0]);
    assert.throws(() => send(theirs, message, 0), { code: "ECONNREFUSED" });
    assert.equal(findLink(ours, "lo")?.name, "lo");
  } finally {
    close(theirs);
  }
});
