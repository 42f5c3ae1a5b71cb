/** What urunc asks of systemd, and what it makes of its answers. */
import assert from "node:assert/strict";
import { DBusError } from "../../../../lib/protocol/dbus/connection.ts";
import {
  type Property,
  requireSystemd,
  setUnitProperties,
  startTransientUnit,
  stopUnit,
  type SystemdEndpoint,
} from "../../../../lib/cgroups/systemd/manager.ts";
import { HostError } from "../../../../lib/errors.ts";
import { type Action, FakeBus, type Script } from "../../protocol/dbus/_fake_bus.ts";
import { Stopwatch } from "../../../support/busy.ts";

const UNIT = "docker-1.scope";
const JOB = "/org/freedesktop/systemd1/job/7";
const PROPERTIES: Property[] = [["PIDs", { signature: "au", value: [42] }]];
const STARTED: Action = { reply: { signature: "o", body: [JOB] } };
const EMPTY: Action = { reply: { body: [] } };
const NO_SUCH_UNIT: Action = { error: "org.freedesktop.systemd1.NoSuchUnit", text: "not loaded" };

function removed(result: string, changes: Record<string, unknown> = {}): Action {
  return {
    signal: {
      path: "/org/freedesktop/systemd1",
      interface: "org.freedesktop.systemd1.Manager",
      member: "JobRemoved",
      signature: "uoss",
      body: [7, JOB, UNIT, result],
      ...changes,
    },
  };
}

interface Server {
  bus: FakeBus;
  endpoint: SystemdEndpoint;
}

