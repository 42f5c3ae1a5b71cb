/** What a guest may send: the frames go through the kernel, to the host's end of the container's link. */
import assert from "node:assert/strict";
import { TAP_NAME } from "../../lib/network/names.ts";
import { addressBytes, macBytes } from "../../lib/protocol/netlink/ip.ts";
import { run } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { type Call, makeGuest, makePair, MONITOR, Namespace, needs } from "./network_support.ts";

/** The container's, as `makePair` makes it. */
const MAC = "02:42:0a:09:00:02";
const IPV4 = "10.9.0.2";
const IPV6 = "fd09::2";
/** fe80::/64 with the EUI-64 of the MAC. */
const LINK_LOCAL = "fe80::42:aff:fe09:2";
const OTHER_MAC = "02:42:0a:09:00:63";
const HOST_IPV4 = "10.9.0.1";

const ADDRESSES = [IPV4, IPV6];
/** Each is sent that often, so that a packet of the kernel's own is not taken for one of them. */
const TIMES = 20;

const BROADCAST = "ff:ff:ff:ff:ff:ff";
const ARP = 0x0806;
const INET = 0x0800;
const INET6 = 0x86dd;
const HOP_BY_HOP = 0;
const TCP = 6;
const ROUTING = 43;
const FRAGMENT = 44;
const ICMPV6 = 58;
const DESTINATION = 60;

const FRAMES: { what: string; frame: number[]; passes: boolean }[] = [
  { what: "IPv4 of its own", frame: inet(IPV4), passes: true },
  { what: "IPv4 of 0.0.0.0, as DHCP has it", frame: inet("0.0.0.0"), passes: true },
  { what: "IPv4 of another", frame: inet("10.9.0.99"), passes: false },
  { what: "IPv4 from another MAC", frame: inet(IPV4, OTHER_MAC), passes: false },
  { what: "IPv4 cut off before its source", frame: inet(IPV4).slice(0, 24), passes: false },
  { what: "an ARP request", frame: arp({ op: 1, mac: MAC, address: IPV4 }), passes: true },
  { what: "an ARP probe", frame: arp({ op: 1, mac: MAC, address: "0.0.0.0" }), passes: true },
  {
    what: "an ARP reply for its own",
    frame: arp({ op: 2, mac: MAC, address: IPV4 }),
    passes: true,
  },
  {
    what: "an ARP reply for the gateway",
    frame: arp({ op: 2, mac: MAC, address: HOST_IPV4 }),
    passes: false,
  },
  {
    what: "an ARP reply with another MAC inside",
    frame: arp({ op: 2, mac: OTHER_MAC, address: IPV4 }),
    passes: false,
  },
  { what: "IPv6 of its own", frame: inet6(IPV6, TCP), passes: true },
  { what: "IPv6 of its link-local address", frame: inet6(LINK_LOCAL, TCP), passes: true },
  { what: "IPv6 of ::", frame: inet6("::", ICMPV6, [135, 0, 0, 0]), passes: true },
  { what: "IPv6 of another", frame: inet6("fd09::63", TCP), passes: false },
  { what: "IPv6 of another link-local address", frame: inet6("fe80::1", TCP), passes: false },
  { what: "a neighbour solicitation", frame: discovery(135, "fd09::1"), passes: true },
  { what: "an advertisement of itself", frame: discovery(136, IPV6), passes: true },
  {
    what: "an advertisement of its link-local self",
    frame: discovery(136, LINK_LOCAL),
    passes: true,
  },
  { what: "an advertisement of the gateway", frame: discovery(136, "fd09::1"), passes: false },
  { what: "a router solicitation", frame: discovery(133, "::"), passes: true },
  { what: "a router advertisement", frame: discovery(134, "::"), passes: false },
  { what: "a redirect", frame: discovery(137, "::"), passes: false },
  ...[HOP_BY_HOP, ROUTING, DESTINATION].flatMap((header) => [
    {
      what: `a router advertisement behind extension header ${header}`,
      frame: inet6(LINK_LOCAL, header, [ICMPV6, 1, ...zeros(14), 134, 0, 0, 0, ...zeros(20)]),
      passes: false,
    },
    {
      what: `a multicast report behind extension header ${header}`,
      frame: inet6(LINK_LOCAL, header, [ICMPV6, 0, ...zeros(6), 143, 0, 0, 0, ...zeros(20)]),
      passes: true,
    },
    {
      what: `two extension headers, the first ${header}`,
      frame: inet6(LINK_LOCAL, header, [DESTINATION, 0, ...zeros(6), TCP, 0, ...zeros(30)]),
      passes: false,
    },
  ]),
  {
    what: "a fragment",
    frame: inet6(IPV6, FRAGMENT, [TCP, 0, 0, 1, ...zeros(28)]),
    passes: true,
  },
  { what: "an IPv6 header that is cut off", frame: inet6(IPV6, TCP).slice(0, 30), passes: false },
  { what: "another protocol", frame: ethernet(MAC, 0x88cc, zeros(46)), passes: false },
  { what: "a VLAN tag", frame: ethernet(MAC, 0x8100, [0, 5, 8, 0, ...zeros(46)]), passes: false },
];

