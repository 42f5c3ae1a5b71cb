import assert from "node:assert/strict";
import { formatOwner, parseOwner, tapOwner } from "../../../lib/network/owner.ts";

Deno.test("an owner is read back, and nothing else is taken for one", () => {
  const owner = { pid: 4194303, startTime: "18446744073709551615" };
  assert.deepEqual(parseOwner(formatOwner(owner)), owner);
  const grouped = { ...owner, cgroup: "/kubepods.slice/a:b/cri-containerd-1.scope" };
  assert.deepEqual(parseOwner(formatOwner(grouped)), grouped);
  for (
    const alias of [
      ...[undefined, "", "uplink", "urunc:0:1", "urunc:1", "urunc:1:2:3", "urunc:1:x"],
      ...["/", "/a/", "/a//b", "/../b", "/a/..", "/.", "a"].map((it) => `urunc:1:2:${it}`),
    ]
  ) {
    assert.equal(parseOwner(alias), undefined, alias);
  }
});

Deno.test("a cgroup that an alias has no room for is left out", () => {
  const owner = { pid: 4194303, startTime: "1".repeat(20) };
  const most = 255 - formatOwner(owner).length - ":/".length;
  const fits = { ...owner, cgroup: `/${"x".repeat(most)}` };
  assert.equal(formatOwner(fits).length, 255);
  assert.deepEqual(parseOwner(formatOwner(fits)), fits);
  const tooLong = { ...owner, cgroup: `/${"x".repeat(most - 1)}ä` };
  assert.deepEqual(parseOwner(formatOwner(tooLong)), owner);
});

Deno.test("only a tap has an owner", () => {
  const alias = "urunc:7:8";
  assert.deepEqual(tapOwner({ kind: "tun", alias }), { pid: 7, startTime: "8" });
  for (const link of [undefined, { kind: "veth", alias }, { alias }, { kind: "tun" }]) {
    assert.equal(tapOwner(link), undefined);
  }
});
