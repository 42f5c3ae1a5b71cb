import assert from "node:assert/strict";
import {
  AF_UNIX,
  bindUnix,
  close,
  MSG_DONTWAIT,
  recv,
  SOCK_DGRAM,
  socket,
} from "../../../ffi/linux.ts";
import { sendToSyslog } from "../../../lib/os/syslog.ts";
import { Scope } from "../../support/scope.ts";

Deno.test("a warning reaches who listens for the system's log", async () => {
  await using scope = new Scope();
  const path = `${await scope.temporaryDirectory("syslog")}/log`;
  const listener = socket(AF_UNIX, SOCK_DGRAM, 0);
  scope.defer("close the socket", () => close(listener));
  bindUnix(listener, path);
  sendToSyslog("warning: a hook failed", path);
  const buffer = new Uint8Array(200);
  const count = recv(listener, buffer, MSG_DONTWAIT);
  assert.equal(
    new TextDecoder().decode(buffer.subarray(0, count)),
    `<28>urunc[${Deno.pid}]: warning: a hook failed`,
  );
});

Deno.test("without a system's log a warning is dropped", async () => {
  await using scope = new Scope();
  sendToSyslog("nobody hears it", `${await scope.temporaryDirectory("syslog")}/none`);
});