testIf("a guest sends under its own addresses only", { needs: [...needs, "gcc"] }, async () => {
  await using scope = new Scope();
  const { container, host } = await makePair(scope);
  const { program, tun } = await makeGuest(scope);
  await container.succeed(...tap, [
    "filterGuest",
    { from: TAP_NAME, to: "eth0", mac: MAC, addresses: ADDRESSES },
  ]);
  const wrong: string[] = [];
  for (const { what, frame, passes } of FRAMES) {
    const arrived = await send(container, host, { program, tun, frame });
    if (arrived !== passes) wrong.push(`${what}: ${arrived ? "arrived" : "was dropped"}`);
  }
  assert.deepEqual(wrong, []);
});

testIf("without the filter a guest sends what it likes", { needs: [...needs, "gcc"] }, async () => {
  await using scope = new Scope();
  const { container, host } = await makePair(scope);
  const { program, tun } = await makeGuest(scope);
  await container.succeed(...tap, ["redirectIngress", { from: TAP_NAME, to: "eth0" }]);
  const frame = arp({ op: 2, mac: MAC, address: HOST_IPV4 });
  assert.ok(await send(container, host, { program, tun, frame }));
});

testIf("a routed guest's packets go to its namespace, filtered", {
  needs: [...needs, "gcc"],
}, async () => {
  await using scope = new Scope();
  const { container } = await makePair(scope);
  const { program, tun } = await makeGuest(scope);
  const addresses = ["10.9.9.2"];
  await container.succeed(...tap, ["filterGuest", { from: TAP_NAME, mac: MAC, addresses }]);
  const dropped = async (address: string) => {
    const before = await drops(container);
    const frame = arp({ op: 1, mac: MAC, address, target: "10.9.9.1" });
    await sendAll(container, { program, tun, frame });
    return await drops(container) - before;
  };
  assert.equal(await dropped("10.9.9.63"), TIMES);
  assert.equal(await dropped("10.9.9.2"), 0);
});

const tap: Call[] = [["createTap", MONITOR], ["linkUp", TAP_NAME]];

interface Sending {
  program: string;
  tun: string;
  frame: number[];
}

async function sendAll(container: Namespace, { program, tun, frame }: Sending): Promise<void> {
  const text = frame.map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const frames = Array<string>(TIMES).fill(text);
  const command = container.command(program, "send", tun, TAP_NAME, ...frames);
  const { stdout } = await run(command, { check: true });
  assert.equal(stdout, "sent\n");
}

/** @returns whether the host's end received them; it must have all of them, or none */
async function send(container: Namespace, host: Namespace, sending: Sending): Promise<boolean> {
  const before = await received(host);
  await sendAll(container, sending);
  return await received(host) - before >= TIMES;
}

async function received(host: Namespace): Promise<number> {
  const [link] = JSON.parse(await host.look("ip -json -statistics link show host0"));
  return link.stats64.rx.packets;
}

/** Packets that the tap's ingress qdisc has dropped. */
async function drops(container: Namespace): Promise<number> {
  const qdiscs = JSON.parse(
    await container.look(`tc -json -statistics qdisc show dev ${TAP_NAME}`),
  );
  return qdiscs.find(({ kind }: { kind: string }) => kind === "ingress").drops;
}

function zeros(count: number): number[] {
  return Array<number>(count).fill(0);
}

function u16(value: number): number[] {
  return [value >> 8, value & 0xff];
}

function ethernet(mac: string, type: number, payload: number[]): number[] {
  return [...macBytes(BROADCAST), ...macBytes(mac), ...u16(type), ...payload];
}

function inet(source: string, mac = MAC): number[] {
  const header = [0x45, 0, ...u16(40), ...zeros(4), 64, TCP, 0, 0];
  const addresses = [...addressBytes(source), ...addressBytes(HOST_IPV4)];
  return ethernet(mac, INET, [...header, ...addresses, ...zeros(26)]);
}

function arp(
  { op, mac, address, target = HOST_IPV4 }: {
    op: number;
    mac: string;
    address: string;
    target?: string;
  },
): number[] {
  const sender = [...macBytes(mac), ...addressBytes(address)];
  const payload = [...u16(1), ...u16(INET), 6, 4, ...u16(op), ...sender, ...zeros(6)];
  return ethernet(MAC, ARP, [...payload, ...addressBytes(target), ...zeros(18)]);
}

function inet6(source: string, next: number, payload = zeros(20)): number[] {
  const header = [0x60, 0, 0, 0, ...u16(payload.length), next, 255];
  const addresses = [...addressBytes(source), ...addressBytes("ff02::1")];
  return ethernet(MAC, INET6, [...header, ...addresses, ...payload]);
}

/** Neighbour discovery: type, code, checksum, 4 bytes, and a target. */
function discovery(type: number, target: string): number[] {
  return inet6(LINK_LOCAL, ICMPV6, [type, 0, 0, 0, ...zeros(4), ...addressBytes(target)]);
}
