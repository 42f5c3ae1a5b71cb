/** What the tests of containerd's CRI plugin share. */
import { type Containerd, CONTAINERD_NEEDS, startContainerd } from "../../support/containerd.ts";
import { busyboxFiles } from "../../support/docker.ts";
import { doubleTable } from "../../support/double.ts";
import { guestImage } from "../../support/guest_images.ts";
import type { Scope } from "../../support/scope.ts";
import { GUEST, ORDINARY } from "./_common.ts";
import type { CommandResult } from "../../support/process.ts";
import { RUN_PREFIX } from "../../support/mark.ts";

export const PLUGINS = "/usr/lib/cni";
export const CRI_NEEDS = [...CONTAINERD_NEEDS, "gcc", "iptables"];
/** What users are to add to a node's; `version` is in the tests' own already. */
const NODE_CONFIGURATION = new URL("../../../fixtures/kubernetes/containerd.toml", import.meta.url);
const PAUSE = "docker.io/library/pause:latest";

/**
 * containerd with the CRI plugin, a bridge network, and the runtimes that users are to configure.
 *
 * @param systemd makes the cgroups, as Kubernetes has it by default
 * @param monitor the test double in QEMU's place, QEMU with KVM, or what a config.toml with this content says
 * @param networks of a pod; the default route is by the first
 */
export async function startWithCri(
  scope: Scope,
  systemd = false,
  monitor: "double" | "kvm" | { configuration: string } = "double",
  networks = 1,
): Promise<Containerd> {
  const cni = await scope.temporaryDirectory("cni");
  await Deno.mkdir(`${cni}/conf`);
  for (let index = 0; index < networks; index++) {
    await Deno.writeTextFile(
      `${cni}/conf/1${index}-test.conflist`,
      JSON.stringify({
        cniVersion: "0.4.0",
        name: `${RUN_PREFIX}${Deno.pid}-${index}`,
        plugins: [{
          type: "bridge",
          bridge: `cni-test${index}`,
          isGateway: true,
          ipam: {
            type: "host-local",
            dataDir: `${cni}/ipam`,
            ranges: [[{ subnet: `10.89.${7 + index}.0/24` }]],
            routes: index === 0 ? [{ dst: "0.0.0.0/0" }] : [],
          },
        }],
      }),
    );
  }
  const node = await Deno.readTextFile(NODE_CONFIGURATION);
  const it = await startContainerd(scope, {
    cri: true,
    // Empty is not none: with it comes the resolv.conf that the plugin copies.
    uruncConfiguration: await configurationOf(monitor),
    configuration: `
${node.replace("version = 2\n", "")}
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE}"
  # As operators have it for users who are not root: a pod's devices are its user's.
  device_ownership_from_security_context = true
  # A sandbox's own is lower than what a machine without CAP_SYS_RESOURCE may set.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${PLUGINS}"
    conf_dir = "${cni}/conf"
    max_conf_num = ${networks}
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.urunc.options]
      SystemdCgroup = ${systemd}
`,
  });
  await it.makeImage(GUEST, guestImage(monitor === "kvm" ? "kvm" : "tcg"));
  await it.makeImage(ORDINARY, busyboxFiles());
  await it.makeImage(PAUSE, busyboxFiles(), { Entrypoint: ["/bin/sleep", "100000"] });
  return it;
}

async function configurationOf(
  monitor: "double" | "kvm" | { configuration: string },
): Promise<string> {
  if (typeof monitor === "object") return monitor.configuration;
  return monitor === "double" ? await doubleTable("qemu") : "";
}

export function missingPlugins(): string | undefined {
  try {
    Deno.statSync(`${PLUGINS}/bridge`);
    return undefined;
  } catch {
    return `needs ${PLUGINS}/bridge (apt-get install containernetworking-plugins)`;
  }
}

/** How a remote command is used. */
export interface RemoteCommand {
  /** Sent at once. */
  stdin?: string;
  /** The connection is closed when this has come from standard output; otherwise the server closes it. */
  until?: string;
  /** `ROWSxCOLUMNS`, of a terminal. */
  size?: string;
}

/** Runs a client of a remote command where containerd is: tests/support/remote_command.ts. */
export async function remoteCommand(
  { onHost }: Containerd,
  url: string,
  { stdin = "", until, size }: RemoteCommand,
): Promise<CommandResult> {
  const client = new URL("../../support/remote_command.ts", import.meta.url).pathname;
  const words = [Deno.execPath(), "run", "--no-check", "-A", client, url, ...size ? [size] : []];
  return await onHost(words, { stdin, env: until === undefined ? {} : { UNTIL: until } });
}
