/*
 * Runs a program as on a kernel that was built without netfilter's netlink:
 * its sockets are refused, as __netlink_create() does for a protocol that
 * nobody has registered. Usage: without_netfilter PROGRAM [ARGUMENT...]
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
/* Skips so many instructions, to the one that allows, unless the value is this. */
#define REQUIRE(value, otherwise) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, otherwise)

int main(int argc, char **argv)
{
	struct sock_filter filter[] = {
		LOAD(nr),
		REQUIRE(SYS_socket, 5),
		LOAD(args[0]),
		REQUIRE(AF_NETLINK, 3),
		LOAD(args[2]),
		REQUIRE(NETLINK_NETFILTER, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPROTONOSUPPORT),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(*filter), filter };

	(void)argc;
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
		perror("seccomp");
		return 1;
	}
	execvp(argv[1], argv + 1);
	perror(argv[1]);
	return 1;
}
