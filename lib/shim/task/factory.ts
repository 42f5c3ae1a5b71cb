import { NotUndoneError, UnsupportedError } from "../../errors.ts";
import { MemoryWatch } from "../oom/watch.ts";
import type { CreateTaskRequest } from "../../protocol/containerd/messages.ts";
import { removeRecord, type TaskRecord, writeRecord } from "../command/record.ts";
import {
  isMeantReadOnly,
  isOverlay,
  mountRootfs,
  remountRootfs,
  type RootfsPurpose,
  unmountRootfs,
} from "../rootfs/rootfs.ts";
import type { TaskFactory } from "../service.ts";
import type { ShimServices } from "../daemon/services.ts";
import {
  isGuest,
  isGuestByPolicy,
  isInPod,
  requireOrdinaryAllowed,
  summarizeBundle,
} from "../../runc/kind.ts";
import { decodeOptions } from "./options.ts";
import { Stopwatch } from "../../container/timeline.ts";
import type { IdMaps } from "../../oci/types.ts";
import type { Task } from "./task.ts";
import { UnikernelTask } from "./unikernel.ts";

/** Where state is kept when the runtime's options do not say; the namespace is added. */
const GUEST_ROOT = "/run/containerd/urunc";
/** As containerd's own shim has it: `runc --root /run/containerd/runc/NAMESPACE list`. */
const DELEGATED_ROOT = "/run/containerd/runc";

/** @returns what makes tasks out of containerd's requests */
export function taskFactory(services: ShimServices): TaskFactory {
  return {
    create: (request) => create(services, request),
    remove: (task) => removeBundleState(task.bundle),
    watchMemory: (task, onKill) => new MemoryWatch(services, task, onKill),
  };
}

async function create(services: ShimServices, request: CreateTaskRequest): Promise<Task> {
  const { id, bundle, rootfs, stdin, stdout, stderr, terminal } = request;
  if (request.checkpoint !== "") {
    throw new UnsupportedError({
      operation: "create container",
      subject: id,
      reason: "from a checkpoint: not supported",
    });
  }
  const options = await decodeOptions(request.options);
  const { namespace } = services;
  const record: TaskRecord = {
    version: 1,
    kind: "unikernel",
    root: `${options.root ?? GUEST_ROOT}/${namespace}`,
  };
  writeRecord(bundle, record);
  try {
    const stopwatch = new Stopwatch("create", id);
    await mountRootfs(rootfs, `${bundle}/rootfs`);
    stopwatch.did("mount root");
    const io = { stdin, stdout, stderr, terminal };
    const common = { id, bundle, io, options };
    const summary = summarizeBundle(bundle);
    const configuration = () => services.configuration(options.configurationPath);
    const isOurs = isGuest(summary) || isGuestByPolicy(summary, await configuration());
    let mountedFor: RootfsPurpose = "reading";
    const mountFor = async (purpose: RootfsPurpose, owners?: IdMaps) => {
      await remountRootfs(rootfs, `${bundle}/rootfs`, purpose, mountedFor, owners);
      mountedFor = purpose;
    };
    if (!isOurs || summary.hasHooks) await mountFor(isOurs ? "hooks" : "ordinary");
    if (isOurs) {
      const guest = {
        ...common,
        root: record.root,
        rootReadOnly: isMeantReadOnly(rootfs),
        mapsRoot: isOverlay(rootfs) ? true as const : undefined,
        allowWriting: (owners?: IdMaps) => mountFor("writing", owners),
        stopwatch,
      };
      const task = await UnikernelTask.create(services, guest);
      if (services.shared) services.inits.prepareSoon();
      return task;
    }
    const { oci_runtime: program, ...policy } = await configuration();
    requireOrdinaryAllowed(summary, policy);
    // A container after a pod's sandbox may be a guest.
    if (!services.shared && !isInPod(summary)) services.inits.drop();
    const { DelegatedTask } = await import("./delegated.ts");
    const { redirectQueueProxy } = await import("../../runc/queue_proxy.ts");
    redirectQueueProxy(bundle, summary.annotations);
    const { findRuntime } = await import("../../runc/runtime_program.ts");
    const root = options.root === undefined ? DELEGATED_ROOT : `${options.root}/runc`;
    const delegated: TaskRecord = {
      version: 1,
      kind: "delegated",
      root: `${root}/${namespace}`,
      runtime: findRuntime(options.runtime ?? program),
      systemdCgroup: options.systemdCgroup,
    };
    services.log.info(`${id} is not a guest: ${delegated.runtime} runs it on the host's kernel`);
    writeRecord(bundle, delegated);
    const request = { ...common, root: delegated.root };
    return await DelegatedTask.create(services, request, delegated.runtime!);
  } catch (error) {
    // `delete` cleans up by the record; the id stays taken until then.
    if (!(error instanceof NotUndoneError)) removeBundleState(bundle);
    throw error;
  }
}

function removeBundleState(bundle: string): void {
  unmountRootfs(`${bundle}/rootfs`);
  removeRecord(bundle);
}