/** Has a server with this script on the bus's socket, or on systemd's own. */
async function withServer(
  script: Omit<Script, "path">,
  test: (server: Server) => void | Promise<void>,
  place: "bus" | "private" = "bus",
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "urunc-bus-" });
  try {
    await using bus = await FakeBus.listen({ ...script, path: `${directory}/${place}` });
    const endpoint = {
      booted: directory,
      bus: `unix:path=${directory}/bus`,
      private: `${directory}/private`,
      timeout: 10_000,
    };
    await test({ bus, endpoint });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function fails(action: () => void, ...patterns: RegExp[]): HostError {
  try {
    action();
  } catch (error) {
    assert.ok(error instanceof HostError, `${error}`);
    for (const pattern of patterns) assert.match(error.message, pattern);
    return error;
  }
  throw new assert.AssertionError({ message: "it did not fail" });
}

/** The requests that have come to start a unit. */
async function startsAt(bus: FakeBus) {
  return (await bus.calls()).filter(({ member }) => member === "StartTransientUnit");
}

Deno.test("a unit is started once systemd's job is done", async () => {
  await withServer({ calls: { StartTransientUnit: [[STARTED, removed("done")]] } }, async (it) => {
    startTransientUnit(UNIT, PROPERTIES, it.endpoint);
    const calls = await it.bus.calls();
    assert.deepEqual(calls.map(({ member }) => member), [
      "AddMatch",
      "Subscribe",
      "StartTransientUnit",
    ]);
    assert.match(String(calls[0]!.body[0]), /member='JobRemoved',arg2='docker-1\.scope'$/);
    assert.deepEqual(calls[2], {
      member: "StartTransientUnit",
      destination: "org.freedesktop.systemd1",
      flags: 2,
      signature: "ssa(sv)a(sa(sv))",
      body: [UNIT, "replace", PROPERTIES, []],
    });
  });
});

Deno.test("a job that is done before its number is known is not missed", async () => {
  await withServer(
    { calls: { StartTransientUnit: [[removed("done"), STARTED]] } },
    ({ endpoint }) => startTransientUnit(UNIT, PROPERTIES, endpoint),
  );
});

Deno.test("signals of others, of other jobs and of other kinds say nothing", async () => {
  const actions = [
    STARTED,
    removed("failed", { sender: ":1.666", destination: ":1.5" }),
    removed("failed", { body: [8, "/org/freedesktop/systemd1/job/8", UNIT, "failed"] }),
    removed("failed", { member: "JobNew" }),
    removed("failed", { interface: "org.example.Manager" }),
    removed("failed", { signature: undefined, body: [] }),
    removed("done"),
  ];
  await withServer(
    { calls: { StartTransientUnit: [actions] } },
    ({ endpoint }) => startTransientUnit(UNIT, PROPERTIES, endpoint),
  );
});

for (const result of ["failed", "canceled", "timeout", "dependency"]) {
  Deno.test(`a job that ends as ${result} is an error that names the unit`, async () => {
    await withServer(
      { calls: { StartTransientUnit: [[STARTED, removed(result)]] } },
      ({ endpoint }) => {
        fails(
          () => startTransientUnit(UNIT, PROPERTIES, endpoint),
          new RegExp(`start docker-1\\.scope.*"${result}"`),
          /journalctl -u docker-1\.scope/,
        );
      },
    );
  });
}

Deno.test("systemd's errors keep its text and their names", async () => {
  const exists: Action = { error: "org.freedesktop.systemd1.UnitExists", text: "it is loaded" };
  await withServer({ calls: { StartTransientUnit: [[exists]] } }, ({ endpoint }) => {
    const error = fails(
      () => startTransientUnit(UNIT, PROPERTIES, endpoint),
      /start docker-1\.scope: it is loaded \(org\.freedesktop\.systemd1\.UnitExists\)/,
    );
    assert.equal((error as DBusError).errorName, "org.freedesktop.systemd1.UnitExists");
  });
});

const SILENT: [what: string, actions: Action[]][] = [
  ["says nothing", []],
  ["does not tell how the job ended", [STARTED]],
  ["begins to answer", [{ raw: "6c0201" }]],
];

for (const [what, actions] of SILENT) {
  Deno.test(`systemd that ${what} is waited for until the time is over`, async () => {
    await withServer({ calls: { StartTransientUnit: [actions] } }, ({ endpoint }) => {
      const watch = new Stopwatch();
      const impatient = { ...endpoint, timeout: 300 };
      fails(() => startTransientUnit(UNIT, PROPERTIES, impatient), /docker-1\.scope/, /in time/);
      watch.assertWithin(3000, "the wait");
      assert.ok(watch.milliseconds() >= 290);
    });
  });
}

const GARBAGE: [what: string, hex: string][] = [
  ["other bytes", "ff".repeat(64)],
  ["a message of 4 GiB", `6c020101ffffffff01000000${"ff".repeat(4)}`],
  ["a message with broken fields", `6c02010100000000010000000800000005017300${"ff".repeat(4)}`],
];

for (const [what, raw] of GARBAGE) {
  Deno.test(`garbage is rejected at once: ${what}`, async () => {
    await withServer({ calls: { StartTransientUnit: [[{ raw }]] } }, ({ endpoint }) => {
      fails(() => startTransientUnit(UNIT, PROPERTIES, endpoint), /message of D-Bus/);
    });
  });
}

for (const authentication of ["REJECTED EXTERNAL", "ERROR", "x".repeat(2000)]) {
  Deno.test(`a bus that says ${authentication.slice(0, 17)} is not used`, async () => {
    await withServer({ authentication, calls: {} }, ({ endpoint }) => {
      fails(() => startTransientUnit(UNIT, PROPERTIES, endpoint), /connect to D-Bus.*\/bus/);
    });
  });
}

Deno.test("a lost connection is re-established: systemd may be upgrading itself", async () => {
  await withServer(
    { calls: { StartTransientUnit: [[{ close: true }], [STARTED, removed("done")]] } },
    async ({ bus, endpoint }) => {
      startTransientUnit(UNIT, PROPERTIES, endpoint);
      const starts = await startsAt(bus);
      assert.equal(starts.length, 2);
    },
  );
});

Deno.test("systemd that comes back to the bus is asked again", async () => {
  const away = ["NoReply", "NameHasNoOwner", "ServiceUnknown"].map((name): Action[] => [
    { error: `org.freedesktop.DBus.Error.${name}`, text: "gone" },
  ]);
  await withServer(
    { calls: { StartTransientUnit: [...away, [STARTED, removed("done")]] } },
    ({ endpoint }) => startTransientUnit(UNIT, PROPERTIES, endpoint),
  );
});

Deno.test("a connection that is always lost becomes an error after a while", async () => {
  const closes: Action[] = [{ close: true }];
  await withServer({ calls: { StartTransientUnit: [closes] } }, async ({ bus, endpoint }) => {
    const impatient = { ...endpoint, timeout: 400 };
    // The time may be over while it is being asked once more.
    const reason = /closed the connection|in time/;
    fails(() => startTransientUnit(UNIT, PROPERTIES, impatient), reason);
    const starts = await startsAt(bus);
    assert.ok(starts.length > 1, `${starts.length} attempts`);
  });
});

Deno.test("without a bus systemd's own socket is used, which needs no name and no match", async () => {
  await withServer(
    { calls: { StartTransientUnit: [[STARTED, removed("done")]] } },
    async ({ bus, endpoint }) => {
      startTransientUnit(UNIT, PROPERTIES, endpoint);
      const calls = await bus.calls();
      assert.deepEqual(calls.map(({ member, destination }) => [member, destination]), [
        ["StartTransientUnit", undefined],
      ]);
    },
    "private",
  );
});

Deno.test("without any socket the bus's is named", () => {
  const endpoint = {
    booted: "/",
    bus: "unix:path=/nonexistent/bus",
    private: "/nonexistent/private",
    timeout: 0,
  };
  fails(() => startTransientUnit(UNIT, PROPERTIES, endpoint), /\/nonexistent\/bus/);
});

Deno.test("a unit is stopped, then forgotten", async () => {
  await withServer(
    { calls: { StopUnit: [[STARTED, removed("done")]], ResetFailedUnit: [[EMPTY]] } },
    async ({ bus, endpoint }) => {
      stopUnit(UNIT, endpoint);
      const calls = (await bus.calls()).slice(2);
      assert.deepEqual(calls.map(({ member, body }) => [member, ...body]), [
        ["StopUnit", UNIT, "replace"],
        ["ResetFailedUnit", UNIT],
      ]);
    },
  );
});

Deno.test("a unit that is gone is stopped", async () => {
  await withServer(
    { calls: { StopUnit: [[NO_SUCH_UNIT]], ResetFailedUnit: [[NO_SUCH_UNIT]] } },
    ({ endpoint }) => stopUnit(UNIT, endpoint),
  );
});

Deno.test("a unit that cannot be stopped is an error", async () => {
  const denied: Action = { error: "org.freedesktop.DBus.Error.AccessDenied", text: "no" };
  await withServer({ calls: { StopUnit: [[denied]] } }, ({ endpoint }) => {
    fails(() => stopUnit(UNIT, endpoint), /stop docker-1\.scope: no \(.*AccessDenied\)/);
  });
});

Deno.test("properties are set until the next boot", async () => {
  await withServer({ calls: { SetUnitProperties: [[EMPTY]] } }, async ({ bus, endpoint }) => {
    setUnitProperties(UNIT, PROPERTIES, endpoint);
    const [call] = await bus.calls();
    assert.deepEqual([call!.signature, call!.body], ["sba(sv)", [UNIT, true, PROPERTIES]]);
  });
});

Deno.test("without systemd the error names the alternative", () => {
  const endpoint = { booted: "/nonexistent", bus: "", private: "", timeout: 0 };
  fails(() => requireSystemd(endpoint), /not booted with systemd/, /cgroupfs driver/);
  requireSystemd({ ...endpoint, booted: "/" });
});
