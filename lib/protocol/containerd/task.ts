import {
  bool,
  embedded,
  enumeration,
  message,
  repeated,
  string,
  uint32,
} from "../protobuf/schema.ts";
import type { MessageOf } from "../protobuf/types.ts";
import { Mount, ProcessInfo } from "./types.ts";
import { Any, Timestamp } from "../protobuf/well_known.ts";

/**
 * The requests and answers of the task service, containerd.task.v2 (v3 has the same).
 *
 * @see containerd, `api/runtime/task/v2/shim.proto`
 * @module
 */

export const CreateTaskRequest = message("containerd.task.v2.CreateTaskRequest", () => ({
  id: string(1),
  bundle: string(2),
  rootfs: repeated(embedded(3, Mount)),
  terminal: bool(4),
  stdin: string(5),
  stdout: string(6),
  stderr: string(7),
  checkpoint: string(8),
  options: embedded(10, Any),
}));
export type CreateTaskRequest = MessageOf<typeof CreateTaskRequest>;

export const CreateTaskResponse = message("containerd.task.v2.CreateTaskResponse", () => ({
  pid: uint32(1),
}));
export type CreateTaskResponse = MessageOf<typeof CreateTaskResponse>;

export const DeleteRequest = message("containerd.task.v2.DeleteRequest", () => ({
  id: string(1),
  execId: string(2),
}));
export type DeleteRequest = MessageOf<typeof DeleteRequest>;

export const DeleteResponse = message("containerd.task.v2.DeleteResponse", () => ({
  pid: uint32(1),
  exitStatus: uint32(2),
  exitedAt: embedded(3, Timestamp),
}));
export type DeleteResponse = MessageOf<typeof DeleteResponse>;

export const ExecProcessRequest = message("containerd.task.v2.ExecProcessRequest", () => ({
  id: string(1),
  execId: string(2),
  terminal: bool(3),
  stdin: string(4),
  stdout: string(5),
  stderr: string(6),
  spec: embedded(7, Any),
}));
export type ExecProcessRequest = MessageOf<typeof ExecProcessRequest>;

export const ResizePtyRequest = message("containerd.task.v2.ResizePtyRequest", () => ({
  id: string(1),
  execId: string(2),
  width: uint32(3),
  height: uint32(4),
}));

export const StateRequest = message("containerd.task.v2.StateRequest", () => ({
  id: string(1),
  execId: string(2),
}));
export type StateRequest = MessageOf<typeof StateRequest>;

export const StateResponse = message("containerd.task.v2.StateResponse", () => ({
  id: string(1),
  bundle: string(2),
  pid: uint32(3),
  status: enumeration(4),
  stdin: string(5),
  stdout: string(6),
  stderr: string(7),
  terminal: bool(8),
  exitStatus: uint32(9),
  exitedAt: embedded(10, Timestamp),
  execId: string(11),
}));
export type StateResponse = MessageOf<typeof StateResponse>;

export const KillRequest = message("containerd.task.v2.KillRequest", () => ({
  id: string(1),
  execId: string(2),
  signal: uint32(3),
  all: bool(4),
}));

export const CloseIORequest = message("containerd.task.v2.CloseIORequest", () => ({
  id: string(1),
  execId: string(2),
  stdin: bool(3),
}));

export const PidsRequest = message("containerd.task.v2.PidsRequest", () => ({
  id: string(1),
}));

export const PidsResponse = message("containerd.task.v2.PidsResponse", () => ({
  processes: repeated(embedded(1, ProcessInfo)),
}));

export const UpdateTaskRequest = message("containerd.task.v2.UpdateTaskRequest", () => ({
  id: string(1),
  resources: embedded(2, Any),
}));

export const StartRequest = message("containerd.task.v2.StartRequest", () => ({
  id: string(1),
  execId: string(2),
}));
export type StartRequest = MessageOf<typeof StartRequest>;

export const StartResponse = message("containerd.task.v2.StartResponse", () => ({
  pid: uint32(1),
}));
export type StartResponse = MessageOf<typeof StartResponse>;

export const WaitRequest = message("containerd.task.v2.WaitRequest", () => ({
  id: string(1),
  execId: string(2),
}));
export type WaitRequest = MessageOf<typeof WaitRequest>;

export const WaitResponse = message("containerd.task.v2.WaitResponse", () => ({
  exitStatus: uint32(1),
  exitedAt: embedded(2, Timestamp),
}));
export type WaitResponse = MessageOf<typeof WaitResponse>;

export const StatsRequest = message("containerd.task.v2.StatsRequest", () => ({
  id: string(1),
}));

export const StatsResponse = message("containerd.task.v2.StatsResponse", () => ({
  stats: embedded(1, Any),
}));

export const ConnectRequest = message("containerd.task.v2.ConnectRequest", () => ({
  id: string(1),
}));

export const ConnectResponse = message("containerd.task.v2.ConnectResponse", () => ({
  shimPid: uint32(1),
  taskPid: uint32(2),
}));

export const PauseRequest = message("containerd.task.v2.PauseRequest", () => ({
  id: string(1),
}));
export type PauseRequest = MessageOf<typeof PauseRequest>;

export const ResumeRequest = message("containerd.task.v2.ResumeRequest", () => ({
  id: string(1),
}));
export type ResumeRequest = MessageOf<typeof ResumeRequest>;
