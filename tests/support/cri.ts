/** A client of the CRI, as the kubelet is one: gRPC over containerd's socket. */
import http2 from "node:http2";
import net from "node:net";
import {
  bool,
  bytes,
  embedded,
  enumeration,
  int32,
  int64,
  message,
  repeated,
  string,
  uint32,
  uint64,
} from "../../lib/protocol/protobuf/schema.ts";
import type { Input, MessageOf, MessageType } from "../../lib/protocol/protobuf/types.ts";

// The part of k8s.io/cri-api, runtime/v1/api.proto, that tests use.

const Int64 = message("Int64Value", () => ({ value: int64(1) }));

/** Of a map of texts, which is a list of them. */
const Entry = message("Entry", () => ({ key: string(1), value: string(2) }));

/** A map of texts, as messages have it. */
export function entries(map: Record<string, string>): { key: string; value: string }[] {
  return Object.entries(map).map(([key, value]) => ({ key, value }));
}

const PodConfig = message("PodSandboxConfig", () => ({
  metadata: embedded(1, PodMetadata),
  hostname: string(2),
  logDirectory: string(3),
  annotations: repeated(embedded(7, Entry)),
  linux: embedded(8, PodLinux),
}));
export type PodConfig = MessageOf<typeof PodConfig>;

const PodMetadata = message("PodSandboxMetadata", () => ({
  name: string(1),
  uid: string(2),
  namespace: string(3),
  attempt: uint32(4),
}));
const PodLinux = message("LinuxPodSandboxConfig", () => ({
  cgroupParent: string(1),
  securityContext: embedded(2, PodSecurity),
  sysctls: repeated(embedded(3, Entry)),
}));
const PodSecurity = message("LinuxSandboxSecurityContext", () => ({
  namespaces: embedded(1, NamespaceOption),
}));
/** Of a pod with `hostUsers: false`; POD, which is 0, are the modes of all others but for `pid`. */
const NamespaceOption = message("NamespaceOption", () => ({
  pid: enumeration(2),
  users: embedded(5, UserNamespace),
}));
const UserNamespace = message("UserNamespace", () => ({
  uids: repeated(embedded(2, IdMapping)),
  gids: repeated(embedded(3, IdMapping)),
}));
const IdMapping = message("IDMapping", () => ({
  hostId: uint32(1),
  containerId: uint32(2),
  length: uint32(3),
}));

const ContainerConfig = message("ContainerConfig", () => ({
  metadata: embedded(1, ContainerMetadata),
  image: embedded(2, ImageSpec),
  command: repeated(string(3)),
  args: repeated(string(4)),
  envs: repeated(embedded(6, Entry)),
  mounts: repeated(embedded(7, CriMount)),
  devices: repeated(embedded(8, CriDevice)),
  annotations: repeated(embedded(10, Entry)),
  logPath: string(11),
  stdin: bool(12),
  stdinOnce: bool(13),
  tty: bool(14),
  linux: embedded(15, ContainerLinux),
}));
export type ContainerConfig = MessageOf<typeof ContainerConfig>;

const ContainerMetadata = message("ContainerMetadata", () => ({
  name: string(1),
  attempt: uint32(2),
}));
const CriMount = message("Mount", () => ({
  containerPath: string(1),
  hostPath: string(2),
  readonly: bool(3),
}));
export type CriMount = MessageOf<typeof CriMount>;
const CriDevice = message("Device", () => ({
  containerPath: string(1),
  hostPath: string(2),
  permissions: string(3),
}));
const ImageSpec = message(
  "ImageSpec",
  () => ({ image: string(1), userSpecifiedImage: string(18) }),
);
const Resources = message("LinuxContainerResources", () => ({ memoryLimit: int64(4) }));
const ContainerLinux = message("LinuxContainerConfig", () => ({
  resources: embedded(1, Resources),
  securityContext: embedded(2, SecurityContext),
}));
const SecurityContext = message("LinuxContainerSecurityContext", () => ({
  namespaces: embedded(3, NamespaceOption),
  runAsUser: embedded(5, Int64),
  runAsGroup: embedded(12, Int64),
  supplementalGroups: repeated(int64(8)),
}));
export type SecurityContext = MessageOf<typeof SecurityContext>;

