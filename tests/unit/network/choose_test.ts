import assert from "node:assert/strict";
import { HostError } from "../../../lib/errors.ts";
import { chooseInterface, type NetworkTables } from "../../../lib/network/choose.ts";
import type { LinkAddress } from "../../../lib/protocol/netlink/address.ts";
import {
  ARPHRD_ETHER,
  IFA_F_DADFAILED,
  IFA_F_SECONDARY,
  IFA_F_TENTATIVE,
  IFF_LOOPBACK,
  IFF_UP,
} from "../../../lib/protocol/netlink/constants.ts";
import type { NetworkFacts } from "../../../lib/network/types.ts";
import type { Link } from "../../../lib/protocol/netlink/link.ts";
import type { DefaultRoute } from "../../../lib/protocol/netlink/route.ts";

const lo: Link = { index: 1, name: "lo", type: 772, flags: IFF_UP | IFF_LOOPBACK, mtu: 65536 };
const ethernet = (index: number, changes: Partial<Link> = {}): Link => ({
  index,
  name: `eth${index}`,
  type: ARPHRD_ETHER,
  flags: IFF_UP,
  mtu: 1400 + index,
  mac: `02:00:00:00:00:0${index}`,
  ...changes,
});
const inet = (index: number, address: string, changes: Partial<LinkAddress> = {}): LinkAddress => ({
  family: "inet",
  address,
  prefixLength: 24,
  index,
  scope: 0,
  flags: 0,
  ...changes,
});
const inet6 = (index: number, address: string, changes: Partial<LinkAddress> = {}) =>
  inet(index, address, { family: "inet6", prefixLength: 64, ...changes });
const route = (index: number, metric: number, gateway?: string): DefaultRoute => ({
  family: "inet",
  index,
  metric,
  ...(gateway && { gateway }),
});
const route6 = (index: number, metric: number, gateway?: string): DefaultRoute => ({
  ...route(index, metric, gateway),
  family: "inet6",
});

const localhost = inet(1, "127.0.0.1", { prefixLength: 8, scope: 254 });
const choose = (tables: Partial<NetworkTables>) =>
  chooseInterface({ links: [], addresses: [], routes: [], ...tables });

Deno.test("chooseInterface follows the default route", () => {
  const links = [lo, ethernet(2), ethernet(3), ethernet(4)];
  const cases: { what: string; routes: DefaultRoute[]; links?: Link[]; expected?: string }[] = [
    { what: "the only one", routes: [route(3, 0)], expected: "eth3" },
    { what: "the lowest metric", routes: [route(2, 200), route(3, 100)], expected: "eth3" },
    { what: "the first of equals", routes: [route(4, 5), route(3, 5)], expected: "eth4" },
    { what: "IPv4 before IPv6", routes: [route6(2, 0), route(3, 900)], expected: "eth3" },
    { what: "IPv6 alone", routes: [route6(4, 1024), route6(3, 1023)], expected: "eth3" },
    { what: "not by loopback", routes: [route(1, 0), route(2, 9)], expected: "eth2" },
    {
      what: "not by an interface that is down",
      routes: [route(3, 0), route(2, 9)],
      links: [lo, ethernet(2), ethernet(3, { flags: 0 })],
      expected: "eth2",
    },
    { what: "no route, no address", routes: [], expected: undefined },
  ];
  for (const { what, expected, ...tables } of cases) {
    assert.equal(choose({ links, ...tables })?.name, expected, what);
  }
});

Deno.test("chooseInterface names other interfaces with an address", () => {
  const links = [lo, ethernet(2), ethernet(3), ethernet(4), ethernet(5, { flags: 0 })];
  const addresses = [
    localhost,
    inet(2, "10.0.0.2"),
    inet(3, "10.0.1.2"),
    inet6(4, "fe80::4", { scope: 253 }),
    inet(5, "10.0.5.2"),
  ];
  const named = ({ further = [], others = [] }: NetworkFacts) => [
    further.map(({ name }) => name),
    others.map(({ name }) => name),
  ];
  assert.deepEqual(named(choose({ links, addresses, routes: [route(3, 0)] })!), [
    ["eth2", "eth4"],
    [],
  ]);
  const one = choose({ links, addresses: addresses.slice(0, 2), routes: [route(2, 0)] })!;
  assert.equal("others" in one, false);
});

