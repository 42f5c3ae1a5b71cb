import { bool, embedded, message, repeated, string, uint32 } from "../protobuf/schema.ts";
import { Mount } from "./types.ts";
import { Timestamp } from "../protobuf/well_known.ts";

/**
 * The events that a shim reports of its tasks.
 *
 * @see containerd, `api/events/task.proto`
 * @module
 */

const TaskIO = message("containerd.events.TaskIO", () => ({
  stdin: string(1),
  stdout: string(2),
  stderr: string(3),
  terminal: bool(4),
}));

export const TaskCreate = message("containerd.events.TaskCreate", () => ({
  containerId: string(1),
  bundle: string(2),
  rootfs: repeated(embedded(3, Mount)),
  io: embedded(4, TaskIO),
  pid: uint32(6),
}));

export const TaskStart = message("containerd.events.TaskStart", () => ({
  containerId: string(1),
  pid: uint32(2),
}));

export const TaskDelete = message("containerd.events.TaskDelete", () => ({
  containerId: string(1),
  pid: uint32(2),
  exitStatus: uint32(3),
  exitedAt: embedded(4, Timestamp),
  id: string(5),
}));

export const TaskExit = message("containerd.events.TaskExit", () => ({
  containerId: string(1),
  id: string(2),
  pid: uint32(3),
  exitStatus: uint32(4),
  exitedAt: embedded(5, Timestamp),
}));

export const TaskOOM = message("containerd.events.TaskOOM", () => ({
  containerId: string(1),
}));

export const TaskExecAdded = message("containerd.events.TaskExecAdded", () => ({
  containerId: string(1),
  execId: string(2),
}));

export const TaskExecStarted = message("containerd.events.TaskExecStarted", () => ({
  containerId: string(1),
  execId: string(2),
  pid: uint32(3),
}));

export const TaskPaused = message("containerd.events.TaskPaused", () => ({
  containerId: string(1),
}));

export const TaskResumed = message("containerd.events.TaskResumed", () => ({
  containerId: string(1),
}));
