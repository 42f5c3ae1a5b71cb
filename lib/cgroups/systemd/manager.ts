import { HostError } from "../../errors.ts";
import { debug, timedSync } from "../../watch.ts";
import { socketPaths } from "../../protocol/dbus/address.ts";
import { Connection, DBusError, DisconnectedError } from "../../protocol/dbus/connection.ts";
import { type Message, NO_AUTO_START, NO_REPLY_EXPECTED } from "../../protocol/dbus/message.ts";
import type { Value, Variant } from "../../protocol/dbus/values.ts";

const SYSTEMD = "org.freedesktop.systemd1";
const MANAGER = "org.freedesktop.systemd1.Manager";
const BUS = "org.freedesktop.DBus";

/** Errors of systemd that callers handle. */
export const UNIT_EXISTS = "org.freedesktop.systemd1.UnitExists";
const NO_SUCH_UNIT = "org.freedesktop.systemd1.NoSuchUnit";

/** What the bus says while systemd is away from it. */
const AWAY = ["NoReply", "NameHasNoOwner", "ServiceUnknown"].map((name) =>
  `org.freedesktop.DBus.Error.${name}`
);

/** How long systemd may take for one thing, its jobs included. runc waits as long. Milliseconds. */
const TIMEOUT_MILLISECONDS = 30_000;
/** Between attempts while systemd executes itself anew and has no sockets. */
const RECONNECT_MILLISECONDS = 100;

/** A property of a unit: its name and value. */
export type Property = [name: string, value: Variant];

/** Where systemd is reached. */
export interface SystemdEndpoint {
  /** Exists when systemd is process 1: sd_booted(3). */
  booted: string;
  /** Addresses of the bus. */
  bus: string;
  /** systemd's own socket, for root, where no bus runs. */
  private: string;
  /** For everything that is asked for in one call here. Milliseconds. */
  timeout: number;
}

/** As this machine has it; the caller's environment may name another bus. */
export function systemdEndpoint(): SystemdEndpoint {
  return {
    booted: "/run/systemd/system",
    bus: Deno.env.get("DBUS_SYSTEM_BUS_ADDRESS") || "unix:path=/run/dbus/system_bus_socket",
    private: "/run/systemd/private",
    timeout: TIMEOUT_MILLISECONDS,
  };
}

/** @throws HostError unless systemd runs this machine */
export function requireSystemd({ booted } = systemdEndpoint()): void {
  try {
    if (Deno.lstatSync(booted).isDirectory) return;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  throw new HostError({
    operation: "use systemd's cgroup driver",
    reason: "this machine was not booted with systemd",
    remedy:
      "use the cgroupfs driver: without --systemd-cgroup, docker's native.cgroupdriver=cgroupfs, " +
      "podman's --cgroup-manager=cgroupfs",
  });
}

/**
 * Starts a transient unit and waits until it is there.
 *
 * @throws DBusError, `UNIT_EXISTS` among them; HostError when systemd does not answer or its job fails
 * @see org.freedesktop.systemd1(5), StartTransientUnit
 */
export function startTransientUnit(
  unit: string,
  properties: Property[],
  endpoint = systemdEndpoint(),
): void {
  withSystemd(endpoint, (systemd) => {
    const operation = `start ${unit}`;
    // Of units that go along with it: none.
    const auxiliary: Value[] = [];
    const result = systemd.job(
      unit,
      "StartTransientUnit",
      "ssa(sv)a(sa(sv))",
      [unit, "replace", properties, auxiliary],
      operation,
    );
    if (result === "done") return;
    throw new HostError({
      operation,
      reason: `systemd's job ended as ${JSON.stringify(result)}`,
      remedy: `journalctl -u ${unit} shows why`,
    });
  });
}

/**
 * Ends a unit and has systemd forget it. One that is gone is not an error.
 *
 * @throws DBusError; HostError when systemd does not answer
 * @see org.freedesktop.systemd1(5), StopUnit and ResetFailedUnit
 */
export function stopUnit(unit: string, endpoint = systemdEndpoint()): void {
  withSystemd(endpoint, (systemd) => {
    const operation = `stop ${unit}`;
    unlessGone(() => systemd.job(unit, "StopUnit", "ss", [unit, "replace"], operation));
    // A unit whose process was OOM-killed has failed, and would stay.
    unlessGone(() => systemd.call("ResetFailedUnit", "s", [unit], operation));
  });
}

/**
 * Changes properties of a unit until the machine is booted anew.
 *
 * @throws DBusError; HostError when systemd does not answer
 * @see org.freedesktop.systemd1(5), SetUnitProperties
 */
export function setUnitProperties(
  unit: string,
  properties: Property[],
  endpoint = systemdEndpoint(),
): void {
  withSystemd(endpoint, (systemd) => {
    const runtime = true;
    const operation = `set properties of ${unit}`;
    systemd.call("SetUnitProperties", "sba(sv)", [unit, runtime, properties], operation);
  });
}

function unlessGone(action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof DBusError && error.errorName === NO_SUCH_UNIT)) throw error;
  }
}

