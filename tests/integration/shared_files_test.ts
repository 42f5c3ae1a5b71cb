/** Linux guests of images that know nothing of this runtime: their files and volumes are shared. */
import assert from "node:assert/strict";
import { resolvePath } from "../../lib/os/path.ts";
import { FILE_SERVER_THREADS } from "../../lib/plan/file_server.ts";
import { nodeWithKernel, UNDESCRIBED } from "../support/node_kernel.ts";
import { childrenOf, isAlive, run } from "../support/process.ts";
import {
  assertFailed,
  assertNothingLeft,
  assertSucceeded,
  Container,
  type ContainerOptions,
  linuxContainer,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { uruncBinary } from "../support/urunc.ts";

const NEEDS = {
  needs: ["root", "qemu-system-x86_64", "virtiofsd", "busybox", "cpio", "apt-get"],
  timeoutSeconds: 180,
};

const USER = 1000;
/** One of its groups, where it has any. */
const GROUP = 2000;
const PROGRAMS = [
  "sh",
  "cat",
  "cut",
  "find",
  "grep",
  "id",
  "ls",
  "mkdir",
  "readlink",
  "sleep",
  "sort",
  "stat",
  "touch",
];

interface SharedOptions extends ContainerOptions {
  readOnly?: boolean;
  /** Besides those of the specification. */
  mounts?: { source?: string; destination: string; type: string; options: string[] }[];
  cwd?: string;
  /** Of the program, in the guest. */
  capabilities?: string[];
  /** Their limit. */
  processes?: number;
}

/** A container of an image with busybox and nothing else: not even the directories of a container. */
async function imageContainer(
  scope: Scope,
  script: string,
  { readOnly = false, mounts = [], cwd = "/", capabilities, processes, ...options }: SharedOptions =
    {},
): Promise<Container> {
  const container = await Container.prepare(scope, {
    config: await nodeWithKernel(scope, UNDESCRIBED),
    args: ["sh", "-c", script],
    env: ["PATH=/bin"],
    user: { uid: USER, gid: USER },
    ...options,
    edit: (config) => {
      config.root = { path: "rootfs", readonly: readOnly };
      config.process.cwd = cwd;
      if (processes !== undefined) {
        Object.assign(config.linux!, { resources: { pids: { limit: processes } } });
      }
      if (capabilities !== undefined) {
        config.process.capabilities = {
          bounding: capabilities,
          effective: capabilities,
          permitted: capabilities,
        };
      }
      config.mounts = [
        { destination: "/proc", type: "proc", source: "proc" },
        { destination: "/dev", type: "tmpfs", source: "tmpfs" },
        ...mounts,
      ];
    },
  });
  await Deno.remove(`${container.rootfs}/urunc.json`);
  await Deno.remove(`${container.rootfs}/unikernel`, { recursive: true });
  await Deno.mkdir(`${container.rootfs}/bin`);
  await Deno.copyFile("/usr/bin/busybox", `${container.rootfs}/bin/busybox`);
  for (const name of PROGRAMS) await Deno.symlink("busybox", `${container.rootfs}/bin/${name}`);
  return container;
}

/** A directory of the user's. */
async function volume(scope: Scope, files: Record<string, string> = {}): Promise<string> {
  const directory = await scope.temporaryDirectory("volume");
  await Deno.chmod(directory, 0o755);
  await Deno.chown(directory, USER, USER);
  for (const [name, content] of Object.entries(files)) {
    await Deno.writeTextFile(`${directory}/${name}`, content);
  }
  return directory;
}

const bind = (source: string, destination: string, ...options: string[]) => ({
  source,
  destination,
  type: "bind",
  options: ["rbind", ...options],
});

testIf(
  "shared files: a module that the operator added is loaded when a program needs it",
  NEEDS,
  async () => {
    await using scope = new Scope();
    const config = await nodeWithKernel(scope, UNDESCRIBED, ["--with", "bridge"]);
    const script = "grep -c '^bridge ' /proc/modules; busybox ip link add br0 type bridge; " +
      "echo $?; cut -d ' ' -f 1 /proc/modules | grep -E 'bridge|stp|llc' | sort; " +
      "busybox ip link add x0 type nosuch 2>/dev/null || echo none; " +
      "touch /dev/.urunc/modules/bridge.ko 2>/dev/null || echo kept";
    const container = await imageContainer(scope, script, {
      config,
      user: { uid: 0, gid: 0 },
      capabilities: ["CAP_NET_ADMIN"],
    });
    const { code, stdout, stderr } = await container.run();
    assert.deepEqual(
      stdout.split("\n"),
      ["0", "0", "bridge", "llc", "stp", "none", "kept", ""],
      stderr,
    );
    assert.equal(code, 0);
    assertNothingLeft(container);
  },
);

testIf(
  "shared files: a container of any image is a guest with its own files and volumes",
  NEEDS,
  async () => {
    await using scope = new Scope();
    const data = await volume(scope, { in: "given\n" });
    // A group's, as Kubernetes' fsGroup makes one.
    const groups = await volume(scope);
    await Deno.chown(groups, 0, GROUP);
    await Deno.chmod(groups, 0o2770);
    const script = "id -u; cat /data/in /etc/app/conf; echo made >/data/out; " +
      "stat -c %u /data/out; mkdir /group/d; echo made >/group/d/f; stat -c %u:%g /group/d/f; (echo x >/etc/app/conf) 2>/dev/null || echo read-only; " +
      "grep -E ' (/|/data) ' /proc/mounts | cut -d ' ' -f 2-3 | sort; exit 5";
    const container = await imageContainer(scope, script, {
      cwd: "/work/here",
      user: { uid: USER, gid: USER, additionalGids: [GROUP] },
      mounts: [
        bind(data, "/data"),
        // A relative path is meant from the bundle.
        bind("conf", "/etc/app/conf", "ro"),
        bind(groups, "/group"),
      ],
    });
    await Deno.writeTextFile(`${container.bundle}/conf`, "configured\n");
    const { code, stdout, stderr } = await container.run();
    assert.equal(code, 5, stderr);
    assert.deepEqual(stdout.split("\n"), [
      ...[`${USER}`, "given", "configured", `${USER}`, `${USER}:${GROUP}`, "read-only"],
      ...["/ virtiofs", "/data virtiofs", ""],
    ]);
    assert.equal(await Deno.readTextFile(`${data}/out`), "made\n");
    assert.equal((await Deno.stat(`${data}/out`)).uid, USER);
    assert.equal((await Deno.stat(`${groups}/d/f`)).gid, GROUP);
    assert.equal(await Deno.readTextFile(`${container.bundle}/conf`), "configured\n");
    // As other runtimes make them; and nothing is mounted there on the host.
    for (const path of ["proc", "data", "work/here"]) {
      assert.deepEqual([...Deno.readDirSync(`${container.rootfs}/${path}`)], []);
    }
    assertNothingLeft(container);
  },
);

testIf(
  "shared files: a root that may only be read is, and what is mounted in it is as it says",
  NEEDS,
  async () => {
    await using scope = new Scope();
    const data = await volume(scope, { program: "#!/bin/sh\necho ran\n" });
    await Deno.chmod(`${data}/program`, 0o755);
    await Deno.mkdir(`${data}/inner`);
    const script = "touch /x 2>/dev/null || echo read-only; touch /cache/y && echo in memory; " +
      "/data/program 2>/dev/null || echo no program; touch /data/z && echo written; " +
      "touch /data/inner/z 2>/dev/null || echo inner read-only";
    const container = await imageContainer(scope, script, {
      readOnly: true,
      mounts: [
        { destination: "/cache", type: "tmpfs", source: "tmpfs", options: ["mode=1777"] },
        bind(data, "/data", "rnoexec"),
        bind(`${data}/inner`, "/data/inner", "ro", "rslave"),
      ],
    });
    const { code, stdout, stderr } = await container.run();
    assert.match(stderr, /\/inner: what the host mounts below it later/);
    assert.deepEqual(stdout.split("\n"), [
      ...["read-only", "in memory", "no program", "written", "inner read-only", ""],
    ]);
    assert.equal(code, 0);
    await Deno.stat(`${data}/z`);
    assertNothingLeft(container);
  },
);

testIf(
  "shared files: a file system in memory is as its place, with what that has if asked",
  NEEDS,
  async () => {
    await using scope = new Scope();
    const memory = (destination: string, ...options: string[]) => ({
      destination,
      type: "tmpfs",
      source: "tmpfs",
      options,
    });
    const script =
      "stat -c '%a %n' /place /chosen /made /copied; ls -A /made /chosen; cd /copied; " +
      "find . | sort | while read n; do stat -c '%a %Y %n' $n; done; readlink deep/link; " +
      "cat file deep/er/file; " +
      "touch /copied/x 2>/dev/null || echo read-only; echo $HOME";
    const container = await imageContainer(scope, script, {
      env: ["PATH=/bin", "HOME="],
      mounts: [
        ...[memory("/place"), memory("/chosen", "mode=1777"), memory("/made")],
        memory("/copied", "tmpcopyup", "ro"),
      ],
    });
    const { rootfs } = container;
    for (const [name, mode] of [["place", 0o751], ["chosen", 0o711], ["copied", 0o755]] as const) {
      await Deno.mkdir(`${rootfs}/${name}`);
      await Deno.chmod(`${rootfs}/${name}`, mode);
      await Deno.writeTextFile(`${rootfs}/${name}/file`, `of ${name}\n`);
    }
    await Deno.mkdir(`${rootfs}/copied/deep/er`, { recursive: true });
    await Deno.writeTextFile(`${rootfs}/copied/deep/er/file`, "deeper\n", { mode: 0o644 });
    await Deno.utime(`${rootfs}/copied/deep/er/file`, 1000, 2000);
    await Deno.chmod(`${rootfs}/copied/deep/er`, 0o1755);
    await Deno.symlink("../nowhere", `${rootfs}/copied/deep/link`);
    await Deno.mkdir(`${rootfs}/etc`);
    await Deno.writeTextFile(
      `${rootfs}/etc/passwd`,
      `user:x:${USER}:${USER}::/home/user:/bin/sh\n`,
    );
    const { code, stdout, stderr } = await container.run();
    const seconds = (text: string) => text.replace(/^(\d+) \d{6,} /, "$1 now ");
    assert.deepEqual(stdout.split("\n").map(seconds), [
      ...["751 /place", "1777 /chosen", "1777 /made", "755 /copied", "/chosen:", "", "/made:"],
      ...["755 now .", "755 now ./deep", "1755 now ./deep/er", "644 2000 ./deep/er/file"],
      ...["777 now ./deep/link", "644 now ./file", "../nowhere", "of copied", "deeper"],
      ...["read-only", "/home/user", ""],
    ], stderr);
    assert.equal(code, 0);
    assertNothingLeft(container);
  },
);

testIf("shared files: a container may have many volumes", NEEDS, async () => {
  await using scope = new Scope();
  const data = await volume(scope);
  const names = Array.from({ length: 50 }, (_, index) => `${index}`);
  for (const name of names) {
    await Deno.mkdir(`${data}/${name}`);
    await Deno.writeTextFile(`${data}/${name}/file`, `${name}\n`);
  }
  const container = await imageContainer(scope, "cat /v/*/file | sort -n", {
    mounts: names.map((name) => bind(`${data}/${name}`, `/v/${name}`)),
  });
  const { code, stdout } = await container.run();
  assert.deepEqual(stdout.split("\n"), [...names, ""]);
  assert.equal(code, 0);
  assertNothingLeft(container);
});

testIf(
  "shared files: a guest may look at more files than its server may have open",
  NEEDS,
  async () => {
    await using scope = new Scope();
    const [count, limit] = [12_000, 8_000];
    const data = await volume(scope);
    for (let index = 0; index < count; index++) Deno.writeTextFileSync(`${data}/${index}`, "");
    const container = await imageContainer(
      scope,
      "find /data -size 0 | grep -c .; find /data -size 0 | grep -c .",
      {
        mounts: [bind(data, "/data")],
        memoryLimit: 1024 ** 3,
      },
    );
    // As where a runtime may not raise it.
    const script = `ulimit -n ${limit} && exec "$@"`;
    const wrapper = ["setpriv", "--bounding-set=-sys_resource", "sh", "-c", script, "sh"];
    const { code } = await container.spawn(scope, "run", { wrapper });
    assert.equal(await code, 0, container.errors());
    assert.equal(container.errors(), "");
    assert.equal(container.output(), `${count}\n${count}\n`);
  },
);

testIf("shared files: no link of an image leads out of it", NEEDS, async () => {
  await using scope = new Scope();
  const outside = await volume(scope, { secret: "secret\n" });
  const container = await imageContainer(
    scope,
    "cat /link/secret /up/secret 2>/dev/null || echo nothing; ls /data",
    { mounts: [bind(await volume(scope, { own: "" }), "/data")] },
  );
  await Deno.symlink(outside, `${container.rootfs}/link`);
  await Deno.symlink(`${"../".repeat(20)}${outside.slice(1)}`, `${container.rootfs}/up`);
  // A place for a volume, which is a link out of the image: it is the guest's.
  await Deno.symlink("/elsewhere", `${container.rootfs}/data`);
  await Deno.mkdir(`${container.rootfs}/elsewhere`);
  const { stdout } = await container.run();
  assert.deepEqual(stdout.split("\n"), ["nothing", "own", ""]);
  assertNothingLeft(container);
});

/** The children of the container's process that execute it; and what /proc says of the first. */
function fileServerOf(pid: number): { pid: number; status: string; mounts: string[] } {
  const children = Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).trim().split(" ");
  const server = children.find((child) =>
    Deno.readTextFileSync(`/proc/${child}/cmdline`).startsWith("/usr/libexec/virtiofsd\0")
  );
  const read = (name: string) => Deno.readTextFileSync(`/proc/${server}/${name}`);
  const mounts = read("mountinfo").trim().split("\n").map((line) => {
    const [, , , , path, options] = line.split(" ");
    return `${path} ${options}`;
  });
  return { pid: Number(server), status: read("status"), mounts };
}

