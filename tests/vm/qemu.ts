/** The virtual machine that a node is: started, watched, ended by its process id. */
import type { Scope } from "../support/scope.ts";
import type { NodeImage } from "./image.ts";

/** Nothing, not even a killed test run, keeps a node longer than this. */
const MAXIMUM_SECONDS = 2 * 3600;

/** What a machine is made of. */
export interface MachineOptions {
  image: NodeImage;
  /** The second disk. */
  payload: string;
  /** Words for the kernel's command line. */
  kernelArguments: string[];
  memoryMib: number;
}

/** A running virtual machine. */
export interface Machine {
  /** The port on 127.0.0.1 that leads to the node's ssh. */
  port: number;
  /** What the node's kernel and init said. */
  consoleFile: string;
  /** How QEMU ended, when it did by itself. */
  ending(): string | undefined;
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
    const port = freePort();
    const argv = machineArguments(options, port, `${directory}/console.log`);
    const child = spawn(directory, argv);
    const log = `${directory}/qemu.log`;
    let ending: string | undefined;
    const status = child.status.then(async ({ code }) => {
      const text = await Deno.readTextFile(log).catch(() => "");
      ending = `QEMU ended with code ${code}: ${text.trim() || "it says nothing"}`;
    });
    scope.defer("end the node", async () => {
      // Both fail when it has ended by itself.
      const writer = child.stdin.getWriter();
      await writer.write(new TextEncoder().encode("end\n")).catch(() => {});
      await writer.close().catch(() => {});
      await status;
    });
    await Promise.race([status, new Promise((resolve) => setTimeout(resolve, 1000))]);
    if (ending === undefined) {
      return { port, consoleFile: `${directory}/console.log`, ending: () => ending };
    }
    // Somebody else took the port between our look and QEMU's.
    if (attempt < 5 && /host forwarding rule/.test(ending)) continue;
    throw new Error(`start the node: ${ending}`);
  }
}

function machineArguments(options: MachineOptions, port: number, consoleFile: string): string[] {
  const { image, payload, kernelArguments, memoryMib } = options;
  const command = [
    "console=ttyS0",
    "root=/dev/vda",
    "rw",
    "net.ifnames=0",
    "loglevel=4",
    "mitigations=off",
    "systemd.show_status=false",
    ...kernelArguments,
  ];
  return [
    "qemu-system-x86_64",
    ...["-name", "urunc-test-node", "-nodefaults", "-no-user-config", "-display", "none"],
    // Emulated, so that it is the same everywhere; a guest gets KVM through the emulated SVM.
    ...["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max,+svm"],
    ...["-smp", "2", "-m", `${memoryMib}`],
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
    ...["-serial", `file:${consoleFile}`],
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
  }).spawn() as ReturnType<typeof spawn>;
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return (listener.addr as Deno.NetAddr).port;
}
