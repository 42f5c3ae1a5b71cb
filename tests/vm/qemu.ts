/** The virtual machine that a node is: started, watched, ended by its process id. */
import { waitFor } from "../support/process.ts";
import type { Scope } from "../support/scope.ts";
import { freeMib } from "../support/space.ts";
import type { NodeImage } from "./image.ts";
import { askMonitor } from "./monitor.ts";
import { greets, processorSeconds, type Watched, watchForHalt } from "./watch.ts";

/**
 * Nothing, not even a killed test run, keeps a node longer than this. On a busy machine the nodes' group may take three
 * hours (tests/support/groups.ts), nearly all of them in one node.
 */
const MAXIMUM_SECONDS = 4 * 3600;

/** What a machine is made of. */
export interface MachineOptions {
  image: NodeImage;
  /** The second disk. */
  payload: string;
  /** Words for the kernel's command line. */
  kernelArguments: string[];
  memoryMib: number;
  /** How long a machine that computes nothing may be silent; see {@linkcode watchForHalt}. */
  silentSeconds?: number;
  /** How long one that computes may be silent. */
  deafSeconds?: number;
}

/** A running virtual machine. */
export class Machine {
  /** The port on 127.0.0.1 that leads to the node's ssh. */
  readonly port: number;
  readonly #directory: string;
  readonly #child: ReturnType<typeof spawn>;
  readonly #ended: Promise<void>;
  readonly #watch = new AbortController();
  #watching: Promise<void> | undefined;
  #ending: string | undefined;
  #halt: string | undefined;

