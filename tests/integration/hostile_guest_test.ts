/**
 * Root of a real guest, with every capability there, tries to leave the files that are shared with it
 * (hostile_guest.c): the host's other files, and the owners and modes of those that are shared, stay as they are.
 */
import assert from "node:assert/strict";
import { nodeWithKernel, UNDESCRIBED } from "../support/node_kernel.ts";
import { run } from "../support/process.ts";
import { assertNothingLeft, assertSucceeded, Container } from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

/** Who the guest's files are of on the host. */
const USER = 1000;

/** errno(3) */
const EPERM = 1;
const ENOENT = 2;
const ENXIO = 6;
const EACCES = 13;
const EXDEV = 18;
const EROFS = 30;
const EOPNOTSUPP = 95;
const ECONNREFUSED = 111;

/** What each attempt ends with. */
const EXPECTED: Readonly<Record<string, number | number[]>> = {
  link: ENOENT,
  relative_link: ENOENT,
  link_written: ENOENT,
  link_of_image: ENOENT,
  above: ENOENT,
  read_private: EACCES,
  write_theirs: EACCES,
  truncate_theirs: EACCES,
  mode_of_theirs: EPERM,
  own_theirs: EPERM,
  theirs_in_fixed: EXDEV,
  link_across: EXDEV,
  // It stays the container's user's: every id of the guest is that one.
  own_mine: 0,
  set_uid: 0,
  capability: [EPERM, EOPNOTSUPP],
  trusted: [EPERM, EOPNOTSUPP],
  disk: EPERM,
  memory: EPERM,
  // It stands for a disk of the guest, which has none.
  disk_of_host: [ENXIO, EACCES],
  socket: ECONNREFUSED,
  write_fixed: EROFS,
  again: 0,
  fixed_again_read: 0,
  fixed_again: EROFS,
  over_shares: EROFS,
  above_again: ENOENT,
  handles_found: 0,
  race_found: 0,
  moved_here: ENOENT,
  moved_by_descriptor: ENOENT,
  moved_by_name: ENOENT,
};

