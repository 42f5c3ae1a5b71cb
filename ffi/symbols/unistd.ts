/** unistd.h @module */
import { declare } from "./_library.ts";

const CLOSE = { parameters: [/* int fd */ "i32"], result: "i32" } as const;

export const close = declare("close", CLOSE);

/** In a thread of its own, where errno stays. */
export const closeNonblocking = declare("close", { ...CLOSE, nonblocking: true });

export const read = declare("read", {
  parameters: [/* int fd */ "i32", /* void *buf */ "buffer", /* size_t count */ "usize"],
  result: "isize",
});

const WRITE = {
  parameters: [/* int fd */ "i32", /* const void *buf */ "buffer", /* size_t count */ "usize"],
  result: "isize",
} as const;

export const write = declare("write", WRITE);

/** In a thread of its own, where errno stays. */
export const writeNonblocking = declare("write", { ...WRITE, nonblocking: true });

export const pipe2 = declare("pipe2", {
  parameters: [/* int pipefd[2] */ "buffer", /* int flags */ "i32"],
  result: "i32",
});

export const lseek = declare("lseek", {
  parameters: [/* int fd */ "i32", /* off_t offset */ "i64", /* int whence */ "i32"],
  result: /* off_t */ "i64",
});

export const symlinkat = declare("symlinkat", {
  parameters: [
    /* const char *target */ "buffer",
    /* int newdirfd */ "i32",
    /* const char *linkpath */ "buffer",
  ],
  result: "i32",
});

export const readlinkat = declare("readlinkat", {
  parameters: [
    /* int dirfd */ "i32",
    /* const char *pathname */ "buffer",
    /* char *buf */ "buffer",
    /* size_t bufsiz */ "usize",
  ],
  result: "isize",
});

export const unlinkat = declare("unlinkat", {
  parameters: [/* int dirfd */ "i32", /* const char *path */ "buffer", /* int flags */ "i32"],
  result: "i32",
});

export const fchownat = declare("fchownat", {
  parameters: [
    /* int dirfd */ "i32",
    /* const char *path */ "buffer",
    /* uid_t owner */ "u32",
    /* gid_t group */ "u32",
    /* int flags */ "i32",
  ],
  result: "i32",
});

export const chdir = declare("chdir", {
  parameters: [/* const char *path */ "buffer"],
  result: "i32",
});

export const fchdir = declare("fchdir", { parameters: [/* int fd */ "i32"], result: "i32" });

export const dup2 = declare("dup2", {
  parameters: [/* int oldfd */ "i32", /* int newfd */ "i32"],
  result: "i32",
});

export const sethostname = declare("sethostname", {
  parameters: [/* const char *name */ "buffer", /* size_t len */ "usize"],
  result: "i32",
});

export const setdomainname = declare("setdomainname", {
  parameters: [/* const char *name */ "buffer", /* size_t len */ "usize"],
  result: "i32",
});

export const setresuid = declare("setresuid", {
  parameters: [/* uid_t ruid */ "u32", /* uid_t euid */ "u32", /* uid_t suid */ "u32"],
  result: "i32",
});

export const setresgid = declare("setresgid", {
  parameters: [/* gid_t rgid */ "u32", /* gid_t egid */ "u32", /* gid_t sgid */ "u32"],
  result: "i32",
});

export const getgroups = declare("getgroups", {
  parameters: [/* int size */ "i32", /* gid_t list[] */ "buffer"],
  result: "i32",
});

export const execve = declare("execve", {
  parameters: [
    /* const char *path */ "buffer",
    /* char *const argv[] */ "buffer",
    /* char *const envp[] */ "buffer",
  ],
  result: "i32",
});

export const fexecve = declare("fexecve", {
  parameters: [
    /* int fd */ "i32",
    /* char *const argv[] */ "buffer",
    /* char *const envp[] */ "buffer",
  ],
  result: "i32",
});

export const setsid = declare("setsid", { parameters: [], result: /* pid_t */ "i32" });
