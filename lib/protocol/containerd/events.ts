import { field, message, type MessageType } from "../protobuf/schema.ts";
import { Mount } from "./types.ts";
import { Timestamp } from "../protobuf/well_known.ts";

/**
 * The events that a shim reports of its tasks.
 *
 * @see containerd, `api/events/task.proto`
 * @module
 */

export interface TaskIO {
  stdin: string;
  stdout: string;
  stderr: string;
  terminal: boolean;
}
export const TaskIO: MessageType<TaskIO> = message("containerd.events.TaskIO", () => ({
  stdin: field.string(1),
  stdout: field.string(2),
  stderr: field.string(3),
  terminal: field.bool(4),
}));
export const { encode: encodeTaskIO, decode: decodeTaskIO } = TaskIO;

export interface TaskCreate {
  containerId: string;
  bundle: string;
  rootfs: Mount[];
  io?: TaskIO;
  checkpoint: string;
  pid: number;
}
export const TaskCreate: MessageType<TaskCreate> = message("containerd.events.TaskCreate", () => ({
  containerId: field.string(1),
  bundle: field.string(2),
  rootfs: field.repeated(field.message(3, Mount)),
  io: field.message(4, TaskIO),
  checkpoint: field.string(5),
  pid: field.uint32(6),
}));
export const { encode: encodeTaskCreate, decode: decodeTaskCreate } = TaskCreate;

export interface TaskStart {
  containerId: string;
  pid: number;
}
export const TaskStart: MessageType<TaskStart> = message("containerd.events.TaskStart", () => ({
  containerId: field.string(1),
  pid: field.uint32(2),
}));
export const { encode: encodeTaskStart, decode: decodeTaskStart } = TaskStart;

export interface TaskDelete {
  containerId: string;
  pid: number;
  exitStatus: number;
  exitedAt?: Timestamp;
  id: string;
}
export const TaskDelete: MessageType<TaskDelete> = message("containerd.events.TaskDelete", () => ({
  containerId: field.string(1),
  pid: field.uint32(2),
  exitStatus: field.uint32(3),
  exitedAt: field.message(4, Timestamp),
  id: field.string(5),
}));
export const { encode: encodeTaskDelete, decode: decodeTaskDelete } = TaskDelete;

export interface TaskExit {
  containerId: string;
  id: string;
  pid: number;
  exitStatus: number;
  exitedAt?: Timestamp;
}
export const TaskExit: MessageType<TaskExit> = message("containerd.events.TaskExit", () => ({
  containerId: field.string(1),
  id: field.string(2),
  pid: field.uint32(3),
  exitStatus: field.uint32(4),
  exitedAt: field.message(5, Timestamp),
}));
export const { encode: encodeTaskExit, decode: decodeTaskExit } = TaskExit;

export interface TaskOOM {
  containerId: string;
}
export const TaskOOM: MessageType<TaskOOM> = message("containerd.events.TaskOOM", () => ({
  containerId: field.string(1),
}));
export const { encode: encodeTaskOOM, decode: decodeTaskOOM } = TaskOOM;

export interface TaskExecAdded {
  containerId: string;
  execId: string;
}
export const TaskExecAdded: MessageType<TaskExecAdded> = message(
  "containerd.events.TaskExecAdded",
  () => ({
    containerId: field.string(1),
    execId: field.string(2),
  }),
);
export const { encode: encodeTaskExecAdded, decode: decodeTaskExecAdded } = TaskExecAdded;

export interface TaskExecStarted {
  containerId: string;
  execId: string;
  pid: number;
}
export const TaskExecStarted: MessageType<TaskExecStarted> = message(
  "containerd.events.TaskExecStarted",
  () => ({
    containerId: field.string(1),
    execId: field.string(2),
    pid: field.uint32(3),
  }),
);
export const { encode: encodeTaskExecStarted, decode: decodeTaskExecStarted } = TaskExecStarted;

export interface TaskPaused {
  containerId: string;
}
export const TaskPaused: MessageType<TaskPaused> = message("containerd.events.TaskPaused", () => ({
  containerId: field.string(1),
}));
export const { encode: encodeTaskPaused, decode: decodeTaskPaused } = TaskPaused;

export interface TaskResumed {
  containerId: string;
}
export const TaskResumed: MessageType<TaskResumed> = message(
  "containerd.events.TaskResumed",
  () => ({
    containerId: field.string(1),
  }),
);
export const { encode: encodeTaskResumed, decode: decodeTaskResumed } = TaskResumed;
