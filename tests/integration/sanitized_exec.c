/*
 * The connections for further processes that an agent makes on vsock, as a hosted program for sanitizers: see
 * sanitizers_test.ts. Writes a line with what the waiter gets of the first, and of the one that is made when the
 * waiter has closed that.
 */
#define _GNU_SOURCE
#include "../../lib/build/guest_init/exec.c"

int on_vsock = 1;
static int waiters = -1;

int open_vsock(unsigned port) {
  int ends[2];
  if (port != VSOCK_EXEC || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) < 0) return -1;
  waiters = ends[1];
  return ends[0];
}

void each_port(void (*found)(const char *name, const char *device)) {
  (void)found;
}
int open_device(const char *device) {
  (void)device;
  return -1;
}
int open_terminal(void) {
  return -1;
}
int parse_record(char *record, struct process *process) {
  (void)record, (void)process;
  return 0;
}
void add_home(struct process *process) {
  (void)process;
}
struct failure try_to_become(const struct process *process, int makes_directory) {
  (void)process, (void)makes_directory;
  return (struct failure){STAGE_PROGRAM, EPERM};
}
int code_for(int error) {
  return error;
}
void list_processes(void) {
}

static void show(void) {
  char text[64];
  ssize_t count = read(waiters, text, sizeof text);
  printf("%.*s\n", count < 0 ? 0 : (int)count, text);
}

int main(void) {
  static const unsigned char bytes[] = "0123456789abcdef";
  static struct pollfd fds[EXEC_FDS];
  exec_prepare();
  exec_begin(getpid(), 0, bytes);
  show();
  close(waiters);
  exec_wanted(fds);
  poll(fds, EXEC_FDS, 1000);
  exec_move(fds);
  show();
  return 0;
}
