/** Containers as a caller of the runtime has them: one object for each, undone with its scope. */
import { cgroupDirectories } from "./cgroups.ts";
import { doubleConfiguration, type DoubleReport, doubleTable, parseReport } from "./double.ts";
import {
  type BundleOptions,
  debianKernel,
  type InitrdOptions,
  makeBundle,
  makeLinuxInitrd,
} from "./fixtures.ts";
import { RUN_MARK } from "./mark.ts";
import { type CommandResult, isAlive, listPids, readCommandLine, run, waitFor } from "./process.ts";
import type { Scope } from "./scope.ts";
import { urunc, uruncBinary, type UruncOptions, uruncRoot } from "./urunc.ts";

/** What a container differs in from the plainest one. */
export interface ContainerOptions extends BundleOptions {
  /** A new one by default. */
  id?: string;
  /** State directory; one of its own by default. */
  root?: string;
  /** The operator's configuration. */
  config?: string;
  /** Makes it in place of the executable under test; which still does the rest. */
  binary?: string;
  /** Global options of every command. */
  globals?: string[];
}

/** What `urunc state` prints. */
export interface PrintedState {
  ociVersion: string;
  id: string;
  status: string;
  pid?: number;
  bundle: string;
  rootfs: string;
  created: string;
  annotations?: Record<string, string>;
}

/** How one `create` is called. */
export interface CreateCall {
  /** Options of `create`. */
  args?: string[];
  /** Program and arguments that the command is put behind: `setpriv …`. */
  wrapper?: string[];
  env?: Record<string, string>;
  clearEnv?: boolean;
  cwd?: string;
}

/** A command that was not waited for. */
export interface Spawned {
  child: Deno.ChildProcess;
  ended: boolean;
  code: Promise<number>;
}

/** Redirects by the shell: the container keeps the files, and no test holds a pipe of its. */
const TO_FILES = 'exec >>"$1" 2>>"$2" </dev/null; shift 2; exec "$@"';

/** A container of a test, with a bundle and, by default, a state directory of its own. */
export class Container {
  readonly id: string;
  readonly root: string;
  readonly bundle: string;
  readonly rootfs: string;
  /** Where the monitor's standard output and error go. */
  readonly stdoutFile: string;
  readonly stderrFile: string;
  readonly #options: ContainerOptions;

  private constructor(
    options: ContainerOptions,
    places: Pick<Container, "root" | "bundle" | "rootfs"> & { output: string },
  ) {
    this.#options = options;
    this.id = options.id ?? `test-${RUN_MARK}-${crypto.randomUUID().slice(0, 8)}`;
    this.root = places.root;
    this.bundle = places.bundle;
    this.rootfs = places.rootfs;
    this.stdoutFile = `${places.output}/stdout`;
    this.stderrFile = `${places.output}/stderr`;
  }

  /** A bundle, and all that is needed to call `create`; at the end of the scope all of it goes. */
  static async prepare(scope: Scope, options: ContainerOptions = {}): Promise<Container> {
    const { bundle, rootfs, cleanup } = await makeBundle(options);
    scope.defer(`remove ${bundle}`, cleanup);
    const output = await scope.temporaryDirectory("output");
    const root = options.root ?? await uruncRoot(scope);
    const container = new Container(options, { root, bundle, rootfs, output });
    // Before the bundle goes; a state directory that was given is not cleaned by its maker only.
    scope.defer(`delete ${container.id}`, async () => {
      assertSucceeded(await container.delete("--force"), `delete ${container.id} at the end`);
    });
    return container;
  }

  /** Any command on this state directory. */
  urunc(args: string[], options: Partial<UruncOptions> = {}): Promise<CommandResult> {
    const { config, globals } = this.#options;
    return urunc(args, { root: this.root, config, globals, ...options });
  }

  /** `create`, and the error when it failed: standard error is what the command itself wrote. */
  async create(call: CreateCall = {}): Promise<CommandResult> {
    return await this.#withOutput("create", call);
  }

  /** `run`, to the guest's end. */
  async run(call: CreateCall = {}): Promise<CommandResult> {
    return await this.#withOutput("run", call);
  }

  /** The command line of `create` or `run`, output to the files. */
  async commandLine(verb: "create" | "run", call: CreateCall = {}): Promise<string[]> {
    const { config, globals = [] } = this.#options;
    const shell = ["sh", "-c", TO_FILES, "sh", this.stdoutFile, this.stderrFile];
    return [
      ...shell,
      ...(call.wrapper ?? []),
      this.#options.binary ?? await uruncBinary(),
      ...["--root", this.root],
      ...(config === undefined ? [] : ["--config", config]),
      ...globals,
      ...[verb, "--bundle", this.bundle, ...(call.args ?? []), this.id],
    ];
  }

