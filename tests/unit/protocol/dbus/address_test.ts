import assert from "node:assert/strict";
import { socketPaths } from "../../../../lib/protocol/dbus/address.ts";
import { InvalidConfigurationError } from "../../../../lib/errors.ts";

const CASES: [string, string[]][] = [
  ["unix:path=/run/dbus/system_bus_socket", ["/run/dbus/system_bus_socket"]],
  ["unix:path=/a,guid=0123", ["/a"]],
  ["unix:guid=0123,path=/a", ["/a"]],
  ["tcp:host=x;unix:path=/a;unix:path=/b", ["/a", "/b"]],
  ["unix:path=/a%20b", ["/a b"]],
  ["unix:path=/a%zz", ["/a%zz"]],
  ["unix:abstract=/x;unix:path=/a", ["/a"]],
];

for (const [address, paths] of CASES) {
  Deno.test(`the bus is at ${paths}: ${address}`, () => {
    assert.deepEqual(socketPaths(address), paths);
  });
}

for (const address of ["", "unix:", "unix:path=relative", "unix:abstract=/x", "tcp:host=x", "/a"]) {
  Deno.test(`no bus: ${JSON.stringify(address)}`, () => {
    assert.throws(() => socketPaths(address), (error: Error) => {
      assert.ok(error instanceof InvalidConfigurationError);
      assert.match(error.message, /DBUS_SYSTEM_BUS_ADDRESS/);
      return true;
    });
  });
}
