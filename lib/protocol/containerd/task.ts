import { field, message, type MessageType } from "../protobuf/schema.ts";
import { Mount, ProcessInfo, type Status } from "./types.ts";
import { Any, Timestamp } from "../protobuf/well_known.ts";

/**
 * The requests and answers of the task service, containerd.task.v2 (v3 has the same).
 *
 * @see containerd, `api/runtime/task/v2/shim.proto`
 * @module
 */

export interface CreateTaskRequest {
  id: string;
  bundle: string;
  rootfs: Mount[];
  terminal: boolean;
  stdin: string;
  stdout: string;
  stderr: string;
  checkpoint: string;
  parentCheckpoint: string;
  options?: Any;
}
export const CreateTaskRequest: MessageType<CreateTaskRequest> = message(
  "containerd.task.v2.CreateTaskRequest",
  () => ({
    id: field.string(1),
    bundle: field.string(2),
    rootfs: field.repeated(field.message(3, Mount)),
    terminal: field.bool(4),
    stdin: field.string(5),
    stdout: field.string(6),
    stderr: field.string(7),
    checkpoint: field.string(8),
    parentCheckpoint: field.string(9),
    options: field.message(10, Any),
  }),
);
export const { encode: encodeCreateTaskRequest, decode: decodeCreateTaskRequest } =
  CreateTaskRequest;

export interface CreateTaskResponse {
  pid: number;
}
export const CreateTaskResponse: MessageType<CreateTaskResponse> = message(
  "containerd.task.v2.CreateTaskResponse",
  () => ({
    pid: field.uint32(1),
  }),
);
export const { encode: encodeCreateTaskResponse, decode: decodeCreateTaskResponse } =
  CreateTaskResponse;

export interface DeleteRequest {
  id: string;
  execId: string;
}
export const DeleteRequest: MessageType<DeleteRequest> = message(
  "containerd.task.v2.DeleteRequest",
  () => ({
    id: field.string(1),
    execId: field.string(2),
  }),
);
export const { encode: encodeDeleteRequest, decode: decodeDeleteRequest } = DeleteRequest;

export interface DeleteResponse {
  pid: number;
  exitStatus: number;
  exitedAt?: Timestamp;
}
export const DeleteResponse: MessageType<DeleteResponse> = message(
  "containerd.task.v2.DeleteResponse",
  () => ({
    pid: field.uint32(1),
    exitStatus: field.uint32(2),
    exitedAt: field.message(3, Timestamp),
  }),
);
export const { encode: encodeDeleteResponse, decode: decodeDeleteResponse } = DeleteResponse;

export interface ExecProcessRequest {
  id: string;
  execId: string;
  terminal: boolean;
  stdin: string;
  stdout: string;
  stderr: string;
  spec?: Any;
}
export const ExecProcessRequest: MessageType<ExecProcessRequest> = message(
  "containerd.task.v2.ExecProcessRequest",
  () => ({
    id: field.string(1),
    execId: field.string(2),
    terminal: field.bool(3),
    stdin: field.string(4),
    stdout: field.string(5),
    stderr: field.string(6),
    spec: field.message(7, Any),
  }),
);
export const { encode: encodeExecProcessRequest, decode: decodeExecProcessRequest } =
  ExecProcessRequest;

export interface ResizePtyRequest {
  id: string;
  execId: string;
  width: number;
  height: number;
}
export const ResizePtyRequest: MessageType<ResizePtyRequest> = message(
  "containerd.task.v2.ResizePtyRequest",
  () => ({
    id: field.string(1),
    execId: field.string(2),
    width: field.uint32(3),
    height: field.uint32(4),
  }),
);
export const { encode: encodeResizePtyRequest, decode: decodeResizePtyRequest } = ResizePtyRequest;

export interface StateRequest {
  id: string;
  execId: string;
}
export const StateRequest: MessageType<StateRequest> = message(
  "containerd.task.v2.StateRequest",
  () => ({
    id: field.string(1),
    execId: field.string(2),
  }),
);
export const { encode: encodeStateRequest, decode: decodeStateRequest } = StateRequest;

export interface StateResponse {
  id: string;
  bundle: string;
  pid: number;
  status: Status;
  stdin: string;
  stdout: string;
  stderr: string;
  terminal: boolean;
  exitStatus: number;
  exitedAt?: Timestamp;
  execId: string;
}
export const StateResponse: MessageType<StateResponse> = message(
  "containerd.task.v2.StateResponse",
  () => ({
    id: field.string(1),
    bundle: field.string(2),
    pid: field.uint32(3),
    status: field.enum(4),
    stdin: field.string(5),
    stdout: field.string(6),
    stderr: field.string(7),
    terminal: field.bool(8),
    exitStatus: field.uint32(9),
    exitedAt: field.message(10, Timestamp),
    execId: field.string(11),
  }),
);
export const { encode: encodeStateResponse, decode: decodeStateResponse } = StateResponse;

export interface KillRequest {
  id: string;
  execId: string;
  signal: number;
  all: boolean;
}
export const KillRequest: MessageType<KillRequest> = message(
  "containerd.task.v2.KillRequest",
  () => ({
    id: field.string(1),
    execId: field.string(2),
    signal: field.uint32(3),
    all: field.bool(4),
  }),
);
export const { encode: encodeKillRequest, decode: decodeKillRequest } = KillRequest;

export interface CloseIORequest {
  id: string;
  execId: string;
  stdin: boolean;
}
export const CloseIORequest: MessageType<CloseIORequest> = message(
  "containerd.task.v2.CloseIORequest",
  () => ({
    id: field.string(1),
    execId: field.string(2),
    stdin: field.bool(3),
  }),
);
export const { encode: encodeCloseIORequest, decode: decodeCloseIORequest } = CloseIORequest;

