/** A pod of the runtime class `urunc`, or of another, as the kubelet makes one through containerd's CRI plugin. */
import type { Input } from "../../lib/protocol/protobuf/types.ts";
import type { Containerd } from "./containerd.ts";
import { type ContainerConfig, Cri, entries, type SecurityContext } from "./cri.ts";
import { waitFor } from "./process.ts";
import type { Scope } from "./scope.ts";

/** What a pod differs in from the plainest one. */
export interface PodOptions {
  /** `pod` by default. */
  name?: string;
  /** The one of the test's containers by default. */
  cgroupParent?: string;
  annotations?: Record<string, string>;
  /** Settings of the kernel. */
  sysctls?: Record<string, string>;
  /** The first uid and gid of the host that the pod has, for `hostUsers: false`. */
  firstUser?: number;
  /** What a RuntimeClass names; `urunc` by default. */
  handler?: string;
}

/** How many ids such a pod has, as the kubelet gives them. */
const POD_IDS = 65536;

/** What a container of a pod is, besides its name. */
export type PodContainer =
  & Pick<
    Input<ContainerConfig>,
    | "command"
    | "args"
    | "envs"
    | "mounts"
    | "devices"
    | "annotations"
    | "linux"
    | "stdin"
    | "stdinOnce"
    | "tty"
  >
  & { image: string };

/** CONTAINER_EXITED. */
const EXITED = 2;

/** A running pod, which its test removes. */
export class Pod {
  readonly id: string;
  readonly cri: Cri;
  readonly #config: Parameters<Cri["runPod"]>[0];
  readonly #logs: string;

  private constructor(
    parts: { id: string; cri: Cri; config: Parameters<Cri["runPod"]>[0]; logs: string },
  ) {
    this.id = parts.id;
    this.cri = parts.cri;
    this.#config = parts.config;
    this.#logs = parts.logs;
  }

  /** Makes one as soon as that can be done; the connection lasts as long as the scope. */
  static async run(
    scope: Scope,
    it: Pick<Containerd, "directory" | "namespace">,
    options: PodOptions = {},
  ): Promise<Pod> {
    const { name = "pod", cgroupParent = `/${it.namespace}` } = options;
    const { annotations = {}, sysctls = {}, firstUser, handler = "urunc" } = options;
    const logs = await scope.temporaryDirectory("logs");
    const cri = new Cri(`${it.directory}/containerd.sock`);
    scope.defer("end the connection to containerd", () => cri[Symbol.dispose]());
    const config = {
      metadata: { name, uid: `uid-of-${name}`, namespace: "default", attempt: 0 },
      hostname: "pod",
      logDirectory: logs,
      annotations: entries(annotations),
      linux: {
        cgroupParent,
        sysctls: entries(sysctls),
        ...firstUser === undefined ? {} : { securityContext: usersFrom(firstUser) },
      },
    };
    const id = await waitFor(
      () =>
        cri.runPod(config, handler).catch((error) => {
          // The plugin hears of imported images and of its network a little later.
          if (/pause|network/.test(error.message)) return undefined;
          throw error;
        }),
      { timeoutSeconds: 20, what: "the pod", intervalMilliseconds: 500 },
    );
    return new Pod({ id, cri, config, logs });
  }

  /** The pod's IPv4 address. */
  address(): Promise<string> {
    return this.cri.podAddress(this.id);
  }

  /** Creates a container, and returns its id. */
  create(name: string, { image, ...config }: PodContainer): Promise<string> {
    return this.cri.create(this.id, {
      metadata: { name, attempt: 0 },
      image: { image, userSpecifiedImage: image },
      logPath: `${name}.log`,
      ...config,
    }, this.#config);
  }

  /** Creates and starts a container, and returns its id. */
  async start(name: string, container: PodContainer): Promise<string> {
    const id = await this.create(name, container);
    await this.cri.start(id);
    return id;
  }

  /** Waits until a container's log has a line, and gives all lines without their stamps. */
  async logsWith(name: string, line: string, timeoutSeconds = 20): Promise<string> {
    const path = `${this.#logs}/${name}.log`;
    return await waitFor(() => {
      let text: string;
      try {
        text = Deno.readTextFileSync(path);
      } catch {
        return undefined;
      }
      // TIME STREAM F|P TEXT; a long line is in pieces.
      const plain = text.split("\n").map((it) => {
        const [, , flag, ...words] = it.split(" ");
        return words.join(" ") + (flag === "F" ? "\n" : "");
      }).join("");
      return plain.split("\n").includes(line) ? plain : undefined;
    }, { timeoutSeconds, what: `"${line}" in ${path}` });
  }

  /** @param seconds from SIGTERM to SIGKILL */
  async stopAndRemove(id: string, seconds: number): Promise<void> {
    await this.cri.stop(id, seconds);
    // The plugin has nothing to stop when the task is gone, and notes that it has ended after that.
    await this.ended(id, 10);
    await this.cri.remove(id);
  }

  /** Waits until the plugin knows that a container has ended, and gives what it knows. */
  ended(id: string, timeoutSeconds: number): ReturnType<Cri["status"]> {
    return waitFor(async () => {
      const status = await this.cri.status(id);
      return status.state === EXITED ? status : undefined;
    }, { timeoutSeconds, what: `container ${id} to have ended` });
  }

  /** Its containers are gone by then. */
  remove(): Promise<void> {
    return this.cri.removePod(this.id);
  }
}

/** The part of a security context that gives a pod, or a container of it, users of its own. */
export function usersFrom(hostId: number) {
  const mappings = [{ hostId, containerId: 0, length: POD_IDS }];
  return { namespaces: { users: { uids: mappings, gids: mappings } } };
}

/** Who a container is to run as: the monitor, if it is a guest. */
export function runAs(
  uid: number,
  gid: number,
  groups: number[] = [],
): { securityContext: Input<SecurityContext> } {
  return {
    securityContext: {
      runAsUser: { value: uid },
      runAsGroup: { value: gid },
      supplementalGroups: groups,
    },
  };
}
