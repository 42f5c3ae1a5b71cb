import { Any, type Envelope, ForwardRequest } from "../../protocol/containerd/messages.ts";
import { Client } from "../../protocol/ttrpc/client.ts";
import { Code, RpcError } from "../../protocol/ttrpc/status.ts";
import { connectUnix } from "../../protocol/ttrpc/transport.ts";

/** A way to containerd. */
export interface Forwarder {
  /**
   * Forwards one event.
   *
   * @throws RpcError with Code.unavailable or Code.deadlineExceeded when containerd is away; with
   * another code when it refused the event
   */
  forward(envelope: Envelope): Promise<void>;
  close(): void;
}

/** How long containerd has to take an event; its own shim gives it as long. */
const TIMEOUT_MS = 5000;

/**
 * Forwards over a connection that is kept.
 *
 * @param address containerd's ttrpc socket, from TTRPC_ADDRESS: a path, or `unix://` and one
 */
export function ttrpcForwarder(address: string): Forwarder {
  const client = new Client(() => connectUnix(address));
  return {
    async forward(envelope) {
      try {
        await client.call(
          "containerd.services.events.ttrpc.v1.Events",
          "Forward",
          ForwardRequest.encode({ envelope }),
          TIMEOUT_MS,
        );
      } catch (error) {
        // Answers that come late would be in the way of the next attempt.
        if (!isRefused(error)) client.disconnect();
        throw error;
      }
    },
    close: () => client.disconnect(),
  };
}

/**
 * Forwards by running a program for each event, as containerd's `-publish-binary` flag has it: for a
 * containerd that does not pass its ttrpc socket.
 *
 * @param binary `containerd`, or what stands in for it
 * @param address containerd's main socket
 */
export function binaryForwarder(binary: string, address: string): Forwarder {
  return {
    async forward({ topic, namespace, event }) {
      const command = new Deno.Command(binary, {
        args: ["--address", address, "publish", "--topic", topic, "--namespace", namespace],
        stdin: "piped",
        stdout: "null",
        stderr: "null",
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      let reason;
      try {
        const child = command.spawn();
        const writer = child.stdin.getWriter();
        // A program that does not read ends with an error of its own.
        await writer.write(Any.encode(event ?? {})).then(() => writer.close(), () => {});
        const { code } = await child.status;
        if (code === 0) return;
        reason = `exit status ${code}`;
      } catch (error) {
        reason = String(error);
      }
      throw new RpcError(Code.unavailable, reason, `run ${binary} publish`);
    },
    close() {},
  };
}

/** Whether containerd runs and refused an event; otherwise it may accept it later. */
export function isRefused(error: unknown): boolean {
  return !(error instanceof RpcError) ||
    error.code !== Code.unavailable && error.code !== Code.deadlineExceeded;
}
