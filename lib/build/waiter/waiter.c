/*
 * The processes of a container, told apart by their argument 0. One more is in relay.h.
 *
 * The monitor's, until it executes the monitor. init starts it in the monitor's own namespaces, as its
 * child, and gives up the last privilege only then (launch/steps/monitor.ts):
 *
 *   urunc-monitor WORD... -- PROGRAM ARGUMENT...
 *
 *   user=FD      a user namespace that it enters first: only for that it is started with a capability, which
 *                ends with it. Then it says so by a byte, 0
 *   user+pid=FD  the same, and a PID namespace of its own, which is made in that one: another process, the
 *                first one's sibling, goes on there. Its pid is said after the 0
 *   fsize=SOFT:HARD  the program's RLIMIT_FSIZE; the waiter's output may be a file of any size
 *   filter=FD    a file with a filter of system calls (seccomp(2)), which the program gets before it is
 *                executed
 *
 * Its standard input is a connection to the other one: three descriptors come by it, which become its
 * standard files; then it executes the program. Descriptors from 3 up are the program's.
 *
 * One that a user namespace is made with, which a process of one thread must do; init writes its mappings,
 * and holds it (launch/user_namespace.ts):
 *
 *   urunc-user
 *
 * Its standard output gets the pid that /proc has it by. It exits when its standard input is at its end.
 *
 * The file server's, of a guest that sees files of the host. init starts it as root, in a mount namespace with
 * nothing but what it needs, and goes on when it has given up every privilege, which it says by a byte, 0
 * (launch/steps/file_server.ts):
 *
 *   urunc-files WORD... -- PROGRAM ARGUMENT...
 *
 *   uid=N gid=N  who it becomes
 *   group=N      a supplementary group; it has no others
 *   files=N      its RLIMIT_NOFILE
 *   user=FD      a user namespace that it enters: the ids are that one's, and so are the capabilities
 *   capability=N one that it keeps, in every set; it has no others
 *   filter=FD    as the monitor's
 *
 * Then it waits for its standard files, as the monitor's process does, and executes the program.
 *
 * The container's: PID 1 of its PID namespace, and the pid that callers get. init executes it in its own place
 * when the container is created (launch/steps/exec.ts), with every privilege given up. It waits for `start`, lets
 * the monitor begin, forwards the standard files and signals, and exits with the container's code:
 *
 *   urunc-waiter WORD...
 *
 *   monitor=PID  the monitor's process, a child
 *   go=FD        the connection to it
 *   server=PID   the file server's process, a child; the monitor is ended when that ends
 *   server-go=FD the connection to it
 *   created=FD   closed when it waits for `start`
 *   start=FD     a socket to which `start` connects and writes a byte, S. That connection is closed when the
 *                program is executed, and gets an error before. Without the word it does not wait
 *   events=FD    a QMP connection to the program
 *   log=FD       what the program logs, which belongs to standard error
 *   failure=TEXT the program is ended when its events or its log have this text: exit code 255
 *   filter=FD    a file with a filter of system calls for this process, when the program was executed
 *   end=SIGNAL   what ends the program, as orderly as it can; 15 without it
 *   input        forward standard input; without it the program's is at its end
 *   blocking     keep the program's output blocking, whatever it does: it drops what does not fit
 *   debug-exit   exit code 2n+1 is n, for n from 1 to 127: QEMU's isa-debug-exit
 *   code=FROM:TO exit code FROM is TO; goes before debug-exit
 *   ports=FD     the guest has an agent (channel.h): FD and the next three are sockets to its ports, and
 *                the monitor's standard output is the guest's console
 *   console=FD   a file that keeps the last of the console (channel.h)
 *   dns=FD       a socket to the agent's port for the name server (dns.h)
 *   vsock        those sockets listen: the guest connects to each of them once
 *   exec=FD      FD listens for the guest, and the next one for callers with a further process (handing.h)
 *   terminal     the standard files are a terminal
 *
 * The caller's files are never changed: O_NONBLOCK is a flag of the open file, which others share.
 * So nothing is read or written before poll(2) allows it, and then little enough not to wait.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "channel.h"
#include "dns.h"
#include "handing.h"

/* A pipe that poll(2) says is writable takes so much without waiting (pipe(7), PIPE_BUF). */
#define CHUNK 4096
/* A terminal takes one buffer whatever is in the others (drivers/tty/tty_buffer.c). */
#define TERMINAL_CHUNK 256
/* Output that was not read for so long after the program's exit is given up. Milliseconds. */
#define DRAIN 10000
/*
 * How often the signal that ends the program is sent. As PID 1 of a PID namespace the program does not get
 * one that it has no handler for yet (pid_namespaces(7)). Milliseconds.
 */
#define END_AGAIN 100
/* How long the monitor's exit may take, once its connections are closed. Milliseconds. */
#define EXIT_TIME 1000
/* The waiter's own failures; what a shell says of a program that it cannot run. */
#define OWN_FAILURE 125
/* The program reported that it cannot go on. */
#define REPORTED_FAILURE 255
/* A guest with an agent ended, and the agent had not said how. */
#define NO_REPORT 255
#define SIGNAL_BASE 128
/* launch/steps/exec.ts has it, too. */
#define START_BYTE 'S'
#define MOST_CODES 8
#define MOST_FAILURES 8
#define MOST_GROUPS 1024
/* PID_MAX_LIMIT, linux/threads.h. */
#define MOST_PIDS (1 << 22)
/* sizeof the kernel's sigset_t; musl's keeps signals 32 to 34 to itself. */
#define KERNEL_SIGSET 8
/* linux/seccomp.h, linux/bpf_common.h: musl has no headers of the kernel. */
#define SECCOMP_MODE_FILTER 2
#define MOST_INSTRUCTIONS 4096
/* _LINUX_CAPABILITY_VERSION_3, linux/capability.h: two words for each set. */
#define CAPABILITY_VERSION 0x20080522
/* Bits of a set, of which the kernel knows the first. */
#define MOST_CAPABILITIES 64
/*
 * Owns the user namespaces: the highest uid, which nobody has. Those of `ids.range` end far below, and
 * (uid_t)-1 is none. lib/host/id_maps.ts has it, too.
 */
