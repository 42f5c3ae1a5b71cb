import assert from "node:assert/strict";
import { HostError } from "../../../../lib/errors.ts";
import {
  addressBytes,
  formatAddress,
  formatMac,
  macBytes,
  sharePrefix,
} from "../../../../lib/protocol/netlink/ip.ts";
import { bytes } from "./support.ts";

Deno.test("formatAddress writes IPv4 as a dotted quad and IPv6 as RFC 5952 says", () => {
  const cases = [
    ["0a580307", "10.88.3.7"],
    ["00000000", "0.0.0.0"],
    ["20010db8 00000000 00000000 00000001", "2001:db8::1"],
    ["00000000 00000000 00000000 00000000", "::"],
    ["00000000 00000000 00000000 00000001", "::1"],
    ["fe800000 00000000 00000000 00000000", "fe80::"],
    // A single group of zeros is not shortened (4.2.2).
    ["20010db8 00000001 00010001 00010001", "2001:db8:0:1:1:1:1:1"],
    // The longest run is, the first of two equals (4.2.3).
    ["20010000 00000001 00000000 00000001", "2001:0:0:1::1"],
    ["20010db8 00000000 00010000 00000001", "2001:db8::1:0:0:1"],
    ["fd00abcd 00000000 00000000 0000beef", "fd00:abcd::beef"],
    ["00000000 00000000 0000ffff c0000201", "::ffff:192.0.2.1"],
    ["00010000 00000000 00000000 00000000", "1::"],
    ["20010db8 12345678 9abcdef0 00010002", "2001:db8:1234:5678:9abc:def0:1:2"],
  ];
  for (const [hex, text] of cases) {
    assert.equal(formatAddress(bytes(hex!)), text);
    assert.deepEqual(addressBytes(text!), bytes(hex!));
  }
});

Deno.test("formatAddress refuses other lengths", () => {
  for (const length of [0, 3, 5, 8, 17]) {
    assert.throws(() => formatAddress(new Uint8Array(length)), HostError);
  }
});

Deno.test("formatMac pads every byte", () => {
  assert.equal(formatMac(bytes("02420a580307")), "02:42:0a:58:03:07");
  assert.deepEqual(macBytes("02:42:0a:58:03:07"), bytes("02420a580307"));
});

Deno.test("sharePrefix compares bits", () => {
  const cases: [a: string, b: string, length: number, shared: boolean][] = [
    ["10.88.3.7", "10.88.0.1", 20, true],
    ["10.88.3.7", "10.88.16.1", 20, false],
    ["10.88.3.7", "10.88.3.7", 32, true],
    ["10.88.3.7", "10.88.3.6", 32, false],
    ["10.88.3.7", "11.88.3.7", 0, true],
    ["fe80::1", "febf::1", 10, true],
    ["fe80::1", "fec0::1", 10, false],
  ];
  for (const [a, b, length, shared] of cases) {
    assert.equal(sharePrefix(addressBytes(a), addressBytes(b), length), shared, `${a} ${b}`);
  }
});
