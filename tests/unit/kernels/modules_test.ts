import assert from "node:assert/strict";
import { chooseModules, formatAliases, formatDependencies } from "../../../lib/kernels/modules.ts";

const BUILTIN = "kernel/drivers/virtio/virtio_pci.ko\nkernel/drivers/char/virtio_console.ko\n";

Deno.test("a module comes after all that it needs, once, by the kernel's own names", () => {
  const { modules } = chooseModules({
    builtin: BUILTIN,
    dependencies: [
      "kernel/drivers/net/virtio-net.ko.xz: kernel/net/net_failover.ko.xz kernel/net/failover.ko.xz",
      "kernel/net/net_failover.ko.xz: kernel/net/failover.ko.xz",
      "kernel/net/failover.ko.xz:",
      "kernel/drivers/char/hw_random/virtio-rng.ko.xz:",
      "kernel/sound/soundcore.ko.xz:",
    ].join("\n"),
  });
  assert.deepEqual(modules, [
    { name: "virtio_rng", file: "kernel/drivers/char/hw_random/virtio-rng.ko.xz", needs: [] },
    { name: "failover", file: "kernel/net/failover.ko.xz", needs: [] },
    { name: "net_failover", file: "kernel/net/net_failover.ko.xz", needs: ["failover"] },
    {
      name: "virtio_net",
      file: "kernel/drivers/net/virtio-net.ko.xz",
      needs: ["failover", "net_failover"],
    },
  ]);
  assert.equal(
    formatDependencies(modules),
    "virtio_rng.ko:\nfailover.ko:\nnet_failover.ko: failover.ko\n" +
      "virtio_net.ko: net_failover.ko failover.ko\n",
  );
});

Deno.test("soft dependencies come first, by name or alias, unless the kernel has them", () => {
  const index = {
    builtin: BUILTIN,
    dependencies: "fs/xfs.ko: lib/libcrc32c.ko\nlib/libcrc32c.ko:\ncrypto/crc32c_intel.ko:\n" +
      "fs/ext4.ko:\ncrypto/crc-table.ko:\n",
    soft:
      "# made by depmod\nsoftdep libcrc32c pre: crc32c\nsoftdep ext4 pre: crc-table post: other\n",
    aliases: "alias crc32c crc32c_intel\nalias cpu:type:x86* crc32c_intel\n",
  };
  const names = (more = {}) =>
    chooseModules({ ...index, ...more }).modules.map(({ name, needs }) => [name, ...needs]);
  assert.deepEqual(names(), [
    ["crc_table"],
    ["ext4", "crc_table"],
    ["crc32c_intel"],
    ["libcrc32c", "crc32c_intel"],
    ["xfs", "crc32c_intel", "libcrc32c"],
  ]);
  const builtinInformation = "crc32c_generic.license=GPL\0crc32c_generic.alias=crc32c\0";
  assert.deepEqual(names({ builtinInformation }).slice(2), [["libcrc32c"], ["xfs", "libcrc32c"]]);
});

Deno.test("what the kernel has itself is not a module, and what it lacks is named", () => {
  const { modules, builtin, missing } = chooseModules({
    builtin: BUILTIN,
    dependencies:
      "kernel/drivers/char/virtio_console.ko:\nkernel/fs/fuse/virtiofs.ko: fs/fuse.ko\nfs/fuse.ko:",
  });
  assert.deepEqual(modules.map(({ name }) => name), ["fuse", "virtiofs"]);
  assert.deepEqual(builtin, ["virtio_pci", "virtio_console"]);
  const names = missing.map(({ name }) => name);
  assert.ok(names.includes("xfs") && !names.includes("fuse") && !names.includes("virtio_pci"));
});

Deno.test("modules that need each other do not hang it", () => {
  const dependencies = "a/fuse.ko: a/virtiofs.ko\na/virtiofs.ko: a/fuse.ko\n";
  const { modules } = chooseModules({ builtin: BUILTIN, dependencies });
  assert.deepEqual(modules.map(({ name }) => name).sort(), ["fuse", "virtiofs"]);
});

Deno.test("what an operator wants besides is there with what it needs, by the names a kernel asks by", () => {
  const index = {
    builtin: `${BUILTIN}kernel/net/netfilter/nf_log.ko\n`,
    dependencies: "net/bridge.ko: net/stp.ko net/llc.ko\nnet/stp.ko: net/llc.ko\nnet/llc.ko:\n" +
      "net/nft-nat.ko:\nnet/nft_log.ko:\nfs/ext4.ko:\nfs/xfs.ko:\n",
    aliases: "alias rtnl-link-bridge bridge\nalias pci:v*d* bridge\n" +
      "alias nft-chain-2-nat nft_nat\nalias fs-ext4 ext4\nalias fs-xfs xfs\n",
  };
  const choice = chooseModules(index, ["bridge", "nft-*", "nf_log", "ext4", "no_such", "nono*"]);
  assert.deepEqual(choice.modules.map(({ name }) => name), [
    ...["ext4", "xfs", "llc", "stp", "bridge", "nft_nat", "nft_log"],
  ]);
  assert.equal(
    formatAliases(choice.asked),
    "ext4 ext4\nfs-ext4 ext4\nllc llc\nstp stp\nbridge bridge\nrtnl-link-bridge bridge\nnft_nat nft_nat\n" +
      "nft-chain-2-nat nft_nat\nnft_log nft_log\n",
  );
  assert.deepEqual(choice.unknown, ["no_such", "nono*"]);
  assert.deepEqual(chooseModules(index).asked, []);
});