#define OWNER 4294967294U

struct options {
  int go, created, start, events, log, filter, ports, console, dns, exec, end, input, blocking, debug_exit, terminal, vsock;
  int codes, failures, server, server_go;
  struct { int from, to; } code[MOST_CODES];
};

/* Bytes on their way from one descriptor to another; `from` is -1 after its end. */
struct flow {
  int from, to;
  size_t at, end, most;
  /* Of those taken, how many have left. */
  uint64_t moved;
  /* Of those that were there when the program had exited, how many were not taken. */
  int64_t rest;
  char bytes[CHUNK];
};

/* A text that is looked for in a stream; it begins with a byte that it has nowhere else but at its end. */
struct needle {
  const char *text;
  size_t matched;
};

static struct options options = {.go = -1, .created = -1, .start = -1, .events = -1, .log = -1, .filter = -1,
                                 .ports = -1, .console = -1, .dns = -1, .exec = -1, .end = SIGTERM,
                                 .server_go = -1};
/* The connection of `start`. */
static int asking = -1;
/* What the program reports of itself: its events, which go nowhere, or its log. */
static struct flow input, output, errors, watched;
/* The program's own, of a guest with an agent; `output` is its console then. */
static struct flow port_output = {.from = -1}, port_errors = {.from = -1};
/* The sockets to its ports. */
static int ports[PORTS] = {-1, -1, -1, -1};
static struct needle failure[MOST_FAILURES];
/* The program has written something, to whatever it may write to. */
static int spoke;
static int signals = -1;
/* Write ends of output pipes that are kept blocking. */
static int held[2] = {-1, -1};

static struct {
  pid_t pid;
  /* The only process that this one may signal: its filter has no kill(2). */
  int pidfd;
  int ended, status;
  /* The signal that it was ended for, and whether it reported that it cannot go on. */
  int cause, failed;
  /* It was sent the signal that ends it. */
  int ending;
} monitor;

static void report(int fd, const char *what, const char *which, int error) {
  const char *parts[] = {what, " ", which, ": ", strerror(error)};
  char text[512];
  size_t length = 0;
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    size_t more = strnlen(parts[i], sizeof text - length);
    memcpy(text + length, parts[i], more);
    length += more;
  }
  if (write(fd, text, length) < 0) return;
}

static _Noreturn void fail(const char *what, const char *which, int error) {
  report(asking < 0 ? 2 : asking, what, which, error);
  _exit(OWN_FAILURE);
}

/* Decimal digits up to `stop`, which is passed over; -1 when there are none, or it is more than `most`. */
static int number(const char **text, char stop, int most) {
  int value = 0;
  const char *digit = *text;
  for (; *digit >= '0' && *digit <= '9' && value <= most; digit++) value = value * 10 + *digit - '0';
  if (digit == *text || *digit != stop || value > most) return -1;
  *text = digit + 1;
  return value;
}

static int valued(const char *word, const char *name, int least, int most, int *value) {
  size_t length = strlen(name);
  if (strncmp(word, name, length) != 0) return 0;
  const char *text = word + length;
  *value = number(&text, 0, most);
  return *value >= least;
}

static int code(const char *word) {
  if (strncmp(word, "code=", 5) != 0 || options.codes == MOST_CODES) return 0;
  const char *text = word + 5;
  int from = number(&text, ':', 255);
  int to = from < 0 ? -1 : number(&text, 0, 255);
  if (to < 0) return 0;
  options.code[options.codes].from = from;
  options.code[options.codes++].to = to;
  return 1;
}

static int failure_text(const char *word) {
  if (strncmp(word, "failure=", 8) != 0 || !word[8] || options.failures == MOST_FAILURES) return 0;
  failure[options.failures++].text = word + 8;
  return 1;
}

static int flag(const char *word, const char *name, int *set) {
  return strcmp(word, name) == 0 && (*set = 1);
}

static int parse_word(const char *word) {
  return valued(word, "monitor=", 1, MOST_PIDS, &monitor.pid) ||
         valued(word, "go=", 3, 1 << 20, &options.go) ||
         valued(word, "server=", 1, MOST_PIDS, &options.server) ||
         valued(word, "server-go=", 3, 1 << 20, &options.server_go) ||
         valued(word, "created=", 3, 1 << 20, &options.created) ||
         valued(word, "start=", 3, 1 << 20, &options.start) ||
         valued(word, "events=", 3, 1 << 20, &options.events) ||
         valued(word, "log=", 3, 1 << 20, &options.log) ||
         valued(word, "filter=", 3, 1 << 20, &options.filter) ||
         valued(word, "ports=", 3, 1 << 20, &options.ports) ||
         valued(word, "dns=", 3, 1 << 20, &options.dns) ||
         valued(word, "exec=", 3, 1 << 20, &options.exec) ||
         valued(word, "console=", 3, 1 << 20, &options.console) ||
         valued(word, "end=", 1, 64, &options.end) || code(word) || failure_text(word) ||
         flag(word, "input", &options.input) || flag(word, "blocking", &options.blocking) ||
         flag(word, "debug-exit", &options.debug_exit) || flag(word, "vsock", &options.vsock) ||
         flag(word, "terminal", &options.terminal);
}

static void parse(char **word) {
  if (*word) word++;
  for (; *word; word++) {
    if (!parse_word(*word)) fail("urunc-waiter", *word, EINVAL);
  }
  if (monitor.pid == 0) fail("urunc-waiter", "monitor", EINVAL);
  if (options.go < 0) fail("urunc-waiter", "go", EINVAL);
}

static void mask_signals(unsigned long mask) {
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, 0, KERNEL_SIGSET);
}

