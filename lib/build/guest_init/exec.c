/*
 * Runs further processes of the container: docker exec and its like. README.md, "Further processes". Each port
 * has one at a time, and what is connected to it is that process's relay (lib/build/waiter/relay.h).
 *
 * A process is in the program's namespaces, and the agent is its parent. When its relay goes, it is killed with
 * all of its session; what it leaves behind when it exits by itself lives on, as in any container.
 */
#define _GNU_SOURCE
#include "exec.h"
#include "surroundings.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* So much of what a process wrote before it exited is still read: more than a pipe has (pipe(7)). */
#define LEFT_BEHIND (2 << 20)
/* So many events of devices are read before it is looked what they have brought. */
#define CHANGES 64
/* How often a session is looked through for processes that were made meanwhile. */
#define ROUNDS 8

enum session_state {
  SESSION_NEW,      /* before a hello */
  SESSION_GREETED,  /* the description is coming */
  SESSION_STARTING, /* the program is not executed yet */
  SESSION_RUNNING,
  SESSION_OVER, /* nothing is to be said any more */
};

/* A connection to a port, and its process. */
struct session {
  enum session_state state;
  struct exec_frame incoming;
  unsigned char nonce[NONCE_SIZE];
  char *request;
  size_t request_size;
  pid_t pid;
  int exited, code, signal;
  /* The agent's ends: the process's input, output and errors, or its terminal in the place of all. */
  int files[STREAMS], terminal;
  int input_ends;
  /* What tells that the program is executed, and what was impossible if not. */
  int status;
  struct failure failure;
  int has_failed, has_started, answers;
  /* Of output and errors: how much may be sent, and what is left to be read after the exit. */
  size_t room[STREAMS], left;
  int closed_input;
  struct ring input;
  /* A frame on its way to the port; and whose turn is next. */
  size_t at, end;
  int turn;
  unsigned char outgoing[FRAME_HEADER + EXEC_MOST + NONCE_SIZE];
};

static struct {
  int fd;
  struct session *session;
} ports[EXEC_PORTS];
/* Ports without a connection: poll(2) would return for those at once (POLLHUP), an edge does not. */
static int idle = -1;
/* What the kernel says of its devices. */
static int changes = -1;
/* Of the agent's PID namespace, whatever is mounted later. */
static int processes = -1;
static pid_t program;
static int is_apart;
/* What the waiter knows the agent's connections by. */
static const unsigned char *secret;

static void release(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

/* ---------------------------------------------------------------------------------------- processes */

/* The sixth field of /proc/PID/stat; the second may have any characters. */
static pid_t session_of(const char *pid) {
  char path[64], text[512];
  snprintf(path, sizeof path, "%.20s/stat", pid);
  int fd = openat(processes, path, O_RDONLY | O_CLOEXEC);
  ssize_t count = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  release(&fd);
  if (count <= 0) return -1;
  text[count] = '\0';
  char *rest = strrchr(text, ')');
  if (rest == NULL || strlen(rest) < 4) return -1;
  /* A state of one letter, the parent, the process group, and this. */
  strtol(rest + 3, &rest, 10);
  strtol(rest, &rest, 10);
  return (pid_t)strtol(rest, NULL, 10);
}

/* Returns how many there were. */
static int kill_members(pid_t session) {
  int fd = openat(processes, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), count = 0;
  DIR *directory = fd < 0 ? NULL : fdopendir(fd);
  if (directory == NULL) return release(&fd), 0;
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    pid_t pid = atoi(entry->d_name);
    if (pid <= 1 || session_of(entry->d_name) != session) continue;
    count += kill(pid, SIGKILL) == 0;
  }
  closedir(directory);
  return count;
}

/* The process leads a session; those that have left it are the container's own. */
static void kill_session(pid_t pid) {
  kill(pid, SIGKILL);
  for (int round = 0; round < ROUNDS && kill_members(pid) > 0; round++) continue;
}

