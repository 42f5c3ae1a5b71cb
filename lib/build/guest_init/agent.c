/*
 * The agent of a Linux guest: process 1, which runs the container's program as its child, copies its
 * standard files from and to the waiter's ports, delivers signals to it and reports its exit. README.md.
 *
 * The program is process 1 of a PID namespace of its own, as in any container. Its reboot(2) then ends
 * that namespace and nothing else, which is a success (reboot(2), "Behavior inside PID namespaces").
 */
#define _GNU_SOURCE
#include "exec.h"
#include "surroundings.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The driver queues so much for one write, and up to 128 of them (drivers/char/virtio_console.c): that is
 * the guest's memory. */
#define CHUNK 16384
#define NO_END UINT64_MAX

/* Bytes on their way between a port and the program; `from` is -1 after its end. */
struct pump {
  int from, to;
  size_t at, end;
  /* Taken so far, and how many there are in all. */
  uint64_t taken, all;
  char bytes[CHUNK];
};

static struct pump input, output, errors;
static int ports[PORTS];
static int signals = -1, terminal = -1;
static struct frame incoming;

static struct {
  pid_t pid;
  int ended, code, signal;
  /* It is process 1 of a namespace: the kernel ends all others with it. */
  int is_init;
} program;

/* What the waiter says at first. */
static struct {
  int flags, rows, columns;
  unsigned char nonce[NONCE_SIZE];
} hello;

static void release(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

static void sync_and_reset(void) {
  leave_root();
  reboot(RB_AUTOBOOT);
  for (;;) pause();
}

/* ------------------------------------------------------------------------------------------ frames */

static void send_frame(const unsigned char *bytes, size_t length) {
  for (size_t done = 0; done < length;) {
    struct pollfd port = {ports[PORT_CONTROL], POLLOUT, 0};
    poll(&port, 1, -1);
    ssize_t count = write(port.fd, bytes + done, length - done);
    if (count < 0 && errno != EAGAIN && errno != EINTR) return;
    if (count > 0) done += (size_t)count;
  }
}

static void send_ready(void) {
  unsigned char bytes[FRAME_HEADER + FRAME_MOST];
  size_t length = frame_begin(bytes, FRAME_READY);
  put_number(bytes + FRAME_HEADER, PROTOCOL_VERSION, 2);
  memcpy(bytes + FRAME_HEADER + 2, hello.nonce, NONCE_SIZE);
  send_frame(bytes, length);
}

static void send_exited(void) {
  unsigned char bytes[FRAME_HEADER + FRAME_MOST];
  size_t length = frame_begin(bytes, FRAME_EXITED);
  put_number(bytes + FRAME_HEADER, (uint64_t)program.code, 4);
  put_number(bytes + FRAME_HEADER + 4, (uint64_t)program.signal, 4);
  put_number(bytes + FRAME_HEADER + 8, output.taken, 8);
  put_number(bytes + FRAME_HEADER + 16, errors.taken, 8);
  send_frame(bytes, length);
}

static void set_size(int rows, int columns) {
  struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
  if (terminal >= 0 && rows > 0) ioctl(terminal, TIOCSWINSZ, &size);
}

static void take_hello(const unsigned char *bytes) {
  hello.flags = (int)get_number(bytes + 2, 2);
  hello.rows = (int)get_number(bytes + 4, 2);
  hello.columns = (int)get_number(bytes + 6, 2);
  memcpy(hello.nonce, bytes + 8, NONCE_SIZE);
}

/* Returns the frame's type. */
static unsigned handle_frame(void) {
  const unsigned char *bytes = payload(&incoming);
  unsigned type = frame_type(&incoming);
  switch (type) {
    case FRAME_HELLO:
      take_hello(bytes);
      break;
    case FRAME_INPUT_END:
      input.all = get_number(bytes, 8);
      break;
    case FRAME_SIGNAL:
      if (!program.ended) kill(program.pid, (int)get_number(bytes, 4));
      break;
    case FRAME_SIZE:
      set_size((int)get_number(bytes, 2), (int)get_number(bytes + 2, 2));
      break;
    case FRAME_DRAINED:
      sync_and_reset();
  }
  return type;
}

/* Reads no more than one frame. Returns its type; 0: there is not all of one yet. Without a waiter there
 * is nobody to run anything for. */
static unsigned read_control(void) {
  unsigned char byte;
  for (;;) {
    int whole = frame_is_whole(&incoming);
    if (whole < 0) sync_and_reset();
    if (whole > 0) break;
    ssize_t count = read(ports[PORT_CONTROL], &byte, 1);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    if (count <= 0) sync_and_reset();
    frame_take(&incoming, &byte, 1);
  }
  unsigned type = handle_frame();
  incoming.have = 0;
  return type;
}

static void wait_for_hello(void) {
  while (read_control() != FRAME_HELLO) {
    struct pollfd port = {ports[PORT_CONTROL], POLLIN, 0};
    poll(&port, 1, -1);
  }
}

/* ------------------------------------------------------------------------------------------- pumps */

static void connect_pump(struct pump *pump, int from, int to) {
  pump->from = from;
  pump->to = to;
  pump->all = NO_END;
}

static int is_open(const struct pump *pump) {
  return pump->from >= 0 || pump->at < pump->end;
}

static void end_pump(struct pump *pump) {
  if (pump->from != ports[PORT_STDIN] && pump->from != terminal) release(&pump->from);
  pump->from = -1;
}

static void take_bytes(struct pump *pump) {
  uint64_t left = pump->all - pump->taken;
  ssize_t count = read(pump->from, pump->bytes, left < CHUNK ? (size_t)left : CHUNK);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  /* EIO: the terminal's other side is closed. */
  if (count <= 0) return end_pump(pump);
  pump->at = 0;
  pump->end = (size_t)count;
  pump->taken += (uint64_t)count;
}

/* What the program no longer reads is dropped: the caller must not wait for it. */
static void give_bytes(struct pump *pump) {
  ssize_t count = pump->to < 0 ? -1 : write(pump->to, pump->bytes + pump->at, pump->end - pump->at);
  if (count < 0 && pump->to >= 0 && (errno == EAGAIN || errno == EINTR)) return;
  pump->at = count < 0 ? pump->end : pump->at + (size_t)count;
}

/* The program reads the end of its input when all that there was has been written. */
static void end_input(void) {
  if (input.taken < input.all || input.at < input.end || input.from < 0) return;
  input.from = -1;
  if (input.to != terminal) release(&input.to);
}

static struct pollfd wanted(const struct pump *pump) {
  if (pump->at < pump->end) return (struct pollfd){pump->to, POLLOUT, 0};
  return (struct pollfd){pump->taken < pump->all ? pump->from : -1, POLLIN, 0};
}

static void move(struct pump *pump, int ready) {
  if (pump->at < pump->end && (ready || pump->to < 0)) give_bytes(pump);
  else if (ready) take_bytes(pump);
}

/* ----------------------------------------------------------------------------------------- program */

/* The program's ends of its standard files. */
struct files {
  int in, out, err;
};

static void make_pipe(int *read_end, int *write_end) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) sync_and_reset();
  *read_end = ends[0];
  *write_end = ends[1];
}

