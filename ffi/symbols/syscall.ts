/**
 * unistd.h's `long syscall(long number, ...)`, once for each system call that the oldest C library
 * we run with (glibc 2.34) has no function for, or whose function does something else than the
 * call. Each declaration has the kernel's parameters; like all of x86-64's integers and pointers
 * they travel in registers, and `long` returns -1 with errno set.
 * @see syscalls(2)
 * @module
 */
import { declare } from "./_library.ts";

export const open_tree = declare("syscall", {
  parameters: [
    /* long number */ "i64",
    /* int dirfd */ "i32",
    /* const char *path */ "buffer",
    /* unsigned int flags */ "u32",
  ],
  result: "i64",
});

export const fsopen = declare("syscall", {
  parameters: [
    /* long number */ "i64",
    /* const char *fs_name */ "buffer",
    /* unsigned int flags */ "u32",
  ],
  result: "i64",
});

export const fsconfig = declare("syscall", {
  parameters: [
    /* long number */ "i64",
    /* int fd */ "i32",
    /* unsigned int cmd */ "u32",
    /* const char *key */ "buffer",
    /* const void *value */ "buffer",
    /* int aux */ "i32",
  ],
  result: "i64",
});

export const fsmount = declare("syscall", {
  parameters: [
    /* long number */ "i64",
    /* int fd */ "i32",
    /* unsigned int flags */ "u32",
    /* unsigned int attr_flags */ "u32",
  ],
  result: "i64",
});

export const move_mount = declare("syscall", {
  parameters: [
    /* long number */ "i64",
    /* int from_dirfd */ "i32",
    /* const char *from_path */ "buffer",
    /* int to_dirfd */ "i32",
    /* const char *to_path */ "buffer",
    /* unsigned int flags */ "u32",
  ],
  result: "i64",
});

export const mount_setattr = declare("syscall", {
  parameters: [
    /* long number */ "i64",
    /* int dirfd */ "i32",
    /* const char *path */ "buffer",
    /* unsigned int flags */ "u32",
    /* struct mount_attr *attr */ "buffer",
    /* size_t size */ "usize",
  ],
  result: "i64",
});

export const pivot_root = declare("syscall", {
  parameters: [
    /* long number */ "i64",
    /* const char *new_root */ "buffer",
    /* const char *put_old */ "buffer",
  ],
  result: "i64",
});

export const openat2 = declare("syscall", {
  parameters: [
    /* long number */ "i64",
    /* int dirfd */ "i32",
    /* const char *path */ "buffer",
    /* struct open_how *how */ "buffer",
    /* size_t size */ "usize",
  ],
  result: "i64",
});

export const exit_group = declare("syscall", {
  parameters: [/* long number */ "i64", /* int status */ "i32"],
  result: "i64",
});

export const close_range = declare("syscall", {
  parameters: [
    /* long number */ "i64",
    /* unsigned int first */ "u32",
    /* unsigned int last */ "u32",
    /* unsigned int flags */ "u32",
  ],
  result: "i64",
});

/** The C library's sigaction refuses the signals 32 and 33, which it keeps for itself. */
export const rt_sigaction = declare("syscall", {
  parameters: [
    /* long number */ "i64",
    /* int sig */ "i32",
    /* const struct sigaction *act, the kernel's */ "buffer",
    /* struct sigaction *oact */ "buffer",
    /* size_t sigsetsize */ "usize",
  ],
  result: "i64",
});

/** The C library's sigprocmask leaves out the signals 32 and 33. */
export const rt_sigprocmask = declare("syscall", {
  parameters: [
    /* long number */ "i64",
    /* int how */ "i32",
    /* const sigset_t *set, the kernel's */ "buffer",
    /* sigset_t *oset */ "buffer",
    /* size_t sigsetsize */ "usize",
  ],
  result: "i64",
});

export const bpf = declare("syscall", {
  parameters: [
    /* long number */ "i64",
    /* int cmd */ "i32",
    /* union bpf_attr *attr */ "buffer",
    /* unsigned int size */ "u32",
  ],
  result: "i64",
});

export const keyctl_join_session_keyring = declare("syscall", {
  parameters: [/* long number */ "i64", /* int cmd */ "i32", /* const char *name */ "buffer"],
  result: "i64",
});

export const seccomp = declare("syscall", {
  parameters: [
    /* long number */ "i64",
    /* unsigned int operation */ "u32",
    /* unsigned int flags */ "u32",
    /* void *args */ "buffer",
  ],
  result: "i64",
});

export const landlock_create_ruleset = declare("syscall", {
  parameters: [
    /* long number */ "i64",
    /* const struct landlock_ruleset_attr *attr */ "buffer",
    /* size_t size */ "usize",
    /* unsigned int flags */ "u32",
  ],
  result: "i64",
});

export const landlock_add_rule = declare("syscall", {
  parameters: [
    /* long number */ "i64",
    /* int ruleset_fd */ "i32",
    /* unsigned int rule_type */ "u32",
    /* const void *rule_attr */ "buffer",
    /* unsigned int flags */ "u32",
  ],
  result: "i64",
});

export const landlock_restrict_self = declare("syscall", {
  parameters: [
    /* long number */ "i64",
    /* int ruleset_fd */ "i32",
    /* unsigned int flags */ "u32",
  ],
  result: "i64",
});

export const pidfd_open = declare("syscall", {
  parameters: [/* long number */ "i64", /* pid_t pid */ "i32", /* unsigned int flags */ "u32"],
  result: "i64",
});

export const pidfd_send_signal = declare("syscall", {
  parameters: [
    /* long number */ "i64",
    /* int pidfd */ "i32",
    /* int sig */ "i32",
    /* siginfo_t *info */ "buffer",
    /* unsigned int flags */ "u32",
  ],
  result: "i64",
});
