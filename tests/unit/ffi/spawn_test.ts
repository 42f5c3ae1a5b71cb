import assert from "node:assert/strict";
import * as linux from "../../../ffi/linux.ts";
import { listPids, parseStatus, run } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { findProgram, testIf } from "../../support/skip.ts";
import { SIGHUP, SIGPIPE, SIGUSR1 } from "../../support/kernel.ts";

const LINUX = new URL("../../../ffi/linux.ts", import.meta.url).href;
const BUSYBOX = findProgram("busybox") ?? "/bin/busybox";

function memfd(scope: Scope, content = ""): number {
  const fd = linux.memfdCreate("test", linux.MFD_CLOEXEC);
  scope.defer(`close ${fd}`, () => linux.close(fd));
  linux.writeAll(fd, new TextEncoder().encode(content));
  linux.lseek(fd, 0, linux.SEEK_SET);
  return fd;
}

function contentOf(fd: number): string {
  return Deno.readTextFileSync(`/proc/self/fd/${fd}`);
}

/** Runs a shell with its output in memory, to its end. */
function output(
  scope: Scope,
  script: string,
  options: Partial<linux.SpawnOptions> = {},
): string {
  const out = memfd(scope);
  const pid = linux.spawn({
    path: "/bin/sh",
    argv: ["sh", "-c", script],
    env: ["PATH=/usr/bin:/bin"],
    ...options,
    fds: [{ from: out, to: 1 }, ...options.fds ?? []],
  });
  assert.deepEqual(linux.waitpid(pid, 0), { pid, exitCode: 0 });
  return contentOf(out);
}

/** Moves a descriptor to a number of the test's choice. */
function place(scope: Scope, fd: number, number: number): number {
  linux.dup2(fd, number);
  scope.defer(`close ${number}`, () => linux.close(number));
  return number;
}

Deno.test("descriptors arrive under the numbers asked for, however they overlap", async () => {
  const [A, B, C] = [801, 802, 803];
  const cases: { name: string; fds: [from: number, to: number][]; read: [number, string][] }[] = [
    { name: "plain", fds: [[A, 3]], read: [[3, "a"]] },
    { name: "same number", fds: [[A, A]], read: [[A, "a"]] },
    { name: "swapped", fds: [[A, B], [B, A]], read: [[A, "b"], [B, "a"]] },
    { name: "rotated", fds: [[A, B], [B, C], [C, A]], read: [[A, "c"], [B, "a"], [C, "b"]] },
    { name: "one twice", fds: [[A, 3], [A, 9]], read: [[3, "a"]] },
    { name: "holes", fds: [[B, 5], [A, 40]], read: [[5, "b"], [40, "a"]] },
    { name: "stdin", fds: [[C, 0]], read: [[0, "c"]] },
  ];
  for (const { name, fds, read } of cases) {
    await using scope = new Scope();
    for (const [number, content] of [[A, "a"], [B, "b"], [C, "c"]] as const) {
      place(scope, memfd(scope, content), number);
    }
    const script = read.map(([fd]) => `cat /proc/self/fd/${fd}; echo " ${fd}";`).join(" ");
    assert.equal(
      output(scope, script, { fds: fds.map(([from, to]) => ({ from, to })) }),
      read.map(([fd, content]) => `${content} ${fd}\n`).join(""),
      name,
    );
  }
});

Deno.test("3 and 4 trade places, as numbers this low do in practice", async () => {
  // In a process of its own, where the low numbers can be had.
  const script = `
    const linux = await import(${JSON.stringify(LINUX)});
    const make = (content) => {
      const fd = linux.memfdCreate("test", linux.MFD_CLOEXEC);
      linux.writeAll(fd, new TextEncoder().encode(content));
      return fd;
    };
    const [three, four] = [make("three"), make("four")];
    linux.dup2(three, 3);
    linux.dup2(four, 4);
    const pid = linux.spawn({
      path: "/bin/cat",
      argv: ["cat", "/proc/self/fd/3", "/proc/self/fd/4"],
      env: [],
      fds: [{ from: 3, to: 4 }, { from: 4, to: 3 }],
    });
    linux.waitpid(pid, 0);
    linux.execve("/bin/true", ["true"], []);`;
  assert.equal((await runScript(script)).stdout, "fourthree");
});

Deno.test("all other descriptors are closed, those too that were left open for exec", async () => {
  await using scope = new Scope();
  const [between, above] = [805, 950].map((fd) => place(scope, memfd(scope, "secret"), fd));
  assert.ok(linux.fstat(between as number) && linux.fstat(above as number));
  const from = above as number;
  const list = output(scope, `exec ${BUSYBOX} ls -1 /proc/self/fd`, {
    fds: [{ from, to: 803 }, { from, to: 808 }],
  });
  // 3 is what `ls` itself has opened: the lowest that is free.
  const open = list.trim().split("\n").map(Number).sort((a, b) => a - b);
  assert.deepEqual(open, [0, 1, 2, 3, 803, 808]);
});

Deno.test("the child's limit of open files, with a source beyond it; the caller keeps its own", async () => {
  await using scope = new Scope();
  const from = place(scope, memfd(scope, "far"), 900);
  const before = linux.getrlimit(linux.RLIMIT_NOFILE);
  const fds = [{ from, to: 4 }];
  assert.equal(output(scope, "cat <&4; ulimit -Sn", { fds, fileLimit: 800n }), "far800\n");
  assert.deepEqual(linux.getrlimit(linux.RLIMIT_NOFILE), before);
});

