/**
 * `disk_guest.ts start` leaves a guest running whose disk is a thin volume, after another has written
 * to it; `disk_guest.ts check` finds what was written, when the node has been down in between, and
 * takes all of it away.
 */
import { guestKernel, makeBundle } from "../../support/fixtures.ts";
import { run } from "../../support/process.ts";
import { ROOT_DISK_ANNOTATION } from "../../support/root_disk.ts";
import { activateVolume, makeThinPool, removeThinPool } from "./_thin_pool.ts";

/** Not below /tmp, which a reboot empties. */
const DIRECTORY = "/var/lib/urunc-test-disk";
const POOL = "urunc-test-reboot";
const MEGABYTES = 64;
const ID = "rebooted-disk";
const SLOW = { check: true, timeoutSeconds: 180 };

async function start(): Promise<void> {
  await Deno.mkdir(DIRECTORY);
  await makeThinPool(DIRECTORY, POOL);
  const device = await activateVolume(POOL, 0, MEGABYTES, true);
  const { rootfs } = await bundleOf([]);
  await run(["mkfs.ext4", "-q", "-d", rootfs, device], SLOW);
  console.log(await runGuest(device, ["disk", "0", "write", "1", "before"]));
  const { bundle, rootfs: place } = await bundleOf(["idle"]);
  await mountAt(device, place);
  const script = 'urunc create --bundle "$1" "$2" >"$3" 2>&1 </dev/null && urunc start "$2"';
  await run(["sh", "-c", script, "sh", bundle, ID, `${bundle}/output`], SLOW);
}

async function check(): Promise<void> {
  await run(["urunc", "delete", "--force", ID], SLOW);
  await makeThinPool(DIRECTORY, POOL);
  const device = await activateVolume(POOL, 0, MEGABYTES, false);
  await run(["e2fsck", "-fn", device], SLOW);
  console.log(await runGuest(device, ["disk", "0", "read", "1"]));
  await removeThinPool(DIRECTORY, POOL);
  await Deno.remove(DIRECTORY, { recursive: true });
}

/** Runs a guest to its end, with the volume as its root, and returns what it printed. */
async function runGuest(device: string, args: string[]): Promise<string> {
  const { bundle, rootfs } = await bundleOf(args);
  await mountAt(device, rootfs);
  const { stdout } = await run(["urunc", "run", "--bundle", bundle, `${ID}-ended`], SLOW);
  await Deno.remove(bundle, { recursive: true });
  return stdout.replaceAll("\r", "").trim();
}

function bundleOf(args: string[]) {
  return makeBundle({
    kernel: guestKernel,
    accelerator: "kvm",
    args,
    annotations: ROOT_DISK_ANNOTATION,
    edit: (config) => config.root = { path: "rootfs", readonly: false },
  });
}

/** In place of what a bundle has as its root. */
async function mountAt(device: string, rootfs: string): Promise<void> {
  await Deno.remove(rootfs, { recursive: true });
  await Deno.mkdir(rootfs);
  await run(["mount", device, rootfs], SLOW);
}

await (Deno.args[0] === "start" ? start() : check());