export interface PidsRequest {
  id: string;
}
export const PidsRequest: MessageType<PidsRequest> = message(
  "containerd.task.v2.PidsRequest",
  () => ({
    id: field.string(1),
  }),
);
export const { encode: encodePidsRequest, decode: decodePidsRequest } = PidsRequest;

export interface PidsResponse {
  processes: ProcessInfo[];
}
export const PidsResponse: MessageType<PidsResponse> = message(
  "containerd.task.v2.PidsResponse",
  () => ({
    processes: field.repeated(field.message(1, ProcessInfo)),
  }),
);
export const { encode: encodePidsResponse, decode: decodePidsResponse } = PidsResponse;

export interface CheckpointTaskRequest {
  id: string;
  path: string;
  options?: Any;
}
export const CheckpointTaskRequest: MessageType<CheckpointTaskRequest> = message(
  "containerd.task.v2.CheckpointTaskRequest",
  () => ({
    id: field.string(1),
    path: field.string(2),
    options: field.message(3, Any),
  }),
);
export const { encode: encodeCheckpointTaskRequest, decode: decodeCheckpointTaskRequest } =
  CheckpointTaskRequest;

export interface UpdateTaskRequest {
  id: string;
  resources?: Any;
  annotations: Map<string, string>;
}
export const UpdateTaskRequest: MessageType<UpdateTaskRequest> = message(
  "containerd.task.v2.UpdateTaskRequest",
  () => ({
    id: field.string(1),
    resources: field.message(2, Any),
    annotations: field.map(3),
  }),
);
export const { encode: encodeUpdateTaskRequest, decode: decodeUpdateTaskRequest } =
  UpdateTaskRequest;

export interface StartRequest {
  id: string;
  execId: string;
}
export const StartRequest: MessageType<StartRequest> = message(
  "containerd.task.v2.StartRequest",
  () => ({
    id: field.string(1),
    execId: field.string(2),
  }),
);
export const { encode: encodeStartRequest, decode: decodeStartRequest } = StartRequest;

export interface StartResponse {
  pid: number;
}
export const StartResponse: MessageType<StartResponse> = message(
  "containerd.task.v2.StartResponse",
  () => ({
    pid: field.uint32(1),
  }),
);
export const { encode: encodeStartResponse, decode: decodeStartResponse } = StartResponse;

export interface WaitRequest {
  id: string;
  execId: string;
}
export const WaitRequest: MessageType<WaitRequest> = message(
  "containerd.task.v2.WaitRequest",
  () => ({
    id: field.string(1),
    execId: field.string(2),
  }),
);
export const { encode: encodeWaitRequest, decode: decodeWaitRequest } = WaitRequest;

export interface WaitResponse {
  exitStatus: number;
  exitedAt?: Timestamp;
}
export const WaitResponse: MessageType<WaitResponse> = message(
  "containerd.task.v2.WaitResponse",
  () => ({
    exitStatus: field.uint32(1),
    exitedAt: field.message(2, Timestamp),
  }),
);
export const { encode: encodeWaitResponse, decode: decodeWaitResponse } = WaitResponse;

export interface StatsRequest {
  id: string;
}
export const StatsRequest: MessageType<StatsRequest> = message(
  "containerd.task.v2.StatsRequest",
  () => ({
    id: field.string(1),
  }),
);
export const { encode: encodeStatsRequest, decode: decodeStatsRequest } = StatsRequest;

export interface StatsResponse {
  stats?: Any;
}
export const StatsResponse: MessageType<StatsResponse> = message(
  "containerd.task.v2.StatsResponse",
  () => ({
    stats: field.message(1, Any),
  }),
);
export const { encode: encodeStatsResponse, decode: decodeStatsResponse } = StatsResponse;

export interface ConnectRequest {
  id: string;
}
export const ConnectRequest: MessageType<ConnectRequest> = message(
  "containerd.task.v2.ConnectRequest",
  () => ({
    id: field.string(1),
  }),
);
export const { encode: encodeConnectRequest, decode: decodeConnectRequest } = ConnectRequest;

export interface ConnectResponse {
  shimPid: number;
  taskPid: number;
  version: string;
}
export const ConnectResponse: MessageType<ConnectResponse> = message(
  "containerd.task.v2.ConnectResponse",
  () => ({
    shimPid: field.uint32(1),
    taskPid: field.uint32(2),
    version: field.string(3),
  }),
);
export const { encode: encodeConnectResponse, decode: decodeConnectResponse } = ConnectResponse;

export interface ShutdownRequest {
  id: string;
  now: boolean;
}
export const ShutdownRequest: MessageType<ShutdownRequest> = message(
  "containerd.task.v2.ShutdownRequest",
  () => ({
    id: field.string(1),
    now: field.bool(2),
  }),
);
export const { encode: encodeShutdownRequest, decode: decodeShutdownRequest } = ShutdownRequest;

export interface PauseRequest {
  id: string;
}
export const PauseRequest: MessageType<PauseRequest> = message(
  "containerd.task.v2.PauseRequest",
  () => ({
    id: field.string(1),
  }),
);
export const { encode: encodePauseRequest, decode: decodePauseRequest } = PauseRequest;

export interface ResumeRequest {
  id: string;
}
export const ResumeRequest: MessageType<ResumeRequest> = message(
  "containerd.task.v2.ResumeRequest",
  () => ({
    id: field.string(1),
  }),
);
export const { encode: encodeResumeRequest, decode: decodeResumeRequest } = ResumeRequest;