const RunPod = message("RunPodSandboxRequest", () => ({
  config: embedded(1, PodConfig),
  runtimeHandler: string(2),
}));
const Create = message("CreateContainerRequest", () => ({
  pod: string(1),
  config: embedded(2, ContainerConfig),
  podConfig: embedded(3, PodConfig),
}));
const Update = message("UpdateContainerResourcesRequest", () => ({
  id: string(1),
  linux: embedded(2, Resources),
}));
/** Requests and answers that are an id, and perhaps a number. */
const Id = message("Id", () => ({ id: string(1), number: int64(2) }));
const Empty = message("Empty", () => ({}));

const ExecSync = message("ExecSyncRequest", () => ({
  id: string(1),
  cmd: repeated(string(2)),
  timeout: int64(3),
}));
const ExecResult = message("ExecSyncResponse", () => ({
  stdout: bytes(1),
  stderr: bytes(2),
  exitCode: int32(3),
}));

const Exec = message("ExecRequest", () => ({
  id: string(1),
  cmd: repeated(string(2)),
  tty: bool(3),
  stdin: bool(4),
  stdout: bool(5),
  stderr: bool(6),
}));
const Attach = message("AttachRequest", () => ({
  id: string(1),
  stdin: bool(2),
  tty: bool(3),
  stdout: bool(4),
  stderr: bool(5),
}));
const Url = message("Url", () => ({ url: string(1) }));

const ContainerStatus = message("ContainerStatus", () => ({
  /** 0 created, 1 running, 2 exited. */
  state: enumeration(3),
  exitCode: int32(7),
  reason: string(10),
  message: string(11),
}));
/** What CRI says of a container. */
export type ContainerStatus = MessageOf<typeof ContainerStatus>;

const StatusAnswer = message("ContainerStatusResponse", () => ({
  status: embedded(1, ContainerStatus),
  info: repeated(embedded(2, Entry)),
}));
const PodNetwork = message("PodSandboxNetworkStatus", () => ({ ip: string(1) }));
const PodStatus = message("PodSandboxStatus", () => ({ network: embedded(5, PodNetwork) }));
const PodStatusAnswer = message("PodSandboxStatusResponse", () => ({
  status: embedded(1, PodStatus),
}));
const Usage = message("UInt64Value", () => ({ value: uint64(1) }));
const MemoryUsage = message("MemoryUsage", () => ({ workingSet: embedded(2, Usage) }));
const Stats = message("ContainerStats", () => ({ memory: embedded(3, MemoryUsage) }));
const StatsAnswer = message("ContainerStatsResponse", () => ({ stats: embedded(1, Stats) }));

/** A call that containerd answered with an error. */
export class CriError extends Error {
  override name = "CriError";
}

/** A connection to the CRI plugin; `using` closes it. */
export class Cri implements Disposable {
  readonly #socket: string;
  #session: http2.ClientHttp2Session;

  /** @param socket of containerd */
  constructor(socket: string) {
    this.#socket = socket;
    this.#session = this.#connect();
  }

  [Symbol.dispose](): void {
    this.#session.close();
  }

