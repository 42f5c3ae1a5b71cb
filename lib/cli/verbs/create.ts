import { createContainer, type Created, planContainer } from "../../container/create.ts";
import { readBundle } from "../../container/prepare.ts";
import type { CreateOptions } from "../../container/create.ts";
import { deleteContainer } from "../../container/delete.ts";
import { processAge, Stopwatch } from "../../container/timeline.ts";
import { HostError, UnsupportedError } from "../../errors.ts";
import { readIfThere } from "../../os/files.ts";
import { resolvePath } from "../../os/path.ts";
import { terminalReceiver } from "../../plan/terminal.ts";
import type { CommandOf } from "../parser/commands.ts";
import type { Context } from "../context.ts";
import { handOverCreation } from "../ordinary.ts";
import { writePidFile } from "../pid_file.ts";
import { printJson } from "../../output.ts";

type CreateCommand = CommandOf<"create"> | CommandOf<"run">;

/** `urunc create` */
export async function create(command: CommandOf<"create">, context: Context): Promise<number> {
  if (!command.dryRun) await handOverCreation(command, context);
  const options = creationOf(command, context);
  if (command.dryRun) {
    printJson(await planContainer(options));
    return 0;
  }
  await createAndRecord(command, options);
  return 0;
}

/**
 * What the library needs to know, from the options that `create` and `run` share.
 *
 * @throws UnsupportedError for an option that this version does not have;
 *   InvalidConfigurationError when the terminal that is asked for goes nowhere
 */
export function creationOf(command: CreateCommand, context: Context): CreateOptions {
  refuseUnsupported(command);
  requireRoot();
  const stopwatch = new Stopwatch("create", command.id, processAge());
  const bundle = readBundle(command.bundle);
  stopwatch.did("read bundle");
  return {
    id: command.id,
    bundle,
    store: context.store,
    configuration: context.configuration,
    systemdCgroup: context.systemdCgroup,
    newKeyring: !command.noNewKeyring,
    observer: context.observer,
    warn: (warning) => context.log.warning(warning),
    stopwatch,
    terminal: terminalReceiver(bundle.spec.process, {
      consoleSocket: absolute(command.consoleSocket),
      detached: command.verb === "create" || command.detach,
    }),
  };
}

/** Init connects from another working directory. */
function absolute(path: string | undefined): string | undefined {
  return path === undefined ? undefined : resolvePath(Deno.cwd(), path);
}

/** Creates the container and writes its pid file; when that fails, the container is deleted. */
export async function createAndRecord(
  command: CreateCommand,
  options: CreateOptions,
): Promise<Created> {
  const created = await createContainer(options);
  if (command.pidFile !== undefined) {
    try {
      writePidFile(command.pidFile, created.state.pid!, "the container was not kept");
    } catch (error) {
      await deleteContainer(options.store, options.id, true);
      throw error;
    }
  }
  return created;
}

/**
 * Rootless mode is not supported: the namespaces, the private device nodes and the change of identity need
 * privileges, and a user namespace would map the very ids that the monitor is to run as.
 */
function requireRoot(): void {
  const uid = Deno.uid();
  if (uid === 0 && !inUserNamespace()) return;
  if (uid === 0) {
    throw new HostError({
      operation: "create container",
      reason:
        "operation not permitted: urunc runs in a user namespace, and rootless mode is not supported",
      remedy:
        "run it, or the podman or docker that calls it, as root of the host; the monitor will have " +
        "the container's user all the same",
    });
  }
  throw new HostError({
    operation: "create container",
    reason: `operation not permitted: urunc runs as uid ${uid}, and rootless mode is not supported`,
    remedy: "run it as root; the monitor will have the container's user all the same",
  });
}

/** Its root is another user of the host, as with rootless podman: user_namespaces(7). */
function inUserNamespace(): boolean {
  const [inside, outside] = (readIfThere("/proc/self/uid_map") ?? "0 0").trim().split(/\s+/);
  return inside === "0" && outside !== "0";
}

function refuseUnsupported(command: CreateCommand): void {
  const refuse = (option: string, reason: string, remedy?: string) => {
    throw new UnsupportedError({
      operation: "parse command line",
      subject: option,
      reason,
      remedy,
    });
  };
  if (command.noPivot) {
    refuse("--no-pivot", "the monitor's root is a file system of its own, entered by pivot_root");
  }
  if (command.preserveFds > 0) {
    refuse("--preserve-fds", "file descriptors cannot be passed to a guest");
  }
}