static void set_nonblocking(int fd) {
  if (fd >= 0) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static struct files make_pipes(void) {
  struct files files = {-1, -1, -1};
  int in, out, err = -1;
  make_pipe(&files.in, &in);
  make_pipe(&out, &files.out);
  if (hello.flags & HELLO_TOGETHER) files.err = files.out;
  else make_pipe(&err, &files.err);
  connect_pump(&input, ports[PORT_STDIN], in);
  connect_pump(&output, out, ports[PORT_STDOUT]);
  connect_pump(&errors, err, ports[PORT_STDERR]);
  set_nonblocking(in);
  set_nonblocking(out);
  set_nonblocking(err);
  return files;
}

/* ioctl_tty(2): the other side without a path. */
static struct files make_terminal(void) {
  int unlocked = 0;
  terminal = open_terminal();
  ioctl(terminal, TIOCSPTLCK, &unlocked);
  int side = ioctl(terminal, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (side < 0) {
    complain("open", "a terminal", errno);
    sync_and_reset();
  }
  set_size(hello.rows, hello.columns);
  connect_pump(&input, ports[PORT_STDIN], terminal);
  connect_pump(&output, terminal, ports[PORT_STDOUT]);
  connect_pump(&errors, -1, ports[PORT_STDERR]);
  return (struct files){side, side, side};
}

/* The terminal's path, or NULL. */
static const char *console_path(void) {
  static char path[sizeof "/dev/pts/" + 10];
  int number;
  if (terminal < 0 || ioctl(terminal, TIOCGPTN, &number) < 0) return NULL;
  snprintf(path, sizeof path, "/dev/pts/%d", number);
  return path;
}

static void __attribute__((noreturn)) run_as_program(struct process *process, struct files files) {
  sigset_t none;
  setsid();
  if (terminal >= 0) {
    if (fchown(files.in, process->uid, (gid_t)-1) < 0) complain("own", "the terminal", errno);
    ioctl(files.in, TIOCSCTTY, 0);
  }
  if (dup2(files.in, 0) < 0 || dup2(files.out, 1) < 0 || dup2(files.err, 2) < 0) _exit(NOT_RUN);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  confine_program(process, program.is_init, console_path());
  become(process);
}

/* A kernel without CONFIG_PID_NS refuses the flag. */
static void start_program(struct process *process, struct files files) {
  program.is_init = 1;
  program.pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
  if (program.pid < 0) {
    program.is_init = 0;
    program.pid = fork();
  }
  if (program.pid == 0) run_as_program(process, files);
  if (program.pid < 0) {
    program.ended = 1;
    program.code = NOT_RUN;
    complain("run", process->args[0], errno);
  }
}

/* reboot(2) ends a PID namespace's process 1 by one of these; others cannot send it any that it does not
 * handle, but SIGKILL and SIGSTOP. */
static int is_reboot(int signal) {
  return program.is_init && (signal == SIGHUP || signal == SIGINT);
}

static void reap(void) {
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (pid != program.pid) {
      exec_reaped(pid, status);
      continue;
    }
    program.ended = 1;
    if (WIFEXITED(status)) program.code = WEXITSTATUS(status);
    else if (!is_reboot(WTERMSIG(status))) program.signal = WTERMSIG(status);
    /* Whatever it has left behind. */
    kill(-1, SIGKILL);
  }
}

/* The keyboard's Ctrl-Alt-Delete (reboot(2)), which the waiter has instead of a channel. */
static void read_signals(void) {
  struct signalfd_siginfo info;
  while (read(signals, &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGINT && !program.ended) kill(program.pid, SIGTERM);
  }
  reap();
}

static void open_signals(void) {
  sigset_t mask;
  sigfillset(&mask);
  sigprocmask(SIG_SETMASK, &mask, NULL);
  reboot(RB_DISABLE_CAD);
  signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* ------------------------------------------------------------------------------------------- agent */

static void exchange(void) {
  struct pollfd fds[5 + EXEC_FDS] = {wanted(&input), wanted(&output), wanted(&errors),
                                     {signals, POLLIN, 0}, {ports[PORT_CONTROL], POLLIN, 0}};
  exec_wanted(fds + 5);
  poll(fds, sizeof fds / sizeof *fds, share_interval());
  forget_files();
  move(&input, fds[0].revents);
  move(&output, fds[1].revents);
  move(&errors, fds[2].revents);
  exec_move(fds + 5);
  if (fds[3].revents) read_signals();
  if (fds[4].revents) read_control();
  /* The last: the number of bytes may come when all of them have been written, and nothing follows it. */
  end_input();
}

static void __attribute__((noreturn)) run_on_ports(struct process *process) {
  wait_for_hello();
  start_name_server();
  send_ready();
  struct files files = hello.flags & HELLO_TERMINAL ? make_terminal() : make_pipes();
  exec_prepare();
  start_program(process, files);
  close(files.in);
  if (terminal < 0) close(files.out);
  if (terminal < 0 && files.err != files.out) close(files.err);
  exec_begin(program.pid, program.is_init, hello.nonce);
  reap();
  while (!program.ended || is_open(&output) || is_open(&errors)) exchange();
  sync();
  send_exited();
  for (;;) exchange();
}

/* As without an agent, but that it reports the exit code, as far as the debug exit device has room. */
static void __attribute__((noreturn)) run_on_serial_line(struct process *process) {
  say_in_log(SERIAL_WORDS);
  start_program(process, (struct files){0, 1, 2});
  while (!program.ended) {
    struct pollfd fd = {signals, POLLIN, 0};
    poll(&fd, 1, share_interval());
    forget_files();
    read_signals();
  }
  int code = program.signal ? 128 + program.signal : program.code;
  end_machine(code > NOT_FOUND ? NOT_FOUND : code);
}

/* A kernel that finds no console leaves the standard files closed: nothing else may get their numbers. */
static void hold_standard_files(void) {
  int fd;
  do fd = open("/", O_RDONLY | O_CLOEXEC);
  while (fd >= 0 && fd <= 2);
  release(&fd);
}

void agent(struct process *process) {
  hold_standard_files();
  /* Others of its uid do not read the hello's bytes, in its memory or in a child's that has executed nothing. */
  prctl(PR_SET_DUMPABLE, 0);
  open_signals();
  load_drivers();
  load_filter();
  on_vsock = process->on_vsock;
  if (on_vsock) load_module("vmw_vsock_virtio_transport");
  enter_root(process);
  remove_node_drivers();
  set_up_guest(process);
  seed_random();
  set_up_network(1);
  add_home(process);
  if (open_ports(ports)) run_on_ports(process);
  run_on_serial_line(process);
}
