/** A node with a kernel for Linux guests. */
import { baseName } from "../../lib/os/path.ts";
import { debianKernel, debianModules } from "./fixtures.ts";
import { assertSucceeded } from "./runtime.ts";
import type { Scope } from "./scope.ts";
import { urunc } from "./urunc.ts";

/** Nothing is run on the host's kernel. */
export const UNDESCRIBED = 'oci_runtime = "/bin/false"\n[guests]\nundescribed = "linux"';

/** What Debian's cloud kernel has itself. */
const BUILTIN = ["virtio_pci", "virtio_console", "fuse", "virtiofs", "ext4", "af_packet"];

/**
 * Stores that kernel, by the name `debian`.
 *
 * @param more of config.toml
 * @param options further ones of `kernel add`
 * @returns the path of a config.toml that names it
 */
export async function nodeWithKernel(
  scope: Scope,
  more = "",
  options: string[] = [],
): Promise<string> {
  const directory = await scope.temporaryDirectory("kernels");
  const modules = `${directory}/modules`;
  await Deno.mkdir(modules);
  for (const path of await debianModules()) {
    await Deno.copyFile(path, `${modules}/${baseName(path)}`);
  }
  await Deno.writeTextFile(
    `${modules}/modules.builtin`,
    BUILTIN.map((it) => `k/${it}.ko\n`).join(""),
  );
  await Deno.writeTextFile(
    `${modules}/modules.dep`,
    "virtio_net.ko: net_failover.ko failover.ko\nnet_failover.ko: failover.ko\nfailover.ko:\n" +
      "virtio_blk.ko:\noverlay.ko:\nbridge.ko: stp.ko llc.ko\nstp.ko: llc.ko\nllc.ko:\n",
  );
  await Deno.writeTextFile(`${modules}/modules.alias`, "alias rtnl-link-bridge bridge\n");
  const config = `${directory}/config.toml`;
  const table = `[guests.linux]\nkernels = "${directory}/store"\nkernel = "debian"\n`;
  await Deno.writeTextFile(config, `accelerator = "tcg"\n${more}\n${table}`);
  const place = ["--name", "debian", "--modules", modules];
  const words = ["kernel", "add", ...place, ...options, await debianKernel()];
  assertSucceeded(await urunc(words, { root: `${directory}/root`, config }));
  return config;
}
