/**
 * `deno task demo`: installs what is missing, builds the executable, boots a fixture guest as an
 * unprivileged user through it, and shows who the monitor ran as, by urunc's word and by the
 * kernel's.
 */
import { run, waitFor } from "./support/process.ts";
import { installPackages, type PackageWish } from "./support/packages.ts";
import { makeBundle } from "./support/fixtures.ts";
import { Scope } from "./support/scope.ts";
import { missingReason } from "./support/skip.ts";
import { repositoryDirectory, urunc, uruncBinary, uruncRoot } from "./support/urunc.ts";

const PACKAGES: PackageWish[] = [{ package: "qemu-system-x86", purpose: "the monitor" }];
const USER = { uid: 65534, gid: 65534 };
const ID = "demo";

async function main(): Promise<void> {
  const missing = await installPackages(PACKAGES);
  if (missing.length > 0) {
    throw new Error(`missing: ${missing.map((it) => it.package).join(" ")} (are you root?)`);
  }

  console.log("building dist/urunc");
  await run([Deno.execPath(), "task", "compile"], {
    cwd: repositoryDirectory(),
    timeoutSeconds: 300,
    check: true,
  });

  const noKvm = missingReason("kvm");
  const accelerator = noKvm === undefined ? "kvm" : "tcg";
  console.log(
    accelerator === "kvm"
      ? "booting a guest on /dev/kvm"
      : `booting a guest under emulation (TCG), for there is no KVM here: ${noKvm}`,
  );

  await using scope = new Scope();
  const root = await uruncRoot(scope);
  const { bundle, cleanup } = await makeBundle({
    user: USER,
    args: ["hello", "Hello from a urunc guest", "0"],
    accelerator,
  });
  scope.defer("remove the bundle", cleanup);

  // As a caller does it, so that the monitor can be looked at from outside on the way.
  const output = `${await scope.temporaryDirectory("demo")}/console`;
  await shell(`"$0" --root "$1" create --bundle "$2" "$3" >"$4" 2>&1 </dev/null`, [
    root,
    bundle,
    ID,
    output,
  ]);
  await urunc(["start", ID], { root, check: true });
  const state = JSON.parse((await urunc(["state", ID], { root, check: true })).stdout);
  const monitor = state.annotations["com.urunc.monitor.pid"];
  const kernelView = readKernelView(monitor);

  await waitFor(async () => (await stateOf(root)).status === "stopped", {
    timeoutSeconds: 60,
    what: "the guest to end",
  });
  console.log("\nthe guest says:");
  console.log(indent(await Deno.readTextFile(output)));
  console.log("urunc proved, after the exec:");
  console.log(indent(state.annotations["com.urunc.identity"].replaceAll(" ", "\n")));
  console.log(`/proc/${monitor}/status said meanwhile:`);
  console.log(indent(kernelView));
  await urunc(["delete", ID], { root, check: true });
}

async function shell(script: string, args: string[]): Promise<void> {
  const { code, stderr } = await run(["sh", "-c", script, await uruncBinary(), ...args]);
  if (code !== 0) {
    throw new Error(`urunc create: ${await Deno.readTextFile(args.at(-1)!)}${stderr}`);
  }
}

async function stateOf(root: string): Promise<{ status: string }> {
  return JSON.parse((await urunc(["state", ID], { root, check: true })).stdout);
}

function readKernelView(pid: string | undefined): string {
  if (pid === undefined) return "(the guest had ended by then)";
  const wanted = /^(Name|Uid|Gid|Groups|Cap\w+|NoNewPrivs|Seccomp):/;
  try {
    const lines = Deno.readTextFileSync(`/proc/${pid}/status`).split("\n");
    return lines.filter((line) => wanted.test(line)).join("\n");
  } catch {
    return "(the guest had ended by then)";
  }
}

function indent(text: string): string {
  return text.trimEnd().split("\n").map((line) => `  ${line}`).join("\n");
}

try {
  await main();
} catch (error) {
  console.error(`demo: ${error instanceof Error ? error.message : error}`);
  Deno.exit(1);
}
