/** A node: a whole Debian with systemd, booted for a test and gone with it. */
import { type Deadline, whenOver } from "../support/busy.ts";
import { type CommandOptions, type CommandResult, run, waitFor } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { missingReason } from "../support/skip.ts";
import { bigTemporaryDirectory, missingSpace } from "../support/space.ts";
import { lines } from "../support/streams.ts";
import { nodeImage } from "./image.ts";
import { type Keys, makePayload } from "./payload.ts";
import { type Machine, startMachine } from "./qemu.ts";
import { inAnotherNode, NodeDoubted, NodeHalted } from "./watch.ts";

/** How nodes differ. */
export interface NodeOptions {
  /** The number of the kvm group, where it is not to be the image's. */
  kvmGid?: number;
  /** 3072 by default. */
  memoryMib?: number;
  /** More files, by absolute path in the node. */
  files?: Record<string, string>;
}

const MEMORY_MIB = 3072;

/** How many times as long a command may be silent on a busy machine: no more, for the group's time is not. */
const SILENCE_ALLOWANCE = 2;

/** The payload and what the tests write; a node whose disk cannot be written to stands still. */
const DISK_MIB = 3072;

/** What the image's initrd says first in each boot. */
const BOOT_MARK = "Loading, please wait...";

/** What the node says when its tests can begin. */
const READY_MARK = "urunc node: ready";

/** A minute is usual when both cores are busy elsewhere; a halt is noticed long before. */
const BOOT_SECONDS = 300;

/** What a test with `nodes` nodes at a time needs, for {@link testIf}. */
export function nodeNeeds(nodes = 1): { needs: string[]; skip?: string } {
  const needs = ["root", "mmdebstrap", "mkfs.ext4", "qemu-system-x86_64", "ssh", "gcc"];
  const reason = needs.map(missingReason).find((it) => it !== undefined);
  const space = () => missingSpace(bigTemporaryDirectory(), DISK_MIB * nodes);
  return { needs, skip: reason ?? missingMemory(nodes) ?? space() };
}

/** Two nodes fit into 6 GiB besides what a machine needs for itself. */
function missingMemory(nodes: number): string | undefined {
  const text = Deno.readTextFileSync("/proc/meminfo");
  const available = Number(/^MemAvailable:\s+(\d+)/m.exec(text)?.[1] ?? "0") >> 10;
  const needed = MEMORY_MIB * (nodes + 1);
  return available >= needed
    ? undefined
    : `needs ${needed} MiB of available memory, ${available} MiB are there`;
}

/** A node that is up. */
export class VmNode {
  readonly #machine: Machine;
  readonly #options: string[];
  /** From the start of the virtual machine until ssh answered, in seconds. */
  readonly bootSeconds: number;
  readonly #started: number;
  /** How often it was to boot so far. */
  #boots = 1;

  private constructor(machine: Machine, options: string[], started: number) {
    this.#machine = machine;
    this.#options = options;
    this.#started = started;
    this.bootSeconds = this.#seconds();
  }

  #seconds(): number {
    return (performance.now() - this.#started) / 1000;
  }

  /**
   * Boots a node, which ends with the scope.
   *
   * @throws Error with the end of the console's text when it does not come up
   */
  static async boot(scope: Scope, options: NodeOptions = {}): Promise<VmNode> {
    const image = await nodeImage();
    const directory = await scope.temporaryDirectory("node", bigTemporaryDirectory());
    const { disk, keys } = await makePayload(directory, options.files ?? {});
    const started = performance.now();
    const machine = await startMachine(scope, directory, {
      image,
      payload: disk,
      kernelArguments: options.kvmGid === undefined ? [] : [`urunc.kvm_gid=${options.kvmGid}`],
      memoryMib: options.memoryMib ?? MEMORY_MIB,
    });
    const ssh = await sshOptions(directory, machine.port, keys);
    await waitUntilReady(machine, 1);
    return new VmNode(machine, ssh, started);
  }