/** What a process has open: paths as they are in its own root. */
function descriptorsOf(pid: number): string[] {
  const directory = `/proc/${pid}/fd`;
  return [...Deno.readDirSync(directory)].map(({ name }) =>
    Deno.readLinkSync(`${directory}/${name}`)
  );
}

testIf(
  "shared files: the file server sees what is shared and its own program, and has no right",
  NEEDS,
  async () => {
    await using scope = new Scope();
    const data = await volume(scope);
    await Deno.mkdir(`${data}/below`);
    // As systemd makes all of the host's.
    await run(["mount", "--bind", data, data], { check: true });
    scope.defer(`unmount ${data}`, () => run(["umount", "--recursive", data]));
    await run(["mount", "--make-shared", data], { check: true });
    const binary = `${await scope.temporaryDirectory("caller")}/urunc`;
    const script = `#!/bin/sh\nexec 9</etc\nexec ${await uruncBinary()} "$@"\n`;
    await Deno.writeTextFile(binary, script, { mode: 0o755 });
    const container = await imageContainer(scope, "cat /data/wait", {
      binary,
      mounts: [bind(data, "/data", "ro")],
    });
    assert.equal(await run(["mkfifo", `${data}/wait`]).then(({ code }) => code), 0);
    const pid = await container.mustCreate();
    // At the barrier, where its filter is not yet installed.
    const proven = async () =>
      `${(await container.state()).annotations!["com.urunc.files.identity"]}`;
    assert.match(await proven(), new RegExp(`^Uid=${USER},.* Seccomp=0`));
    assertSucceeded(await container.start());
    assert.match(await proven(), new RegExp(`^Uid=${USER},.* Seccomp=2`));
    const { status, mounts, pid: server } = fileServerOf(pid);
    const fields = (name: string) =>
      new RegExp(`^${name}:[ \\t]*(.*?)[ \\t]*$`, "m").exec(status)?.[1];
    assert.equal(fields("Uid"), Array(4).fill(USER).join("\t"));
    assert.equal(fields("Gid"), Array(4).fill(USER).join("\t"));
    assert.equal(fields("Groups"), "");
    for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) {
      assert.match(fields(set)!, /^0+$/, set);
    }
    assert.equal(fields("NoNewPrivs"), "1");
    assert.equal(fields("Seccomp"), "2");
    // It is process 1 of a PID namespace of its own.
    assert.match(fields("NSpid")!, /\s1$/);
    const own = (process: number | "self", name: string) =>
      Deno.readLinkSync(`/proc/${process}/ns/${name}`);
    const monitor = await container.monitorPid();
    for (const name of ["mnt", "net", "ipc", "pid"]) {
      for (const other of [pid, monitor, "self"] as const) {
        assert.notEqual(own(server, name), own(other, name), name);
      }
    }
    const shown = mounts.filter((it) => !/^\/usr\/|^\/lib/.test(it)).sort();
    assert.deepEqual(shown.map((it) => it.replace(/,(rel|no)atime$/, "")), [
      "/ ro,nosuid,nodev,noexec",
      "/proc ro,nosuid,nodev,noexec",
      "/shared/root rw,nosuid,nodev,noexec",
      "/shared/v/0 ro,nosuid,nodev,noexec",
    ]);
    for (const mount of mounts) assert.match(mount, /nosuid,nodev/);
    assert.match(Deno.readTextFileSync(`/proc/${server}/limits`), /core file size\s+0\s+0/);
    // Its standard files and connections, and in its own root two directories: nothing of the caller's.
    for (const path of descriptorsOf(server)) {
      assert.match(path, /^(pipe:|socket:|anon_inode:\[event(fd|poll)\]$|\/$|\/proc\/1\/fd$)/);
    }
    await run(["mount", "-t", "tmpfs", "tmpfs", `${data}/below`], { check: true });
    await Deno.writeTextFile(`${data}/below/later`, "");
    assert.deepEqual(fileServerOf(pid).mounts, mounts);
    assert.deepEqual([...Deno.readDirSync(`/proc/${server}/root/shared/v/0/below`)], []);
    assertSucceeded(await container.urunc(["delete", "--force", container.id]));
    assertNothingLeft(container, pid);
  },
);

