/* Further processes of the container, on ports of their own. */
#ifndef URUNC_EXEC_H
#define URUNC_EXEC_H

#include <poll.h>
#include <sys/types.h>

#include "init.h"
#include "exec_protocol.h"

/* For each port: itself, the process's input, output and errors, and what tells that it is executed; one for
 * all ports that nobody is connected to; and one for ports that are added. */
#define EXEC_FDS (5 * EXEC_PORTS + 2)

/* Before the program is started, which may change what /proc is. */
void exec_prepare(void);

/* Opens the ports; a monitor without them is not an error. From now on processes are started, in the program's
 * namespaces. With `apart` it is process 1 of its own. `secret` is what the waiter knows the agent by on vsock:
 * NONCE_SIZE bytes, which stay. */
void exec_begin(pid_t program, int apart, const unsigned char *secret);

/* What is waited for: EXEC_FDS of them, some with -1. */
void exec_wanted(struct pollfd *fds);

/* Does what is possible, by the results of the same descriptors. */
void exec_move(const struct pollfd *fds);

/* A child that is not the program has exited. */
void exec_reaped(pid_t pid, int status);

/* processes.c: writes a line for each process of the guest to standard output. */
void list_processes(void);

#endif
