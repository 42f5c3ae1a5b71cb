/*
 * The executable as a containerd shim: what it can answer without booting Deno.
 *
 * - `start`: the address of the group's shim where one runs. Otherwise this process forks: the parent
 *   prints the address, on which the kernel already listens; the child goes on to boot as the daemon.
 * - `delete` of a container of which nothing is left but perhaps the socket of a shim that was killed:
 *   containerd asks for it after every task.
 *
 * It decides as lib/shim/command/start.ts and delete.ts do, and leaves to them what is unusual: then
 * it returns, and Deno boots. Part of stub.c, with the same rules. tests/integration/shim_stub_test.ts
 * compares the two; sanitizers_test.ts there does so with random input.
 */

enum {
  SYS_fstat = 5,
  SYS_access = 21,
  SYS_dup2 = 33,
  SYS_nanosleep = 35,
  SYS_socket = 41,
  SYS_connect = 42,
  SYS_bind = 49,
  SYS_listen = 50,
  SYS_fork = 57,
  SYS_flock = 73,
  SYS_rename = 82,
  SYS_mkdir = 83,
  SYS_unlink = 87,
  SYS_umask = 95,
  SYS_setsid = 112,
  SYS_time = 201,
  SYS_close_range = 436,
};
enum { EEXIST = 17, ECONNREFUSED = 111 };
enum { O_WRONLY = 1, O_CREAT = 0100, O_TRUNC = 01000, O_DIRECTORY = 0200000 };
enum { F_SETFD = 2, F_DUPFD_CLOEXEC = 1030, FD_CLOEXEC = 1 };
enum { AF_UNIX = 1, SOCK_STREAM = 1, SOCK_CLOEXEC = 02000000 };
enum { LOCK_EX = 2 };

/* lib/shim/command/start.ts */
enum { LISTEN_FD = 3, OPTIONS_FD = 4, BACKLOG = 4096 };

/* How often `delete` looks whether a shim has ended that is about to, and the nanoseconds in between. */
enum { DELETE_ATTEMPTS = 40, DELETE_PAUSE = 5000000 };

#define SOCKET_DIRECTORY "/run/containerd/s"
#define CONFIGURATION "/etc/urunc/config.toml"
#define GROUP_DIGITS 32

/* Arguments for the process that goes on, in place of its last one. */
struct shim_process {
  const char *arguments[4];
  u32 count;
  char socket[sizeof SOCKET_DIRECTORY + 1 + GROUP_DIGITS];
};

struct shim_options {
  const char *namespace, *address, *id, *bundle;
};

static int equals(const char *a, const char *b) { return starts_with(a, b) && length(a) == length(b); }

static const char *base_name(const char *path) {
  const char *base = path;
  for (; *path; path++)
    if (*path == '/') base = path + 1;
  return base;
}

static int is_shim(const char *name) {
  const char prefix[] = "containerd-shim-";
  name = base_name(name);
  if (!starts_with(name, prefix)) return 0;
  u64 size = length(name);
  return size > sizeof prefix + 2 && name[size - 3] == '-' && name[size - 2] == 'v' &&
         name[size - 1] >= '0' && name[size - 1] <= '9';
}

/* The forms that containerd writes, and no others. */
static int read_options(u64 count, char **arguments, struct shim_options *options) {
  for (u64 i = 0; i < count; i++) {
    const char *name = arguments[i];
    if (equals(name, "-debug")) continue;
    if (++i >= count) return 0;
    if (equals(name, "-namespace")) options->namespace = arguments[i];
    else if (equals(name, "-address")) options->address = arguments[i];
    else if (equals(name, "-id")) options->id = arguments[i];
    else if (equals(name, "-bundle")) options->bundle = arguments[i];
    else if (!equals(name, "-publish-binary")) return 0;
  }
  return options->namespace && options->address && options->id && *options->namespace && *options->id;
}

struct text {
  const char *at, *end;
};

static struct text text_of(const char *string) { return (struct text){string, string + length(string)}; }

/* Maps a file. Returns 0, -ENOENT when there is none, or another error when it is empty or too large. */
static i64 map_file(const char *path, struct text *text) {
  u64 stat[18]; /* struct stat, asm/stat.h: st_size is its seventh word */
  i64 fd = system_call(SYS_open, (i64)path, O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) return fd;
  i64 mapped = -EINVAL;
  if (system_call(SYS_fstat, fd, (i64)stat, 0) == 0 && stat[6] > 0 && stat[6] < (1 << 24))
    mapped = system_call6(SYS_mmap, 0, stat[6], PROT_READ, MAP_PRIVATE, fd, 0);
  system_call(SYS_close, fd, 0, 0);
  if (mapped < 0 && mapped > -4096) return mapped;
  *text = (struct text){(const char *)mapped, (const char *)mapped + stat[6]};
  return 0;
}