/** Ids of this run alone: others on this machine may have some, too. */
const FIRST = 1_500_000_000 + 100 * (Deno.pid % 4_000_000);

const DEFAULT = `default_user = "${USER}:${USER}"`;

for (
  const [user, configuration, owner] of [[USER, "", USER], [0, DEFAULT, USER], [0, "", 0]] as const
) {
  testIf(
    `shared files: where the monitor is a user of its own, files are served as the container's user, ${user} as ${owner}`,
    NEEDS,
    async () => {
      await using scope = new Scope();
      // It is open to that user alone.
      const data = await volume(scope, { in: "given\n" });
      await Deno.chmod(data, 0o700);
      await Deno.chown(data, owner, owner);
      const ids = `[ids]\nmode = "uid"\nrange = "${FIRST}-${FIRST + 1}"\n${configuration}`;
      const container = await imageContainer(
        scope,
        "cat /data/in; echo made >/data/out; echo up; sleep 99",
        {
          config: await nodeWithKernel(scope, `${UNDESCRIBED}\n${ids}`),
          user: { uid: user, gid: user },
          capabilities: ["CAP_DAC_OVERRIDE"],
          mounts: [bind(data, "/data")],
        },
      );
      const { code } = await container.spawn(scope, "run");
      await container.waitForOutput("up", 100);
      assert.match(container.output(), /^given$/m);
      const { pid, annotations } = await container.state();
      assert.match(annotations!["com.urunc.files.identity"]!, new RegExp(`^Uid=${owner},`));
      assert.match(
        annotations!["com.urunc.identity"]!,
        new RegExp(`^Uid=(${FIRST}|${FIRST + 1}),`),
      );
      const server = fileServerOf(pid!);
      assert.match(server.status, new RegExp(`^Uid:(\t${owner}){4}$`, "m"));
      assert.equal(server.status.match(/^Cap...:\t0+$/gm)?.length, 5);
      const { uid } = await Deno.stat(`${data}/out`);
      assert.equal(uid, owner);
      // The death signal does not reach another user's process (kill_ok_by_cred() in kernel/signal.c).
      Deno.kill(pid!, "SIGKILL");
      await code;
      assertSucceeded(await container.urunc(["delete", "--force", container.id]));
      assertNothingLeft(container, pid!);
      assert.ok(!isAlive(server.pid));
    },
  );
}