Deno.test("0 to 2 are inherited unless named", async () => {
  await using scope = new Scope();
  const links = output(scope, "readlink /proc/self/fd/0 /proc/self/fd/2").trim().split("\n");
  assert.deepEqual(links, [0, 2].map((fd) => Deno.readLinkSync(`/proc/self/fd/${fd}`)));
});

Deno.test("arguments and environment are those given and no others", async () => {
  await using scope = new Scope();
  const argv = ["name of its own", "", "two words", "ä€😀"];
  for (const env of [[], ["A=1", "B=two words", "C="]]) {
    const printed = output(scope, "", {
      path: "/bin/cat",
      argv: ["cat", "/proc/self/environ"],
      env,
    });
    assert.equal(printed, env.map((it) => `${it}\0`).join(""));
  }
  const printed = output(scope, "", { argv: ["sh", "-c", 'printf "[%s]" "$0" "$@"', ...argv] });
  assert.equal(printed, argv.map((it) => `[${it}]`).join(""));
});

Deno.test("the child starts in the given directory", async () => {
  await using scope = new Scope();
  assert.equal(output(scope, "pwd", { cwd: "/proc" }), "/proc\n");
});

Deno.test("the child leads a session when asked", async () => {
  await using scope = new Scope();
  for (const setsid of [false, true]) {
    const [pid, session] = output(scope, "echo $$; exec cut -d' ' -f6 /proc/self/stat", { setsid })
      .trim().split("\n");
    assert.equal(pid === session, setsid);
  }
});

Deno.test("no signal is ignored, caught or blocked in the child", async () => {
  // The shell ignores signals before it becomes Deno, and Deno ignores SIGPIPE by itself.
  const script = `
    const linux = await import(${JSON.stringify(LINUX)});
    linux.setSignalMask(0xffff_ffff_ffff_ffffn);
    Deno.stdout.writeSync(Deno.readFileSync("/proc/thread-self/status"));
    const argv = ["cat", "/proc/self/status"];
    linux.waitpid(linux.spawn({ path: "/bin/cat", argv, env: [], fds: [] }), 0);
    linux.setSignalMask(0n);`;
  const { stdout } = await runScript(script, "trap '' HUP USR1 RTMIN;");
  const [parent, child] = stdout.split(/^(?=Name:)/m).map(parseStatus).map((it) => it.signals);
  const bit = (signal: number) => 1n << BigInt(signal - 1);
  const ignored = bit(SIGHUP) | bit(SIGUSR1) | bit(SIGPIPE);
  assert.equal((parent?.ignored ?? 0n) & ignored, ignored);
  const unblockable = bit(linux.SIGKILL) | bit(linux.SIGSTOP);
  assert.equal(parent?.blocked, 0xffff_ffff_ffff_ffffn & ~unblockable);
  assert.deepEqual(child, { pending: 0n, blocked: 0n, ignored: 0n, caught: 0n });
});

Deno.test("what cannot be started is an error, and leaves no child", async () => {
  await using scope = new Scope();
  const fd = memfd(scope);
  const before = children();
  const cases: [Partial<linux.SpawnOptions>, string][] = [
    [{ path: "/does/not/exist" }, "ENOENT"],
    [{ path: "/etc/passwd" }, "EACCES"],
    [{ path: "/" }, "EACCES"],
    [{ cwd: "/does/not/exist" }, "ENOENT"],
    [{ fds: [{ from: 987, to: 3 }] }, "EBADF"],
    [{ fds: [{ from: fd, to: 3 }, { from: fd, to: 3 }] }, "EINVAL"],
    [{ argv: ["a\0b"] }, "EINVAL"],
  ];
  for (const [options, code] of cases) {
    assert.throws(
      () => linux.spawn({ path: "/bin/true", argv: ["true"], env: [], fds: [], ...options }),
      { operation: "posix_spawn", code },
      JSON.stringify(options),
    );
  }
  assert.deepEqual(children(), before);
});

testIf("after unshare(CLONE_NEWPID) the child is PID 1", { needs: ["root"] }, async () => {
  const script = `
    const linux = await import(${JSON.stringify(LINUX)});
    const own = linux.open("/proc/self/ns/pid", linux.O_RDONLY);
    const start = () => {
      const argv = ["cat", "/proc/self/status"];
      const pid = linux.spawn({ path: "/bin/cat", argv, env: [], fds: [] });
      if (linux.waitpid(pid, 0)?.pid !== pid) throw new Error("not my child");
    };
    linux.unshare(linux.CLONE_NEWPID);
    start();
    linux.setns(own, linux.CLONE_NEWPID);
    start();`;
  const { stdout } = await runScript(script);
  const [inside, outside] = stdout.split(/^(?=Name:)/m).map(parseStatus);
  assert.equal(inside?.nsPids.at(-1), 1);
  assert.equal(inside?.nsPids.length, (outside?.nsPids.length ?? 0) + 1);
});

/** Our children, dead ones too. @see proc_pid_stat(5) */
function children(): number[] {
  return listPids().filter((pid) => {
    try {
      const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
      return Number(/^.*\) \S (\d+)/s.exec(stat)?.[1]) === Deno.pid;
    } catch {
      return false;
    }
  });
}

/** Runs a script in a Deno of its own, started by a shell. */
function runScript(script: string, shell = "") {
  const arguments_ = ["eval", "--no-lock", "--no-config", script];
  return run(["/bin/sh", "-c", `${shell} exec "$@"`, "sh", Deno.execPath(), ...arguments_], {
    check: true,
  });
}