static int namespace_of(const char *pid, const char *name) {
  char path[64];
  snprintf(path, sizeof path, "%.20s/ns/%s", pid, name);
  return openat(processes, path, O_RDONLY | O_CLOEXEC);
}

static int namespace_of_program(const char *name) {
  char pid[16];
  snprintf(pid, sizeof pid, "%d", program);
  return namespace_of(pid, name);
}

/* A PID namespace is its children's (setns(2)). Returns -1 and errno when there is none any more. */
static pid_t fork_beside_program(void) {
  if (!is_apart) return fork();
  int own = namespace_of("self", "pid"), theirs = namespace_of_program("pid");
  pid_t pid = -1;
  if (own >= 0 && theirs >= 0 && setns(theirs, CLONE_NEWPID) == 0) {
    pid = fork();
    int error = errno;
    if (pid != 0) setns(own, CLONE_NEWPID);
    errno = error;
  }
  int error = errno;
  release(&own);
  release(&theirs);
  errno = error;
  return pid;
}

/* What the program sees of the file systems. Returns an errno. */
static int enter_mounts(int theirs) {
  struct stat own, other;
  if (theirs < 0) return 0;
  if (fstatat(processes, "self/ns/mnt", &own, 0) < 0 || fstat(theirs, &other) < 0) return errno;
  if (own.st_ino == other.st_ino) return 0;
  return setns(theirs, CLONE_NEWNS) < 0 ? errno : 0;
}

/* -------------------------------------------------------------------------------------- description */

/* What /urunc/process has, and `arg=` and `env=` for each string; or `list-processes` in the place of a program.
 * Keeps pointers into the text. */
static int parse_request(struct session *session, struct process *process) {
  size_t records = 0, args = 0, env = 0;
  char *text = session->request;
  size_t size = session->request_size;
  if (size == 0 || text[size - 1] != '\0') return 0;
  for (size_t at = 0; at < size; at++) records += text[at] == '\0';
  process->args = calloc(records + 1, sizeof *process->args);
  process->env = calloc(records + 1, sizeof *process->env);
  if (process->args == NULL || process->env == NULL) return 0;
  process->cwd = "/";
  process->umask = 022;
  for (size_t at = 0; at < size; at += strlen(text + at) + 1) {
    char *record = text + at;
    if (strncmp(record, "arg=", 4) == 0) process->args[args++] = record + 4;
    else if (strncmp(record, "env=", 4) == 0) process->env[env++] = record + 4;
    else if (strcmp(record, "list-processes") == 0) process->lists = 1;
    else if (!parse_record(record, process)) return 0;
  }
  return args > 0 || process->lists;
}

static void forget_request(struct session *session, struct process *process) {
  free(process->args);
  free(process->env);
  free(process->groups);
  free(process->sysctls);
  free(session->request);
  session->request = NULL;
}

/* ------------------------------------------------------------------------------------------- start */

/* The process's ends. */
struct files {
  int in, out, err;
};

static void set_nonblocking(int fd) {
  if (fd >= 0) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

/* Which end is the agent's: 0, it reads; 1, it writes. Returns whether there is a pipe. */
static int make_pipe(int *ours, int *theirs, int which) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return 0;
  *ours = ends[which];
  *theirs = ends[!which];
  set_nonblocking(*ours);
  return 1;
}

static int make_pipes(struct session *session, struct files *files, int together) {
  int *ours = session->files;
  if (!make_pipe(&ours[STREAM_INPUT], &files->in, 1)) return 0;
  if (!make_pipe(&ours[STREAM_OUTPUT], &files->out, 0)) return 0;
  if (together) return (files->err = fcntl(files->out, F_DUPFD_CLOEXEC, 3)) >= 0;
  return make_pipe(&ours[STREAM_ERRORS], &files->err, 0);
}

