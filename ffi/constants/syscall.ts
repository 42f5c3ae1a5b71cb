/**
 * Numbers of the system calls that the C library of our oldest distribution has no function for; x86-64.
 * @see syscalls(2); asm/unistd_64.h
 * @module
 */

export const SYS_rt_sigaction = 13;
export const SYS_rt_sigprocmask = 14;
export const SYS_pivot_root = 155;
export const SYS_keyctl = 250;
export const SYS_seccomp = 317;
export const SYS_bpf = 321;
export const SYS_pidfd_send_signal = 424;
export const SYS_open_tree = 428;
export const SYS_move_mount = 429;
export const SYS_fsopen = 430;
export const SYS_fsconfig = 431;
export const SYS_fsmount = 432;
export const SYS_pidfd_open = 434;
export const SYS_exit_group = 231;
export const SYS_close_range = 436;
export const SYS_openat2 = 437;
export const SYS_mount_setattr = 442;
export const SYS_landlock_create_ruleset = 444;
export const SYS_landlock_add_rule = 445;
export const SYS_landlock_restrict_self = 446;
