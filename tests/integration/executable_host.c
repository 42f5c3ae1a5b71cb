/* Starts a program as no shell can: `host forbid-memfd PROGRAM`, `host no-arguments PROGRAM`. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The system call answers EPERM, as under a container engine's profile. */
static int forbid(unsigned int number) {
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int main(int argc, char **argv, char **envp) {
  if (argc != 3) return 2;
  char *arguments[] = {argv[2], NULL};
  if (!strcmp(argv[1], "no-arguments")) arguments[0] = NULL;
  else if (forbid(SYS_memfd_create)) return 3;
  execve(argv[2], arguments, envp);
  perror(argv[2]);
  return 4;
}