  async runPod(config: Input<PodConfig>, runtimeHandler: string): Promise<string> {
    return (await this.#call("RunPodSandbox", RunPod, { config, runtimeHandler }, Id)).id;
  }

  async podAddress(id: string): Promise<string> {
    const answer = await this.#call("PodSandboxStatus", Id, { id }, PodStatusAnswer);
    return answer.status?.network?.ip ?? "";
  }

  async removePod(id: string): Promise<void> {
    await this.#call("StopPodSandbox", Id, { id }, Empty);
    await this.#call("RemovePodSandbox", Id, { id }, Empty);
  }

  async create(
    pod: string,
    config: Input<ContainerConfig>,
    podConfig: Input<PodConfig>,
  ): Promise<string> {
    return (await this.#call("CreateContainer", Create, { pod, config, podConfig }, Id)).id;
  }

  async start(id: string): Promise<void> {
    await this.#call("StartContainer", Id, { id }, Empty);
  }

  /** @param seconds from SIGTERM to SIGKILL */
  async stop(id: string, seconds: number): Promise<void> {
    await this.#call("StopContainer", Id, { id, number: seconds as unknown as bigint }, Empty);
  }

  /** As the kubelet resizes a container of a running pod. @param memoryLimit bytes */
  async update(id: string, memoryLimit: bigint): Promise<void> {
    await this.#call("UpdateContainerResources", Update, { id, linux: { memoryLimit } }, Empty);
  }

  async remove(id: string): Promise<void> {
    await this.#call("RemoveContainer", Id, { id }, Empty);
  }

  async status(id: string): Promise<ContainerStatus> {
    return (await this.#call("ContainerStatus", Id, { id }, StatusAnswer)).status!;
  }

  /** Of the container's process, as the runtime reported it. */
  async pid(id: string): Promise<number> {
    const answer = await this.#call("ContainerStatus", Id, { id, number: 1n }, StatusAnswer);
    return JSON.parse(answer.info.find(({ key }) => key === "info")!.value).pid;
  }

  /** ExecSync, as the kubelet's probes and hooks have it. */
  async exec(
    id: string,
    cmd: string[],
    timeout = 10n,
  ): Promise<{ stdout: string; stderr: string; exitCode: number }> {
    const request = { id, cmd, timeout };
    const { stdout, stderr, exitCode } = await this.#call(
      "ExecSync",
      ExecSync,
      request,
      ExecResult,
    );
    const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { stdout: decode(stdout), stderr: decode(stderr), exitCode };
  }

  /** Where a client has a further process of a container, as `kubectl exec` does: see remote_command.ts. */
  async execUrl(id: string, cmd: string[], tty = false): Promise<string> {
    const request = { id, cmd, tty, stdin: true, stdout: true, stderr: !tty };
    return (await this.#call("Exec", Exec, request, Url)).url;
  }

  /** The same for the container's own, as `kubectl attach` does. */
  async attachUrl(id: string, tty = false): Promise<string> {
    const request = { id, tty, stdin: true, stdout: true, stderr: !tty };
    return (await this.#call("Attach", Attach, request, Url)).url;
  }

  /** Bytes that a container is working with. */
  async memory(id: string): Promise<number> {
    const answer = await this.#call("ContainerStats", Id, { id }, StatsAnswer);
    return Number(answer.stats?.memory?.workingSet?.value ?? 0n);
  }

  #connect(): http2.ClientHttp2Session {
    const createConnection = () => net.connect({ path: this.#socket });
    const session = http2.connect("http://localhost", { createConnection });
    session.on("error", () => {});
    return session;
  }

  #call<Request, Answer>(
    method: string,
    requestType: MessageType<Request>,
    request: Input<Request>,
    answerType: MessageType<Answer>,
  ): Promise<Answer> {
    const body = requestType.encode(request);
    // gRPC over HTTP/2: one byte of flags, the length, the message.
    const frame = new Uint8Array(5 + body.length);
    new DataView(frame.buffer).setUint32(1, body.length);
    frame.set(body, 5);
    // containerd was killed, and perhaps started again.
    if (this.#session.destroyed) this.#session = this.#connect();
    return new Promise((resolve, reject) => {
      const stream = this.#session.request({
        ":method": "POST",
        ":path": `/runtime.v1.RuntimeService/${method}`,
        "content-type": "application/grpc",
        te: "trailers",
      });
      const chunks: Uint8Array[] = [];
      let status: http2.IncomingHttpHeaders = {};
      stream.on("response", (headers) => status = { ...status, ...headers });
      stream.on("trailers", (headers) => status = { ...status, ...headers });
      stream.on("data", (chunk: Uint8Array) => chunks.push(chunk));
      stream.on("error", reject);
      stream.on("end", async () => {
        if (status["grpc-status"] !== "0") {
          const text = decodeURIComponent(String(status["grpc-message"]));
          return reject(new CriError(`${method}: ${text} (code ${status["grpc-status"]})`));
        }
        const all = new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer());
        resolve(answerType.decode(all.subarray(5)));
      });
      stream.end(frame);
    });
  }
}
