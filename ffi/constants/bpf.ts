/**
 * Programs that the kernel runs: commands of bpf(2), and the instructions that ours need.
 * @see bpf(2); linux/bpf.h, linux/bpf_common.h
 * @module
 */

// Commands.
export const BPF_PROG_LOAD = 5;
export const BPF_PROG_ATTACH = 8;
export const BPF_PROG_DETACH = 9;
export const BPF_PROG_GET_FD_BY_ID = 13;
export const BPF_OBJ_GET_INFO_BY_FD = 15;
export const BPF_PROG_QUERY = 16;

export const BPF_PROG_TYPE_SCHED_CLS = 3;
export const BPF_PROG_TYPE_CGROUP_DEVICE = 15;
export const BPF_CGROUP_DEVICE = 6;
/** Programs of the cgroup's ancestors, and other programs of the cgroup, are run as well. */
export const BPF_F_ALLOW_MULTI = 2;
export const BPF_OBJ_NAME_LEN = 16;

// struct bpf_cgroup_dev_ctx: access_type is `access << 16 | type`.
export const BPF_DEVCG_ACC_MKNOD = 1;
export const BPF_DEVCG_ACC_READ = 2;
export const BPF_DEVCG_ACC_WRITE = 4;
export const BPF_DEVCG_DEV_BLOCK = 1;
export const BPF_DEVCG_DEV_CHAR = 2;

// Instructions: class, size, mode; operation, source.
export const BPF_LDX = 0x01;
export const BPF_ALU = 0x04;
export const BPF_JMP = 0x05;
export const BPF_JMP32 = 0x06;
export const BPF_W = 0x00;
export const BPF_MEM = 0x60;
export const BPF_K = 0x00;
export const BPF_X = 0x08;
export const BPF_AND = 0x50;
export const BPF_RSH = 0x70;
export const BPF_MOV = 0xb0;
export const BPF_JNE = 0x50;
export const BPF_EXIT = 0x90;
export const BPF_ALU64 = 0x07;
export const BPF_H = 0x08;
export const BPF_B = 0x10;
export const BPF_ADD = 0x00;
export const BPF_LSH = 0x60;
export const BPF_JA = 0x00;
export const BPF_JEQ = 0x10;
export const BPF_CALL = 0x80;
/** The frame pointer: the stack is below it. */
export const BPF_REG_10 = 10;

// Functions of the kernel, by their numbers.
export const BPF_FUNC_clone_redirect = 13;
export const BPF_FUNC_redirect = 23;
export const BPF_FUNC_skb_load_bytes = 26;
export const BPF_FUNC_sk_lookup_udp = 85;
export const BPF_FUNC_sk_release = 86;
export const BPF_FUNC_skc_lookup_tcp = 99;
/** In place of a network namespace: that of the packet's interface. */
export const BPF_F_CURRENT_NETNS = -1;
