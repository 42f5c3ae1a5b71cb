import assert from "node:assert/strict";
import { callNumbers, FATAL_CALLS } from "../../../lib/seccomp/calls.ts";
import { assembleFilter, tableOf } from "../../../lib/seccomp/assemble.ts";
import { rulesOf } from "../../../lib/seccomp/rules.ts";
import type { CallFilter, Feature, TableName } from "../../../lib/seccomp/types.ts";
import { monitorNames } from "../../../lib/monitor/registry.ts";
import { VSOCK_SOCKET } from "../../../lib/plan/vsock.ts";
import { decideNamed } from "../../support/seccomp.ts";

const FEATURES: Feature[] = ["kvm", "translation", "namedTap", "agent"];
const TABLES: TableName[] = ["qemu", "firecracker", "hvt", "spt", "waiter", "relay", "init"];
/** Constants of the kernel's headers. */
const [AF_UNIX, AF_INET, AF_NETLINK, AF_VSOCK] = [1, 2, 16, 40];
const [READ, WRITE, EXEC] = [1, 2, 4];
const [SHARED, PRIVATE, ANONYMOUS] = [1, 2, 0x20];
const SIGCHLD = 17;
const KVM_RUN = 0xae80;
const THREAD = 0x3d0f00;
const NAMESPACES = [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000];

function filter(tables: TableName[], features: Feature[] = [], more: Partial<CallFilter> = {}) {
  return assembleFilter({ tables, features, mode: "on", allowed: [], ...more });
}

/** Every filter that a monitor gets. */
const MONITORS = monitorNames().flatMap((name) => {
  const features: Feature[][] = name === "qemu"
    ? [["kvm"], ["translation"], ["kvm", "vhost"]]
    : [["kvm"], ["kvm", "namedTap"]];
  return features.map((features) => ({
    name: `${name} ${features}`,
    features,
    program: filter([name as TableName], features),
  }));
});

