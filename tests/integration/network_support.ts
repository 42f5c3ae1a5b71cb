/** Network namespaces for tests, and stand-ins for what lives in them. */
import assert from "node:assert/strict";
import { TAP_NAME } from "../../lib/network/names.ts";
import type { TapOwner } from "../../lib/network/owner.ts";
import { run, signalChild, waitFor } from "../support/process.ts";
import type { Scope } from "../support/scope.ts";
import type { Call, Outcome } from "./network_child.ts";
import { RUN_PREFIX } from "../support/mark.ts";

export type { Call };

const CHILD = new URL("network_child.ts", import.meta.url).pathname;
/** One end of a TCP transfer. */
export const TRANSFER = new URL("network_transfer.ts", import.meta.url).pathname;
const GUEST_SOURCE = new URL("network_guest.c", import.meta.url).pathname;
/** What every test of the network needs. */
export const needs = ["root", "ip", "tc"];
/** No process starts before the machine does. */
export const ENDED: TapOwner = { pid: 1, startTime: "0" };
/** A tap for the usual monitor, whose init has ended. */
export const MONITOR = { name: TAP_NAME, uid: 65534, gid: 65534, mtu: 1500, owner: ENDED };
let namespaces = 0;

/** A network namespace that lasts as long as the scope. */
export class Namespace {
  private constructor(readonly name: string) {}

  static async make(scope: Scope): Promise<Namespace> {
    const name = `${RUN_PREFIX}${++namespaces}`;
    await run(["ip", "netns", "add", name], { check: true });
    scope.defer(`delete namespace ${name}`, () => run(["ip", "netns", "del", name]));
    return new Namespace(name);
  }

  /** The command line that runs another inside. */
  command(...argv: string[]): string[] {
    return ["ip", "netns", "exec", this.name, ...argv];
  }

  /** Runs `ip` or `tc` inside, a line each. */
  async setUp(...lines: string[]): Promise<void> {
    for (const line of lines) await run(this.command(...line.split(" ")), { check: true });
  }

  /** What `ip` or `tc` prints inside. */
  async look(line: string): Promise<string> {
    return (await run(this.command(...line.split(" ")), { check: true })).stdout;
  }

  /** Calls lib/network inside. */
  async call(calls: Call[], rounds = 1): Promise<Outcome[]> {
    const child = [Deno.execPath(), "run", "-A", "-q", "--no-lock", CHILD];
    const argv = this.command(...child, JSON.stringify(calls), String(rounds));
    return JSON.parse((await run(argv, { check: true })).stdout);
  }

  /** As `call`, for calls that must succeed; returns their values. */
  async succeed(...calls: Call[]): Promise<unknown[]> {
    const outcomes = await this.call(calls);
    for (const { error } of outcomes) assert.equal(error, undefined);
    return outcomes.map(({ value }) => value);
  }

  /** Everything in it that a container's network could have changed. */
  async snapshot(): Promise<string> {
    const parts = ["ip -d link", "ip address", "ip route", "tc qdisc", "ip tuntap"];
    return (await Promise.all(parts.map((line) => this.look(line)))).join("\n");
  }
}

/**
 * A container's namespace with eth0, and the host's end of it.
 *
 * @param net the first three bytes of their addresses: the host is 1, the container 2
 */
export async function makePair(
  scope: Scope,
  net = "10.9.0",
): Promise<{ container: Namespace; host: Namespace }> {
  const container = await Namespace.make(scope);
  const host = await Namespace.make(scope);
  await host.setUp(
    `ip link add host0 type veth peer name eth0 netns ${container.name}`,
    `ip address add ${net}.1/24 dev host0`,
    "ip link set host0 up",
  );
  await container.setUp(
    `ip address add ${net}.2/24 dev eth0`,
    // Without a link-local address, whose state would change by itself.
    "ip link set eth0 address 02:42:0a:09:00:02 addrgenmode none",
    "ip link set eth0 up",
    `ip route add default via ${net}.1`,
  );
  await waitFor(async () => / state UP /.test(await container.look("ip link show eth0")), {
    timeoutSeconds: 10,
    what: "eth0 to have its carrier",
  });
  return { container, host };
}

/** Calls that connect eth0 and the tap. */
export const connect: Call[] = [
  ["createTap", MONITOR],
  ["linkUp", TAP_NAME],
  ["redirectIngress", { from: "eth0", to: TAP_NAME }],
  ["redirectIngress", { from: TAP_NAME, to: "eth0" }],
];

/** Builds the program of network_guest.c, and a tun node that everybody may open. */
export async function makeGuest(scope: Scope): Promise<{ program: string; tun: string }> {
  const directory = await scope.temporaryDirectory("tap");
  const [program, tun] = [`${directory}/guest`, `${directory}/tun`];
  await run(["gcc", "-D_GNU_SOURCE", "-O1", "-o", program, GUEST_SOURCE], { check: true });
  await run(["mknod", "-m", "0666", tun, "c", "10", "200"], { check: true });
  return { program, tun };
}

/** The command line that drops all privileges as urunc does. */
export function as(uid: number, gid: number, ...argv: string[]): string[] {
  const drop = ["--clear-groups", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"];
  return ["setpriv", `--reuid=${uid}`, `--regid=${gid}`, ...drop, ...argv];
}

/**
 * Before a command: what it has started ends with it, and all of it when it is killed. (It is not the
 * first process of its PID namespace, which would be init to it.)
 */
export const ENDS_WHOLLY = [
  ...["unshare", "--pid", "--fork", "--kill-child=KILL"],
  ...["sh", "-c", '"$@"; exit $?', "sh"],
];

/** Starts a program that runs until it is killed, and waits for its first line. */
export async function startAndWait(
  scope: Scope,
  argv: string[],
  line: string,
): Promise<{ end(): Promise<void> }> {
  const [command, ...args] = argv;
  const child = new Deno.Command(command!, { args, stdin: "piped", stdout: "piped" }).spawn();
  const end = async () => {
    signalChild(child, "SIGKILL");
    await child.status;
  };
  scope.defer(`end ${argv.join(" ")}`, async () => {
    await end();
    await child.stdin.close().catch(() => {});
    await child.stdout.cancel().catch(() => {});
  });
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  reader.releaseLock();
  assert.equal(new TextDecoder().decode(value).trim(), line);
  return { end };
}