/* They wait for signalfd(2) from here on; a PID 1 would lose those that it has no handler for. */
static void open_signals(void) {
  unsigned long all = ~0UL;
  mask_signals(all);
  signals = syscall(SYS_signalfd4, -1, &all, KERNEL_SIGSET, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signals < 0) fail("signalfd", "", errno);
}

static void open_monitor(void) {
  monitor.pidfd = syscall(SYS_pidfd_open, monitor.pid, 0);
  if (monitor.pidfd < 0) fail("pidfd_open", "the monitor's process", errno);
}

static void release(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

/*
 * By this name it is known that the container is created and not started (container/status.ts). Signals have their
 * default actions until then, of which a PID 1 gets those alone that it cannot refuse. Whatever else connects, a probe
 * or a `start` that was killed, is dropped.
 */
static void await_start(void) {
  char byte = 0;
  if (options.start < 0) return;
  prctl(PR_SET_NAME, "urunc-init");
  release(&options.created);
  for (;;) {
    asking = accept4(options.start, NULL, NULL, SOCK_CLOEXEC);
    if (asking < 0 && errno != EINTR && errno != ECONNABORTED) fail("accept", "start", errno);
    if (asking >= 0 && read(asking, &byte, 1) == 1 && byte == START_BYTE) break;
    release(&asking);
  }
  release(&options.start);
}

static void make_pipe(int ends[2]) {
  if (pipe2(ends, O_CLOEXEC) < 0) fail("pipe", "", errno);
}

static int same_file(int one, int other) {
  struct stat a, b;
  return fstat(one, &a) == 0 && fstat(other, &b) == 0 && a.st_dev == b.st_dev &&
         a.st_ino == b.st_ino && a.st_rdev == b.st_rdev;
}

/* `from` may be -1: then nothing comes. */
static void forward(struct flow *flow, int from, int to) {
  struct stat status;
  int terminal = fstat(to, &status) == 0 && S_ISCHR(status.st_mode);
  flow->from = from;
  flow->to = to;
  flow->most = terminal ? TERMINAL_CHUNK : CHUNK;
}

/* A port is never closed: QEMU would drop what the guest has not read yet. */
static int ends_at_port(const struct flow *flow) {
  return flow->to >= 0 && flow->to == ports[PORT_STDIN];
}

/* End of input. Pipes are closed: the program then reads end of file. */
static void end_of(struct flow *flow) {
  if (flow->from > 2) close(flow->from);
  flow->from = -1;
  if (flow->at == flow->end && ends_at_port(flow)) {
    flow->to = -1;
    send_number(FRAME_INPUT_END, flow->moved);
  }
  if (flow->at == flow->end && flow->to > 2) release(&flow->to);
}

/* For good, and for what is executed from here on. Without a file there is no filter. Returns an errno. */
static int install_filter(int fd) {
  /* struct sock_filter, as it is in the file, and struct sock_fprog: linux/filter.h. */
  static unsigned long program[MOST_INSTRUCTIONS];
  if (fd < 0) return 0;
  ssize_t count = pread(fd, program, sizeof program, 0);
  if (count < 0) return errno;
  struct { unsigned short length; void *program; } filter = {count / sizeof *program, program};
  close(fd);
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0 ? errno : 0;
}

/* Sends three descriptors in one message of a byte. Returns an errno. */
static int send_files(int connection, const int files[3]) {
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(3 * sizeof *files)] = {0};
  struct iovec byte = {"", 1};
  struct msghdr message = {
      .msg_iov = &byte, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  *header = (struct cmsghdr){
      .cmsg_len = CMSG_LEN(3 * sizeof *files), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
  memcpy(CMSG_DATA(header), files, 3 * sizeof *files);
  return sendmsg(connection, &message, MSG_NOSIGNAL) < 0 ? errno : 0;
}

/* Lets a process that waits for it execute its program, whose standard files these are. */
static void release_process(int *go, const int files[3]) {
  char text[512];
  ssize_t count;
  int error = send_files(*go, files);
  if (error) fail("send standard files to", go == &options.go ? "the monitor" : "the file server", error);
  while ((count = read(*go, text, sizeof text)) < 0 && errno == EINTR) continue;
  release(go);
  if (count <= 0) return; /* its end of the connection is closed by the exec */
  if (write(asking < 0 ? 2 : asking, text, count) < 0) _exit(OWN_FAILURE);
  _exit(OWN_FAILURE);
}

/*
 * Before the monitor, which waits for its answers as soon as it has devices. Its errors are among the
 * monitor's; its input is at its end.
 */
static void start_server(int errors) {
  int in[2];
  if (options.server == 0) return;
  make_pipe(in);
  close(in[1]);
  release_process(&options.server_go, (int[]){in[0], errors, errors});
  close(in[0]);
}

/* One pipe for output and errors that go to one file: what is written first arrives first. */
static void start_monitor(void) {
  int in[2], out[2], err[2];
  /* A guest's console is not for the caller. */
  int together = options.ports < 0 && same_file(1, 2);
  make_pipe(in);
  make_pipe(out);
  if (together) memcpy(err, out, sizeof out);
  else make_pipe(err);
  start_server(err[1]);
  release_process(&options.go, (int[]){in[0], out[1], err[1]});
  close(in[0]);
  forward(&input, options.input ? 0 : -1, in[1]);
  if (!options.input) end_of(&input);
  forward(&output, out[0], 1);
  forward(&errors, together ? -1 : err[0], 2);
  held[0] = out[1];
  held[1] = together ? -1 : err[1];
}

/* The monitor was executed, which ends `start`, and has its files. */
static void release_started(void) {
  int error = install_filter(options.filter);
  if (error) fail("filter system calls of", "urunc-waiter", error);
  /* What waits for its end may look at the filters. */
  release(&asking);
  if (!options.blocking) {
    release(&held[0]);
    release(&held[1]);
  }
}

static void keep_blocking(void) {
  for (int i = 0; i < 2; i++) {
    int flags = held[i] < 0 ? 0 : fcntl(held[i], F_GETFL);
    /* The filter has no O_ASYNC, which the program may have set. */
    if (flags > 0 && flags & O_NONBLOCK) fcntl(held[i], F_SETFL, flags & ~(O_NONBLOCK | O_ASYNC));
  }
}

/* The caller's file may be full: it has its time to read. */
static void warn(const char *text, size_t length) {
  for (size_t at = 0; at < length;) {
    struct pollfd fd = {2, POLLOUT, 0};
    if (poll(&fd, 1, DRAIN) <= 0) return;
    size_t left = length - at;
    ssize_t count = write(2, text + at, left < TERMINAL_CHUNK ? left : TERMINAL_CHUNK);
    if (count < 0) return;
    at += (size_t)count;
  }
}

static struct winsize terminal_size(void) {
  struct winsize size = {0};
  if (options.terminal) ioctl(0, TIOCGWINSZ, &size);
  return size;
}

/* The ports are connected, or will be without more from here. */
static void greet_agent(void) {
  struct winsize size = terminal_size();
  int together = !options.terminal && same_file(1, 2);
  int flags = (options.terminal ? HELLO_TERMINAL : 0) | (together ? HELLO_TOGETHER : 0);
  forward(&port_output, ports[PORT_STDOUT], 1);
  forward(&port_errors, ports[PORT_STDERR], 2);
  begin_channel(ports[PORT_CONTROL], flags, size.ws_row, size.ws_col);
}

/* The guest connects to the control port last: all others are there. Each listens for one connection. */
static void take_connections(void) {
  channel.listens = 0;
  channel.control = -1;
  channel.broken = channel.state != CHANNEL_BOOTING;
  for (int i = 0; i < PORTS && !channel.broken; i++) {
    int connection = accept4(ports[i], NULL, NULL, SOCK_CLOEXEC);
    channel.broken = connection < 0;
    release(&ports[i]);
    ports[i] = connection;
  }
  if (!channel.broken) greet_agent();
}

static void start_channel(void) {
  if (options.ports < 0) return;
  for (int i = 0; i < PORTS; i++) ports[i] = options.ports + i;
  int error = open_console(options.console);
  if (error) fail("map", "the console", error);
  error = draw_nonce();
  if (error) fail("channel", "", error);
  /* Not to be made longer by what the guest may make of this process. */
  release(&options.console);
  open_dns(options.dns, options.vsock);
  open_handing(options.exec);
  if (options.vsock) await_channel(ports[PORT_CONTROL]);
  else greet_agent();
}

/* The guest's terminal ends lines itself. */
static void leave_bytes_alone(void) {
  struct termios modes;
  if (!options.terminal || tcgetattr(0, &modes) < 0) return;
  modes.c_oflag &= ~(tcflag_t)OPOST;
  tcsetattr(0, TCSANOW, &modes);
}

static void open_channel(void) {
  struct winsize size = terminal_size();
  leave_bytes_alone();
  send_size(size.ws_row, size.ws_col);
  release(&input.to);
  input.to = ports[PORT_STDIN];
}

/* A queue that nobody reads would fill up, and Firecracker waits then; the control port ends such a guest. */
static void refuse_connections(void) {
  for (int i = 0; options.vsock && i < PORT_CONTROL; i++) release(&ports[i]);
}

static void warn_of_serial_line(void) {
  static const char before[] = "urunc: the guest's kernel has no driver for ";
  static const char after[] = ": its console is the serial line\n";
  const char *driver = options.vsock ? "vsock" : "virtio-serial";
  warn(before, sizeof before - 1);
  warn(driver, strlen(driver));
  warn(after, sizeof after - 1);
}

static int is_waiting(int error) {
  return error == EAGAIN || error == EINTR;
}

static int is_open(const struct flow *flow) {
  return flow->from >= 0 || flow->at < flow->end;
}

static void signal_monitor(int number) {
  if (!monitor.ended) syscall(SYS_pidfd_send_signal, monitor.pidfd, number, NULL, 0);
}

static void end_monitor(void) {
  signal_monitor(options.end);
  monitor.ending = 1;
}

static int completes(struct needle *needle, char byte) {
  if (byte != needle->text[needle->matched]) needle->matched = 0;
  if (byte == needle->text[needle->matched]) needle->matched++;
  if (needle->text[needle->matched]) return 0;
  needle->matched = 0;
  return 1;
}

/* Not to a log, which is not a socket, or after the connection's end. */
static void say(const char *line) {
  send(watched.from, line, strlen(line), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static const char QUERY_STATUS[] = "{\"execute\":\"query-status\"}\n";

/* In QMP the reason follows the event STOP only when the status is asked for. */
static void scan(void) {
  static struct needle stop = {"\"STOP\"", 0};
  for (size_t at = 0; at < watched.end; at++) {
    if (completes(&stop, watched.bytes[at])) say(QUERY_STATUS);
    for (int i = 0; i < options.failures; i++) {
      if (!completes(&failure[i], watched.bytes[at])) continue;
      monitor.failed = 1;
      signal_monitor(SIGKILL);
    }
  }
}

static int has_own_console(void) {
  return channel.state == CHANNEL_BOOTING || channel.state == CHANNEL_OPEN;
}

static void take(struct flow *flow) {
  ssize_t count = read(flow->from, flow->bytes, flow->most);
  if (count < 0 && is_waiting(errno)) return;
  flow->at = 0;
  flow->end = count > 0 ? count : 0;
  flow->rest -= count;
  if (count > 0 && flow != &input) spoke = 1;
  if (flow == &watched) scan();
  if (flow == &output && count > 0 && has_own_console()) {
    flow->at = take_console(flow->bytes, flow->end);
    if (channel.state == CHANNEL_SERIAL) refuse_connections(), warn_of_serial_line();
  }
  if (count <= 0) end_of(flow);
}

/* Without a reader it continues, as with a terminal that is hung up; a new reader gets what is new. */
static void give(struct flow *flow) {
  ssize_t count = write(flow->to, flow->bytes + flow->at, flow->end - flow->at);
  if (count < 0 && is_waiting(errno)) return;
  size_t gone = count < 0 ? flow->end - flow->at : (size_t)count;
  flow->at += gone;
  flow->moved += gone;
  if (count < 0 && flow == &input) end_of(flow);
  if (flow->from < 0) end_of(flow);
}

/* Until the agent says where it belongs, input stays the caller's. */
static struct pollfd wanted(const struct flow *flow) {
  if (flow == &input && channel.state == CHANNEL_BOOTING) return (struct pollfd){-1, 0, 0};
  if (flow->at < flow->end) return (struct pollfd){flow->to, POLLOUT, 0};
  return (struct pollfd){flow->from, POLLIN, 0};
}

/* Asks once more before it writes: another flow may have filled the same pipe since. */
static void move(struct flow *flow, int ready) {
  if (!ready) return;
  if (flow->at == flow->end) {
    take(flow);
    return;
  }
  struct pollfd now = wanted(flow);
  if (poll(&now, 1, 0) > 0) give(flow);
}

static int bytes_in(const struct flow *flow) {
  int left = 0;
  return flow->from >= 0 && ioctl(flow->from, FIONREAD, &left) == 0 ? left : 0;
}

/*
 * After the exit of the program: others may hold its pipes open for ever, as the file server does, and may
 * never cease to write.
 */
static void end_if_empty(struct flow *flow) {
  if (flow->from < 0 || flow->at < flow->end) return;
  if (flow->rest <= 0 || bytes_in(flow) == 0) end_of(flow);
}

static void drop(struct flow *flow) {
  flow->at = flow->end;
  end_of(flow);
}

static void program_ended(int status) {
  struct flow *flows[] = {&output, &errors, &watched, &port_output, &port_errors};
  for (size_t i = 0; i < sizeof flows / sizeof *flows; i++) flows[i]->rest = bytes_in(flows[i]);
  monitor.ended = 1;
  monitor.status = status;
  release(&held[0]);
  release(&held[1]);
  end_of(&input);
}

static const char NO_SERVER[] = "urunc: the file server ended, and so the guest was\n";

/*
 * What the guest has of its files would wait for answers for good. When the monitor exits, it closes the
 * connection a little before, and by that the server ends. A monitor that was asked to end may take longer.
 */
static void server_ended(void) {
  struct pollfd end = {monitor.pidfd, POLLIN, 0};
  options.server = 0;
  if (monitor.ended || monitor.ending || channel.has_exited || poll(&end, 1, EXIT_TIME) > 0) return;
  warn(NO_SERVER, sizeof NO_SERVER - 1);
  monitor.failed = 1;
  signal_monitor(SIGKILL);
}

static void reap(void) {
  int status;
  /* Both may have ended: the file server ends when the monitor has. */
  if (waitpid(monitor.pid, &status, WNOHANG) == monitor.pid) program_ended(status);
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (options.server != 0 && pid == options.server) server_ended();
    if (pid == monitor.pid) program_ended(status);
  }
}

/* By which an agent without a channel ends the program (lib/build/guest_init/agent.c), on QEMU. */
static const char CTRL_ALT_DELETE[] =
    "{\"execute\":\"send-key\",\"arguments\":{\"keys\":[{\"type\":\"qcode\",\"data\":\"ctrl\"},"
    "{\"type\":\"qcode\",\"data\":\"alt\"},{\"type\":\"qcode\",\"data\":\"delete\"}]}}\n";

static void note_cause(int number) {
  if (!monitor.ended && !monitor.cause) monitor.cause = number;
}

/* A terminal's own signal comes with its size. */
static int signal_program(int number) {
  struct winsize size = terminal_size();
  if (channel.state != CHANNEL_OPEN || channel.has_exited || monitor.ended) return 0;
  if (number == SIGWINCH && options.terminal) send_size(size.ws_row, size.ws_col);
  else send_number(FRAME_SIGNAL, (uint64_t)number);
  return 1;
}

/* lib/monitor/signals.ts: what a signal does to a program without handlers, it does to the guest. */
static void heard(const struct signalfd_siginfo *info) {
  int number = info->ssi_signo;
  switch (number) {
    case SIGCHLD:
      reap();
      return;
    case SIGURG:
    case SIGWINCH:
      signal_program(number);
      return;
    case SIGTSTP:
    case SIGTTIN:
    case SIGTTOU:
      signal_monitor(SIGSTOP);
      return;
    case SIGCONT:
      signal_monitor(SIGCONT);
      return;
  }
  /* A reader has gone: write(2) says so, too. */
  if (number == SIGPIPE && (pid_t)info->ssi_pid == getpid()) return;
  if (signal_program(number)) return;
  /* The reader has had its time. */
  if (monitor.ended) drop(&output), drop(&errors), drop(&watched);
  if (monitor.ended || channel.has_exited) drop(&port_output), drop(&port_errors);
  if (channel.has_exited) return;
  if (channel.state == CHANNEL_SERIAL && options.events >= 0) return say(CTRL_ALT_DELETE);
  note_cause(number);
  end_monitor();
}

/* SIGCHLD comes after signals with lower numbers, for which one that has exited was not ended. */
static void read_signals(void) {
  struct signalfd_siginfo info;
  reap();
  while (read(signals, &info, sizeof info) == sizeof info) heard(&info);
}

/* It may have stopped before it could send the event. */
static void watch_program(void) {
  int log = options.log >= 0;
  forward(&watched, log ? options.log : options.events, log ? 2 : -1);
  say("{\"execute\":\"qmp_capabilities\"}\n");
  say(QUERY_STATUS);
}

/* Events are of no further concern. */
static void move_watched(int ready) {
  move(&watched, ready);
  if (options.log < 0) watched.at = watched.end;
}

static int has_arrived(const struct flow *flow, uint64_t bytes) {
  return flow->moved >= bytes || !is_open(flow);
}

/* The guest's kernel takes output ahead of the host: it must not end before all of it is here. */
static void confirm_arrival(void) {
  if (!channel.has_exited || channel.drained) return;
  if (!has_arrived(&port_output, channel.bytes[0])) return;
  if (!has_arrived(&port_errors, channel.bytes[1])) return;
  send_number(FRAME_DRAINED, 0);
  channel.drained = 1;
}

static void read_agent(void) {
  enum channel_state before = channel.state;
  if (channel.listens) take_connections();
  else read_channel();
  if (channel.state == CHANNEL_OPEN && before != CHANNEL_OPEN) open_channel();
  if (channel.broken) signal_monitor(SIGKILL);
}

/* The agent has said that it ends, and neither the rest nor its end came. A reader may take its time. */
static void end_stalled(void) {
  if (port_output.at < port_output.end || port_errors.at < port_errors.end) return;
  channel.broken = !channel.drained;
  signal_monitor(SIGKILL);
}

static int is_done(void) {
  return monitor.ended && !is_open(&output) && !is_open(&errors) && !is_open(&watched) &&
         !is_open(&port_output) && !is_open(&port_errors);
}

/* How long nothing may happen. Milliseconds. */
static int patience(void) {
  if (monitor.ended || channel.has_exited) return DRAIN;
  return monitor.ending ? END_AGAIN : -1;
}

/* Returns when the monitor has exited and its output is where it belongs. */
static void run(void) {
  while (!is_done()) {
    struct pollfd fds[] = {wanted(&input), wanted(&output), wanted(&errors),
                           wanted(&watched), {signals, POLLIN, 0}, wanted(&port_output),
                           wanted(&port_errors), {channel.control, POLLIN, 0},
                           [8 ... 10 + HANDING_FDS] = {-1, 0, 0}};
    want_dns(fds + 8);
    want_handing(fds + 11);
    int ready = poll(fds, sizeof fds / sizeof *fds, patience());
    if (ready == 0 && monitor.ended) return;
    if (ready == 0) channel.has_exited ? end_stalled() : end_monitor();
    if (ready <= 0) continue;
    move(&input, fds[0].revents);
    move(&output, fds[1].revents);
    move(&errors, fds[2].revents);
    move_watched(fds[3].revents);
    keep_blocking();
    if (fds[4].revents) read_signals();
    move(&port_output, fds[5].revents);
    move(&port_errors, fds[6].revents);
    if (fds[7].revents) read_agent();
    move_dns(fds + 8);
    move_handing(fds + 11);
    confirm_arrival();
    if (!monitor.ended) continue;
    end_if_empty(&output), end_if_empty(&errors), end_if_empty(&watched);
    end_if_empty(&port_output), end_if_empty(&port_errors);
  }
}

static const char NO_WORD[] =
    "urunc: the guest ended without its agent's report; the last lines of its console:\n";

/* Whatever the monitor exits with: what a guest did that was not its program's exit, is a failure. */
static int agent_exit_code(void) {
  char lines[CONSOLE_SHOWN];
  if (channel.has_exited && !channel.broken) {
    return channel.signal ? SIGNAL_BASE + channel.signal : channel.code;
  }
  int is_own = monitor.failed || channel.broken;
  if (!is_own && monitor.cause) return SIGNAL_BASE + monitor.cause;
  if (!is_own && WIFSIGNALED(monitor.status)) return SIGNAL_BASE + WTERMSIG(monitor.status);
  warn(NO_WORD, sizeof NO_WORD - 1);
  warn(lines, last_lines(lines));
  return NO_REPORT;
}

static const char MUTE[] =
    "urunc: run the monitor: it exited with 0 at once and said nothing: it is another program, or broken; "
    "urunc doctor asks each monitor for its name, and has the remedy\n";

/* QEMU greets whoever is connected to it before the guest begins (QMP): this one must not pass for a guest. */
static int is_mute(void) {
  return options.events >= 0 && !spoke && !monitor.failed && !monitor.cause && WIFEXITED(monitor.status) &&
         WEXITSTATUS(monitor.status) == 0;
}

/* docs/signals.md, "How a guest ends". */
static int exit_code(void) {
  if (is_mute()) {
    warn(MUTE, sizeof MUTE - 1);
    return REPORTED_FAILURE;
  }
  if (has_own_console()) return agent_exit_code();
  if (monitor.failed) return REPORTED_FAILURE;
  if (monitor.cause) return SIGNAL_BASE + monitor.cause;
  if (WIFSIGNALED(monitor.status)) return SIGNAL_BASE + WTERMSIG(monitor.status);
  int exited = WEXITSTATUS(monitor.status);
  for (int i = 0; i < options.codes; i++) {
    if (options.code[i].from == exited) return options.code[i].to;
  }
  return options.debug_exit && exited > 1 && exited % 2 ? exited / 2 : exited;
}

/* As `number`, of up to 64 bits; 0 when there is none. */
static int bytes(const char **text, char stop, rlim_t *value) {
  const char *digit = *text;
  for (*value = 0; *digit >= '0' && *digit <= '9'; digit++) *value = *value * 10 + *digit - '0';
  if (digit == *text || *digit != stop) return 0;
  *text = digit + 1;
  return 1;
}

/* The caller of the runtime may have allowed less: that holds, too. Returns whether it is understood. */
static int limit_files(const char *word) {
  struct rlimit limit;
  const char *text = word + 6;
  if (strncmp(word, "fsize=", 6) != 0) return 0;
  if (!bytes(&text, ':', &limit.rlim_cur) || !bytes(&text, 0, &limit.rlim_max)) return 0;
  /* Not setrlimit(3), which in musl prepares for other threads. */
  return syscall(SYS_prlimit64, 0, RLIMIT_FSIZE, &limit, 0) == 0 || errno == EPERM;
}

/* Returns when the other end has sent its files, which then are the standard files, or is gone. */
static int receive_files(int connection) {
  char byte;
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(3 * sizeof(int))];
  struct iovec vector = {&byte, 1};
  struct msghdr message = {.msg_iov = &vector,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof control};
  ssize_t count;
  while ((count = recvmsg(connection, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR) continue;
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  if (count <= 0 || !header || header->cmsg_len != CMSG_LEN(3 * sizeof(int))) return 0;
  int files[3];
  memcpy(files, CMSG_DATA(header), sizeof files);
  for (int fd = 0; fd < 3; fd++) {
    if (dup2(files[fd], fd) < 0) return 0;
    close(files[fd]);
  }
  return 1;
}

static _Noreturn void give_up(int connection, const char *what, const char *which, int error) {
  report(connection, what, which, error);
  _exit(OWN_FAILURE);
}

/* Only its own failures come back. */
static _Noreturn void execute(int connection, char **word) {
  char *environment[] = {0};
  for (; *word && strcmp(*word, "--") != 0; word++) {
    if (strncmp(*word, "user", 4) == 0 || limit_files(*word)) continue;
    if (valued(*word, "filter=", 3, 1 << 20, &options.filter)) continue;
    give_up(connection, "urunc-monitor", *word, EINVAL);
  }
  if (!*word || !*++word) give_up(connection, "urunc-monitor", "--", EINVAL);
  int error = install_filter(options.filter);
  if (error) give_up(connection, "filter system calls of", *word, error);
  execve(*word, word, environment);
  give_up(connection, "execve", *word, errno);
}

/*
 * But those that are kept: bit N is capability N. A program of uid 0 would have those of the bounding set again
 * (capabilities(7)). Returns an errno.
 */
static int limit_bounding_set(uint64_t kept) {
  for (int number = 0; number < MOST_CAPABILITIES; number++) {
    if (kept >> number & 1) continue;
    if (prctl(PR_CAPBSET_DROP, number) < 0) return errno == EINVAL ? 0 : errno;
  }
  return 0;
}

/* In all sets, as all that is proven. Returns an errno. */
static int limit_capabilities(uint64_t kept) {
  struct { unsigned version; int pid; } self = {CAPABILITY_VERSION, 0};
  unsigned low = kept, high = kept >> 32;
  struct { unsigned effective, permitted, inheritable; } sets[2] = {{low, low, low}, {high, high, high}};
  if (syscall(SYS_capset, &self, sets) < 0) return errno;
  for (int number = 0; number < MOST_CAPABILITIES; number++) {
    if (!(kept >> number & 1)) continue;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0) < 0) return errno;
  }
  return 0;
}

/* Gives up what entering a user namespace brings: every capability there is in it. Returns an errno. */
static int drop_capabilities(void) {
  int error = limit_bounding_set(0);
  return error ? error : limit_capabilities(0);
}

/* The other end of the connection would wait for good for what the process before this one did not write. */
static void await_report(int reported[2]) {
  char byte;
  close(reported[1]);
  if (read(reported[0], &byte, 1) != 1) _exit(OWN_FAILURE);
  close(reported[0]);
}

/* The first process of a PID namespace is a child of the one that made it. Returns in that child. */
static void become_first(int connection) {
  char text[16] = "", *digit = text + sizeof text;
  int reported[2];
  if (pipe2(reported, O_CLOEXEC) < 0) give_up(connection, "pipe", "", errno);
  /* A child of init's, which waits for it; this one then ends. */
  long pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
  if (pid < 0) give_up(connection, "clone", "into the PID namespace", errno);
  if (pid == 0) return await_report(reported);
  for (; pid > 0; pid /= 10) *--digit = '0' + pid % 10;
  *--digit = 0;
  ssize_t length = text + sizeof text - digit;
  if (write(connection, digit, length) != length) _exit(OWN_FAILURE);
  _exit(write(reported[1], "", 1) == 1 ? 0 : OWN_FAILURE);
}

/* init waits for the byte: what it proves of this process holds from then on. */
static void enter_user_namespace(int connection, const char *word) {
  int fd, is_first = word && valued(word, "user+pid=", 3, 1 << 20, &fd);
  if (!is_first && (!word || !valued(word, "user=", 3, 1 << 20, &fd))) return;
  int error = setns(fd, CLONE_NEWUSER) < 0 ? errno : 0;
  if (!error && is_first && unshare(CLONE_NEWPID) < 0) error = errno;
  if (!error) error = drop_capabilities();
  if (error) give_up(connection, "enter", "the user namespace", error);
  close(fd);
  if (is_first) become_first(connection);
  else if (write(connection, "", 1) != 1) _exit(OWN_FAILURE);
}

/*
 * Whose uid makes a user namespace owns it: every process outside of it with this euid has every capability
 * over it (user_namespaces(7)), and were it 0, so had one of root's that has no capability at all. So it is
 * a uid that nobody has. What the change takes out of the effective capabilities (capabilities(7)) is put
 * back: some hosts let only CAP_SYS_ADMIN make one. Returns an errno.
 */
static int become_owner(void) {
  struct { unsigned version; int pid; } self = {CAPABILITY_VERSION, 0};
  struct { unsigned effective, permitted, inheritable; } sets[2];
  if (syscall(SYS_setresuid, -1, OWNER, -1) < 0) return errno;
  if (syscall(SYS_capget, &self, sets) < 0) return errno;
  for (int i = 0; i < 2; i++) sets[i].effective = sets[i].permitted;
  return syscall(SYS_capset, &self, sets) < 0 ? errno : 0;
}

/*
 * Undumpable, or who has a capability over the namespace could reach the host's root by /proc/PID of this
 * process. The change of its uid makes that what fs.suid_dumpable says, so twice. In this order: the pid is
 * of a process that is in the namespace.
 */
static _Noreturn void hold_user_namespace(void) {
  prctl(PR_SET_DUMPABLE, 0);
  char pid[16], end;
  ssize_t length = readlink("/proc/self", pid, sizeof pid);
  if (length < 0) give_up(1, "readlink", "/proc/self", errno);
  int error = become_owner();
  if (error) give_up(1, "become", "the owner of a user namespace", error);
  prctl(PR_SET_DUMPABLE, 0);
  if (unshare(CLONE_NEWUSER) < 0) give_up(1, "unshare", "a user namespace", errno);
  /* After it, which takes it back. */
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (write(1, pid, length) != length) _exit(OWN_FAILURE);
  while (read(0, &end, 1) > 0) continue;
  _exit(0);
}

/*
 * The waiter's end may have been closed before the death signal was asked for: then nothing comes. The
 * parent's pid says nothing of that, which is 0 in a PID namespace that the parent is not in.
 */
static _Noreturn void become_monitor(char **word) {
  int connection = fcntl(0, F_DUPFD_CLOEXEC, 3);
  if (connection < 0) _exit(OWN_FAILURE);
  /* First: other credentials take the death signal back, and make it dumpable. */
  enter_user_namespace(connection, *word);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_DUMPABLE, 0);
  prctl(PR_SET_NAME, "urunc-monitor");
  setsid(); /* the caller's terminal is not for the monitor to control */
  /* It was started in the directory that has this program. */
  if (chdir("/") < 0 || !receive_files(connection)) _exit(OWN_FAILURE);
  execute(connection, word);
}

/* What the file server becomes; the ids and the limit must be given. */
static struct {
  rlim_t uid, gid, files;
  unsigned groups[MOST_GROUPS];
  int count, user;
  /* Bit N is capability N. */
  uint64_t kept;
} server = {.uid = RLIM_INFINITY, .gid = RLIM_INFINITY, .files = RLIM_INFINITY, .user = -1};

static int sized(const char *word, const char *name, rlim_t *value) {
  size_t length = strlen(name);
  const char *text = word + length;
  return strncmp(word, name, length) == 0 && bytes(&text, 0, value) && *value < OWNER;
}

static int server_word(const char *word) {
  rlim_t group;
  int capability;
  if (valued(word, "user=", 3, 1 << 20, &server.user)) return 1;
  if (valued(word, "capability=", 0, MOST_CAPABILITIES - 1, &capability)) {
    server.kept |= 1ULL << capability;
    return 1;
  }
  if (sized(word, "uid=", &server.uid) || sized(word, "gid=", &server.gid)) return 1;
  if (sized(word, "files=", &server.files)) return 1;
  if (valued(word, "filter=", 3, 1 << 20, &options.filter)) return 1;
  if (server.count == MOST_GROUPS || !sized(word, "group=", &group)) return 0;
  server.groups[server.count++] = group;
  return 1;
}

/*
 * One descriptor an inode that the guest knows: without CAP_SYS_RESOURCE as many as the caller may have. A
 * core would have the guest's memory. Returns an errno.
 */
static int limit_server(void) {
  struct rlimit files = {server.files, server.files}, none = {0, 0};
  if (syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &files, 0) < 0) {
    if (errno != EPERM || syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, &files) < 0) return errno;
    files.rlim_cur = files.rlim_max;
    if (syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &files, 0) < 0) return errno;
  }
  return syscall(SYS_prlimit64, 0, RLIMIT_CORE, &none, 0) < 0 ? errno : 0;
}

