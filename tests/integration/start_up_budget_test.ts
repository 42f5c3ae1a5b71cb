/**
 * How much of the program each process of a container's life loads. V8 compiles it anew in every process,
 * which takes some 45 µs of a processor for each KiB: of all that a start takes this is what changes of the
 * program change, and it is the same in every run, on every machine.
 */
import assert from "node:assert/strict";
import { bundle, bundleModules } from "../../lib/build/bundle.ts";
import { writeExecutable } from "../../lib/build/executable.ts";
import { doubleTable } from "../support/double.ts";
import { makeBundle } from "../support/fixtures.ts";
import { run } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { repositoryDirectory, uruncRoot } from "../support/urunc.ts";

/**
 * KiB of minified code; a tenth more than there was when this was written. A change that needs more has to
 * say why; one that needs much less lowers it.
 */
const BUDGETS = { "--version": 13, state: 72, create: 316, init: 134, start: 108, delete: 91 };
type Subject = keyof typeof BUDGETS;

/** Modules that are a text in base64 and little else, which V8 only reads over. */
const DATA = ["lib/seccomp/prepared.ts", "lib/launch/waiter_bytes.ts"];

/** What no container needs on a node whose operator changed nothing. */
const NEEDLESS: [Subject, RegExp][] = [
  ["init", /^lib\/(cli|shim|config\/parse|oci)\b/],
  ["init", /^lib\/seccomp\/(tables|program|rules|calls)\b/],
  ["create", /^lib\/(shim|doctor|install|kernels)\b/],
  ["start", /^lib\/(plan|inspect|guest\/families|shim)\b/],
  ["delete", /^lib\/(plan|inspect|guest\/families|shim)\b/],
  ["state", /^lib\/(plan|inspect|launch\/(steps|perform)|shim)\b/],
];

testIf(
  "budget: no process of a container's life loads more of the program than it needs",
  { needs: ["root", "gcc"], timeoutSeconds: 240 },
  async () => {
    await using scope = new Scope();
    const loaded = await recordLoads(scope);
    const entry = `${repositoryDirectory()}main.ts`;
    const modules = await bundleModules(entry, { version: "0.0.0", commit: "budget" });
    const sizes = new Map(
      modules.map(({ name, code }) => [name, DATA.includes(name) ? 0 : code.length]),
    );
    for (const [subject, budget] of Object.entries(BUDGETS) as [Subject, number][]) {
      const names = loaded[subject];
      assert.ok(names.length > 0, `${subject} loads nothing`);
      const needless = NEEDLESS.filter(([of]) => of === subject)
        .flatMap(([, pattern]) => names.filter((name) => pattern.test(name)));
      assert.deepEqual(needless, [], `${subject} loads what it does not need`);
      const kib = names.reduce((sum, name) => sum + sizes.get(name)!, 0) / 1024;
      const largest = names.toSorted((a, b) => sizes.get(b)! - sizes.get(a)!).slice(0, 10);
      assert.ok(
        kib <= budget,
        `${subject} loads ${kib.toFixed(1)} KiB in ${names.length} modules, more than ${budget}; ` +
          `the largest: ${largest.map((it) => `${it} ${sizes.get(it)}`).join(", ")}`,
      );
    }
  },
);

/** The modules that each process loads, by an executable that writes them down. */
async function recordLoads(scope: Scope): Promise<Record<Subject, string[]>> {
  const records = await scope.temporaryDirectory("budget-records");
  const directory = await scope.temporaryDirectory("budget");
  const executable = `${directory}/urunc`;
  const entry = `${repositoryDirectory()}main.ts`;
  await writeExecutable(
    await bundle(entry, { version: "0.0.0", commit: "budget" }, records),
    executable,
  );
  // Without further calls, as on a node: their filter was assembled when the executable was built.
  const config = `${directory}/config.toml`;
  await Deno.writeTextFile(config, await doubleTable("qemu", []));
  const guest = await makeBundle({ args: ["idle"], accelerator: "tcg" });
  scope.defer("remove the bundle", guest.cleanup);
  const id = `budget-${Deno.pid}`;
  const runtime = [executable, "--root", await uruncRoot(scope), "--config", config];
  // The guest would keep a pipe of the output open.
  const quietly = ["sh", "-c", 'exec "$@" >/dev/null 2>&1 </dev/null', "sh", ...runtime];
  const command = async (...args: string[]) => {
    await run([...quietly, ...args], { check: true });
    return takeRecords(records);
  };
  scope.defer("delete the container", () => run([...quietly, "delete", "--force", id]));
  const [version] = await command("--version");
  const created = await command("create", "--bundle", guest.bundle, id);
  const isInit = (names: string[]) => !names.includes("lib/cli/command_line.ts");
  return {
    "--version": version!,
    create: created.find((it) => !isInit(it))!,
    init: created.find(isInit)!,
    state: (await command("state", id))[0]!,
    start: (await command("start", id))[0]!,
    delete: (await command("delete", "--force", id))[0]!,
  };
}

/** The modules of each process since the last time. */
function takeRecords(directory: string): string[][] {
  return [...Deno.readDirSync(directory)].map(({ name }) => {
    const lines = Deno.readTextFileSync(`${directory}/${name}`).split("\n");
    Deno.removeSync(`${directory}/${name}`);
    // A function has its name behind its module's.
    return lines.filter((line) => line !== "" && !line.includes(" "));
  });
}