Deno.test("the table of calls is the kernel's, as far as its header goes", () => {
  let header: string;
  try {
    header = Deno.readTextFileSync("/usr/include/x86_64-linux-gnu/asm/unistd_64.h");
  } catch {
    return; // without a compiler there are no headers
  }
  const theirs = Array.from(
    header.matchAll(/^#define __NR_(\w+) (\d+)$/gm),
    ([, name, number]): [string, number] => [name!, Number(number)],
  );
  assert.ok(theirs.length > 300);
  // A later header has more, an earlier one fewer.
  const ours = callNumbers();
  const last = Math.max(...ours.values());
  for (const [name, number] of theirs) {
    if (number <= last) assert.equal(ours.get(name), number, name);
  }
});

Deno.test("every monitor has a table", () => {
  assert.deepEqual(monitorNames().filter((name) => !TABLES.includes(name as TableName)), []);
});

for (const name of TABLES) {
  Deno.test(`table ${name}: reasons, and calls that there are`, () => {
    for (const { why, calls } of tableOf(name)) {
      assert.match(why, /\S/);
      for (const call of calls.split(" ")) assert.ok(callNumbers().has(call), call);
    }
    assert.ok(filter([name], [...FEATURES]).length > 0);
  });

  Deno.test(`table ${name}: nothing of what attackers call`, () => {
    const allowed = rulesOf(tableOf(name), FEATURES);
    for (const call of FATAL_CALLS) assert.ok(!allowed.has(call), call);
    const never = [
      ...[
        "io_uring_enter",
        "io_uring_register",
        "userfaultfd",
        "perf_event_open",
        "unshare",
        "setns",
      ],
      ...["setuid", "setgroups", "capset", "chroot", "fork", "clone3", "socketpair", "connect"],
      ...["shmat", "remap_file_pages", "iopl", "ioperm", "modify_ldt", "setns", "mknod"],
      ...["open_by_handle_at", "pidfd_getfd", "process_madvise", "memfd_secret"],
      // The container's process opens the monitor's before it has its own filter.
      ...(name === "init" ? [] : ["pidfd_open"]),
      ...["chmod", "chown", "symlink", "rename", "reboot", "swapon", "acct", "syslog", "quotactl"],
    ];
    for (const call of never) assert.ok(!allowed.has(call), call);
  });
}

Deno.test("only a waiter that asks a name server connects, and makes sockets, of IPv4", () => {
  const [SOCK_STREAM, SOCK_DGRAM, CLOEXEC] = [1, 2, 0x80000];
  const decided = (tables: TableName[], features: Feature[], call: string, ...args: number[]) =>
    decideNamed(filter(tables, features), call, ...args);
  const dns: Feature[] = ["agent", "dns"];
  assert.equal(decided(["waiter"], ["agent"], "connect"), "EPERM");
  assert.equal(decided(["waiter"], ["agent"], "socket", AF_INET, SOCK_STREAM), "EPERM");
  assert.equal(decided(["waiter"], dns, "connect"), "allow");
  // Where the clock is not read without a call.
  assert.equal(decided(["waiter"], dns, "clock_gettime"), "allow");
  assert.equal(decided(["waiter"], dns, "socket", AF_INET, SOCK_STREAM | CLOEXEC), "allow");
  assert.equal(decided(["waiter"], dns, "socket", AF_INET, SOCK_DGRAM), "EPERM");
  // Made before the narrower filter.
  assert.equal(decided(["init", "waiter"], dns, "socket", AF_INET, SOCK_DGRAM), "allow");
  for (const family of [AF_UNIX, AF_NETLINK, AF_VSOCK]) {
    assert.equal(decided(["init", "waiter"], dns, "socket", family, SOCK_STREAM), "EPERM");
  }
});

Deno.test("Firecracker connects to names as long as those of vsock's sockets, by streams, where there are any", () => {
  const [SOCK_STREAM, SOCK_DGRAM, CLOEXEC] = [1, 2, 0x80000];
  const decided = (features: Feature[], call: string, ...args: number[]) =>
    decideNamed(filter(["firecracker"], ["kvm", ...features]), call, ...args);
  const longer = (path: string) => 2 + path.length + 1;
  const port = longer(`${VSOCK_SOCKET}_1024`);
  assert.equal(decided(["vsock"], "socket", AF_UNIX, SOCK_STREAM | CLOEXEC, 0), "allow");
  assert.equal(decided(["vsock"], "bind", 3, 0, longer(VSOCK_SOCKET)), "allow");
  assert.equal(decided(["vsock"], "connect", 3, 0, port), "allow");
  for (const call of ["listen", "recvfrom", "sendto"]) {
    assert.equal(decided(["vsock"], call), "allow", call);
    assert.equal(decided([], call), "EPERM", call);
  }
  for (const length of [port - 1, port + 1, 110]) {
    assert.equal(decided(["vsock"], "connect", 3, 0, length), "EPERM", `${length}`);
    assert.equal(decided(["vsock"], "bind", 3, 0, length), "EPERM", `${length}`);
  }
  assert.equal(decided(["vsock"], "socket", AF_UNIX, SOCK_DGRAM, 0), "EPERM");
  for (const family of [AF_INET, AF_NETLINK, AF_VSOCK]) {
    assert.equal(decided(["vsock"], "socket", family, SOCK_STREAM, 0), "EPERM");
  }
  // Nobody connects to its own, and descriptors are for nobody.
  for (const call of ["accept", "accept4", "sendmsg", "recvmsg", "socketpair"]) {
    assert.equal(decided(["vsock", "namedTap"], call), "EPERM", call);
  }
  assert.equal(decided([], "connect", 3, 0, port), "EPERM");
  assert.equal(decided([], "bind", 3, 0, longer(VSOCK_SOCKET)), "EPERM");
});

Deno.test("the waiter accepts, and hands over, where the guest connects to it", () => {
  for (const call of ["accept4", "sendmsg"]) {
    assert.equal(decideNamed(filter(["waiter"], ["agent"]), call), "EPERM", call);
    assert.equal(decideNamed(filter(["waiter"], ["agent", "vsock"]), call), "allow", call);
  }
  // The agent's bytes are drawn before.
  for (const call of ["recvmsg", "getrandom"]) {
    assert.equal(decideNamed(filter(["waiter"], ["agent", "vsock"]), call), "EPERM", call);
  }
});

Deno.test("the waiter connects by TCP, and asks by UDP, not by another protocol of their kind", () => {
  const [SOCK_STREAM, SOCK_DGRAM] = [1, 2];
  const features: Feature[] = ["agent", "dns", "namedTap"];
  const decided = (tables: TableName[], type: number, protocol: number) =>
    decideNamed(filter(tables, features), "socket", AF_INET, type, protocol);
  for (const protocol of [0, 6]) assert.equal(decided(["waiter"], SOCK_STREAM, protocol), "allow");
  for (const table of ["init", "hvt", "spt"] as const) {
    for (const protocol of [0, 17]) assert.equal(decided([table], SOCK_DGRAM, protocol), "allow");
  }
  // ICMP, SCTP, UDP-Lite, SMC, MPTCP
  for (const protocol of [1, 132, 136, 256, 262]) {
    assert.equal(decided(["waiter"], SOCK_STREAM, protocol), "EPERM", `${protocol}`);
    for (const table of ["init", "hvt", "spt"] as const) {
      assert.equal(decided([table], SOCK_DGRAM, protocol), "EPERM", `${table} ${protocol}`);
    }
  }
});

for (const name of TABLES) {
  Deno.test(`table ${name}: no signals to other processes by a file's owner`, () => {
    const program = filter([name], [...FEATURES, "dns"]);
    // F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETLEASE, F_NOTIFY
    for (const command of [8, 10, 15, 1024, 1026]) {
      assert.equal(decideNamed(program, "fcntl", 3, command, 1), "EPERM", `fcntl ${command}`);
    }
    if (name === "init") return; // runs before a guest does
    // FIOASYNC, FIOSETOWN, SIOCSPGRP, TIOCSPGRP, TIOCSCTTY
    for (const request of [0x5452, 0x8901, 0x8902, 0x5410, 0x540e]) {
      assert.equal(decideNamed(program, "ioctl", 3, request, 1), "EPERM", request.toString(16));
    }
  });
}

Deno.test("the waiter keeps output blocking, and makes no file send signals", () => {
  const program = filter(["waiter"], [...FEATURES, "dns"]);
  const [F_DUPFD, F_GETFL, F_SETFL, O_WRONLY, O_ASYNC] = [0, 3, 4, 1, 0x2000];
  assert.equal(decideNamed(program, "fcntl", 3, F_GETFL), "allow");
  assert.equal(decideNamed(program, "fcntl", 3, F_SETFL, O_WRONLY), "allow");
  assert.equal(decideNamed(program, "fcntl", 3, F_SETFL, O_WRONLY | O_ASYNC), "EPERM");
  assert.equal(decideNamed(program, "fcntl", 3, F_DUPFD), "EPERM");
});

for (const { name, features, program } of MONITORS) {
  const decided = (call: string, ...args: (number | bigint)[]) =>
    decideNamed(program, call, ...args);

  Deno.test(`${name}: no process, no namespace`, () => {
    assert.equal(decided("clone", SIGCHLD), "EPERM");
    for (const call of ["fork", "vfork", "unshare", "setns", "execveat"]) {
      assert.equal(decided(call), "EPERM", call);
    }
    assert.equal(decided("clone3"), "ENOSYS");
    for (const flag of NAMESPACES) assert.equal(decided("clone", THREAD | flag), "EPERM");
    assert.equal(decided("clone", THREAD), name.startsWith("spt") ? "EPERM" : "allow");
  });

  Deno.test(`${name}: sockets only as far as attaching a tap needs them`, () => {
    assert.equal(decided("socket", AF_VSOCK, 1, 0), "EPERM");
    assert.equal(decided("socket", AF_INET, 1, 0), "EPERM", "TCP");
    assert.equal(decided("socket", AF_INET, 3, 0), "EPERM", "raw");
    assert.equal(decided("socket", AF_UNIX, 1, 0), "EPERM");
    assert.equal(decided("socket", AF_NETLINK, 3, 12), "EPERM", "netfilter");
    if (features.includes("namedTap")) return;
    for (const family of [AF_UNIX, AF_INET, AF_NETLINK]) {
      assert.equal(decided("socket", family, 2, 0), "EPERM");
    }
  });

  Deno.test(`${name}: memory is written or executed`, () => {
    const wx = features.includes("translation") ? "allow" : "EPERM";
    const mmap = (prot: number, flags: number) => decided("mmap", 0, 4096, prot, flags);
    assert.equal(mmap(READ | WRITE | EXEC, PRIVATE | ANONYMOUS), wx);
    assert.equal(mmap(READ | WRITE | EXEC, PRIVATE), wx);
    assert.equal(mmap(READ | EXEC, PRIVATE | ANONYMOUS), wx);
    assert.equal(mmap(READ | EXEC, SHARED), wx);
    assert.equal(mmap(READ | EXEC, PRIVATE), "allow", "libraries");
    assert.equal(mmap(READ | WRITE, SHARED), "allow");
    assert.equal(decided("mprotect", 0, 4096, READ | WRITE | EXEC), wx);
    const exec = name.startsWith("spt") ? "allow" : wx;
    assert.equal(decided("mprotect", 0, 4096, READ | EXEC), exec, "spt runs the guest itself");
    assert.equal(decided("mprotect", 0, 4096, READ | WRITE), "allow");
    assert.equal(decided("pkey_mprotect", 0, 4096, READ | WRITE | EXEC, 0), "EPERM");
    assert.equal(decided("memfd_create"), name.startsWith("qemu") ? "ENOSYS" : "allow");
  });

  Deno.test(`${name}: requests of its own devices`, () => {
    const ioctl = (request: number) => decided("ioctl", 3, request);
    const hasKvm = features.includes("kvm") && !name.startsWith("spt");
    assert.equal(ioctl(KVM_RUN), hasKvm ? "allow" : "EPERM");
    // TIOCSTI, TIOCLINUX, SG_IO, TUNSETPERSIST, LOOP_SET_FD, FS_IOC_SETFLAGS, KVM_CREATE_DEVICE
    const others = [0x5412, 0x541c, 0x2285, 0x400454cb, 0x4c00, 0x40086602, 0xc00caee0];
    for (const request of others) assert.equal(ioctl(request), "EPERM", request.toString(16));
    const TUNSETIFF = 0x400454ca;
    assert.equal(ioctl(TUNSETIFF), features.includes("namedTap") ? "allow" : "EPERM");
    const VHOST_SET_OWNER = 0xaf01;
    assert.equal(ioctl(VHOST_SET_OWNER), features.includes("vhost") ? "allow" : "EPERM");
    // VHOST_RESET_OWNER, VHOST_SET_LOG_FD, VHOST_NEW_WORKER, VHOST_SET_FORK_FROM_OWNER
    for (const request of [0xaf02, 0x4004af07, 0x8004af08, 0x4001af84]) {
      assert.equal(ioctl(request), "EPERM", request.toString(16));
    }
  });

  Deno.test(`${name}: options of prctl`, () => {
    const PR_SET_NAME = 15;
    assert.equal(decided("prctl", PR_SET_NAME), "allow");
    // PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_SET_MM, PR_SET_PTRACER, PR_CAP_AMBIENT, PR_SET_SYSCALL_USER_DISPATCH
    for (const option of [4, 8, 35, 0x59616d61, 47, 59]) {
      assert.equal(decided("prctl", option), "EPERM", `${option}`);
    }
  });
}

Deno.test("the container's process signals by a descriptor that it has, and can open none", () => {
  const program = filter(["waiter"], [...FEATURES]);
  assert.equal(decideNamed(program, "pidfd_send_signal"), "allow");
  for (const call of ["kill", "tgkill", "pidfd_open", "openat", "recvmsg"]) {
    assert.equal(decideNamed(program, call), "EPERM", call);
  }
});

Deno.test("init's filter allows what the waiter may, and no process, namespace or file", () => {
  const program = filter(["init", "waiter"], []);
  for (const call of rulesOf([...tableOf("waiter"), ...tableOf("init")], []).keys()) {
    if (call !== "clone" && call !== "fcntl") {
      assert.equal(decideNamed(program, call, 9, 9, 9, 9), "allow", call);
    }
  }
  assert.equal(decideNamed(program, "clone", THREAD), "allow");
  for (const flag of NAMESPACES) {
    assert.equal(decideNamed(program, "clone", THREAD | flag), "EPERM");
  }
  assert.equal(decideNamed(program, "clone", SIGCHLD), "EPERM");
  for (const call of ["vfork", "fork", "openat", "setsid"]) {
    assert.equal(decideNamed(program, call), "EPERM", call);
  }
  assert.equal(decideNamed(program, "socket", AF_VSOCK), "EPERM");
  assert.equal(decideNamed(program, "keyctl"), "kill");
});

Deno.test("the operator adds calls", () => {
  const program = filter(["qemu"], ["kvm"], { allowed: ["keyctl", "socket"] });
  assert.equal(decideNamed(program, "keyctl"), "allow");
  assert.equal(decideNamed(program, "socket", AF_VSOCK), "allow");
  assert.equal(decideNamed(program, "add_key"), "kill");
});

Deno.test("the file server keeps its groups, whatever the guest says that its process has", () => {
  for (const mode of ["on", "log", "strict"] as const) {
    assert.equal(decideNamed(filter(["virtiofsd"], [], { mode }), "setgroups"), "omitted");
  }
  assert.ok(!rulesOf(tableOf("virtiofsd"), []).has("setgroups"));
  // But where it acts as any of the guest's users.
  assert.equal(decideNamed(filter(["virtiofsd"], ["owners"]), "setgroups"), "allow");
});