  /** Runs a command in the node to its end. */
  run(argv: string[], options: CommandOptions = {}): Promise<CommandResult> {
    const { env, cwd, ...rest } = options;
    return run(["ssh", ...this.#options, remoteCommand(argv, { env, cwd })], rest);
  }

  /**
   * Runs a command in the node to its end, each of its lines given to `line` when it comes. A
   * command that says nothing for `silentSeconds`, or twice that on a busy machine, is ended: how long it may take in all depends on
   * what else this machine does.
   *
   * @returns the exit code; 255 when the connection ended, too
   */
  async stream(argv: string[], line: (text: string) => void | Promise<void>, options: {
    env?: Record<string, string>;
    cwd?: string;
    silentSeconds: number;
  }): Promise<number> {
    const { silentSeconds, ...rest } = options;
    const child = new Deno.Command("ssh", {
      args: [...this.#options, remoteCommand(argv, rest)],
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    let deadline: Deadline | undefined;
    const heard = () => {
      deadline?.cancel();
      deadline = whenOver(silentSeconds, () => {
        console.error(`nothing from the node for ${silentSeconds} s: ${argv.join(" ")} is ended`);
        child.kill("SIGKILL");
      }, SILENCE_ALLOWANCE);
    };
    try {
      heard();
      for await (const text of lines(child.stdout)) {
        heard();
        await line(text);
      }
      return (await child.status).code;
    } finally {
      deadline?.cancel();
    }
  }

  /**
   * How busy its emulator has been, in a sentence: it has one processor to emulate. Undefined when it
   * has ended.
   */
  load(): string | undefined {
    const used = this.#machine.processorSeconds();
    const seconds = this.#seconds();
    if (used === undefined) return undefined;
    const processors = `${used.toFixed(0)} s of processors in ${seconds.toFixed(0)} s`;
    return `the node's emulator used ${processors}: ${(used / seconds).toFixed(1)} at a time`;
  }

  /** How the machine ended, when it did before it was asked to. */
  ending(): string | undefined {
    return this.#machine.ending();
  }

  /** What was seen of a node that halted, after an error: it can take a while to be sure. */
  async halt(): Promise<string | undefined> {
    await this.#machine.settled();
    // A triple fault resets a machine without a word.
    const boots = countInConsole(this.#machine, BOOT_MARK);
    if (boots > this.#boots) return `it has booted ${boots} times and was to ${this.#boots} times`;
    return haltOf(this.#machine);
  }

  /** The command line that logs in with a terminal. */
  loginCommand(): string[] {
    return ["ssh", "-t", ...this.#options];
  }

  /**
   * Reboots the node as an administrator does, or, with `hard`, as a power cut does.
   *
   * @returns how long it took until ssh answered again, in seconds
   */
  async reboot(options: { hard?: boolean } = {}): Promise<number> {
    const started = performance.now();
    const boots = countInConsole(this.#machine, READY_MARK);
    this.#boots++;
    if (options.hard) await this.#machine.reset();
    else await this.#askForReboot();
    await waitUntilReady(this.#machine, boots + 1);
    return (performance.now() - started) / 1000;
  }

  async #askForReboot(): Promise<void> {
    // It is late when the node went down with the connection: then the console tells.
    const answer = await this.run(["systemctl", "reboot"]).catch(() => undefined);
    const code = answer?.code ?? 0;
    // 255: the connection ended before the command did.
    if (code !== 0 && code !== 255) throw new Error(`reboot the node: ${answer?.stderr}`);
  }

  /**
   * Copies what tells about a failure to a new directory on this machine: console, kernel and
   * system logs, captured packets. Of a node that has ended only the console is left.
   *
   * @returns the directory
   */
  async collectLogs(): Promise<string> {
    const directory = await Deno.makeTempDir({ prefix: "urunc-vm-logs-" });
    await Deno.copyFile(this.#machine.consoleFile, `${directory}/console.log`);
    await Deno.copyFile(this.#machine.registersFile, `${directory}/registers.log`).catch(() => {});
    for (const [name, script] of Object.entries(LOGS)) {
      if (this.ending() !== undefined) break;
      try {
        const file = await Deno.open(`${directory}/${name}`, { create: true, write: true });
        const child = new Deno.Command("ssh", {
          args: [...this.#options, script],
          stdin: "null",
          stdout: "piped",
          stderr: "null",
        }).spawn();
        const timer = setTimeout(() => child.kill("SIGKILL"), 60_000);
        await child.stdout.pipeTo(file.writable);
        await child.status;
        clearTimeout(timer);
      } catch (error) {
        console.error(`collect ${name}: ${error instanceof Error ? error.message : error}`);
      }
    }
    return directory;
  }
}

const LOGS: Record<string, string> = {
  "journal.log": "journalctl --no-pager",
  "dmesg.log": "dmesg",
  "processes.log": "ps -e -o pid,ppid,user,cgroup,args",
  "mounts.log": "cat /proc/self/mountinfo; ip address; ip route; ls -la /dev",
  "packets.pcap": "cat /var/log/node.pcap",
};

/**
 * Runs `fn` with a node. When it fails, the node's logs are kept, and the error says where. When the
 * node halts or is in doubt, `fn` runs again, with another node.
 *
 * @param options see {@linkcode NodeOptions}
 * @param fn fails by throwing
 */
export function withNode<T>(
  options: NodeOptions,
  fn: (node: VmNode, scope: Scope) => Promise<T>,
): Promise<T> {
  return inAnotherNode(() => withOneNode(options, fn));
}

async function withOneNode<T>(
  options: NodeOptions,
  fn: (node: VmNode, scope: Scope) => Promise<T>,
): Promise<T> {
  await using scope = new Scope();
  const node = await VmNode.boot(scope, options);
  console.log(`the node is up after ${node.bootSeconds.toFixed(1)} s`);
  try {
    return await fn(node, scope);
  } catch (error) {
    const halt = await node.halt();
    const lines = [error instanceof Error ? error.message : `${error}`];
    const ending = node.ending();
    if (ending !== undefined) lines.push(ending);
    const logs = `logs of the node: ${await node.collectLogs()}`;
    if (halt !== undefined) throw new NodeHalted(`${halt}; ${logs}`, { cause: error });
    const Failure = error instanceof NodeDoubted ? NodeDoubted : Error;
    throw new Failure([...lines, logs].join("\n"), { cause: error });
  } finally {
    const load = node.load();
    if (load !== undefined) console.log(load);
  }
}

/** With the last words of its kernel, which are all that there is to go by. */
function haltOf(machine: Machine): string | undefined {
  const seen = machine.halt();
  return seen && `${seen}; the console ends with: ${consoleEnd(machine, 3)}`;
}

async function sshOptions(directory: string, port: number, keys: Keys): Promise<string[]> {
  await Deno.writeTextFile(`${directory}/known_hosts`, `[127.0.0.1]:${port} ${keys.hostKey}\n`);
  return [
    ...["-F", "/dev/null", "-i", keys.identityFile, "-p", `${port}`],
    ...["-o", `UserKnownHostsFile=${directory}/known_hosts`, "-o", "StrictHostKeyChecking=yes"],
    ...["-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"],
    // A node that halts is noticed by its watch; one on a busy machine may be silent for long.
    ...["-o", "ConnectTimeout=120", "-o", "ServerAliveInterval=15"],
    ...["-o", "ServerAliveCountMax=12"],
    "root@127.0.0.1",
  ];
}

async function waitUntilReady(machine: Machine, times: number): Promise<void> {
  try {
    await waitFor(() => {
      const ending = machine.ending();
      if (ending !== undefined) throw new Error(ending);
      return countInConsole(machine, READY_MARK) >= times;
    }, { timeoutSeconds: BOOT_SECONDS, what: "the node to boot", intervalMilliseconds: 100 });
  } catch (error) {
    const halt = haltOf(machine);
    if (halt !== undefined) throw new NodeHalted(`while it booted: ${halt}`);
    const text = consoleEnd(machine, 40);
    throw new Error(`${error instanceof Error ? error.message : error}\n${text}`);
  }
}

/** The last lines of what the kernel and init said. */
function consoleEnd(machine: Machine, count: number): string {
  try {
    const text = Deno.readTextFileSync(machine.consoleFile).replaceAll("\r", "");
    return text.trimEnd().split("\n").slice(-count).join("\n");
  } catch {
    return "";
  }
}

function countInConsole(machine: Machine, text: string): number {
  try {
    return Deno.readTextFileSync(machine.consoleFile).split(text).length - 1;
  } catch {
    return 0;
  }
}

/** One string that the node's shell takes apart into the same arguments. */
function remoteCommand(
  argv: string[],
  options: { env?: Record<string, string>; cwd?: string },
): string {
  const env = Object.entries(options.env ?? {}).map(([name, value]) => `${name}=${value}`);
  const command = ["env", ...env, ...argv].map(shellQuote).join(" ");
  return options.cwd === undefined ? command : `cd ${shellQuote(options.cwd)} && ${command}`;
}

function shellQuote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
