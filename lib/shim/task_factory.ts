import { UnsupportedError } from "../errors.ts";
import type { CreateTaskRequest } from "./protobuf/messages.ts";
import { removeRecord, type TaskRecord, writeRecord } from "./record.ts";
import { mountRootfs, unmountRootfs } from "./rootfs.ts";
import type { TaskFactory } from "./service.ts";
import type { ShimServices } from "./services.ts";
import { glanceAtBundle, isGuest } from "./task/kind.ts";
import { decodeOptions } from "./task/options.ts";
import type { Task } from "./task/task.ts";
import { type TaskRequest, UnikernelTask } from "./task/unikernel.ts";

/** Where state is kept when the runtime's options do not say; the namespace is added. */
const GUEST_ROOT = "/run/containerd/urunc";
/** As containerd's own shim has it: `runc --root /run/containerd/runc/NAMESPACE list`. */
const DELEGATED_ROOT = "/run/containerd/runc";

/** @returns what makes tasks out of containerd's requests */
export function taskFactory(services: ShimServices): TaskFactory {
  return {
    create: (request) => create(services, request),
    remove: (task) => removeBundleState(task.bundle),
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
  const record: TaskRecord = {
    version: 1,
    kind: "unikernel",
    root: `${options.root ?? GUEST_ROOT}/${services.namespace}`,
    mounted: rootfs.length > 0,
  };
  writeRecord(bundle, record);
  try {
    await mountRootfs(rootfs, `${bundle}/rootfs`);
    const io = { stdin, stdout, stderr, terminal };
    const glance = glanceAtBundle(bundle);
    const taskRequest: TaskRequest = { id, bundle, io, options, root: record.root };
    if (isGuest(glance)) return await UnikernelTask.create(services, taskRequest);
    const root = options.root === undefined ? DELEGATED_ROOT : `${options.root}/runc`;
    throw new Error(`delegation to ${root} is to come`);
  } catch (error) {
    removeBundleState(bundle);
    throw error;
  }
}

function removeBundleState(bundle: string): void {
  unmountRootfs(`${bundle}/rootfs`);
  removeRecord(bundle);
}