testIf("shared files: the least that processes may be limited to is enough", NEEDS, async () => {
  await using scope = new Scope();
  const data = await volume(scope);
  const script =
    "for i in 1 2 3 4 5 6 7 8 9; do cat /bin/busybox >/data/$i & done; wait; echo up; sleep 99";
  const options = { mounts: [bind(data, "/data")] };
  const refused = await imageContainer(scope, script, { ...options, processes: 1 });
  const { stderr } = await refused.create();
  const least = Number(/allow at least (\d+)/.exec(stderr)?.[1]);
  const container = await imageContainer(scope, script, { ...options, processes: least });
  const { code } = await container.spawn(scope, "run");
  await container.waitForOutput("up", 100);
  const { pid } = await container.state();
  const threads = [...Deno.readDirSync(`/proc/${fileServerOf(pid!).pid}/task`)];
  assert.equal(threads.length, FILE_SERVER_THREADS);
  assertSucceeded(await container.urunc(["kill", container.id, "KILL"]));
  assert.equal(await code, 137);
  assertNothingLeft(container);
});

testIf(
  "shared files: a signal to all processes is the guest's, and not the file server's",
  NEEDS,
  async () => {
    await using scope = new Scope();
    const script =
      "trap 'echo caught; ls /bin/sh; exit 7' TERM; echo up; while :; do sleep 1; done";
    const container = await imageContainer(scope, script);
    const { code } = await container.spawn(scope, "run");
    await container.waitForOutput("up", 100);
    assertSucceeded(await container.kill("--all", "TERM"));
    assert.equal(await code, 7, container.errors());
    assert.match(container.output(), /^caught\n\/bin\/sh$/m);
    assertNothingLeft(container);
  },
);

