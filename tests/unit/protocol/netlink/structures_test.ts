import assert from "node:assert/strict";
import { HostError } from "../../../../lib/errors.ts";
import { listAddresses, parseAddress } from "../../../../lib/protocol/netlink/address.ts";
import { parseLink, setLinkMtu, setLinkUp } from "../../../../lib/protocol/netlink/link.ts";
import type { NetlinkMessage } from "../../../../lib/protocol/netlink/message.ts";
import { encodeMessage } from "../../../../lib/protocol/netlink/message.ts";
import type { Request } from "../../../../lib/protocol/netlink/request.ts";
import {
  listRoutes,
  parseDefaultRoutes,
  parseStaticRoute,
} from "../../../../lib/protocol/netlink/route.ts";
import {
  addIngressQdisc,
  addRedirectFilter,
  parseTrafficControl,
} from "../../../../lib/protocol/netlink/tc.ts";
import { bytes, random } from "./support.ts";

const message = (hex: string): NetlinkMessage => ({
  type: 0,
  flags: 0,
  sequence: 0,
  port: 0,
  payload: bytes(hex),
});

/** What follows the header when the request is sent. */
const sent = ({ type, payload, attributes }: Request) =>
  encodeMessage({ type, flags: 0, sequence: 0, port: 0, payload }, attributes).subarray(16);

Deno.test("requests are laid out as the headers say", () => {
  const cases: [Request, string][] = [
    [setLinkUp(5), "00000000 05000000 01000000 01000000"],
    [setLinkMtu(5, 1450), "00000000 05000000 00000000 00000000 0800 0400 aa050000"],
    [listAddresses(), "00000000 00000000"],
    [listRoutes("inet6"), "0a000000 00000000 00000000"],
    [
      addIngressQdisc(5),
      "00000000 05000000 0000ffff f1ffffff 00000000 0c00 0100 696e6772657373 00",
    ],
    [
      addRedirectFilter(5, 6, 0x1234),
      `00000000 05000000 00000000 0000ffff 0003 3412
       0800 0100 75333200
       6000 0280
         2400 0500 01000100 00000000 00000000 00000000 00000000 00000000 00000000 00000000
         3800 0780
           3400 0180
             0b00 0100 6d6972726564 00 00
             2400 0280
               2000 0200
                 00000000 00000000 04000000 00000000 00000000 01000000 06000000
       `,
    ],
  ];
  for (const [request, expected] of cases) assert.deepEqual(sent(request), bytes(expected));
});

Deno.test("parseLink reads name, MTU, MAC and driver", () => {
  const head = "0000 0100 02000000 43100100 00000000";
  const name = "0900 0300 65746830 00000000";
  const mtu = "0800 0400 dc050000";
  assert.deepEqual(
    parseLink(message(`${head}${name}${mtu} 0a00 0100 02420a580307 0000
      1000 1200 0900 0100 76657468 00000000`)),
    {
      index: 2,
      name: "eth0",
      type: 1,
      flags: 0x11043,
      mtu: 1500,
      mac: "02:42:0a:58:03:07",
      kind: "veth",
    },
  );
  assert.deepEqual(parseLink(message(head + name + mtu)), {
    index: 2,
    name: "eth0",
    type: 1,
    flags: 0x11043,
    mtu: 1500,
  });
  assert.throws(() => parseLink(message(head + name)), HostError);
  assert.throws(() => parseLink(message("0000")), HostError);
});

Deno.test("parseAddress reads our own address, not the peer's, and all of the flags", () => {
  assert.deepEqual(
    parseAddress(message(
      "02 14 80 00 02000000 0800 0100 0a000001 0800 0200 0a000002 0800 0800 80010000",
    )),
    {
      family: "inet",
      address: "10.0.0.2",
      prefixLength: 20,
      index: 2,
      scope: 0,
      flags: 0x180,
    },
  );
  assert.deepEqual(
    parseAddress(message("0a 40 c0 fd 02000000 1400 0100 fe800000000000000000000000000001")),
    {
      family: "inet6",
      address: "fe80::1",
      prefixLength: 64,
      index: 2,
      scope: 253,
      flags: 0xc0,
    },
  );
  assert.equal(parseAddress(message("11 00 00 00 02000000")), undefined);
  assert.throws(() => parseAddress(message("02 18 80 00 02000000")), HostError);
  assert.throws(() => parseAddress(message("02 18 80 00 02000000 0600 0200 0a00 0000")), HostError);
});