const CAPABILITIES = [
  ...["CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "MKNOD", "SETFCAP"],
  ...["SYS_ADMIN", "LINUX_IMMUTABLE"],
].map((it) => `CAP_${it}`);

testIf("hostile guest: its root reaches nothing outside of what is shared", {
  needs: ["root", "gcc", "qemu-system-x86_64", "virtiofsd", "cpio", "apt-get", "mknod"],
  timeoutSeconds: 180,
}, async () => {
  await using scope = new Scope();
  // Modes do not keep anybody out.
  const outside = await directory(scope, { secret: "secret\n" });
  const fixed = await directory(scope, { kept: "kept\n" });
  const data = await directory(scope, { theirs: "theirs\n", private: "private\n" });
  for (const name of ["theirs", "private"]) await Deno.chown(`${data}/${name}`, 0, 0);
  await Deno.chmod(`${data}/theirs`, 0o644);
  await Deno.chmod(`${data}/private`, 0o600);
  await run(["mknod", "-m", "666", `${data}/disk`, "b", "8", "0"], { check: true });
  using listener = Deno.listen({ transport: "unix", path: `${data}/socket` });
  await Deno.chmod(`${data}/socket`, 0o666);
  const asBefore = async () => [await listed(outside), await listed(fixed)].join("\n");
  const before = await asBefore();

  const container = await guest(scope, { data, fixed, outside });
  await container.mustStart();
  await container.waitForOutput("ready", 150);
  // The guest is in it.
  await Deno.rename(`${data}/moved`, `${outside}/moved`);
  await Deno.writeTextFile(`${data}/go`, "");
  await container.waitForOutput("done", 60);
  await container.waitForStatus("stopped");
  await Deno.remove(`${outside}/moved`, { recursive: true });

  const said = container.output().split("\n").map((line) => /^(\w+) (\d+)$/.exec(line));
  const results = said.filter((it) => it !== null).map(([, name, errno]) => [name!, Number(errno)]);
  assert.deepEqual(results.map(([name]) => name), Object.keys(EXPECTED), container.errors());
  for (const [name, errno] of results) {
    const expected = [EXPECTED[name!]!].flat();
    assert.ok(expected.includes(Number(errno)), `${name}: ${errno}, expected ${expected}`);
  }
  // As a guest with nodes that it was told of has some: otherwise the attempt is none.
  assert.match(container.output(), /^# [1-9]\d* handles opened$/m);

  assert.equal(await asBefore(), before);
  assert.equal(await Deno.readTextFile(`${data}/theirs`), "theirs\n");
  for (const line of (await listed(data)).split("\n")) {
    const [name, type, uid, mode] = line.split(" ");
    const isGiven = /^(theirs|private|disk|socket|go)$/.test(name!);
    assert.equal(Number(uid), isGiven ? 0 : USER, line);
    assert.ok(isGiven || /^[dfl]$/.test(type!), line);
    if (name === "theirs") assert.equal(mode, "644");
  }
  assert.equal(await hasConnection(listener, `${data}/socket`), false);
  assertSucceeded(await container.delete());
  assertNothingLeft(container);
});

interface Places {
  data: string;
  fixed: string;
  outside: string;
}

/** Of an image that is the program, and a link. */
async function guest(scope: Scope, { data, fixed, outside }: Places): Promise<Container> {
  const bind = (source: string, destination: string, ...options: string[]) => ({
    source,
    destination,
    type: "bind",
    options: ["rbind", ...options],
  });
  const ids = `[ids]\ndefault_user = "${USER}:${USER}"`;
  const container = await Container.prepare(scope, {
    config: await nodeWithKernel(scope, `${UNDESCRIBED}\n${ids}`),
    args: ["/attack", outside],
    user: { uid: 0, gid: 0 },
    edit: (config) => {
      config.root = { path: "rootfs" };
      config.process.capabilities = {
        bounding: CAPABILITIES,
        effective: CAPABILITIES,
        permitted: CAPABILITIES,
      };
      config.mounts = [
        { destination: "/proc", type: "proc", source: "proc" },
        bind(data, "/data"),
        bind(fixed, "/fixed", "ro"),
      ];
    },
  });
  await Deno.remove(`${container.rootfs}/urunc.json`);
  await Deno.remove(`${container.rootfs}/unikernel`, { recursive: true });
  await Deno.symlink(outside, `${container.rootfs}/out`);
  await Deno.chown(container.rootfs, USER, USER);
  const source = new URL("hostile_guest.c", import.meta.url).pathname;
  const flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unused-result", "-static", "-pthread"];
  await run(["gcc", ...flags, "-o", `${container.rootfs}/attack`, source], { check: true });
  return container;
}

async function directory(scope: Scope, files: Record<string, string>): Promise<string> {
  const path = await scope.temporaryDirectory("shared");
  await Deno.chmod(path, 0o777);
  for (const [name, content] of Object.entries(files)) {
    await Deno.writeTextFile(`${path}/${name}`, content);
    await Deno.chmod(`${path}/${name}`, 0o666);
  }
  await Deno.chown(path, USER, USER);
  return path;
}

/** Names below it, with type, owner, mode, size and the time of the last change. */
async function listed(path: string): Promise<string> {
  const format = "%P %y %U %m %s %T@\\n";
  const found = await run(["find", path, "-mindepth", "1", "-printf", format], { check: true });
  return found.stdout.trim().split("\n").sort().join("\n");
}

/** Whether somebody has connected to it until now: the first is not this one then, and says nothing. */
async function hasConnection(listener: Deno.UnixListener, path: string): Promise<boolean> {
  using own = await Deno.connect({ transport: "unix", path });
  await own.write(new Uint8Array(1));
  using first = await listener.accept();
  return await first.read(new Uint8Array(1)) !== 1;
}
