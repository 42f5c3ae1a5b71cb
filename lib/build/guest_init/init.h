/* What the files of the guest's first program share. */
#ifndef URUNC_INIT_H
#define URUNC_INIT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/* A shell's exit codes for a program that was not found, or could not be run. */
#define NOT_FOUND 127
#define NOT_RUN 126

#define MOST_LIMITS 16
/* Of a guest: `mostDisks` of the monitors. */
#define MOST_DEVICES 8

/* A file system of the guest's kernel: mount(2). */
struct mount {
  unsigned long flags;
  const char *type, *options, *target;
};

/* A disk, by its name in /dev, and the node that the program knows it by. */
struct device {
  mode_t mode;
  uid_t uid;
  gid_t gid;
  const char *disk, *path;
};

/* What the agent runs, and as whom: /urunc/process. */
struct process {
  char **args, **env;
  uid_t uid;
  gid_t gid;
  gid_t *groups;
  size_t group_count;
  mode_t umask;
  int no_new_privileges;
  /* In the place of a program, the agent says which processes there are. */
  int lists;
  const char *cwd, *hostname, *domainname;
  /* The waiter is reached by vsock, and not by ports. */
  int on_vsock;
  /* The name of the disk with the root; NULL: that is the RAM disk. */
  const char *root;
  /* It is what the host shares, and not a disk. */
  int root_is_shared;
  int root_is_read_only;
  /* Below /proc/sys: NAME=VALUE. */
  char **sysctls;
  size_t sysctl_count;
  struct mount *mounts;
  size_t mount_count;
  /* How many files the file server may have open, where there is one. */
  unsigned open_files;
  struct device devices[MOST_DEVICES];
  size_t device_count;
  /* Paths that the program sees nothing of, and that it cannot write to; and all of its root. */
  char **masked, **read_only;
  size_t masked_count, read_only_count;
  int read_only_root;
  size_t limit_count;
  struct { int type; struct rlimit value; } limits[MOST_LIMITS];
  /* Sets of capabilities, a bit for each. */
  uint64_t bounding, effective, inheritable, permitted, ambient;
};

/* What was impossible before a program could be executed: a stage of exec_protocol.h, and an errno. */
struct failure {
  int stage, error;
};

/* init.c */
/* The directory /urunc of the RAM disk, whatever the root is. */
extern int own_files;
void complain(const char *doing, const char *what, int error);
/* Of a file by its path, or by its name in `own_files`. */
char *contents_of(const char *path, size_t *size);
char **strings_in(char *text, size_t size);
int code_for(int error);
void __attribute__((noreturn)) end_machine(int code);

/* network.c: sets up what /urunc/network says, if it is there; alone: nothing else in the guest does. */
void set_up_network(int alone);

/* modules.c: loads what every guest needs of a kernel that is the node's, and not the image's; and removes its
 * files, which are the guest's memory, when no other is needed any more. */
void load_node_drivers(void);
void remove_node_drivers(void);
/* Has the kernel ask for modules that the operator has added, once /proc is there; and loads one that it asks
 * for, by a name or an alias, with what it needs, from that directory in place of /urunc. Returns an exit code. */
void answer_kernel(void);
int load_asked(const char *from, const char *name);

/* run.c */
int run_program(char **args, char **env);
int parse_process(char *text, size_t size, struct process *process);
int make_directories(const char *path);
int parse_record(char *record, struct process *process);
void __attribute__((noreturn)) become(const struct process *process);
struct failure try_to_become(const struct process *process, int makes_directory);

/* filter.c: reads the filter of system calls, if there is one; and has the kernel apply it to this process.
 * Returns an errno. */
void load_filter(void);
int install_filter(void);

/* root.c: before the machine ends, when all programs have. */
void leave_root(void);

/* agent.c: runs the program to its end, and ends the machine. */
void __attribute__((noreturn)) agent(struct process *process);

#endif