/*
 * Root's, until here. In this order: the program finds its own descriptors in a procfs of its PID namespace,
 * read-only, for uid 0 could set the kernel up by it without a capability. Limits are raised by a capability
 * over the host. A user namespace brings every capability over what is its own, and a full bounding set: that
 * is limited after it, by one that the change of the uid takes away; groups and gid can be changed as root only.
 * With uid 0 only the last but one takes the capabilities. Returns an errno.
 */
static int give_up_root(void) {
  if (server.uid == RLIM_INFINITY || server.gid == RLIM_INFINITY || server.files == RLIM_INFINITY) return EINVAL;
  if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, 0) < 0) return errno;
  int error = limit_server();
  if (error) return error;
  if (server.user >= 0 && setns(server.user, CLONE_NEWUSER) < 0) return errno;
  release(&server.user);
  error = limit_bounding_set(server.kept);
  if (error) return error;
  if (syscall(SYS_setgroups, server.count, server.groups) < 0) return errno;
  if (syscall(SYS_setresgid, server.gid, server.gid, server.gid) < 0) return errno;
  if (syscall(SYS_setresuid, server.uid, server.uid, server.uid) < 0) return errno;
  error = limit_capabilities(server.kept);
  if (error) return error;
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? errno : 0;
}

/* Other credentials take the death signal back, and make it dumpable: so these come after them. */
static _Noreturn void become_server(char **word) {
  int connection = fcntl(0, F_DUPFD_CLOEXEC, 3);
  if (connection < 0) _exit(OWN_FAILURE);
  for (; *word && strcmp(*word, "--") != 0; word++) {
    if (!server_word(*word)) give_up(connection, "urunc-files", *word, EINVAL);
  }
  int error = give_up_root();
  if (error) give_up(connection, "give up root for", "the file server", error);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_DUMPABLE, 0);
  prctl(PR_SET_NAME, "urunc-files");
  setsid();
  if (write(connection, "", 1) != 1) _exit(OWN_FAILURE);
  if (chdir("/") < 0 || !receive_files(connection)) _exit(OWN_FAILURE);
  execute(connection, word);
}

#include "relay.h"

int main(int argc, char **argv) {
  if (argc > 0 && strcmp(*argv, "urunc-monitor") == 0) become_monitor(argv + 1);
  if (argc > 0 && strcmp(*argv, "urunc-files") == 0) become_server(argv + 1);
  if (argc > 0 && strcmp(*argv, "urunc-user") == 0) hold_user_namespace();
  if (argc > 0 && strcmp(*argv, "urunc-relay") == 0) become_relay(argv + 1);
  prctl(PR_SET_DUMPABLE, 0);
  parse(argv);
  await_start();
  prctl(PR_SET_NAME, "urunc-waiter");
  open_signals();
  open_monitor();
  start_monitor();
  start_channel();
  release_started();
  watch_program();
  run();
  _exit(exit_code());
}