static void set_size(int terminal, int rows, int columns) {
  struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
  if (terminal >= 0 && rows > 0) ioctl(terminal, TIOCSWINSZ, &size);
}

/* The other side without a path: ioctl_tty(2). */
static int make_terminal(struct session *session, struct files *files) {
  int unlocked = 0;
  int terminal = open_terminal(), side = -1;
  session->terminal = session->files[STREAM_INPUT] = session->files[STREAM_OUTPUT] = terminal;
  if (terminal < 0 || ioctl(terminal, TIOCSPTLCK, &unlocked) < 0) return 0;
  side = ioctl(terminal, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  *files = (struct files){side, side, side};
  return side >= 0;
}

static void close_files(struct session *session) {
  if (session->terminal >= 0) {
    session->files[STREAM_INPUT] = session->files[STREAM_OUTPUT] = -1;
    release(&session->terminal);
  }
  for (int stream = 0; stream < STREAMS; stream++) release(&session->files[stream]);
}

static void __attribute__((noreturn)) run_here(
    struct process *process, struct files files, int status, int mounts, int has_terminal) {
  sigset_t none;
  struct failure failure = {STAGE_FILES, 0};
  setsid();
  failure.error = enter_mounts(mounts);
  if (has_terminal) {
    if (fchown(files.in, process->uid, (gid_t)-1) < 0) failure.error = errno;
    ioctl(files.in, TIOCSCTTY, 0);
  }
  if (dup2(files.in, 0) < 0 || dup2(files.out, 1) < 0 || dup2(files.err, 2) < 0) failure.error = errno;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  if (failure.error == 0 && process->lists) {
    close(status);
    list_processes();
    _exit(0);
  }
  add_home(process);
  if (failure.error == 0) failure = try_to_become(process, 0);
  if (write(status, &failure, sizeof failure) < 0) _exit(NOT_RUN);
  _exit(code_for(failure.error));
}

static void refuse(struct session *session, enum exec_stage stage, int error) {
  session->failure = (struct failure){stage, error};
  session->has_failed = 1;
}

static void fork_process(struct session *session, struct process *process, struct files files) {
  int status = -1, mounts = namespace_of_program("mnt");
  if (!make_pipe(&session->status, &status, 0)) return release(&mounts), refuse(session, STAGE_FILES, errno);
  session->pid = fork_beside_program();
  if (session->pid == 0) run_here(process, files, status, mounts, session->terminal >= 0);
  if (session->pid < 0) refuse(session, STAGE_FORK, errno);
  release(&status);
  release(&mounts);
}

static void start_process(struct session *session, const unsigned char *bytes) {
  struct process process = {0};
  struct files files = {-1, -1, -1};
  int flags = (int)get_number(bytes, 2), has_terminal = flags & HELLO_TERMINAL;
  session->state = SESSION_STARTING;
  session->room[STREAM_OUTPUT] = session->room[STREAM_ERRORS] = EXEC_WINDOW;
  if (get_number(bytes + 6, 4) != session->request_size || !parse_request(session, &process)) {
    refuse(session, STAGE_REQUEST, EINVAL);
  } else if (has_terminal ? !make_terminal(session, &files) :
                            !make_pipes(session, &files, flags & HELLO_TOGETHER)) {
    refuse(session, STAGE_FILES, errno);
  } else {
    set_size(session->terminal, (int)get_number(bytes + 2, 2), (int)get_number(bytes + 4, 2));
    fork_process(session, &process, files);
  }
  forget_request(session, &process);
  release(&files.in);
  if (!has_terminal) release(&files.out), release(&files.err);
}

/* Nothing comes when the program is executed: its end is closed by that. */
static void read_status(struct session *session) {
  ssize_t count = read(session->status, &session->failure, sizeof session->failure);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  release(&session->status);
  if (count == sizeof session->failure) session->has_failed = 1;
  else session->has_started = 1;
}

/* ----------------------------------------------------------------------------------------- session */

/* As a new one. Its process, if there is one that has not exited, is nobody's any more. */
static void reset_session(struct session *session) {
  if (session->pid > 0 && !session->exited) kill_session(session->pid);
  close_files(session);
  release(&session->status);
  free(session->request);
  memset(session, 0, offsetof(struct session, input));
  session->input.at = session->input.count = session->input.taken = 0;
  session->at = session->end = 0;
  session->status = session->terminal = -1;
  for (int stream = 0; stream < STREAMS; stream++) session->files[stream] = -1;
}

static void greet(struct session *session, const unsigned char *bytes) {
  unsigned char nonce[NONCE_SIZE];
  memcpy(nonce, bytes + 2, NONCE_SIZE);
  reset_session(session);
  memcpy(session->nonce, nonce, NONCE_SIZE);
  session->state = SESSION_GREETED;
  session->answers = 1;
}

/* More than there may be is no description: it is refused at the start, by its size. */
static void add_to_request(struct session *session, const unsigned char *bytes, size_t count) {
  if (count > EXEC_REQUEST_MOST - session->request_size) return;
  char *longer = realloc(session->request, session->request_size + count);
  if (longer == NULL) return;
  memcpy(longer + session->request_size, bytes, count);
  session->request = longer;
  session->request_size += count;
}

static void close_stream(struct session *session, unsigned stream) {
  if (stream != STREAM_OUTPUT && stream != STREAM_ERRORS) return;
  if (session->terminal >= 0) close_files(session);
  else release(&session->files[stream]);
}

static void add_room(struct session *session, const unsigned char *bytes) {
  unsigned stream = (unsigned)get_number(bytes, 2);
  size_t count = (size_t)get_number(bytes + 2, 4);
  if (stream != STREAM_OUTPUT && stream != STREAM_ERRORS) return;
  if (count <= EXEC_WINDOW - session->room[stream]) session->room[stream] += count;
}

static void send_signal(struct session *session, int number) {
  if (session->pid > 0 && !session->exited && number > 0 && number <= 64) kill(session->pid, number);
}

/* A frame of a process that runs, or is about to. */
static void handle_running(struct session *session, unsigned type, const unsigned char *bytes, size_t size) {
  switch (type) {
    case EXEC_INPUT:
      /* Without a reader it goes nowhere. */
      if (session->files[STREAM_INPUT] >= 0) ring_put(&session->input, bytes, size);
      break;
    case EXEC_INPUT_END: session->input_ends = 1; break;
    case EXEC_SIGNAL: send_signal(session, (int)get_number(bytes, 4)); break;
    case EXEC_SIZE:
      set_size(session->terminal, (int)get_number(bytes, 2), (int)get_number(bytes + 2, 2));
      break;
    case EXEC_TAKEN: add_room(session, bytes); break;
    case EXEC_CLOSED: close_stream(session, (unsigned)get_number(bytes, 2)); break;
  }
}

/* A hello begins anew, whatever was before: who sent that is gone. */
static void handle(struct session *session) {
  unsigned type = exec_type(&session->incoming);
  const unsigned char *bytes = exec_payload(&session->incoming);
  size_t size = exec_size(&session->incoming);
  if (type == EXEC_HELLO) greet(session, bytes);
  else if (session->state == SESSION_GREETED && type == EXEC_REQUEST) add_to_request(session, bytes, size);
  else if (session->state == SESSION_GREETED && type == EXEC_START) start_process(session, bytes);
  else if (session->state > SESSION_GREETED) handle_running(session, type, bytes, size);
}

static void take_frames(struct session *session, const unsigned char *bytes, size_t count) {
  struct exec_frame *frame = &session->incoming;
  for (size_t at = 0; at < count;) {
    at += exec_take(frame, bytes + at, count - at);
    while (exec_is_whole(frame) < 0) exec_skip(frame);
    if (exec_is_whole(frame) == 0) continue;
    handle(session);
    frame->have = 0;
  }
}

/* Returns whether the relay is still there. */
static int read_port(int fd, struct session *session) {
  static unsigned char bytes[EXEC_MOST];
  ssize_t count = read(fd, bytes, sizeof bytes);
  if (count < 0) return errno == EAGAIN || errno == EINTR;
  if (count == 0) return 0;
  take_frames(session, bytes, (size_t)count);
  return 1;
}

/* -------------------------------------------------------------------------------------------- output */

static unsigned char *begin(struct session *session, enum exec_type type, size_t size) {
  session->at = 0;
  session->end = exec_header(session->outgoing, type, size);
  return session->outgoing + FRAME_HEADER;
}

/* The nonce as it is, and then the first frame. */
static void say_ready(struct session *session) {
  memcpy(session->outgoing, session->nonce, NONCE_SIZE);
  session->at = 0;
  session->end = NONCE_SIZE + exec_header(session->outgoing + NONCE_SIZE, EXEC_READY, 2);
  put_number(session->outgoing + NONCE_SIZE + FRAME_HEADER, EXEC_VERSION, 2);
  session->answers = 0;
}

static void say_failed(struct session *session) {
  unsigned char *bytes = begin(session, EXEC_FAILED, 4);
  put_number(bytes, (uint64_t)session->failure.stage, 2);
  put_number(bytes + 2, (uint64_t)session->failure.error, 2);
  session->has_failed = 0;
  session->state = SESSION_OVER;
}

static void say_exited(struct session *session) {
  unsigned char *bytes = begin(session, EXEC_EXITED, 8);
  put_number(bytes, (uint64_t)session->code, 4);
  put_number(bytes + 4, (uint64_t)session->signal, 4);
  close_files(session);
  session->state = SESSION_OVER;
}

static int is_ready(int fd, short events) {
  struct pollfd file = {fd, events, 0};
  return fd >= 0 && poll(&file, 1, 0) > 0;
}

/* Returns whether there is a frame now. After the exit, what others hold open is not waited for. */
static int read_stream(struct session *session, int stream) {
  int fd = session->files[stream];
  size_t most = session->room[stream] < EXEC_MOST ? session->room[stream] : EXEC_MOST;
  if (session->exited && most > session->left) most = session->left;
  if (fd < 0 || most == 0) return 0;
  ssize_t count = read(fd, session->outgoing + FRAME_HEADER, most);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  /* EIO: the terminal's other side is closed. Its input may not be over. */
  if (count <= 0 && fd == session->terminal) return session->files[stream] = -1, 0;
  if (count <= 0) return release(&session->files[stream]), 0;
  begin(session, stream == STREAM_OUTPUT ? EXEC_OUTPUT : EXEC_ERRORS, (size_t)count);
  session->room[stream] -= (size_t)count;
  if (session->exited) session->left -= (size_t)count;
  return 1;
}

static int has_output(const struct session *session) {
  for (int stream = STREAM_OUTPUT; stream < STREAMS; stream++) {
    if (session->exited && session->left == 0) return 0;
    if (is_ready(session->files[stream], POLLIN)) return 1;
  }
  return 0;
}

/* The next thing to say, if there is any. */
static void compose(struct session *session) {
  if (session->answers) return say_ready(session);
  if (session->has_failed) return say_failed(session);
  if (session->has_started) {
    session->has_started = 0;
    session->state = SESSION_RUNNING;
    begin(session, EXEC_STARTED, 0);
    return;
  }
  if (session->state != SESSION_RUNNING) return;
  if (ring_has_news(&session->input)) {
    return put_taken(begin(session, EXEC_TAKEN, 6), STREAM_INPUT, &session->input);
  }
  if (session->closed_input) {
    session->closed_input = 0;
    return put_number(begin(session, EXEC_CLOSED, 2), STREAM_INPUT, 2);
  }
  session->turn = session->turn == STREAM_OUTPUT ? STREAM_ERRORS : STREAM_OUTPUT;
  if (read_stream(session, session->turn)) return;
  if (read_stream(session, STREAM_OUTPUT + STREAM_ERRORS - session->turn)) return;
  if (session->exited && !has_output(session)) say_exited(session);
}

/* Until the port takes no more, or there is nothing. */
static void write_port(int fd, struct session *session) {
  for (;;) {
    if (session->at == session->end) compose(session);
    if (session->at == session->end) return;
    ssize_t count = write(fd, session->outgoing + session->at, session->end - session->at);
    if (count <= 0) return;
    session->at += (size_t)count;
  }
}

static void end_input(struct session *session) {
  if (session->terminal < 0) release(&session->files[STREAM_INPUT]);
  else session->files[STREAM_INPUT] = -1;
}

static void give_input(struct session *session) {
  struct ring *input = &session->input;
  if (input->count > 0 && session->files[STREAM_INPUT] >= 0) {
    size_t piece = ring_piece(input, EXEC_WINDOW);
    ssize_t count = write(session->files[STREAM_INPUT], input->bytes + input->at, piece);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count < 0) {
      session->closed_input = 1;
      input->count = 0;
      return end_input(session);
    }
    ring_drop(input, (size_t)count);
  }
  if (input->count == 0 && session->input_ends && session->terminal < 0) end_input(session);
}

