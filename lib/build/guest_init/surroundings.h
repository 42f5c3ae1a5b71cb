/* What a program needs around it before it starts. */
#ifndef URUNC_SURROUNDINGS_H
#define URUNC_SURROUNDINGS_H

#include "init.h"
#include "protocol.h"

/* Mounts the file systems that every container has, and sets the guest's names and the files that have
 * them. */
void set_up_guest(const struct process *process);

/* modules.c: loads what the kernel has as modules of the RAM disk: all that a guest needs; one by its name,
 * where it is there. */
void load_drivers(void);
void load_module(const char *name);

/* root.c: makes the disk that has the root, or what is shared of it, the root, if there is one. */
void enter_root(const struct process *process);
/* share.c: what the host shares, by its name in the directory that stays. */
#define SHARE_NAME "share"
#define SHARE "/urunc/" SHARE_NAME
/* Mounts it, if anything of it is needed; and takes it away when all has been mounted of it. */
void mount_share(const struct process *process);
void leave_share(const struct process *process);
/* Has the kernel forget files of it, as soon as it knows more than the container's memory is planned for: to be
 * called after each wait, which lasts so many milliseconds at most; -1 is without an end. */
int share_interval(void);
void forget_files(void);
/* Whether a mount is a part of it; and mounts that. */
int is_shared(const struct mount *it);
void mount_shared(const struct mount *it);

/* root.c: whether it is one that may only be read, and what can be written over it is the agent's alone. */
int root_is_layered(void);

void pass_time(int milliseconds);

/* mounts.c: what the guest's kernel and config.json have, and the usual names in /dev. */
void mount_file_systems(const struct process *process);

/* copy.c: copies what a directory has to another one. Takes the descriptors; one that is negative could not be
 * opened. Returns an errno. */
int copy_files(int from, int to);

/* In the program's process, before it becomes the user: /proc for its PID namespace, and what it must not
 * see or write to. `console` is the path of its terminal, or NULL. */
void confine_program(const struct process *process, int has_pid_namespace, const char *console);

/* entropy.c: lets the kernel's random numbers begin before the program does. */
void seed_random(void);

/* Gives the program HOME, as other runtimes do, where its environment has none or an empty one. */
void add_home(struct process *process);

/* Calls it with the name of each port, and of its device below /dev. */
void each_port(void (*found)(const char *name, const char *device));

/* Opens a device below /dev for both directions, without waiting. Returns -1 when that is impossible. */
int open_device(const char *device);

/* Opens a terminal: the side of who is not the program. Returns -1 when that is impossible. */
int open_terminal(void);

/* Opens the ports of the channel, all or none, as soon as the waiter's ends are there. Returns whether
 * they are. */
int open_ports(int ports[PORTS]);

/* The channel is not ports, but connections of vsock. Is set before any is opened. */
extern int on_vsock;

/* Connects to the waiter, `port` after the first of protocol.h, without waiting for what it reads or writes.
 * Returns -1 when that is impossible. */
int open_vsock(unsigned port);

/* dns.c: serves the container's name server in the guest, if there is a port for it. */
void start_name_server(void);

/* Writes a line to the kernel's log, and so to the console, whole. */
void say_in_log(const char *line);

#endif
