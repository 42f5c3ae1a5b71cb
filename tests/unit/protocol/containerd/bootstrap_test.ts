import assert from "node:assert/strict";
import {
  Any,
  BootstrapParams,
  packAny,
  RuncOptions,
  RuntimeInfo,
  unpackAny,
} from "../../../../lib/protocol/containerd/messages.ts";

// Debian's containerd is older than these messages, so that no package says what they look like: the
// bytes were put together by hand from containerd's bootstrap.proto.

Deno.test("bootstrap: parameters of containerd 2.3", () => {
  const bytes = Uint8Array.fromHex(
    "0a0161" + "12066b38732e696f" + "18fcffffffffffffffff01" + "220676322e332e30" +
      "2a022f74" + "32022f67" + "3a022f62" +
      // 0x26: the Any has a URL of 28 bytes with its tag, and a value of 8.
      "42260a24" + "0a1a" + hexOf("containerd.runc.v1.Options") + "1206" + "1a022f634801" +
      "4a022f73",
  );
  const decoded = BootstrapParams.decode(bytes);
  assert.equal(decoded.instanceId, "a");
  assert.equal(decoded.namespace, "k8s.io");
  assert.equal(decoded.extensions.length, 1);
  const options = unpackAny(RuncOptions, decoded.extensions[0]!.value!);
  assert.equal(options?.shimCgroup, "/c");
  assert.equal(options.systemdCgroup, true);
});

Deno.test("bootstrap: the options of earlier versions decode too, and show as another's", () => {
  const options = Any.encode(packAny(RuncOptions, { systemdCgroup: true }));
  assert.equal(BootstrapParams.decode(options).instanceId, "containerd.runc.v1.Options");
});

Deno.test("bootstrap: what -info answers", () => {
  const info = {
    name: "a",
    version: { version: "1", revision: "r" },
    options: { typeUrl: "t", value: new Uint8Array([5]) },
  };
  const bytes = RuntimeInfo.encode(info);
  assert.equal(bytes.toHex(), "0a0161" + "12060a0131120172" + "1a060a0174120105");
  assert.deepEqual(RuntimeInfo.decode(bytes), info);
});

function hexOf(text: string): string {
  return new TextEncoder().encode(text).toHex();
}