/** systemd's manager object, over the bus or directly. */
class Systemd {
  readonly #connection: Connection;
  readonly #overBus: boolean;

  constructor(connection: Connection, overBus: boolean) {
    this.#connection = connection;
    this.#overBus = overBus;
  }

  /** Has a method carried out and returns its reply. */
  call(member: string, signature: string, body: Value[], operation: string): Message {
    return timedSync(
      `systemd: ${member}: ${operation}`,
      () => this.#connection.reply(this.#send(member, signature, body), operation),
    );
  }

  /**
   * As `call`, for a method that returns a job. Waits for the job's end and returns its result.
   *
   * Everything is sent at once: the bus keeps the order, so the signal cannot be missed.
   */
  job(
    unit: string,
    member: string,
    signature: string,
    body: Value[],
    operation: string,
  ): string {
    const connection = this.#connection;
    if (this.#overBus) {
      // Only this unit's jobs: unit names hold no quotes (systemd.unit(5)).
      const rule = `type='signal',sender='${SYSTEMD}',interface='${MANAGER}',` +
        `member='JobRemoved',arg2='${unit}'`;
      connection.send({ ...toBus("AddMatch", NO_REPLY_EXPECTED), signature: "s", body: [rule] });
      this.#send("Subscribe", undefined, [], NO_REPLY_EXPECTED);
    }
    const [job] = this.call(member, signature, body, operation).body;
    // Any client of the bus may send us a signal. Of the broadcasts our match passes systemd's
    // through and no other's.
    const removed = connection.signal(
      (signal) =>
        signal.member === "JobRemoved" && signal.interface === MANAGER &&
        signal.destination === undefined && signal.body[1] === job,
      `${operation}: wait for systemd's job`,
    );
    const result = String(removed.body[3]);
    debug(`systemd: job of ${unit}: ${result}`);
    return result;
  }

  #send(member: string, signature: string | undefined, body: Value[], flags = 0): number {
    return this.#connection.send({
      path: "/org/freedesktop/systemd1",
      interface: MANAGER,
      member,
      ...(this.#overBus ? { destination: SYSTEMD } : {}),
      signature,
      body,
      flags: flags | NO_AUTO_START,
    });
  }
}

/** Once more while systemd is away, until the time is over: it may be upgrading itself. */
function withSystemd(endpoint: SystemdEndpoint, action: (systemd: Systemd) => void): void {
  const deadline = performance.now() + endpoint.timeout;
  let away: unknown;
  for (;;) {
    try {
      const { connection, overBus } = connect(endpoint, deadline);
      using _connection = connection;
      return action(new Systemd(connection, overBus));
    } catch (error) {
      // What was known before the time was over in the middle of an attempt says more.
      if (!isAway(error)) throw performance.now() < deadline ? error : away ?? error;
      away = error;
      if (performance.now() + RECONNECT_MILLISECONDS > deadline) throw error;
      debug("systemd: it is away, once more");
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RECONNECT_MILLISECONDS);
    }
  }
}

function isAway(error: unknown): boolean {
  return error instanceof DisconnectedError ||
    (error instanceof DBusError && AWAY.includes(error.errorName));
}

function connect(
  endpoint: SystemdEndpoint,
  deadline: number,
): { connection: Connection; overBus: boolean } {
  let failure: unknown;
  for (const path of socketPaths(endpoint.bus)) {
    try {
      const connection = new Connection(path, deadline);
      // The bus requires Hello before anything else. Its reply need not be awaited.
      connection.send(toBus("Hello", NO_REPLY_EXPECTED));
      return { connection, overBus: true };
    } catch (error) {
      if (!(error instanceof DisconnectedError)) throw error;
      failure ??= error;
    }
  }
  try {
    return { connection: new Connection(endpoint.private, deadline), overBus: false };
  } catch {
    throw failure;
  }
}

function toBus(member: string, flags: number) {
  return {
    path: "/org/freedesktop/DBus",
    interface: BUS,
    destination: BUS,
    member,
    flags,
  };
}