  /** Starts `create` or `run` and does not wait; the scope ends it when it is still there. */
  async spawn(scope: Scope, verb: "create" | "run", call: CreateCall = {}): Promise<Spawned> {
    const [program, ...args] = await this.commandLine(verb, call);
    const { env, clearEnv, cwd } = call;
    const child = new Deno.Command(program!, { args, env, clearEnv, cwd, stdin: "null" }).spawn();
    const spawned: Spawned = { child, ended: false, code: child.status.then(({ code }) => code) };
    child.status.then(() => spawned.ended = true);
    scope.defer(`end ${verb} of ${this.id}`, async () => {
      if (!spawned.ended) child.kill("SIGKILL");
      await child.status;
    });
    return spawned;
  }

  async #withOutput(verb: "create" | "run", call: CreateCall): Promise<CommandResult> {
    const before = { out: this.output().length, err: this.errors().length };
    const { env, clearEnv, cwd } = call;
    const { code } = await run(await this.commandLine(verb, call), { env, clearEnv, cwd });
    return {
      code,
      stdout: this.output().slice(before.out),
      stderr: this.errors().slice(before.err),
    };
  }

  start(): Promise<CommandResult> {
    return this.urunc(["start", this.id]);
  }

  /** @param args signal and options; SIGTERM by default */
  kill(...args: string[]): Promise<CommandResult> {
    return this.urunc(["kill", ...args.filter(isOption), this.id, ...args.filter(isWord)]);
  }

  delete(...args: string[]): Promise<CommandResult> {
    return this.urunc(["delete", ...args, this.id]);
  }

  /** What `state` prints. Throws when it fails. */
  async state(): Promise<PrintedState> {
    const { stdout } = await this.urunc(["state", this.id], { check: true });
    return JSON.parse(stdout);
  }

  /** Creates it and returns its process. Throws when that fails. */
  async mustCreate(call: CreateCall = {}): Promise<number> {
    const { code, stderr } = await this.create(call);
    if (code !== 0) throw new Error(`create: exit code ${code}: ${stderr}`);
    const { pid } = await this.state();
    if (pid === undefined) throw new Error("a created container has no pid");
    return pid;
  }

  /** Creates and starts it, and returns its process. Throws when that fails. */
  async mustStart(call: CreateCall = {}): Promise<number> {
    const pid = await this.mustCreate(call);
    const { code, stderr } = await this.start();
    if (code !== 0) throw new Error(`start: exit code ${code}: ${stderr}`);
    return pid;
  }

  /** The monitor of a running container; `pid` of its state is the waiter's. */
  async monitorPid(): Promise<number> {
    const { annotations } = await this.state();
    const pid = annotations?.["com.urunc.monitor.pid"];
    if (pid === undefined) throw new Error(`${this.id} has no monitor`);
    return Number(pid);
  }

  /** Waits until `state` says this. */
  async waitForStatus(status: string, timeoutSeconds = 20): Promise<PrintedState> {
    return await waitFor(async () => {
      const state = await this.state();
      return state.status === status ? state : undefined;
    }, { timeoutSeconds, what: `${this.id} to be ${status}` });
  }

  /** Waits until the monitor has printed this; a guest may have to boot before. */
  async waitForOutput(text: string, timeoutSeconds = 60): Promise<string> {
    return await waitFor(() => this.output().includes(text) ? this.output() : undefined, {
      timeoutSeconds,
      what: `${JSON.stringify(text)} in the output`,
    }).catch((error) => {
      throw new Error(`${error.message}; output: ${this.output()}; errors: ${this.errors()}`);
    });
  }

  /** What the monitor has printed until now. */
  output(): string {
    return readIfThere(this.stdoutFile);
  }

  /** What the monitor, and the commands that made it, wrote to standard error until now. */
  errors(): string {
    return readIfThere(this.stderrFile);
  }

  /** The test double's report of itself, once it is there. */
  async report(): Promise<DoubleReport> {
    return parseReport(await this.waitForOutput('"opens"'));
  }

  /** True while the state directory has something of this container. */
  exists(): boolean {
    try {
      Deno.lstatSync(`${this.root}/${this.id}`);
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  }

  /** Reads config.json, lets it be changed, and writes it. */
  async editConfig(edit: (config: Record<string, unknown>) => void): Promise<void> {
    const path = `${this.bundle}/config.json`;
    const config = JSON.parse(await Deno.readTextFile(path));
    edit(config);
    await Deno.writeTextFile(path, JSON.stringify(config));
  }
}

/**
 * A container whose monitor is the test double, on emulation, which needs nothing of the machine.
 *
 * @param commands what the double is to do
 * @param options `configuration`: lines of the operator's configuration in place of the usual ones,
 *   `monitor`: lines about the monitor
 */
export async function doubleContainer(
  scope: Scope,
  commands: string,
  options: ContainerOptions & { configuration?: string; monitor?: string } = {},
): Promise<Container> {
  const { configuration = 'accelerator = "tcg"', monitor = "", ...rest } = options;
  const config = options.config ?? await doubleConfiguration(scope, configuration);
  if (monitor !== "") await Deno.writeTextFile(config, `${monitor}\n`, { append: true });
  return await Container.prepare(scope, { args: [commands], ...rest, config });
}

