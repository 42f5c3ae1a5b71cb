/**
 * What ffi_test.ts has done in processes of their own, for it cannot be undone: the first argument
 * chooses.
 */
import * as linux from "../../ffi/linux.ts";
import {
  AT_RECURSIVE,
  CAP_LAST_CAP,
  CAP_SYS_ADMIN,
  CLONE_FS,
  MS_PRIVATE,
  OPEN_TREE_CLOEXEC,
} from "../support/kernel.ts";

const NOBODY = 65534;

/** All that `Deno.args` may ask for. */
const acts: Record<string, (...args: string[]) => void> = {
  becomeMonitor,
  failUnprivileged,
  visitMountNamespace,
  joinKeyring,
};

/** Builds a root, moves into it, gives everything up, and becomes busybox. */
function becomeMonitor(directory: string, ...argv: string[]): void {
  linux.unshare(
    linux.CLONE_NEWNS | linux.CLONE_NEWUTS | linux.CLONE_NEWIPC | linux.CLONE_NEWNET |
      linux.CLONE_NEWCGROUP,
  );
  linux.mount(null, "/", null, linux.MS_REC | MS_PRIVATE, null);
  linux.sethostname("guest");
  linux.setdomainname("domain");

  linux.mount("tmpfs", directory, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "size=1m,mode=755");
  linux.umask(0);
  const root = linux.open(directory, linux.O_PATH | linux.O_DIRECTORY);
  for (const name of ["bin", "dev", "proc"]) linux.mkdirat(root, name, 0o755);

  const tree = linux.openTree(
    linux.AT_FDCWD,
    "/usr/bin",
    linux.OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE,
  );
  linux.mountSetattr(tree, "", linux.AT_EMPTY_PATH | AT_RECURSIVE, {
    set: linux.MOUNT_ATTR_RDONLY | linux.MOUNT_ATTR_NOSUID | linux.MOUNT_ATTR_NODEV,
    propagation: MS_PRIVATE,
  });
  linux.moveMount(tree, "", root, "bin", linux.MOVE_MOUNT_F_EMPTY_PATH);
  linux.close(tree);

  linux.mount("tmpfs", `${directory}/dev`, "tmpfs", linux.MS_NOSUID, "size=64k,mode=755");
  linux.mknodat(root, "dev/kvm", linux.S_IFCHR | 0o600, { major: 10, minor: 232 });
  linux.fchownat(root, "dev/kvm", NOBODY, NOBODY, linux.AT_SYMLINK_NOFOLLOW);
  linux.mount("proc", `${directory}/proc`, "proc", 0, null);

  linux.fchdir(root);
  linux.pivotRoot(".", ".");
  linux.umount2(".", linux.MNT_DETACH);
  linux.chdir("/");
  linux.mount(null, "/", null, linux.MS_REMOUNT | linux.MS_BIND | linux.MS_RDONLY, null);

  for (let cap = 0; cap <= CAP_LAST_CAP; cap++) linux.prctl(linux.PR_CAPBSET_DROP, cap);
  linux.setrlimit(linux.RLIMIT_NOFILE, { soft: 100n, hard: 200n });
  linux.setgroups([108, 27]);
  if (linux.getgroups().join() !== "27,108") throw new Error(`groups ${linux.getgroups()}`);
  linux.setresgid(NOBODY, NOBODY, NOBODY);
  linux.setresuid(NOBODY, NOBODY, NOBODY);
  linux.capset({ effective: 0n, permitted: 0n, inheritable: 0n });
  linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1);
  linux.resetSignalHandlers();
  linux.setSignalMask(0n);
  linux.umask(0o077);
  linux.closeRange(3, 0xffff_ffff, linux.CLOSE_RANGE_CLOEXEC);
  linux.execve("/bin/busybox", argv, ["ONLY=this"]);
}