  /** For {@linkcode startMachine}. */
  constructor(directory: string, options: MachineOptions) {
    this.port = freePort();
    this.#directory = directory;
    this.#child = spawn(directory, machineArguments(options, this.port, directory));
    this.#ended = this.#child.status.then(async ({ code }) => {
      const text = await Deno.readTextFile(`${directory}/qemu.log`).catch(() => "");
      this.#ending = `QEMU ended with code ${code}: ${text.trim() || "it says nothing"}`;
    });
  }

  /** What the node's kernel and init said. */
  get consoleFile(): string {
    return `${this.#directory}/console.log`;
  }

  /** The processors' registers, for a machine that halted. */
  get registersFile(): string {
    return `${this.#directory}/registers.log`;
  }

  /** QEMU's process id, once it runs. */
  get pid(): number {
    return Number(Deno.readTextFileSync(`${this.#directory}/pid`));
  }

  /** What QEMU has used of this machine's processors; undefined when it has ended. */
  processorSeconds(): number | undefined {
    return this.#ending === undefined ? processorSeconds(this.pid) : undefined;
  }

  /** How QEMU ended, when it did before it was asked to. */
  ending(): string | undefined {
    return this.#ending;
  }

  /** What was seen of a machine that halted; it has been killed since. */
  halt(): string | undefined {
    return this.#halt;
  }

  /** Waits until QEMU runs, or has ended already; from then on a halt is noticed. */
  async started(patience: Pick<MachineOptions, "silentSeconds" | "deafSeconds">): Promise<void> {
    const runs = () => isFile(`${this.#directory}/pid`) && isFile(this.consoleFile);
    await waitFor(() => this.#ending !== undefined || runs(), {
      timeoutSeconds: 60,
      what: "QEMU to start",
    });
    if (this.#ending !== undefined) return;
    const { pid, port, consoleFile } = this;
    this.#watching = this.#killWhenHalted({ pid, port, consoleFile, ...patience });
  }

  async #killWhenHalted(watched: Watched): Promise<void> {
    const seen = await watchForHalt(watched, this.#watch.signal);
    if (seen === undefined || this.#ending !== undefined) return;
    // QEMU stops a machine whose writes find no room.
    const full = freeMib(this.#directory) === 0;
    this.#halt = full ? `${seen}; the file system of ${this.#directory} is full` : seen;
    await keepRegisters(`${this.#directory}/monitor`, this.registersFile);
    Deno.kill(watched.pid, "SIGKILL");
    await this.#ended;
  }

  /** Comes back when the node answers, or is known to be no more, or after three minutes. */
  async settled(): Promise<void> {
    const end = performance.now() + 180_000;
    while (this.#ending === undefined && performance.now() < end) {
      if (await greets(this.port, 10)) return;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }

  /** As its button does: nobody in it is asked. */
  async reset(): Promise<void> {
    await askMonitor(`${this.#directory}/monitor`, [{ execute: "system_reset" }]);
  }

  /** Ends it. */
  async end(): Promise<void> {
    // Both fail when it has ended by itself.
    const writer = this.#child.stdin.getWriter();
    await writer.write(new TextEncoder().encode("end\n")).catch(() => {});
    await writer.close().catch(() => {});
    await this.#ended;
    this.#watch.abort();
    await this.#watching;
  }
}

/**
 * Starts the machine; the end of the scope is its end.
 *
 * @param directory for its files; removed when this process is killed
 * @throws Error with QEMU's words when it ends at once
 */
export async function startMachine(
  scope: Scope,
  directory: string,
  options: MachineOptions,
): Promise<Machine> {
  for (let attempt = 1;; attempt++) {
    const machine = new Machine(directory, options);
    scope.defer("end the node", () => machine.end());
    const { silentSeconds, deafSeconds } = options;
    await machine.started({ silentSeconds, deafSeconds });
    const ending = machine.ending();
    if (ending === undefined) return machine;
    // Somebody else took the port between our look and QEMU's.
    if (attempt < 5 && /host forwarding rule/.test(ending)) continue;
    throw new Error(`start the node: ${ending}`);
  }
}

/** In QEMU's language for people; what the processors wait for is all that there is to see. */
const REGISTERS = ["info registers", "info lapic"];

async function keepRegisters(monitor: string, file: string): Promise<void> {
  const commands = REGISTERS.map((line) => ({
    execute: "human-monitor-command",
    arguments: { "command-line": line },
  }));
  try {
    const answers = await askMonitor(monitor, commands, 3);
    await Deno.writeTextFile(file, `${answers.join("\n")}\n`);
  } catch (error) {
    console.error(`keep the registers: ${error instanceof Error ? error.message : error}`);
  }
}

function machineArguments(options: MachineOptions, port: number, directory: string): string[] {
  const { image, payload, kernelArguments, memoryMib } = options;
  const command = [
    ...kernelArguments,
    "console=ttyS0",
    "root=/dev/vda",
    "rw",
    "net.ifnames=0",
    "loglevel=4",
    // A kernel that is damaged is distinguished from a test that fails.
    "oops=panic",
    "mitigations=off",
    "systemd.show_status=false",
    // On a busy machine its disk takes longer than 90 seconds to appear: without it nobody can log in.
    "systemd.default_device_timeout_sec=900",
    "systemd.default_timeout_start_sec=900",
  ];
  return [
    "qemu-system-x86_64",
    ...["-name", "urunc-test-node", "-nodefaults", "-no-user-config", "-display", "none"],
    // Emulated, so that it is the same everywhere; a guest gets KVM through the emulated SVM.
    ...["-machine", "q35", "-accel", "tcg", "-cpu", "max,+svm"],
    // One processor: when a second one is emulated at the same time, in a thread of its own, interrupts of
    // guests on nested KVM are lost now and then, and memory is corrupted.
    ...["-smp", "1", "-m", `${memoryMib}`],
    ...["-kernel", image.kernel, "-initrd", image.initrd, "-append", command.join(" ")],
    // The overlay of snapshot=on is a file without a name in TMPDIR.
    ...["-drive", `if=none,id=root,file=${image.disk},format=raw,snapshot=on,cache=unsafe`],
    ...["-device", "virtio-blk-pci,drive=root"],
    ...["-drive", `if=none,id=payload,file=${payload},format=raw,readonly=on`],
    ...["-device", "virtio-blk-pci,drive=payload,serial=payload"],
    // restrict: nothing leaves; only the forwarded port comes in.
    ...["-netdev", `user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:${port}-10.0.2.15:22`],
    ...["-device", "virtio-net-pci,netdev=net"],
    ...["-device", "virtio-rng-pci"],
    ...["-serial", `file:${directory}/console.log`],
    ...["-qmp", `unix:${directory}/monitor,server=on,wait=off`],
    ...["-pidfile", `${directory}/pid`],
  ];
}

/**
 * Arguments: a directory, then QEMU's command line. A node lives until its starter says so, or is no
 * longer there: then what the starter cannot remove any more is removed here.
 */
const WATCH = `exec 3<&0 </dev/null
directory=$1
shift
"$@" >"$directory/qemu.log" 2>&1 3<&- &
machine=$!
{
  if read -r _ <&3; then
    kill -9 "$machine"
  else
    trap "" TERM
    kill -9 "$machine"
    rm -rf "$directory"
  fi
} 2>/dev/null &
watcher=$!
wait "$machine"
code=$?
kill "$watcher" 2>/dev/null
exit "$code"`;

function spawn(directory: string, argv: string[]): Deno.ChildProcess & {
  stdin: WritableStream<Uint8Array>;
} {
  // A killed timeout takes QEMU with it by the signal that QEMU gets when its parent dies.
  const bounded = [
    ...["timeout", "--signal=KILL", `${MAXIMUM_SECONDS}`],
    ...["setpriv", "--pdeathsig", "KILL", ...argv],
  ];
  return new Deno.Command("sh", {
    args: ["-c", WATCH, "sh", directory, ...bounded],
    env: { TMPDIR: directory },
    stdin: "piped",
    stdout: "null",
    stderr: "null",
    // A signal for the starter's process group, such as an interrupt, is not for the one that cleans up.
    detached: true,
  }).spawn() as ReturnType<typeof spawn>;
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return (listener.addr as Deno.NetAddr).port;
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