/**
 * The same with the double in the place of a monitor that opens its devices itself: Firecracker,
 * which needs KVM. What guests of it get follows their init.
 */
export async function nodeDoubleContainer(
  scope: Scope,
  commands: string,
  options: ContainerOptions = {},
): Promise<Container> {
  const config = `${await scope.temporaryDirectory("config")}/config.toml`;
  await Deno.writeTextFile(config, await doubleTable("firecracker"));
  return await Container.prepare(scope, {
    unikernelType: "linux",
    unikernel: { hypervisor: "firecracker", agent: "none" },
    args: ["/init", ...commands.split(" ")],
    ...options,
    config,
  });
}

/**
 * The same with a guest that has an agent, for which the double stands, too. What it prints is the console:
 * in the container's errors, unless it reports an exit code.
 *
 * @param options `config`: where the double is Firecracker
 */
export async function agentDoubleContainer(
  scope: Scope,
  commands: string,
  options: ContainerOptions = {},
): Promise<Container> {
  const directory = await scope.temporaryDirectory("agent");
  const [initrd, config] = [`${directory}/initrd`, `${directory}/config.toml`];
  // What is needed of cpio(5).
  await Deno.writeTextFile(initrd, "070701".padEnd(512, "0"));
  await Deno.writeTextFile(config, await doubleTable("firecracker"));
  return await Container.prepare(scope, {
    unikernelType: "linux",
    initrd,
    unikernel: {
      hypervisor: "firecracker",
      kernelParameters: `double=${commands.replaceAll(" ", ",")}`,
    },
    args: ["/program"],
    config,
    ...options,
  });
}

/**
 * A container whose guest is Debian's kernel with busybox in an initial RAM disk, on emulation.
 *
 * @param options `disk`: what else is in the RAM disk
 */
export async function linuxContainer(
  scope: Scope,
  options: ContainerOptions & { disk?: InitrdOptions } = {},
): Promise<Container> {
  const { disk, ...rest } = options;
  const initrd = await makeLinuxInitrd(disk);
  scope.defer("remove the initrd", () => initrd.cleanup());
  return await Container.prepare(scope, {
    unikernelType: "linux",
    kernel: await debianKernel(),
    initrd: initrd.path,
    accelerator: "tcg",
    ...rest,
  });
}

/**
 * A wrapper that gives the command a session keyring of this name: keyctl(2) by its number on
 * x86-64. Needs perl.
 */
export function inKeyring(name: string): string[] {
  const script = 'my $name = shift; syscall(250, 1, $name, 0, 0, 0) >= 0 or die "$!"; exec @ARGV';
  return ["perl", "-e", script, name];
}

/** Fails the test unless a command failed with this code and all of these texts. */
export function assertFailed(
  result: CommandResult,
  texts: (string | RegExp)[],
  code = 1,
): void {
  // A log line of text quotes the message.
  const stderr = result.stderr.replaceAll('\\"', '"');
  const matches = (text: string | RegExp) =>
    typeof text === "string" ? stderr.includes(text) : text.test(stderr);
  const missing = texts.filter((text) => !matches(text));
  if (result.code === code && missing.length === 0) return;
  throw new Error(
    `exit code ${result.code}, expected ${code}; missing: ${missing.join(" | ") || "nothing"}; ` +
      `standard error: ${result.stderr}`,
  );
}

/** Fails the test unless a command succeeded. */
export function assertSucceeded(result: CommandResult, what = "the command"): void {
  if (result.code !== 0) throw new Error(`${what}: exit code ${result.code}: ${result.stderr}`);
}

/**
 * Fails the test when anything of a container is still there: state, cgroups, mounts, processes.
 *
 * @param pid of its process, when it had one
 */
export function assertNothingLeft(container: Container, pid?: number): void {
  const { id, root, bundle } = container;
  const mine = (text: string) => text.includes(`${root}/`) || text.includes(bundle);
  const left = [
    ...(container.exists() ? [`state directory ${root}/${id}`] : []),
    ...cgroupDirectories(`/urunc/${id}`).map((it) => `cgroup ${it}`),
    ...Deno.readTextFileSync("/proc/self/mountinfo").split("\n").filter(mine),
    ...listPids().filter((it) => it !== Deno.pid && mine(readCommandLine(it).join(" ")))
      .map((it) => `process ${it}: ${readCommandLine(it).join(" ")}`),
    ...(pid !== undefined && isAlive(pid) ? [`process ${pid}`] : []),
  ];
  if (left.length > 0) throw new Error(`left behind:\n${left.join("\n")}`);
}

function isOption(argument: string): boolean {
  return argument.startsWith("-");
}

function isWord(argument: string): boolean {
  return !isOption(argument);
}

function readIfThere(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}