/** Gives up all privilege, then prints the code with which each call fails. */
function failUnprivileged(): void {
  const namespace = linux.open("/proc/self/ns/uts", linux.O_RDONLY);
  linux.setgroups([]);
  linux.setresgid(NOBODY, NOBODY, NOBODY);
  linux.setresuid(NOBODY, NOBODY, NOBODY);
  const { hard } = linux.getrlimit(linux.RLIMIT_NOFILE);
  const full = (1n << BigInt(CAP_LAST_CAP + 1)) - 1n;
  const calls: Record<string, () => unknown> = {
    unshare: () => linux.unshare(linux.CLONE_NEWNS),
    setns: () => linux.setns(namespace, linux.CLONE_NEWUTS),
    mount: () => linux.mount("tmpfs", "/mnt", "tmpfs", 0, null),
    umount2: () => linux.umount2("/proc", linux.MNT_DETACH),
    pivot_root: () => linux.pivotRoot("/", "/"),
    open_tree: () => linux.openTree(linux.AT_FDCWD, "/usr", linux.OPEN_TREE_CLONE),
    move_mount: () => linux.moveMount(linux.AT_FDCWD, "/proc", linux.AT_FDCWD, "/mnt", 0),
    mount_setattr: () =>
      linux.mountSetattr(linux.AT_FDCWD, "/", 0, { set: linux.MOUNT_ATTR_RDONLY }),
    sethostname: () => linux.sethostname("x"),
    setdomainname: () => linux.setdomainname("x"),
    setgroups: () => linux.setgroups([0]),
    setresgid: () => linux.setresgid(0, 0, 0),
    setresuid: () => linux.setresuid(0, 0, 0),
    capset: () => linux.capset({ effective: full, permitted: full, inheritable: 0n }),
    prctl: () => linux.prctl(linux.PR_CAPBSET_DROP, CAP_SYS_ADMIN),
    prlimit64: () => linux.setrlimit(linux.RLIMIT_NOFILE, { soft: hard + 1n, hard: hard + 1n }),
    mknodat: () =>
      linux.mknodat(linux.AT_FDCWD, "/tmp/urunc-test-node", linux.S_IFCHR, { major: 1, minor: 3 }),
    fchownat: () => linux.fchownat(linux.AT_FDCWD, "/etc/passwd", NOBODY, NOBODY, 0),
    fchmodat: () => linux.fchmodat(linux.AT_FDCWD, "/etc/passwd", 0o666),
    kill: () => linux.kill(1, 0),
  };
  const codes: Record<string, string> = {};
  for (const [name, call] of Object.entries(calls)) {
    try {
      call();
      codes[name] = "no error";
    } catch (error) {
      if (!(error instanceof linux.LinuxError)) throw error;
      codes[name] = error.operation === name ? error.code : `${error.operation} ${error.code}`;
    }
  }
  console.log(JSON.stringify(codes));
}

/** Mounts something in a namespace of its own and comes back. */
function visitMountNamespace(directory: string): void {
  const home = linux.open("/proc/thread-self/ns/mnt", linux.O_RDONLY);
  const before = errorCode(() => linux.setns(home, linux.CLONE_NEWNS));
  linux.unshare(linux.CLONE_NEWNS | CLONE_FS);
  linux.mount(null, "/", null, linux.MS_REC | MS_PRIVATE, null);
  linux.mount("tmpfs", directory, "tmpfs", 0, null);
  const deviceThere = linux.statPath(directory).dev;
  linux.setns(home, linux.CLONE_NEWNS);
  const deviceHere = linux.statPath(directory).dev;
  const wrongType = errorCode(() => linux.setns(home, linux.CLONE_NEWUTS));
  console.log(JSON.stringify({ before, wrongType, deviceThere, deviceHere }));
}

/** Leaves the caller's session keyring for a new one, twice. */
function joinKeyring(): void {
  const serials = [linux.keyctlJoinSessionKeyring(null), linux.keyctlJoinSessionKeyring("urunc")];
  const reserved = errorCode(() => linux.keyctlJoinSessionKeyring(".reserved"));
  console.log(JSON.stringify({ serials, reserved }));
}

function errorCode(call: () => unknown): string | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    return (error as linux.LinuxError).code;
  }
}

const [name = "", ...args] = Deno.args;
const act = acts[name];
if (act === undefined) throw new Error(`no act ${name}`);
act(...args);
