/**
 * `deno task bench [ROUNDS [command|containerd|pods|agent|files]] [--guests[=COUNT]] [--json FILE]`: what a caller waits
 * for, ours and others', as ratios of one run; the callers of the command line, of containerd, of its CRI plugin, of a Linux
 * guest with an agent, and of one with the host's files; or one of them. `--guests` measures what many containers take
 * instead.
 */
import { installPackages, type PackageWish, TEST_PACKAGES } from "../support/packages.ts";
import { run } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { repositoryDirectory, uruncBinary } from "../support/urunc.ts";
import { benchAgent } from "./agent.ts";
import { benchCommands } from "./commands.ts";
import { benchContainerd } from "./containerd.ts";
import { benchFiles } from "./files.ts";
import { benchGuests } from "./guests.ts";
import { type Options, parseOptions, type PartName } from "./options.ts";
import { benchPods } from "./pods.ts";
import { machineFacts, type MissingRow, printTable, type Table, writeJson } from "./table.ts";

const PACKAGES: PackageWish[] = [
  { package: "hyperfine", purpose: "measures" },
  { package: "crun", purpose: "another runtime to compare with" },
];

/** Rows that no machine with Debian's packages alone has. */
const UNAVAILABLE: MissingRow[] = [
  {
    name: "ctr run --rm of Solo5-hvt's hello / the Go urunc",
    reason: "neither solo5-hvt nor the Go urunc has a package in Debian",
  },
  {
    name: "guest network with vhost-net / without",
    reason: "by an emulated processor it says little; this machine may have no /dev/vhost-net",
  },
];

/** Of one deployment. */
const REPLICAS = 40;

const MEASURES: Record<PartName, (scope: Scope, options: Options) => Promise<Table>> = {
  command: (scope, { rounds }) => benchCommands(scope, rounds),
  containerd: async (scope, { rounds }) => ({
    rows: [await benchContainerd(scope, rounds)],
    missing: [],
  }),
  pods: (scope) => benchPods(scope, REPLICAS),
  agent: (scope, { rounds }) => benchAgent(scope, rounds),
  files: (scope, { rounds }) => benchFiles(scope, rounds),
};

async function main(): Promise<void> {
  const options = parseOptions(Deno.args);
  await installPackages([...TEST_PACKAGES, ...PACKAGES]);
  await run([Deno.execPath(), "task", "compile"], {
    cwd: repositoryDirectory(),
    timeoutSeconds: 300,
    check: true,
  });
  const machine = await machineFacts({
    urunc: [await uruncBinary(), "--version"],
    runc: ["runc", "--version"],
    crun: ["crun", "--version"],
    containerd: ["containerd", "--version"],
    qemu: ["qemu-system-x86_64", "--version"],
  });
  for (const [name, fact] of Object.entries(machine)) console.log(`${name}: ${fact}`);
  console.log(`${options.rounds} interleaved rounds; the monitor is the test double`);

  await using scope = new Scope();
  const table: Table = { rows: [], missing: [] };
  const add = (found: Table) => {
    printTable(found);
    table.rows.push(...found.rows);
    table.missing.push(...found.missing);
  };
  for (const part of options.parts) add(await MEASURES[part](scope, options));
  if (options.guests !== undefined) add(await benchGuests(scope, options.guests, options.rounds));
  add({ rows: [], missing: UNAVAILABLE });
  if (options.json !== undefined) await writeJson(options.json, machine, table);
}

await main();