Deno.test("chooseInterface leaves out what a guest cannot have beside the first, and says why", () => {
  const cases: { what: string; changes: Partial<Link>; reason: RegExp }[] = [
    { what: "a tunnel", changes: { type: 65534 }, reason: /not Ethernet/ },
    { what: "without an address", changes: { mac: undefined }, reason: /not Ethernet/ },
    { what: "a tap", changes: { kind: "tun" }, reason: /a tap/ },
    { what: "a bridge's port", changes: { master: 2 }, reason: /a port of a bridge/ },
    { what: "a VLAN of another", changes: { lower: 2 }, reason: /on another interface/ },
    {
      what: "another ipvlan of the same",
      changes: { mac: ethernet(2).mac },
      reason: /hardware address is that of eth2$/,
    },
  ];
  for (const { what, changes, reason } of cases) {
    const links = [lo, ethernet(2), ethernet(3, changes), ethernet(4)];
    const addresses = [2, 3, 4].map((index) => inet(index, `10.0.${index}.2`));
    const facts = choose({ links, addresses, routes: [route(2, 0)] })!;
    assert.deepEqual(facts.further?.map(({ name }) => name), ["eth4"], what);
    assert.deepEqual(facts.others?.map(({ name }) => name), ["eth3"], what);
    assert.match(facts.others![0]!.reason!, reason, what);
    const quiet = choose({ links, addresses: addresses.slice(0, 1), routes: [route(2, 0)] })!;
    assert.equal("others" in quiet, false, `${what}, without an address`);
  }
});

Deno.test("chooseInterface leaves further interfaces to programs that filter what comes in by them", () => {
  const links = [lo, ethernet(2), ethernet(3), ethernet(4)];
  const addresses = [2, 3, 4].map((index) => inet(index, `10.0.${index}.2`));
  const foreignFilters = new Map([[2, "bpf of priority 1"], [3, "qdisc clsact"]]);
  const namesOf = ({ name, further = [], others = [] }: NetworkFacts) => [
    name,
    further.map((it) => it.name),
    others.map((it) => it.name),
  ];
  const facts = choose({ links, addresses, foreignFilters, routes: [route(4, 0)] })!;
  assert.deepEqual(namesOf(facts), ["eth4", [], ["eth2", "eth3"]]);
  assert.equal(
    facts.others![1]!.reason,
    "another program filters its incoming packets (qdisc clsact)",
  );
  // The first is what a guest is reached by: connecting it fails, and says so.
  const first = choose({ links, addresses, foreignFilters, routes: [route(2, 0)] })!;
  assert.deepEqual(namesOf(first), ["eth2", ["eth4"], ["eth3"]]);
  // Unless none is said to be the first.
  assert.deepEqual(namesOf(choose({ links, addresses, foreignFilters })!), [
    ...["eth4", [], ["eth2", "eth3"]],
  ]);
  assert.equal(choose({ links: links.slice(0, 3), addresses, foreignFilters })!.name, "eth2");
});

Deno.test("chooseInterface leaves the packets of a VLAN to it", () => {
  const links = [ethernet(2), ethernet(3, { lower: 2, mac: ethernet(9).mac }), ethernet(4)];
  const addresses = links.map(({ index }) => inet(index, `10.0.${index}.2`));
  const facts = choose({ links, addresses, routes: [route(3, 0)] })!;
  assert.equal(facts.name, "eth3");
  assert.deepEqual(facts.further?.map(({ name }) => name), ["eth4"]);
  assert.deepEqual(facts.others, [{ name: "eth2", reason: "one that the guest has is on it" }]);
});

Deno.test("chooseInterface gives a guest 8 interfaces at most", () => {
  const links = Array.from({ length: 9 }, (_, at) => ethernet(at + 1));
  const addresses = links.map(({ index }) => inet(index, `10.0.${index}.2`));
  const facts = choose({ links, addresses, routes: [route(9, 0)] })!;
  assert.equal(facts.name, "eth9");
  assert.deepEqual(facts.further?.map(({ index }) => index), [1, 2, 3, 4, 5, 6, 7]);
  assert.deepEqual(facts.others, [{ name: "eth8", reason: "a guest has at most 8" }]);
});