/* -------------------------------------------------------------------------------------------- ports */

/* What an earlier connection has left is read when there is another: without one, a port can be read always,
 * and has nothing. */
static int is_connected(int fd) {
  struct pollfd port = {fd, 0, 0};
  return fd >= 0 && poll(&port, 1, 0) >= 0 && (port.revents & POLLHUP) == 0;
}

static void open_session(int index) {
  struct session *session = calloc(1, sizeof *session);
  if (session == NULL) return;
  session->pid = -1;
  session->status = session->terminal = -1;
  for (int stream = 0; stream < STREAMS; stream++) session->files[stream] = -1;
  ports[index].session = session;
}

/* A connection to the waiter that has shown the secret: a new one has room for it. Returns -1 without one. */
static int open_handed(void) {
  int fd = open_vsock(VSOCK_EXEC);
  if (fd >= 0 && write(fd, secret, NONCE_SIZE) != NONCE_SIZE) release(&fd);
  return fd;
}

/* On vsock a connection to the waiter is made ahead, and has no process until a relay has it. */
static void connect_next(void) {
  int place = -1;
  for (int i = 0; i < EXEC_PORTS; i++) {
    if (ports[i].session == NULL) place = i;
    else if (ports[i].session->state == SESSION_NEW) return;
  }
  if (place < 0) return;
  ports[place].fd = open_handed();
  if (ports[place].fd < 0) return;
  open_session(place);
  if (ports[place].session == NULL) release(&ports[place].fd);
}