testIf(
  "shared files: kill -9 of the waiter, the monitor or the file server, and none of them is left",
  NEEDS,
  async () => {
    for (const delay of [0, 10, 300]) {
      for (const victim of ["waiter", "monitor", "server"] as const) {
        await using scope = new Scope();
        const options = { mounts: [bind(await volume(scope), "/data")] };
        const container = await imageContainer(scope, "while :; do :; done", options);
        const pid = await container.mustCreate();
        const before = [pid, ...childrenOf(pid)];
        assert.equal(before.length, 3);
        assertSucceeded(await container.start());
        await new Promise((resolve) => setTimeout(resolve, delay));
        const monitor = await container.monitorPid();
        const server = before.find((it) => it !== pid && it !== monitor)!;
        Deno.kill({ waiter: pid, monitor, server }[victim], "SIGKILL");
        await container.waitForStatus("stopped");
        assertSucceeded(await container.delete(), `${victim} after ${delay} ms`);
        for (const each of before) {
          assert.ok(!isAlive(each), `${victim} after ${delay} ms: ${each}`);
        }
        assertNothingLeft(container, pid);
      }
    }
  },
);

testIf("shared files: a guest ends when its file server does, as a failure", NEEDS, async () => {
  await using scope = new Scope();
  const container = await imageContainer(scope, "echo up; while :; do :; done");
  const { code } = await container.spawn(scope, "run");
  await container.waitForOutput("up", 100);
  const { pid } = await container.state();
  Deno.kill(fileServerOf(pid!).pid, "SIGKILL");
  assert.equal(await code, 255);
  assert.match(container.errors(), /the file server ended, and so the guest was/);
  assertNothingLeft(container);
});

