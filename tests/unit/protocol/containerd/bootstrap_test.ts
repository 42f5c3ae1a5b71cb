import assert from "node:assert/strict";
import {
  BootstrapParams,
  BootstrapResult,
  decodeBootstrapParams,
  decodeRuntimeInfo,
  encodeAny,
  encodeBootstrapParams,
  encodeBootstrapResult,
  encodeRuntimeInfo,
  packAny,
  RuncOptions,
  unpackAny,
} from "../../../../lib/protocol/containerd/messages.ts";

// Debian's containerd is older than these messages, so that no package says what they look like: the
// bytes were put together by hand from containerd's bootstrap.proto.

Deno.test("bootstrap: parameters of containerd 2.3", () => {
  const params = {
    instanceId: "a",
    namespace: "k8s.io",
    logLevel: -4,
    containerdVersion: "v2.3.0",
    containerdTtrpcAddress: "/t",
    containerdGrpcAddress: "/g",
    containerdBinary: "/b",
    extensions: [{ value: packAny(RuncOptions, { shimCgroup: "/c", systemdCgroup: true }) }],
    socketDir: "/s",
  };
  const bytes = encodeBootstrapParams(params);
  assert.equal(
    bytes.toHex(),
    "0a0161" + "12066b38732e696f" + "18fcffffffffffffffff01" + "220676322e332e30" +
      "2a022f74" + "32022f67" + "3a022f62" +
      // 0x26: the Any has a URL of 28 bytes with its tag, and a value of 8.
      "42260a24" + "0a1a" + hexOf("containerd.runc.v1.Options") + "1206" + "1a022f634801" +
      "4a022f73",
  );
  const decoded = decodeBootstrapParams(bytes);
  assert.deepEqual(decoded, params);
  const options = unpackAny(RuncOptions, decoded.extensions[0]!.value!);
  assert.equal(options?.shimCgroup, "/c");
  assert.equal(options.systemdCgroup, true);
});

Deno.test("bootstrap: the options of earlier versions decode too, and show as another's", () => {
  const options = encodeAny(packAny(RuncOptions, { systemdCgroup: true }));
  assert.equal(BootstrapParams.decode(options).instanceId, "containerd.runc.v1.Options");
});

Deno.test("bootstrap: a result", () => {
  const result = { version: 2, address: "unix:///s", protocol: "ttrpc" };
  const bytes = encodeBootstrapResult(result);
  assert.equal(bytes.toHex(), "0802" + "1209" + hexOf("unix:///s") + "1a05" + hexOf("ttrpc"));
  assert.deepEqual(BootstrapResult.decode(bytes), {
    ...result,
    capabilities: [],
    metadata: new Map(),
  });
});

Deno.test("bootstrap: what -info answers", () => {
  const info = {
    name: "io.containerd.urunc.v2",
    version: { version: "1", revision: "r" },
    annotations: new Map([["k", "v"]]),
  };
  assert.deepEqual(decodeRuntimeInfo(encodeRuntimeInfo(info)), info);
});

function hexOf(text: string): string {
  return new TextEncoder().encode(text).toHex();
}