static void close_session(int index) {
  struct session *session = ports[index].session;
  reset_session(session);
  free(session);
  ports[index].session = NULL;
  if (on_vsock) return release(&ports[index].fd);
  /* Perhaps the next one is there already. */
  if (is_connected(ports[index].fd)) open_session(index);
}

/* Takes a port that is one of these. */
static void take_port(const char *name, const char *device) {
  struct epoll_event event = {.events = EPOLLIN | EPOLLET};
  if (strncmp(name, EXEC_PREFIX, sizeof EXEC_PREFIX - 1) != 0) return;
  unsigned long number = strtoul(name + sizeof EXEC_PREFIX - 1, NULL, 10);
  if (number >= EXEC_PORTS || ports[number].fd >= 0) return;
  ports[number].fd = open_device(device);
  if (ports[number].fd >= 0) epoll_ctl(idle, EPOLL_CTL_ADD, ports[number].fd, &event);
}

void exec_prepare(void) {
  for (int i = 0; i < EXEC_PORTS; i++) ports[i].fd = -1;
  processes = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* A port that is added has its name by the second event (add_port(), drivers/char/virtio_console.c). A kernel
 * without them has the ports that it began with. */
static void watch_changes(void) {
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK, .nl_groups = 1};
  changes = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
  if (changes >= 0 && bind(changes, (struct sockaddr *)&kernel, sizeof kernel) < 0) release(&changes);
}