testIf("shared files: a guest that stays in its RAM disk has its volumes, too", NEEDS, async () => {
  await using scope = new Scope();
  const data = await volume(scope, { in: "given\n" });
  const container = await linuxContainer(scope, {
    args: [
      "busybox",
      "sh",
      "-c",
      "busybox cat /a/b/in; echo made >/a/b/out; busybox ls /urunc/share",
    ],
    env: ["PATH=/bin"],
    user: { uid: USER, gid: USER },
    edit: (config) => config.mounts = [bind(data, "/a/b")],
  });
  const { code, stdout, stderr } = await container.run();
  // What is shared is seen at its place only.
  assert.equal(stdout, "given\n", stderr);
  assert.equal(code, 1);
  assert.equal(await Deno.readTextFile(`${data}/out`), "made\n");
  assertNothingLeft(container);
});

testIf("shared files: where there is no file server, its package is named", {
  ...NEEDS,
  needs: [...NEEDS.needs, "unshare"],
}, async () => {
  await using scope = new Scope();
  const container = await imageContainer(scope, "true");
  const script = 'mount --bind /dev/null /usr/libexec/virtiofsd; exec "$@"';
  const wrapper = ["unshare", "--mount", "sh", "-c", script, "sh"];
  assertFailed(await container.create({ wrapper }), [
    "find the file server virtiofsd: none of /usr/libexec/virtiofsd, ",
    "is there, which serves guests the files of the host",
    "(Debian: apt-get install virtiofsd)",
  ]);
  assertNothingLeft(container);
});

