import { formatError, UsageError } from "../../errors.ts";
import { addKernel } from "../../kernels/add.ts";
import { KernelStore, type StoredKernel } from "../../kernels/store.ts";
import { resolvePath } from "../../os/path.ts";
import { print } from "../../output.ts";
import { formatJson } from "../../printable.ts";
import type { Context } from "../context.ts";
import type { CommandOf } from "../parser/commands.ts";
import { formatTable } from "../table.ts";

type KernelCommand = CommandOf<"kernel">;

/** `urunc kernel add FILE`, `list` and `rm NAME` */
export async function kernel(command: KernelCommand, context: Context): Promise<number> {
  const { "guests.linux": { kernels } } = await context.configuration();
  const store = new KernelStore(kernels);
  switch (command.action) {
    case "add":
      return await add(command, store);
    case "list":
      return list(command, store, context);
    case "rm":
      store.remove(argumentOf(command, "NAME"));
      return 0;
    default:
      throw misuse(`${JSON.stringify(command.action)} is not one of add, list, rm`);
  }
}

async function add(command: KernelCommand, store: KernelStore): Promise<number> {
  const absolute = (path: string) => resolvePath(Deno.cwd(), path);
  const stored = await addKernel(store, {
    file: absolute(argumentOf(command, "FILE")),
    modules: command.modules === undefined ? undefined : absolute(command.modules),
    name: command.name,
    with: command.with,
  });
  print(`${stored.name}\n`);
  return 0;
}

function list(command: KernelCommand, store: KernelStore, { log }: Context): number {
  if (command.argument !== "") throw misuse(`list takes no argument`);
  // A damaged one must not hide the others.
  const kernels = store.list((error) => log.warning(formatError(error)));
  if (command.format === "json") {
    const rows = kernels.map(({ name, path, record }) => ({ name, path, ...record }));
    print(`${formatJson(rows)}\n`);
  } else print(formatTable(HEADER, kernels.map(toCells)));
  return 0;
}

const HEADER = ["NAME", "RELEASE", "MODULES", "ELF", "MIB", "ADDED", "SHA256"];

/** Enough of a checksum to tell kernels apart. */
const SHORT = 12;

function toCells({ name, record }: StoredKernel): string[] {
  const { release, image, elf, modules, moduleNames, added } = record;
  const bytes = [image, elf, modules].reduce((sum, file) => sum + (file?.bytes ?? 0), 0);
  return [
    name,
    release,
    String(moduleNames.length),
    elf === undefined ? "no" : "yes",
    (bytes / 2 ** 20).toFixed(1),
    added,
    image.sha256.slice(0, SHORT),
  ];
}

function argumentOf({ action, argument }: KernelCommand, metavar: string): string {
  if (argument !== "") return argument;
  throw misuse(`${action} needs ${metavar}`);
}

function misuse(reason: string): UsageError {
  return new UsageError({
    operation: "parse command line",
    subject: "kernel",
    reason,
    remedy: "see urunc kernel --help",
  });
}