Deno.test("parseStaticRoute keeps what somebody has set, to a part of the addresses", () => {
  const header = (changes: Partial<Record<"length" | "table" | "protocol" | "type", string>>) => {
    const { length = "10", table = "fe", protocol = "03", type = "01" } = changes;
    return `02${length}0000 ${table}${protocol}00${type} 00000000 0800 0400 02000000`;
  };
  const destination = " 0800 0100 0a4d0000";
  const route = { family: "inet", destination: "10.77.0.0", prefixLength: 16, index: 2 };
  const gateway = " 0800 0500 0a090009";
  assert.deepEqual(parseStaticRoute(message(header({}) + destination)), route);
  const far = { ...route, gateway: "10.9.0.9" };
  assert.deepEqual(parseStaticRoute(message(header({}) + destination + gateway)), far);
  const others = [{ length: "00" }, { table: "ff" }, { protocol: "02" }, { protocol: "09" }];
  for (const changes of [...others, { type: "02" }]) {
    assert.equal(parseStaticRoute(message(header(changes) + destination)), undefined);
  }
  assert.equal(parseStaticRoute(message(header({}))), undefined);
});

Deno.test("parseDefaultRoutes keeps unicast default routes of the main table only", () => {
  const via = "0800 0500 0a000001 0800 0400 02000000";
  const cases: [string, string, ReturnType<typeof parseDefaultRoutes>][] = [
    [
      "with gateway and metric",
      `02 00 00 00 fe 03 00 01 00000000 ${via} 0800 0600 64000000`,
      [{ family: "inet", index: 2, metric: 100, gateway: "10.0.0.1" }],
    ],
    [
      "to the link",
      "02 00 00 00 fe 03 fd 01 00000000 0800 0400 02000000",
      [{ family: "inet", index: 2, metric: 0 }],
    ],
    [
      "by several paths",
      `02 00 00 00 fe 03 00 01 00000000
        2400 0900 1000 00 00 02000000 0800 0500 0a000001 1000 00 00 03000000 0800 0500 0a000002`,
      [
        { family: "inet", index: 2, metric: 0, gateway: "10.0.0.1" },
        { family: "inet", index: 3, metric: 0, gateway: "10.0.0.2" },
      ],
    ],
    ["to a network", `02 18 00 00 fe 03 00 01 00000000 ${via}`, []],
    ["of another table", `02 00 00 00 ff 03 00 01 00000000 ${via}`, []],
    [
      "of another table, by attribute",
      `02 00 00 00 fe 03 00 01 00000000 ${via} 0800 0f00 e8030000`,
      [],
    ],
    ["unreachable", `0a 00 00 00 fe 03 00 07 00000000 0800 0400 01000000`, []],
    ["cached", `0a 00 00 00 fe 03 00 01 00020000 0800 0400 01000000`, []],
    ["of another family", `1c 00 00 00 fe 03 00 01 00000000 0800 0400 01000000`, []],
  ];
  for (const [what, hex, expected] of cases) {
    assert.deepEqual(parseDefaultRoutes(message(hex)), expected, what);
  }
  assert.throws(
    () => parseDefaultRoutes(message("02000000 fe030001 00000000 0800 0900 0000 0000")),
    HostError,
  );
});

Deno.test("parseTrafficControl reads kind and priority", () => {
  assert.deepEqual(
    parseTrafficControl(message(
      "00000000 05000000 00080080 0000ffff 0003 3412 0800 0100 75333200",
    )),
    { index: 5, handle: 0x80000800, parent: 0xffff0000, kind: "u32", priority: 0x1234 },
  );
});

Deno.test("parsing random payloads ends, in data or in a HostError", () => {
  const next = random(3);
  const parsers = [
    parseLink,
    parseAddress,
    parseDefaultRoutes,
    parseStaticRoute,
    parseTrafficControl,
  ];
  for (let round = 0; round < 20_000; round++) {
    const payload = Uint8Array.from({ length: next(80) }, () => next(round % 2 ? 256 : 20));
    // Half of them get past the first look.
    if (round % 4 < 2) {
      payload.set([round % 8 < 4 ? 2 : 10, 0, 0, 0, 254, 0, 0, 1].slice(0, payload.length));
    }
    for (const parse of parsers) {
      try {
        parse({ type: 0, flags: 0, sequence: 0, port: 0, payload });
      } catch (error) {
        assert.ok(error instanceof HostError, String(error));
      }
    }
  }
});
