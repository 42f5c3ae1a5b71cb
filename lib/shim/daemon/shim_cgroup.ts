import { close, readAsync } from "../../../ffi/linux.ts";
import { readCgroupLayout } from "../../cgroups/layout.ts";
import type { ShimArguments } from "../command/arguments.ts";
import type { ShimLog } from "./log.ts";
import { Any, BootstrapParams } from "../../protocol/containerd/messages.ts";
import { decodeOptions } from "../task/options.ts";

/** More than a runtime's options can be. Bytes. */
const MAXIMUM_BYTES = 4 * 1024 * 1024;

/**
 * Reads what containerd wrote to the standard input of `start`, the runtime's options, and moves this
 * process into the cgroup that they name for it. What cannot be read is logged: a shim in containerd's
 * own cgroup works.
 *
 * @param fd is closed
 */
export async function joinShimCgroup(fd: number, args: ShimArguments, log: ShimLog): Promise<void> {
  try {
    const bytes = await readAll(fd);
    if (bytes.length === 0) return;
    const { shimCgroup } = await decodeOptions(optionsIn(bytes, args));
    if (shimCgroup !== undefined) join(shimCgroup);
  } catch (error) {
    log.error("read the runtime's options for the shim", error);
  }
}

async function readAll(fd: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for (;;) {
      const chunk = new Uint8Array(4096);
      const count = await readAsync(fd, chunk);
      if (count === 0) break;
      chunks.push(chunk.subarray(0, count));
      length += count;
      if (length > MAXIMUM_BYTES) throw new Error(`more than ${MAXIMUM_BYTES} bytes`);
    }
  } finally {
    close(fd);
  }
  const all = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    all.set(chunk, offset);
    offset += chunk.length;
  }
  return all;
}

/** Since containerd 2.3 they are among other parameters. */
function optionsIn(bytes: Uint8Array, { id, namespace }: ShimArguments): Any | undefined {
  const parameters = BootstrapParams.decode(bytes);
  if (parameters.instanceId === id && parameters.namespace === namespace) {
    return parameters.extensions.find(({ value }) => value !== undefined)?.value;
  }
  return Any.decode(bytes);
}

/** @param path below each mount point */
function join(path: string): void {
  const { v1, v2 } = readCgroupLayout();
  const mountPoints = new Set([...Object.values(v1), ...(v2 === undefined ? [] : [v2.mountPoint])]);
  for (const mountPoint of mountPoints) {
    const file = `${mountPoint}/${path}/cgroup.procs`;
    try {
      Deno.writeTextFileSync(file, String(Deno.pid), { create: false });
    } catch (error) {
      // It need not exist in every hierarchy.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}