/* Skips a prefix, if it is there. */
static int skip(struct text *text, const char *prefix) {
  const char *at = text->at;
  for (; *prefix; at++, prefix++)
    if (at == text->end || *at != *prefix) return 0;
  text->at = at;
  return 1;
}

static int text_equals(struct text text, const char *with) { return skip(&text, with) && text.at == text.end; }

static int contains(struct text text, const char *part) {
  for (; text.at < text.end; text.at++) {
    struct text rest = text;
    if (skip(&rest, part)) return 1;
  }
  return 0;
}

static void skip_blanks(struct text *text) {
  while (text->at < text->end && (*text->at == ' ' || *text->at == '\t' || *text->at == '\r')) text->at++;
}

/* Takes the next line off a text, without its indentation and its end. */
static struct text take_line(struct text *text) {
  struct text line = *text;
  while (text->at < text->end && *text->at != '\n') text->at++;
  line.end = text->at;
  if (text->at < text->end) text->at++;
  skip_blanks(&line);
  return line;
}

/*
 * `shim_group` in config.toml: 1 for "namespace", 0 for "container" or where it is not set, -1 for
 * start.ts to decide. That is the key in any but its usual form, twice or in a table; and files with
 * escapes or texts of several lines, which may look like the key or hide it.
 */
static int is_namespace_group(struct text file) {
  int group = 0, seen = 0, in_table = 0;
  while (file.at < file.end) {
    struct text line = take_line(&file);
    if (skip(&line, "#")) continue;
    if (contains(line, "\\") || contains(line, "\"\"\"") || contains(line, "'''")) return -1;
    if (skip(&line, "[")) in_table = 1;
    if (!contains(line, "shim_group")) continue;
    if (in_table || seen++) return -1;
    if (skip(&line, "shim_group = \"namespace\"")) group = 1;
    else if (!skip(&line, "shim_group = \"container\"")) return -1;
    skip_blanks(&line);
    if (line.at < line.end && *line.at != '#') return -1;
  }
  return group;
}

static int is_group_name(struct text key) {
  return text_equals(key, "io.containerd.runc.v2.group") || text_equals(key, "io.kubernetes.cri.sandbox-id");
}

/* Moves from a string's first quote to its last. Returns 0 when there is none. */
static int take_string(struct text *json, struct text *string) {
  string->at = ++json->at;
  for (; json->at < json->end; json->at++) {
    string->end = json->at;
    if (*json->at == '"') return 1;
    if (*json->at == '\\') json->at++;
  }
  return 0;
}

/*
 * The annotation in config.json that names the container's group; without one, `group` stays as it is.
 * It knows where in the nested objects it is, and nothing else of JSON. Returns 0 for start.ts to decide:
 * that is several names or "annotations", and escapes in what it compares or returns.
 */
static int find_group(struct text json, struct text *group) {
  u64 depth = 0;
  int in_annotations = 0, annotations = 0, names = 0, is_key = 0;
  struct text key = {0, 0}, string;
  if (json.at == json.end || *json.at != '{') return 0;
  for (; json.at < json.end; json.at++) {
    char c = *json.at;
    if (c == '"') {
      if (!take_string(&json, &string)) return 0;
      if (is_key) key = string;
      int is_name = !is_key && in_annotations && depth == 2 && is_group_name(key);
      if ((is_name || (is_key && depth <= 2)) && contains(string, "\\")) return 0;
      if (is_name && names++) return 0;
      if (is_name) *group = string;
    } else if (c == ':') {
      is_key = 0;
    } else if (c == ',' || c == '{' || c == '[' || c == '}' || c == ']') {
      if (c == '{' && depth == 1 && text_equals(key, "annotations")) {
        if (annotations++) return 0;
        in_annotations = 1;
      }
      if (c == '{' || c == '[') depth++;
      else if (c != ',' && depth-- == 0) return 0;
      if (depth < 2) in_annotations = 0;
      is_key = c == '{' || c == ','; /* A text of an array is none, and has no value. */
      key = (struct text){0, 0};
    }
  }
  return depth == 0;
}

typedef unsigned __int128 u128;

/* FNV-1a with 128 bits: lib/shim/command/group.ts says why. */
static u128 add_to_hash(u128 hash, struct text text) {
  const u128 prime = (u128)1 << 88 | 0x13b;
  for (; text.at < text.end; text.at++) hash = (hash ^ (u8)*text.at) * prime;
  return hash;
}

