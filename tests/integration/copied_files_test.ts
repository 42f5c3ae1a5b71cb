/** Volumes that a guest has copies of, since its monitor cannot share files: configMaps, secrets and the like. */
import assert from "node:assert/strict";
import { copyOf } from "../../lib/inspect/copied.ts";
import { debianKernel, makeLinuxInitrd } from "../support/fixtures.ts";
import {
  agentDoubleContainer,
  assertFailed,
  assertNothingLeft,
  assertSucceeded,
  Container,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

/** The owner of a volume's files, who is not the guest's user. */
const OWNER = 4242;

const bind = (source: string, destination: string, ...options: string[]) => ({
  source,
  destination,
  type: "bind",
  options: ["rbind", "ro", ...options],
});

/** As the kubelet writes one: pkg/volume/util/atomic_writer.go. */
async function configMap(scope: Scope): Promise<string> {
  const directory = await scope.temporaryDirectory("volume");
  await Deno.chmod(directory, 0o755);
  await Deno.mkdir(`${directory}/..2026`);
  await Deno.writeTextFile(`${directory}/..2026/key`, "value\n");
  await Deno.writeTextFile(`${directory}/..2026/secret`, "hidden\n", { mode: 0o400 });
  await Deno.chown(`${directory}/..2026/key`, OWNER, OWNER);
  await Deno.symlink("..2026", `${directory}/..data`);
  await Deno.symlink("..data/key", `${directory}/key`);
  await Deno.symlink("/etc/passwd", `${directory}/out`);
  return directory;
}

/** Of a container that has not been started. */
async function initrdOf(container: Container): Promise<Uint8Array> {
  return await Deno.readFile(`/proc/${await container.monitorPid()}/root/guest/initrd`);
}

const contains = (bytes: Uint8Array, part: Uint8Array) =>
  new TextDecoder("latin1").decode(bytes).includes(new TextDecoder("latin1").decode(part));

testIf("copied files: Firecracker's guest gets small volumes in its RAM disk", {
  needs: ["root", "gcc", "kvm"],
  timeoutSeconds: 60,
}, async () => {
  await using scope = new Scope();
  const data = await configMap(scope);
  const token = `${data}/..2026/secret`;
  const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount";
  const mounts = [
    { ...bind(data, "/dev/termination-log"), options: ["rbind"] },
    bind(data, serviceAccount),
    bind(token, "/run/token"),
  ];
  const edit = (config: Record<string, unknown>) => config.mounts = mounts;
  const container = await agentDoubleContainer(scope, "vsock-agent 3", { edit });
  const created = await container.create();
  assertSucceeded(created);
  assert.match(
    container.errors(),
    /mounts\[1\] \S+: it is copied when the guest starts: what changes later is not seen there/,
  );
  const initrd = await initrdOf(container);
  for (
    const part of [
      { source: data, path: "v/0", isFile: false },
      { source: token, path: "v/1", isFile: true },
    ]
  ) {
    assert.ok(contains(initrd, copyOf(part)), part.path);
  }
  assert.ok(!contains(initrd, new TextEncoder().encode("root:x:0:0")), "no link is followed");
  assertSucceeded(await container.start());
  await container.waitForStatus("stopped");
  assertSucceeded(await container.delete());
  assertNothingLeft(container);
});

testIf("copied files: what may be written to, is large, or is no file is refused by name", {
  needs: ["root", "gcc", "kvm"],
  timeoutSeconds: 60,
}, async () => {
  await using scope = new Scope();
  const [large, odd] = [await configMap(scope), await configMap(scope)];
  await Deno.writeFile(`${large}/more`, new Uint8Array(4 * 1024 * 1024));
  using listener = Deno.listen({ transport: "unix", path: `${odd}/socket` });
  assert.equal(listener.addr.transport, "unix");
  const rows: [mount: ReturnType<typeof bind>, texts: (string | RegExp)[]][] = [
    [bind(large, "/x", "rw"), [
      `copy files into the guest mounts[0] ${large}`,
      "no device that shares files",
      "read-only",
    ]],
    [bind(large, "/x"), [`copy files into the guest ${large}`, "more than 4 MiB", "a disk image"]],
    [bind(odd, "/x"), [odd, "v/0/socket", "neither file, directory nor link"]],
    [bind(`${odd}/none`, "/x"), [`mounts[0] ${odd}/none`, /No such file/i]],
  ];
  for (const [mount, texts] of rows) {
    const edit = (config: Record<string, unknown>) => config.mounts = [mount];
    const container = await agentDoubleContainer(scope, "exit 0", { edit });
    assertFailed(await container.create(), texts);
    assertNothingLeft(container);
  }
});

testIf("copied files: an agent gives its program the copies in its RAM disk as volumes", {
  needs: ["root", "qemu-system-x86_64", "virtiofsd", "busybox", "cpio", "apt-get"],
  timeoutSeconds: 180,
}, async () => {
  await using scope = new Scope();
  const data = await configMap(scope);
  const token = `${data}/..2026/secret`;
  const initrd = await makeLinuxInitrd();
  scope.defer("remove the initrd", () => initrd.cleanup());
  // QEMU would share them: the agent takes what is there.
  const copies = [
    copyOf({ source: data, path: "v/0", isFile: false }),
    copyOf({ source: token, path: "v/1", isFile: true }),
  ];
  const image = await Deno.readFile(initrd.path);
  await Deno.writeFile(initrd.path, await new Blob([...copies as BlobPart[], image]).bytes());
  const script = 'export PATH=/bin; bb() { busybox "$@"; }; bb cat /etc/map/key /run/token; ' +
    "bb readlink /etc/map/out; bb stat -c '%a %u %g %n' /etc/map /etc/map/..2026/*; " +
    "bb touch /etc/map/x 2>/dev/null || echo read-only; bb mount | bb grep -c virtiofs";
  const container = await Container.prepare(scope, {
    unikernelType: "linux",
    kernel: await debianKernel(),
    initrd: initrd.path,
    accelerator: "tcg",
    args: ["busybox", "sh", "-c", script],
    env: ["PATH=/bin"],
    edit: (config) => {
      config.process.user = { uid: 0, gid: 0 };
      config.mounts = [bind(data, "/etc/map"), bind(token, "/run/token")];
    },
  });
  const { stdout, stderr } = await container.run();
  await Deno.writeTextFile(token, "");
  assert.deepEqual(stdout.split("\n"), [
    ...["value", "hidden", "/etc/passwd", "755 0 0 /etc/map"],
    ...[`644 ${OWNER} ${OWNER} /etc/map/..2026/key`, "400 0 0 /etc/map/..2026/secret"],
    ...["read-only", "0", ""],
  ], stderr);
  assertNothingLeft(container);
});
