import { HostError } from "../../errors.ts";
import { install, type Outcome } from "../../install/install.ts";
import { type Engine, ENGINES } from "../../install/places.ts";
import { uninstall } from "../../install/uninstall.ts";
import { isDirectory } from "../../os/files.ts";
import { resolvePath } from "../../os/path.ts";
import { print } from "../../output.ts";
import { requireRoot } from "../require_root.ts";
import type { CommandOf } from "../parser/commands.ts";

/** The units of daemons that read their configuration when they start. podman has none. */
const UNITS: Partial<Record<Engine, string>> = {
  containerd: "containerd",
  docker: "docker",
  crio: "crio",
};

/** For pods, by the handler that containerd and CRI-O now have. */
const RUNTIME_CLASS = `apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata:
  name: urunc
handler: urunc
`;

/** `urunc install` */
export async function installRuntime(command: CommandOf<"install">): Promise<number> {
  requireOwner("install", command);
  const outcomes = await install({
    engines: ENGINES.filter((engine) => command[engine]),
    prefix: prefixOf(command),
    dryRun: command.dryRun,
  });
  for (const outcome of outcomes) print(describe(outcome, command.dryRun));
  const changed = outcomes.filter(({ change }) => change === "written");
  await restart(changed.flatMap(({ engine }) => engine ?? []), command);
  if (outcomes.some(({ engine }) => engine === "containerd" || engine === "crio")) {
    print(`\nFor pods, once in a cluster (kubectl apply --filename -):\n\n${RUNTIME_CLASS}`);
  }
  return 0;
}

function describe({ path, change, inserted }: Outcome, dryRun: boolean): string {
  if (change === "unchanged") return `unchanged  ${path}\n`;
  const word = dryRun ? "would write" : "written  ";
  if (inserted === undefined || !dryRun) return `${word}  ${path}\n`;
  const lines = inserted.trim().split("\n").map((line) => `    ${line}\n`);
  return `${word}  ${path}, with\n${lines.join("")}`;
}

/** `urunc uninstall` */
export async function uninstallRuntime(command: CommandOf<"uninstall">): Promise<number> {
  requireOwner("uninstall", command);
  const removals = await uninstall({ prefix: prefixOf(command), dryRun: command.dryRun });
  if (removals.length === 0) print("nothing was installed by urunc install\n");
  for (const { path, change, reason } of removals) {
    const word = command.dryRun && change !== "left" ? `would be ${change}` : change;
    print(`${word}  ${path}${reason === undefined ? "" : `: ${reason}`}\n`);
  }
  const engines = ENGINES.filter((engine) =>
    removals.some(({ path, change }) => change !== "left" && path.includes(`/etc/${engine}/`))
  );
  await restart(engines, command);
  return 0;
}

/** Below another directory, whose that is may write. */
function requireOwner(
  operation: string,
  { prefix, dryRun }: { prefix: string | undefined; dryRun: boolean },
): void {
  if (prefix === undefined && !dryRun) requireRoot(operation, "the files are root's");
}

function prefixOf({ prefix }: { prefix: string | undefined }): string {
  if (prefix === undefined) return "";
  const path = resolvePath(Deno.cwd(), prefix);
  return path === "/" ? "" : path;
}

/** What runs goes on with the old configuration until it is restarted. */
async function restart(
  engines: Engine[],
  { restart, dryRun, prefix }: { restart: boolean; dryRun: boolean; prefix: string | undefined },
): Promise<void> {
  const units = engines.flatMap((engine) => UNITS[engine] ?? []);
  if (units.length === 0 || prefix !== undefined) return;
  const command = ["systemctl", "restart", ...units];
  if (!restart || dryRun) {
    print(`\nNothing is restarted without --restart: ${command.join(" ")}\n`);
    return;
  }
  const fail = (reason: string) =>
    new HostError({
      operation: "restart",
      subject: units.join(", "),
      reason,
      remedy: "everything is installed; restart them by hand",
    });
  // sd_booted(3)
  if (!isDirectory("/run/systemd/system")) throw fail("this machine was not booted with systemd");
  const { success, stderr } = await new Deno.Command("systemctl", {
    args: command.slice(1),
    stdin: "null",
  }).output();
  if (!success) throw fail(new TextDecoder().decode(stderr).trim());
  print(`restarted  ${units.join(", ")}\n`);
}
