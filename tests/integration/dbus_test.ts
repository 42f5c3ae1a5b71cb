/** The D-Bus client against the reference implementation of a bus. */
import assert from "node:assert/strict";
import { Connection, DBusError } from "../../lib/protocol/dbus/connection.ts";
import { startTransientUnit } from "../../lib/cgroups/systemd/manager.ts";
import { waitFor } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

const needs = ["dbus-daemon"];

const BUS = {
  path: "/org/freedesktop/DBus",
  interface: "org.freedesktop.DBus",
  destination: "org.freedesktop.DBus",
};

/** A bus of the test's own. It lets every user in and hands on everything. */
async function startBus(scope: Scope): Promise<string> {
  const directory = await scope.temporaryDirectory("dbus");
  const path = `${directory}/bus`;
  await Deno.writeTextFile(
    `${directory}/bus.conf`,
    `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
     "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
    <busconfig><type>system</type><listen>unix:path=${path}</listen><auth>EXTERNAL</auth>
    <policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/>
    <allow eavesdrop="true"/></policy></busconfig>`,
  );
  const child = new Deno.Command("dbus-daemon", {
    args: [`--config-file=${directory}/bus.conf`, "--nofork", "--nopidfile"],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  scope.defer("the bus", async () => {
    child.kill("SIGKILL");
    await child.status;
  });
  await waitFor(async () => (await Deno.lstat(path).catch(() => undefined)) !== undefined, {
    timeoutSeconds: 10,
    what: "the bus",
  });
  return path;
}

testIf("a real bus: names, signals, errors, large texts", { needs }, async () => {
  await using scope = new Scope();
  const path = await startBus(scope);
  using connection = new Connection(path, performance.now() + 10_000);
  const hello = connection.reply(connection.send({ ...BUS, member: "Hello" }), "say hello");
  const [name] = hello.body;
  assert.match(String(name), /^:1\.\d+$/);
  assert.equal(hello.sender, "org.freedesktop.DBus");

  const rule = "type='signal',interface='org.example.Test',arg2='docker-1.scope'";
  connection.send({ ...BUS, member: "AddMatch", signature: "s", body: [rule], flags: 1 });
  const signal = { path: "/", interface: "org.freedesktop.DBus", member: "NameAcquired" };
  const request = connection.send({
    ...BUS,
    member: "RequestName",
    signature: "su",
    body: ["org.example.Test", 0],
  });
  assert.deepEqual(connection.reply(request, "take a name").body, [1]);
  const acquired = connection.signal(
    ({ member, body }) => member === signal.member && body[0] === "org.example.Test",
    "wait for the name",
  );
  assert.deepEqual(acquired.body, ["org.example.Test"]);

  const owner = connection.send({
    ...BUS,
    member: "GetNameOwner",
    signature: "s",
    body: ["org.example.Nobody"],
  });
  assert.throws(() => connection.reply(owner, "find nobody"), (error: Error) => {
    assert.ok(error instanceof DBusError);
    assert.equal(error.errorName, "org.freedesktop.DBus.Error.NameHasNoOwner");
    assert.match(error.message, /^find nobody: /);
    return true;
  });

  // An error that quotes what was asked for: 100 kB come back, in more than one piece.
  const long = `org.example.${"x".repeat(100_000)}`;
  const large = connection.send({ ...BUS, member: "GetNameOwner", signature: "s", body: [long] });
  assert.throws(() => connection.reply(large, "find nobody"), DBusError);
  const id = connection.reply(connection.send({ ...BUS, member: "GetId" }), "get id");
  assert.match(String(id.body[0]), /^[0-9a-f]{32}$/);
});

testIf("a real bus without systemd: the error says so", { needs }, async () => {
  await using scope = new Scope();
  const path = await startBus(scope);
  const endpoint = {
    booted: "/",
    bus: `unix:path=${path}`,
    private: "/nonexistent",
    timeout: 1500,
  };
  const properties: Parameters<typeof startTransientUnit>[1] = [
    ["Delegate", { signature: "b", value: true }],
    ["PIDs", { signature: "au", value: [1] }],
    ["MemoryMax", { signature: "t", value: 2n ** 64n - 1n }],
    ["AllowedCPUs", { signature: "ay", value: new Uint8Array([3]) }],
    ["CollectMode", { signature: "s", value: "inactive-or-failed" }],
  ];
  assert.throws(
    () => startTransientUnit("a.scope", properties, endpoint),
    /start a\.scope: .*org\.freedesktop\.DBus\.Error\.(NameHasNoOwner|ServiceUnknown)/,
  );
});
