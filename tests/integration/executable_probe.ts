/**
 * The program that executable_test.ts links: it says what it was given and what it is.
 * `probe [--report=FILE] [--exit=N] [--throw] ARGUMENT…`
 */
import { invokedAs, isLinked, selfCommand } from "../../lib/os/self.ts";
import { type VersionInfo, versionInfo } from "../../lib/version.ts";

export interface ProbeReport {
  args: string[];
  env: Record<string, string>;
  cwd: string;
  execPath: string;
  invokedAs: string;
  linked: boolean;
  self: string[];
  version: VersionInfo;
  /** Target of each open file descriptor. */
  fds: Record<string, string>;
  /** The descriptor of the bundle, its flags as fdinfo shows them, what writing to it said. */
  bundle: { fd: string; flags: string; write: string; truncate: string };
  /** Targets of the descriptors that a child has. */
  childFds: string;
}

function option(name: string): string | undefined {
  return Deno.args.find((it) => it.startsWith(`${name}=`))?.slice(name.length + 1);
}

function errorName(fn: () => unknown): string {
  try {
    fn();
    return "allowed";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function listFds(): Record<string, string> {
  const result: Record<string, string> = {};
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      result[name] = Deno.readLinkSync(`/proc/self/fd/${name}`);
    } catch { /* the descriptor of the listing itself */ }
  }
  return result;
}

function inspectBundleFile(): ProbeReport["bundle"] {
  const path = new URL(Deno.mainModule).pathname;
  const fd = path.slice(path.lastIndexOf("/") + 1);
  return {
    fd,
    flags: /^flags:\s*(\d+)/m.exec(Deno.readTextFileSync(`/proc/self/fdinfo/${fd}`))?.[1] ?? "",
    write: errorName(() => Deno.writeTextFileSync(path, "changed", { append: true })),
    truncate: errorName(() => {
      using file = Deno.openSync(path, { write: true });
      file.truncateSync(1);
    }),
  };
}

function listChildFds(): string {
  const { stdout } = new Deno.Command("/bin/ls", { args: ["-l", "/proc/self/fd"] }).outputSync();
  return new TextDecoder().decode(stdout);
}

if (import.meta.main) {
  if (Deno.args.includes("--throw")) throw new Error("thrown by the probe");
  const report: ProbeReport = {
    args: Deno.args,
    env: Deno.env.toObject(),
    cwd: Deno.cwd(),
    execPath: Deno.execPath(),
    invokedAs: invokedAs(),
    linked: isLinked(),
    self: selfCommand(),
    version: versionInfo(),
    fds: listFds(),
    bundle: inspectBundleFile(),
    childFds: listChildFds(),
  };
  const file = option("--report");
  if (file === undefined) console.log(JSON.stringify(report));
  else Deno.writeTextFileSync(file, JSON.stringify(report));
  Deno.exit(Number(option("--exit") ?? "0"));
}