Deno.test("chooseInterface without a default route takes the only addressed interface", () => {
  const cases: { what: string; links?: Link[]; addresses: LinkAddress[]; expected?: string }[] = [
    { what: "one", addresses: [localhost, inet(3, "10.0.0.2")], expected: "eth3" },
    { what: "one by IPv6", addresses: [inet6(2, "fd00::2")], expected: "eth2" },
    { what: "none", addresses: [localhost], expected: undefined },
    { what: "link-local only", addresses: [inet6(2, "fe80::2", { scope: 253 })] },
    { what: "down", links: [ethernet(2, { flags: 0 })], addresses: [inet(2, "10.0.0.2")] },
  ];
  for (const { what, links = [lo, ethernet(2), ethernet(3)], addresses, expected } of cases) {
    const facts = choose({ links, addresses });
    assert.equal(facts?.name, expected, what);
    assert.equal(facts?.isAmbiguous, undefined, what);
  }
});

Deno.test("chooseInterface says that nothing makes one of several the first", () => {
  const links = [lo, ethernet(2, { type: 65534 }), ethernet(3), ethernet(4)];
  const addresses = links.map(({ index }) => inet(index, `10.0.${index}.2`));
  const facts = choose({ links, addresses })!;
  assert.equal(facts.isAmbiguous, true);
  assert.equal(facts.name, "eth3");
  assert.deepEqual(facts.further?.map(({ name }) => name), ["eth4"]);
  assert.deepEqual(facts.others?.map(({ name }) => name), ["eth2"]);
});

Deno.test("chooseInterface reports the facts of both families", () => {
  const facts = choose({
    links: [lo, ethernet(2), ethernet(3)],
    addresses: [
      localhost,
      inet6(2, "fd00::2", { flags: IFA_F_SECONDARY }),
      inet6(2, "fd00::3"),
      inet6(2, "fe80::2", { scope: 253 }),
      inet6(2, "fd00::4", { flags: IFA_F_TENTATIVE }),
      inet6(2, "fd00::5", { flags: IFA_F_TENTATIVE | IFA_F_DADFAILED }),
      inet(2, "10.0.0.9", { flags: IFA_F_SECONDARY }),
      inet(2, "10.0.0.2", { prefixLength: 20 }),
      inet(2, "169.254.0.2", { scope: 253 }),
      inet(3, "10.0.3.2"),
    ],
    routes: [
      route6(2, 1024, "fe80::1"),
      route6(3, 1, "fe80::3"),
      route(2, 7, "10.0.0.7"),
      route(2, 0, "10.0.0.1"),
    ],
    staticRoutes: [
      { family: "inet", destination: "10.7.0.0", prefixLength: 16, index: 2 },
      { family: "inet", destination: "10.8.0.0", prefixLength: 16, index: 3 },
    ],
  });
  assert.deepEqual(facts, {
    name: "eth2",
    index: 2,
    mac: "02:00:00:00:00:02",
    mtu: 1402,
    addresses: [
      { family: "inet", address: "10.0.0.2", prefixLength: 20 },
      { family: "inet", address: "10.0.0.9", prefixLength: 24 },
      { family: "inet6", address: "fd00::3", prefixLength: 64 },
      { family: "inet6", address: "fd00::2", prefixLength: 64 },
    ],
    linkLocal: "fe80::2",
    routes: [{ family: "inet", destination: "10.7.0.0", prefixLength: 16 }],
    gateway: { inet: "10.0.0.1", inet6: "fe80::1" },
    further: [{
      name: "eth3",
      index: 3,
      mac: "02:00:00:00:00:03",
      mtu: 1403,
      addresses: [{ family: "inet", address: "10.0.3.2", prefixLength: 24 }],
      routes: [{ family: "inet", destination: "10.8.0.0", prefixLength: 16 }],
      gateway: { inet6: "fe80::3" },
      metric: { inet6: 1 },
    }],
  });
});

Deno.test("chooseInterface leaves out a missing gateway", () => {
  const facts = choose({ links: [ethernet(2)], routes: [route(2, 0)] });
  assert.equal(facts?.gateway, undefined);
  assert.ok(!("gateway" in facts!));
});

Deno.test("chooseInterface refuses an interface that a tap cannot stand in for", () => {
  const tunnel: Link = { index: 2, name: "wg0", type: 65534, flags: IFF_UP, mtu: 1420 };
  assert.throws(
    () => choose({ links: [tunnel], routes: [route(2, 0)] }),
    (error) => error instanceof HostError && /wg0.*not an Ethernet/.test(error.message),
  );
});
