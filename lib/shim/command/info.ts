import { describeFeatures } from "../../oci/features.ts";
import { versionInfo } from "../../version.ts";
import { Any, RuntimeInfo } from "../../protocol/containerd/messages.ts";

/** A runtime's options are no larger. Bytes. */
const MAXIMUM_BYTES = 1024 * 1024;

/**
 * The name that containerd knows the features of an OCI runtime by.
 *
 * @see https://github.com/containerd/containerd/pull/9442
 */
const FEATURES_TYPE = "types.containerd.io/opencontainers/runtime-spec/1/features/Features";

/**
 * `-info`: what containerd 2 shows of a runtime.
 *
 * @returns the message that containerd reads from standard output
 */
export async function runtimeInfo(): Promise<Uint8Array> {
  const { version, commit } = versionInfo();
  return RuntimeInfo.encode({
    name: "io.containerd.urunc.v2",
    version: { version, revision: commit },
    options: await optionsOnStdin(),
    features: {
      typeUrl: FEATURES_TYPE,
      value: new TextEncoder().encode(JSON.stringify(describeFeatures())),
    },
  });
}

/** They are returned unchanged. A caller without options need not close standard input. */
async function optionsOnStdin(): Promise<Any | undefined> {
  if (Deno.stdin.isTerminal()) return undefined;
  const bytes = new Uint8Array(MAXIMUM_BYTES);
  let length = 0;
  while (length < bytes.length) {
    const count = await Deno.stdin.read(bytes.subarray(length));
    if (count === null) break;
    length += count;
  }
  return length === 0 ? undefined : Any.decode(bytes.subarray(0, length));
}
