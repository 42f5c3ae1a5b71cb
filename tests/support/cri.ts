/** A client of the CRI, as the kubelet is one: gRPC over containerd's socket. */
import http2 from "node:http2";
import net from "node:net";
import {
  field,
  type Input,
  message,
  type MessageType,
} from "../../lib/protocol/protobuf/schema.ts";

// The part of k8s.io/cri-api, runtime/v1/api.proto, that tests use.

interface Int64 {
  value: bigint;
}
const Int64Value: MessageType<Int64> = message("Int64Value", () => ({ value: field.int64(1) }));

export interface SecurityContext {
  runAsUser?: Int64;
  runAsGroup?: Int64;
  supplementalGroups: bigint[];
}

export interface PodConfig {
  metadata?: { name: string; uid: string; namespace: string; attempt: number };
  hostname: string;
  logDirectory: string;
  annotations: Map<string, string>;
  linux?: { cgroupParent: string };
}
const PodMetadata: MessageType<NonNullable<PodConfig["metadata"]>> = message(
  "PodSandboxMetadata",
  () => ({
    name: field.string(1),
    uid: field.string(2),
    namespace: field.string(3),
    attempt: field.uint32(4),
  }),
);
const PodLinux: MessageType<NonNullable<PodConfig["linux"]>> = message(
  "LinuxPodSandboxConfig",
  () => ({ cgroupParent: field.string(1) }),
);
const PodConfig: MessageType<PodConfig> = message("PodSandboxConfig", () => ({
  metadata: field.message(1, PodMetadata),
  hostname: field.string(2),
  logDirectory: field.string(3),
  annotations: field.map(7),
  linux: field.message(8, PodLinux),
}));

export interface ContainerConfig {
  metadata?: { name: string; attempt: number };
  image?: { image: string };
  command: string[];
  args: string[];
  annotations: Map<string, string>;
  logPath: string;
  linux?: { resources?: { memoryLimit: bigint }; securityContext?: SecurityContext };
}
const ContainerMetadata: MessageType<NonNullable<ContainerConfig["metadata"]>> = message(
  "ContainerMetadata",
  () => ({ name: field.string(1), attempt: field.uint32(2) }),
);
const ImageSpec: MessageType<{ image: string }> = message("ImageSpec", () => ({
  image: field.string(1),
}));
const Resources: MessageType<{ memoryLimit: bigint }> = message("LinuxContainerResources", () => ({
  memoryLimit: field.int64(4),
}));
const SecurityContext: MessageType<SecurityContext> = message(
  "LinuxContainerSecurityContext",
  () => ({
    runAsUser: field.message(5, Int64Value),
    runAsGroup: field.message(12, Int64Value),
    supplementalGroups: field.repeated(field.int64(8)),
  }),
);
const ContainerLinux: MessageType<NonNullable<ContainerConfig["linux"]>> = message(
  "LinuxContainerConfig",
  () => ({
    resources: field.message(1, Resources),
    securityContext: field.message(2, SecurityContext),
  }),
);
const ContainerConfig: MessageType<ContainerConfig> = message("ContainerConfig", () => ({
  metadata: field.message(1, ContainerMetadata),
  image: field.message(2, ImageSpec),
  command: field.repeated(field.string(3)),
  args: field.repeated(field.string(4)),
  annotations: field.map(10),
  logPath: field.string(11),
  linux: field.message(15, ContainerLinux),
}));

const RunPod: MessageType<{ config?: PodConfig; runtimeHandler: string }> = message(
  "RunPodSandboxRequest",
  () => ({ config: field.message(1, PodConfig), runtimeHandler: field.string(2) }),
);
const Create: MessageType<{ pod: string; config?: ContainerConfig; podConfig?: PodConfig }> =
  message(
    "CreateContainerRequest",
    () => ({
      pod: field.string(1),
      config: field.message(2, ContainerConfig),
      podConfig: field.message(3, PodConfig),
    }),
  );
/** Requests and answers that are an id, and perhaps a number. */
const Id: MessageType<{ id: string; number: bigint }> = message("Id", () => ({
  id: field.string(1),
  number: field.int64(2),
}));
const Empty: MessageType<Record<string, never>> = message("Empty", () => ({}));

const ExecSync: MessageType<{ id: string; cmd: string[]; timeout: bigint }> = message(
  "ExecSyncRequest",
  () => ({ id: field.string(1), cmd: field.repeated(field.string(2)), timeout: field.int64(3) }),
);
const ExecResult: MessageType<{ stdout: Uint8Array; stderr: Uint8Array; exitCode: number }> =
  message(
    "ExecSyncResponse",
    () => ({ stdout: field.bytes(1), stderr: field.bytes(2), exitCode: field.int32(3) }),
  );

/** What CRI says of a container: 0 created, 1 running, 2 exited. */
export interface ContainerStatus {
  state: number;
  exitCode: number;
  reason: string;
  message: string;
}
const ContainerStatus: MessageType<ContainerStatus> = message("ContainerStatus", () => ({
  state: field.enum(3),
  exitCode: field.int32(7),
  reason: field.string(10),
  message: field.string(11),
}));
const StatusAnswer: MessageType<{ status?: ContainerStatus; info: Map<string, string> }> = message(
  "ContainerStatusResponse",
  () => ({ status: field.message(1, ContainerStatus), info: field.map(2) }),
);
const PodNetwork: MessageType<{ ip: string }> = message("PodSandboxNetworkStatus", () => ({
  ip: field.string(1),
}));
const PodStatus: MessageType<{ network?: { ip: string } }> = message("PodSandboxStatus", () => ({
  network: field.message(5, PodNetwork),
}));
const PodStatusAnswer: MessageType<{ status?: { network?: { ip: string } } }> = message(
  "PodSandboxStatusResponse",
  () => ({ status: field.message(1, PodStatus) }),
);
const Usage: MessageType<{ value: bigint }> = message("UInt64Value", () => ({
  value: field.uint64(1),
}));
const MemoryUsage: MessageType<{ workingSet?: { value: bigint } }> = message("MemoryUsage", () => ({
  workingSet: field.message(2, Usage),
}));
const Stats: MessageType<{ memory?: { workingSet?: { value: bigint } } }> = message(
  "ContainerStats",
  () => ({ memory: field.message(3, MemoryUsage) }),
);
const StatsAnswer: MessageType<{ stats?: { memory?: { workingSet?: { value: bigint } } } }> =
  message(
    "ContainerStatsResponse",
    () => ({ stats: field.message(1, Stats) }),
  );

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

  async remove(id: string): Promise<void> {
    await this.#call("RemoveContainer", Id, { id }, Empty);
  }

  async status(id: string): Promise<ContainerStatus> {
    return (await this.#call("ContainerStatus", Id, { id }, StatusAnswer)).status!;
  }

  /** Of the container's process, as the runtime told it. */
  async pid(id: string): Promise<number> {
    const answer = await this.#call("ContainerStatus", Id, { id, number: 1n }, StatusAnswer);
    return JSON.parse(answer.info.get("info")!).pid;
  }

  async exec(id: string, cmd: string[]): Promise<{ stdout: string; exitCode: number }> {
    const request = { id, cmd, timeout: 10n };
    const { stdout, exitCode } = await this.#call("ExecSync", ExecSync, request, ExecResult);
    return { stdout: new TextDecoder().decode(stdout), exitCode };
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