testIf("shared files: what cannot be shared is refused by its name", NEEDS, async () => {
  await using scope = new Scope();
  const directory = await volume(scope);
  using _socket = Deno.listen({ transport: "unix", path: `${directory}/socket` });
  const cases: [string, string][] = [
    [`${directory}/socket`, "it is a socket, whose other end is not in the guest"],
    [`${directory}/missing`, "No such file or directory"],
    // Meant from the bundle.
    ["missing", "No such file or directory"],
  ];
  for (const [source, reason] of cases) {
    const container = await imageContainer(scope, "true", { mounts: [bind(source, "/x")] });
    assertFailed(await container.create(), [
      `share files with the guest mounts[2] ${resolvePath(container.bundle, source)}`,
      reason,
    ]);
    assertNothingLeft(container);
  }
});

testIf("shared files: the host's own root is not a container's", NEEDS, async () => {
  await using scope = new Scope();
  const bound = await scope.temporaryDirectory("host");
  await run(["mount", "--bind", "/", bound], { check: true });
  scope.defer(`unmount ${bound}`, () => run(["umount", bound]));
  for (const path of ["/", bound]) {
    const container = await imageContainer(scope, "true");
    const file = `${container.bundle}/config.json`;
    const config = JSON.parse(await Deno.readTextFile(file));
    config.root.path = path;
    await Deno.writeTextFile(file, JSON.stringify(config));
    assertFailed(await container.create(), [
      `give the guest the container's root: ${path} is the host's own`,
    ]);
    assertNothingLeft(container);
  }
});

testIf(
  "shared files: neither what another user put in a source's place nor what is mounted later is bound",
  {
    needs: ["root"],
  },
  async () => {
    await using scope = new Scope();
    const script = new URL("bind_shared_child.ts", import.meta.url).pathname;
    const directory = await scope.temporaryDirectory("shared");
    const { stdout } = await run([
      ...["unshare", "--mount", "--propagation", "private"],
      ...[Deno.execPath(), "run", "--allow-all", "--no-check", script, directory],
    ], { check: true });
    assert.deepEqual(JSON.parse(stdout), {
      link: `${directory}/link is a symbolic link of uid 1000: name the file itself`,
      type: `${directory}/file is not a directory any more`,
      bound: ["below"],
      below: [],
    });
  },
);