/* Whatever they say, and if some were lost. */
static void read_changes(void) {
  char first;
  for (int i = 0; i < CHANGES && recv(changes, &first, 1, 0) >= 0; i++) continue;
  each_port(take_port);
}

void exec_begin(pid_t pid, int apart, const unsigned char *bytes) {
  secret = bytes;
  program = pid;
  is_apart = apart;
  if (on_vsock) {
    if (processes >= 0) connect_next();
    return;
  }
  idle = epoll_create1(EPOLL_CLOEXEC);
  if (processes < 0 || idle < 0) return;
  watch_changes();
  each_port(take_port);
}

static short output_events(const struct session *session, int stream) {
  int open = session->files[stream] >= 0 && session->room[stream] > 0;
  return open && session->state == SESSION_RUNNING && session->at == session->end ? POLLIN : 0;
}

static struct pollfd when(int fd, short events) {
  return (struct pollfd){events ? fd : -1, events, 0};
}

void exec_wanted(struct pollfd *fds) {
  for (int i = 0; i < EXEC_PORTS; i++) {
    const struct session *session = ports[i].session;
    struct pollfd *own = fds + 5 * i;
    for (int k = 0; k < 5; k++) own[k] = (struct pollfd){-1, 0, 0};
    if (session == NULL) continue;
    own[0] = when(ports[i].fd, (short)(POLLIN | (session->at < session->end ? POLLOUT : 0)));
    own[1] = when(session->files[STREAM_INPUT], session->input.count > 0 ? POLLOUT : 0);
    own[2] = when(session->files[STREAM_OUTPUT], output_events(session, STREAM_OUTPUT));
    own[3] = when(session->files[STREAM_ERRORS], output_events(session, STREAM_ERRORS));
    own[4] = when(session->status, POLLIN);
  }
  fds[EXEC_FDS - 2] = when(changes, POLLIN);
  fds[EXEC_FDS - 1] = when(idle, POLLIN);
}

