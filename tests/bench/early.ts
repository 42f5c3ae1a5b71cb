/**
 * `deno task early`: finds out which functions a start calls, and writes lib/build/early_functions.ts. A
 * list that is not up to date costs a part of what it saves, and nothing else.
 */
import { bundle } from "../../lib/build/bundle.ts";
import { writeExecutable } from "../../lib/build/executable.ts";
import { doubleTable } from "../support/double.ts";
import { makeBundle } from "../support/fixtures.ts";
import { run } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { repositoryDirectory } from "../support/urunc.ts";

const CONSTANTS = { version: "0.0.0", commit: "recording" };
const OUTPUT = `${repositoryDirectory()}lib/build/early_functions.ts`;

/** A guest of each monitor, with a network: the benchmarks start one without. */
const GUESTS = [
  { hypervisor: "qemu", unikernelType: "unikraft" },
  { hypervisor: "hvt", unikernelType: "mirage" },
  { hypervisor: "spt", unikernelType: "mirage" },
  { hypervisor: "firecracker", unikernelType: "unikraft" },
];

async function main(): Promise<void> {
  await using scope = new Scope();
  const records = await scope.temporaryDirectory("early-records");
  const directory = await scope.temporaryDirectory("early");
  const executable = `${directory}/urunc`;
  const entry = `${repositoryDirectory()}main.ts`;
  await writeExecutable(await bundle(entry, CONSTANTS, records), executable);
  await run([Deno.execPath(), "run", "-A", "tests/bench/bench.ts", "1"], {
    cwd: repositoryDirectory(),
    env: { URUNC_BINARY: executable },
    timeoutSeconds: 600,
    check: true,
  });
  for (const guest of GUESTS) await start(scope, executable, guest);
  await Deno.writeTextFile(OUTPUT, sourceOf(readRecords(records)));
  await run([Deno.execPath(), "fmt", "--quiet", OUTPUT], { check: true });
}

/** Creates, starts and deletes a container of a monitor, which is the test double. */
async function start(
  scope: Scope,
  executable: string,
  unikernel: (typeof GUESTS)[number],
): Promise<void> {
  const root = await scope.temporaryDirectory("early-root");
  const config = `${root}/config.toml`;
  await Deno.writeTextFile(config, await doubleTable(unikernel.hypervisor, []));
  const id = `early-${unikernel.hypervisor}-${Deno.pid}`;
  const network = { type: "network", path: await makeNetwork(scope, id) };
  const { bundle, cleanup } = await makeBundle({
    args: ["idle"],
    unikernel,
    namespaces: [...["pid", "ipc", "uts", "mount"].map((type) => ({ type })), network],
  });
  scope.defer("remove the bundle", cleanup);
  const runtime = [executable, "--root", root, "--config", config];
  // The guest would keep a pipe of its output open.
  const quietly = (...args: string[]) =>
    run(["sh", "-c", 'exec "$@" >/dev/null 2>&1 </dev/null', "sh", ...runtime, ...args], {
      check: true,
    });
  await quietly("create", "--bundle", bundle, id);
  scope.defer("delete the container", () => quietly("delete", "--force", id));
  await quietly("start", id);
}

/** The path of a network namespace with an interface that has the default route. */
async function makeNetwork(scope: Scope, name: string): Promise<string> {
  await run(["ip", "netns", "add", name], { check: true });
  scope.defer("remove the network", () => run(["ip", "netns", "delete", name]));
  for (
    const command of [
      "link add eth0 type veth peer name p0",
      "address add 10.88.3.7/20 dev eth0",
      "link set p0 up",
      "link set eth0 up",
      "route add default via 10.88.0.1",
    ]
  ) await run(["ip", "-n", name, ...command.split(" ")], { check: true });
  return `/run/netns/${name}`;
}

/** The names of functions by their modules. */
function readRecords(directory: string): Map<string, Set<string>> {
  const functions = new Map<string, Set<string>>();
  for (const { name: file } of Deno.readDirSync(directory)) {
    for (const line of Deno.readTextFileSync(`${directory}/${file}`).split("\n")) {
      // A process that was killed may have left half of a line.
      const [module, name, ...more] = line.split(" ");
      if (module === undefined || name === undefined || more.length > 0) continue;
      functions.set(module, (functions.get(module) ?? new Set()).add(name));
    }
  }
  return functions;
}

function sourceOf(functions: ReadonlyMap<string, ReadonlySet<string>>): string {
  const lines = [...functions].sort(([a], [b]) => a < b ? -1 : 1).map(([module, names]) =>
    `${JSON.stringify(module)}: ${JSON.stringify([...names].sort().join(" "))},`
  );
  return `// deno-lint-ignore-file urunc/one-architecture
/** Names of functions that a start calls, by their modules: written by \`deno task early\`. */
export const EARLY_FUNCTIONS: Readonly<Record<string, string>> = {
${lines.join("\n")}
};
`;
}

await main();