/* Appends the hexadecimal hash of `address/namespace/group`. */
static char *append_hash(char *to, const char *address, const char *namespace, struct text group) {
  u128 hash = (u128)0x6c62272e07bb0142 << 64 | 0x62b821756295c58d;
  hash = add_to_hash(add_to_hash(hash, text_of(address)), text_of("/"));
  hash = add_to_hash(add_to_hash(hash, text_of(namespace)), text_of("/"));
  hash = add_to_hash(hash, group);
  for (u32 i = 0; i < GROUP_DIGITS; i++, hash <<= 4) *to++ = "0123456789abcdef"[hash >> 124];
  *to = 0;
  return to;
}

/* unix(7) */
struct address {
  unsigned short family;
  char path[108];
};

/* Writes `unix://PATH` into the bundle, where containerd finds it after a restart. */
static int write_address(const char *address) {
  i64 fd = system_call(SYS_open, (i64) "address.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return 0;
  u64 size = length(address);
  int complete = system_call(SYS_write, fd, (i64)address, size) == (i64)size;
  system_call(SYS_close, fd, 0, 0);
  return complete && system_call(SYS_rename, (i64) "address.new", (i64) "address", 0) == 0;
}

__attribute__((noreturn)) static void answer(const void *bytes, u64 size) {
  for (;;) system_call(SYS_exit_group, system_call(SYS_write, 1, (i64)bytes, size) != (i64)size, 0, 0);
}

/* Held until it is closed: one shim for a group, and not one that is shutting down. */
static i64 lock_sockets(void) {
  i64 lock = system_call(SYS_open, (i64)SOCKET_DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  if (lock >= 0 && system_call(SYS_flock, lock, LOCK_EX, 0) != 0) {
    system_call(SYS_close, lock, 0, 0);
    return -EINVAL;
  }
  return lock;
}

/* The socket in a bundle's `address`, `unix://PATH`. Returns 0 when it is not as answer_start names one. */
static int read_address(struct text file, struct address *address) {
  if (!skip(&file, "unix://" SOCKET_DIRECTORY "/") || file.end - file.at != GROUP_DIGITS) return 0;
  char *to = append(address->path, SOCKET_DIRECTORY "/");
  while (file.at < file.end) {
    if (*file.at == '/' || *file.at == 0) return 0;
    *to++ = *file.at++;
  }
  return 1;
}

/* Removes a socket on which nobody listens. Returns 1 when it is gone, 0 when somebody does, or an error. */
static i64 remove_unless_listening(const struct address *address) {
  i64 lock = lock_sockets();
  if (lock < 0) return lock == -ENOENT ? 1 : lock;
  i64 fd = system_call(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  i64 result = fd < 0 ? fd : system_call(SYS_connect, fd, (i64)address, sizeof *address);
  int is_dead = result == -ECONNREFUSED;
  if (is_dead) result = system_call(SYS_unlink, (i64)address->path, 0, 0);
  if (fd >= 0) system_call(SYS_close, fd, 0, 0);
  system_call(SYS_close, lock, 0, 0);
  if (result == -ENOENT) return 1;
  return result < 0 ? result : is_dead;
}

/*
 * Removes the socket of a shim that was killed. A process that exits closes its connections before it closes
 * what it listens on, and containerd calls this in between: a shim of this container alone is waited for.
 * Returns 0 for delete.ts to decide.
 */
static int remove_dead_socket(struct text file, const struct shim_options *options) {
  struct address address = {AF_UNIX, ""};
  if (!read_address(file, &address)) return 0;
  char own[GROUP_DIGITS + 1];
  append_hash(own, options->address, options->namespace, text_of(options->id));
  int attempts = equals(own, address.path + sizeof SOCKET_DIRECTORY) ? DELETE_ATTEMPTS : 1;
  const i64 pause[2] = {0, DELETE_PAUSE};
  for (;;) {
    i64 result = remove_unless_listening(&address);
    if (result != 0 || --attempts == 0) return result >= 0;
    system_call(SYS_nanosleep, (i64)pause, 0, 0);
  }
}

/* containerd.task.v2.DeleteResponse: exit_status is 137, as SIGKILL makes it; exited_at is now. */
static void answer_delete(const struct shim_options *options) {
  char path[4096 + sizeof "/urunc.task"];
  struct text file;
  if (options->bundle && length(options->bundle) > 4095) return;
  char *end = append(path, options->bundle ? options->bundle : ".");
  append(end, "/urunc.task");
  if (system_call(SYS_access, (i64)path, 0, 0) != -ENOENT) return;
  append(end, "/address");
  i64 error = map_file(path, &file);
  if (error != -ENOENT && (error || !remove_dead_socket(file, options))) return;
  system_call(SYS_unlink, (i64)path, 0, 0);
  u8 message[16] = {0x10, 0x89, 0x01, 0x1a, 0, 0x08};
  u64 size = 6, seconds = system_call(SYS_time, 0, 0, 0);
  do {
    message[size++] = (seconds & 0x7f) | (seconds > 0x7f) << 7;
    seconds >>= 7;
  } while (seconds);
  message[4] = size - 5;
  answer(message, size);
}

/* Closes what the caller has open: containerd waits until the output of `start` is closed. */
static void become_daemon(i64 listener) {
  system_call(SYS_setsid, 0, 0, 0);
  i64 input = system_call(SYS_fcntl, 0, F_DUPFD_CLOEXEC, 16);
  i64 nothing = system_call(SYS_open, (i64) "/dev/null", O_RDWR | O_CLOEXEC, 0);
  listener = system_call(SYS_fcntl, listener, F_DUPFD_CLOEXEC, 16);
  if (input < 0 || nothing < 0 || listener < 0) fail("start the shim", -1, "cannot open or duplicate a file", 0);
  for (i64 fd = 0; fd < 3; fd++) system_call(SYS_dup2, nothing, fd, 0);
  system_call(SYS_dup2, listener, LISTEN_FD, 0);
  system_call(SYS_dup2, input, OPTIONS_FD, 0);
  system_call(SYS_close_range, OPTIONS_FD + 1, ~0u, 0);
  system_call(SYS_fcntl, LISTEN_FD, F_SETFD, FD_CLOEXEC);
  system_call(SYS_fcntl, OPTIONS_FD, F_SETFD, FD_CLOEXEC);
}

/* The group of the container. Returns 1 for the whole namespace, 0 otherwise, -1 for start.ts to decide. */
static int read_group(const struct shim_options *options, struct text *group) {
  struct text file = {0, 0}, json;
  i64 error = map_file(CONFIGURATION, &file);
  int shared = error && error != -ENOENT ? -1 : is_namespace_group(file);
  *group = text_of(shared ? "*" : options->id);
  if (shared) return shared;
  return map_file("config.json", &json) == 0 && find_group(json, group) ? 0 : -1;
}

/* Returns in the daemon; and where it did nothing, which leaves it to start.ts. */
static void answer_start(const struct shim_options *options, struct shim_process *process) {
  struct text group;
  int shared = read_group(options, &group);
  if (shared < 0) return;

  struct address address = {AF_UNIX, ""};
  append(process->socket, SOCKET_DIRECTORY "/");
  append_hash(process->socket + sizeof SOCKET_DIRECTORY, options->address, options->namespace, group);
  append(address.path, process->socket);
  char text[sizeof "unix://" + sizeof process->socket];
  append(append(text, "unix://"), process->socket);

  system_call(SYS_mkdir, (i64) "/run/containerd", 0711, 0);
  system_call(SYS_mkdir, (i64)SOCKET_DIRECTORY, 0711, 0);
  i64 lock = lock_sockets();
  if (lock < 0) return;
  i64 fd = system_call(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  i64 result = fd < 0 ? fd : system_call(SYS_connect, fd, (i64)&address, sizeof address);
  if (result == 0 && write_address(text)) answer(text, length(text));
  if (result == -ECONNREFUSED) system_call(SYS_unlink, (i64)process->socket, 0, 0);
  if (result == -ECONNREFUSED || result == -ENOENT) {
    i64 mask = system_call(SYS_umask, 0177, 0, 0);
    result = system_call(SYS_bind, fd, (i64)&address, sizeof address);
    system_call(SYS_umask, mask, 0, 0);
    if (result == 0 && system_call(SYS_listen, fd, BACKLOG, 0) == 0 && write_address(text)) {
      i64 pid = system_call(SYS_fork, 0, 0, 0);
      if (pid > 0) answer(text, length(text));
      if (pid == 0) {
        become_daemon(fd);
        if (shared) process->arguments[process->count++] = "-shared";
        process->arguments[process->count++] = "-socket";
        process->arguments[process->count++] = process->socket;
        process->arguments[process->count++] = "daemon";
        return;
      }
    }
    if (result == 0) system_call(SYS_unlink, (i64)process->socket, 0, 0);
  }
  if (fd >= 0) system_call(SYS_close, fd, 0, 0);
  system_call(SYS_close, lock, 0, 0);
}

/* Does not return when it has answered. */
static void answer_as_shim(u64 argc, char **argv, struct shim_process *process) {
  struct shim_options options = {0, 0, 0, 0};
  if (argc < 2 || !is_shim(argv[0])) return;
  const char *action = argv[argc - 1];
  int is_start = equals(action, "start");
  if (!is_start && !equals(action, "delete")) return;
  if (!read_options(argc - 2, argv + 1, &options)) return;
  if (is_start) answer_start(&options, process);
  else answer_delete(&options);
}