static void move_session(int index, const struct pollfd *fds) {
  struct session *session = ports[index].session;
  int is_there = 1;
  if (fds[0].revents & POLLIN) is_there = read_port(ports[index].fd, session);
  else if (fds[0].revents & (POLLHUP | POLLERR)) is_there = 0;
  if (!is_there) return close_session(index);
  if (fds[4].revents && fds[4].fd == session->status) read_status(session);
  give_input(session);
  write_port(ports[index].fd, session);
}

void exec_move(const struct pollfd *fds) {
  struct epoll_event events[EXEC_PORTS];
  for (int i = 0; i < EXEC_PORTS; i++) {
    if (ports[i].session != NULL) move_session(i, fds + 5 * i);
  }
  if (on_vsock && processes >= 0) connect_next();
  if (fds[EXEC_FDS - 2].revents) read_changes();
  if (fds[EXEC_FDS - 1].revents == 0) return;
  epoll_wait(idle, events, EXEC_PORTS, 0);
  for (int i = 0; i < EXEC_PORTS; i++) {
    if (ports[i].session == NULL && is_connected(ports[i].fd)) open_session(i);
  }
}

void exec_reaped(pid_t pid, int status) {
  for (int i = 0; i < EXEC_PORTS; i++) {
    struct session *session = ports[i].session;
    if (session == NULL || session->pid != pid || session->exited) continue;
    session->exited = 1;
    session->left = LEFT_BEHIND;
    if (WIFEXITED(status)) session->code = WEXITSTATUS(status);
    else session->signal = WTERMSIG(status);
    return write_port(ports[i].fd, session);
  }
}
