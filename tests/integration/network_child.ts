/**
 * Carries out calls of lib/network in the network namespace that it is started in, and prints their
 * outcomes as JSON: `deno run network_child.ts '[["createTap", {…}], …]'`.
 */
import { readNetwork } from "../../lib/network/discover.ts";
import { linkUp, setMtu } from "../../lib/network/link.ts";
import {
  filterGuest,
  redirectIngress,
  removeIngress,
  shareIngress,
} from "../../lib/network/redirect.ts";
import type { TapOwner } from "../../lib/network/owner.ts";
import { isAlive } from "../../lib/os/alive.ts";
import {
  createTap,
  isTapOfAnother,
  removeStaleTap,
  removeTap,
  tapExists,
} from "../../lib/network/tap.ts";

/** All are in one PID namespace, and none has a cgroup of its own. */
const isOwnerAlive = ({ pid, startTime }: TapOwner) => isAlive(pid, startTime);

const functions = {
  readNetwork,
  linkUp,
  setMtu,
  redirectIngress,
  shareIngress,
  filterGuest,
  removeIngress,
  createTap,
  removeTap: (name: string) => removeTap(name, isOwnerAlive),
  removeStaleTap,
  isTapOfAnother: (name: string, own?: TapOwner) => isTapOfAnother(name, own, isOwnerAlive),
  tapExists,
};

/** A function's name and its arguments. */
export type Call = {
  [Name in keyof typeof functions]: [Name, ...Parameters<(typeof functions)[Name]>];
}[keyof typeof functions];

/** What a call returned or threw. */
export interface Outcome {
  value?: unknown;
  /** The error's class and text. */
  error?: string;
  code?: string;
}

if (import.meta.main) {
  const calls = JSON.parse(Deno.args[0] ?? "[]") as Call[];
  const rounds = Number(Deno.args[1] ?? "1");
  let outcomes: Outcome[] = [];
  for (let round = 0; round < rounds; round++) outcomes = calls.map(perform);
  console.log(JSON.stringify(outcomes));
}

function perform([name, ...parameters]: Call): Outcome {
  try {
    return { value: (functions[name] as (...parameters: unknown[]) => unknown)(...parameters) };
  } catch (error) {
    const { code } = error as { code?: string };
    return {
      error: `${(error as Error).name}: ${(error as Error).message}`,
      ...(code && { code }),
    };
  }
}
