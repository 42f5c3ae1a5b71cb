/*
 * The executable called as a containerd shim: what it can answer without booting Deno.
 *
 * - `start` when the shim of the container's group runs: its address. Else this process forks: the
 *   parent prints the address, on which the kernel already listens, and the child goes on to boot as
 *   the daemon, with an init that boots beside it.
 * - `delete` when nothing of the container is left, which containerd asks after every task.
 *
 * It decides as lib/shim/command/start.ts and delete.ts do, and returns where it cannot: these then
 * do the work. Part of stub.c, with the same rules.
 */

enum {
  SYS_fstat = 5,
  SYS_access = 21,
  SYS_dup2 = 33,
  SYS_socket = 41,
  SYS_connect = 42,
  SYS_bind = 49,
  SYS_listen = 50,
  SYS_socketpair = 53,
  SYS_fork = 57,
  SYS_flock = 73,
  SYS_rename = 82,
  SYS_mkdir = 83,
  SYS_unlink = 87,
  SYS_umask = 95,
  SYS_setsid = 112,
  SYS_time = 201,
  SYS_unshare = 272,
  SYS_setns = 308,
  SYS_close_range = 436,
};
enum { EEXIST = 17, ECONNREFUSED = 111 };
enum { O_WRONLY = 1, O_CREAT = 0100, O_TRUNC = 01000, O_DIRECTORY = 0200000 };
enum { F_SETFD = 2, F_DUPFD_CLOEXEC = 1030, FD_CLOEXEC = 1 };
enum { AF_UNIX = 1, SOCK_STREAM = 1, SOCK_CLOEXEC = 02000000 };
enum { LOCK_EX = 2, CLONE_NEWPID = 0x20000000 };

/* lib/shim/command/start.ts, lib/launch/init.ts */
enum { LISTEN_FD = 3, OPTIONS_FD = 4, INIT_FD = 5, CHANNEL_FD = 3, BACKLOG = 4096 };

#define SOCKET_DIRECTORY "/run/containerd/s"
#define CONFIGURATION "/etc/urunc/config.toml"

/* What becomes of a process that goes on: arguments in place of its own last one. */
struct shim_process {
  const char *arguments[8];
  u32 count;
  int is_init;
  char pid[21];
  char socket[sizeof SOCKET_DIRECTORY + 65];
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

/* Only the forms that containerd writes. */
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

/* A file's content, with its size; null when it is missing, empty or too large. */
static const char *map_file(const char *path, u64 *size, i64 *error) {
  u64 stat[18]; /* struct stat, asm/stat.h: st_size is its seventh word */
  i64 fd = system_call(SYS_open, (i64)path, O_RDONLY | O_CLOEXEC, 0);
  *error = fd;
  if (fd < 0) return 0;
  i64 mapped = -1;
  if (system_call(SYS_fstat, fd, (i64)stat, 0) == 0 && stat[6] > 0 && stat[6] < (1 << 24)) {
    *size = stat[6];
    mapped = system_call6(SYS_mmap, 0, *size, PROT_READ, MAP_PRIVATE, fd, 0);
  }
  system_call(SYS_close, fd, 0, 0);
  return mapped < 0 && mapped > -4096 ? 0 : (const char *)mapped;
}

struct text {
  const char *at, *end;
};

static int text_starts_with(struct text text, const char *prefix) {
  while (*prefix)
    if (text.at == text.end || *text.at++ != *prefix++) return 0;
  return 1;
}

static int text_equals(struct text text, const char *with) {
  return (u64)(text.end - text.at) == length(with) && text_starts_with(text, with);
}

static int is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

static void skip_blanks(struct text *text) {
  while (text->at < text->end && is_blank(*text->at)) text->at++;
}

static int skip(struct text *text, const char *prefix) {
  if (!text_starts_with(*text, prefix)) return 0;
  text->at += length(prefix);
  return 1;
}

#define GROUP_KEY "shim_group"

/* What follows the key up to its line's end: 1 for "namespace", 0 for "container", -1 for all else. */
static int read_group(struct text *text) {
  int group = -1;
  skip_blanks(text);
  if (!skip(text, "=")) return -1;
  skip_blanks(text);
  if (skip(text, "\"namespace\"")) group = 1;
  else if (skip(text, "\"container\"")) group = 0;
  skip_blanks(text);
  return text->at == text->end || *text->at == '\n' || *text->at == '#' ? group : -1;
}

/*
 * `shim_group` in the operator's configuration. Its line is found without understanding TOML: whatever
 * looks in any way unusual is left to those who do. That is the key's name anywhere but at the start of
 * a line and in a remark, twice, or in a table; and texts of several lines and escapes, which may look
 * like the key or hide it.
 *
 * Returns 1 for "namespace", 0 for "container" or no such key, -1 when it cannot tell.
 */
static int is_namespace_group(void) {
  u64 size;
  i64 error;
  const char *start = map_file(CONFIGURATION, &size, &error);
  if (!start) return error == -ENOENT ? 0 : -1;
  int group = 0, seen = 0, in_table = 0, line_begins = 1;
  for (struct text rest = {start, start + size}; rest.at < rest.end; rest.at++) {
    if (*rest.at == '\n') line_begins = 1;
    if (*rest.at == '\n' || is_blank(*rest.at)) continue;
    if (line_begins && *rest.at == '#') {
      while (rest.at + 1 < rest.end && rest.at[1] != '\n') rest.at++;
      continue;
    }
    if (*rest.at == '\\') return -1;
    if (text_starts_with(rest, "\"\"\"") || text_starts_with(rest, "'''")) return -1;
    if (line_begins && *rest.at == '[') in_table = 1;
    if (skip(&rest, GROUP_KEY)) {
      if (!line_begins || in_table || seen++) return -1;
      group = read_group(&rest);
      if (group < 0) return -1;
      rest.at--;
    }
    line_begins = 0;
  }
  return group;
}

static int is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/* Skips a string that begins at its quote. Sets `text` to what is inside; null when it does not end. */
static const char *skip_string(const char *at, const char *end, struct text *text) {
  const char *start = ++at;
  for (; at < end; at++) {
    if (*at == '\\') at++;
    else if (*at == '"') {
      *text = (struct text){start, at};
      return at + 1;
    }
  }
  return 0;
}

static int has_escape(struct text text) {
  for (; text.at < text.end; text.at++)
    if (*text.at == '\\') return 1;
  return 0;
}

/*
 * The annotation of config.json that names the container's group: a reader of JSON that keeps nothing
 * but where it is. `group` stays as it is when there is none. Returns 0 when it cannot tell.
 */
static int find_group(const char *at, u64 size, struct text *group) {
  const char *end = at + size;
  u64 depth = 0;
  int in_annotations = 0, seen = 0, is_key = 0, found = 0;
  struct text key = {0, 0}, value;
  while (at < end && is_space(*at)) at++;
  if (at == end || *at != '{') return 0;
  while (at < end) {
    char c = *at;
    if (c == '"') {
      at = skip_string(at, end, &value);
      if (!at) return 0;
      if (is_key) {
        key = value;
        if (depth <= 2 && has_escape(key)) return 0;
      } else if (in_annotations && depth == 2 && key.at) {
        /* The first name goes before the second; the last value of one before those before it. */
        int rank = text_equals(key, "io.containerd.runc.v2.group") ? 2 : text_equals(key, "io.kubernetes.cri.sandbox-id");
        if (rank == 0 || rank < found) continue;
        if (has_escape(value)) return 0;
        found = rank;
        *group = value;
      }
      continue;
    }
    at++;
    if (c == '{' || c == '[') {
      if (c == '{' && depth == 1 && key.at && text_equals(key, "annotations")) {
        if (seen++) return 0;
        in_annotations = 1;
      }
      depth++;
      is_key = c == '{';
      key.at = 0;
    } else if (c == '}' || c == ']') {
      if (depth-- == 0) return 0;
      if (depth == 1) in_annotations = 0;
      key.at = 0;
    } else if (c == ',') {
      /* In an array too, where it does no harm: what follows there has no value. */
      is_key = 1;
      key.at = 0;
    } else if (c == ':') {
      is_key = 0;
    }
  }
  return depth == 0;
}

/* FIPS 180-4 */
static const u32 sha256_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

struct sha256 {
  u32 state[8];
  u64 size;
  u8 block[64];
};

static u32 rotate(u32 x, u32 by) { return x >> by | x << (32 - by); }

static void sha256_block(struct sha256 *hash) {
  u32 w[64], v[8];
  for (u32 i = 0; i < 16; i++) w[i] = __builtin_bswap32(((u32 *)hash->block)[i]);
  for (u32 i = 16; i < 64; i++) {
    u32 a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7] +
           (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
  }
  for (u32 i = 0; i < 8; i++) v[i] = hash->state[i];
  for (u32 i = 0; i < 64; i++) {
    u32 a = v[0], e = v[4];
    u32 x = v[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & v[5]) ^ (~e & v[6])) +
            sha256_constants[i] + w[i];
    u32 y = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
    for (u32 k = 7; k > 0; k--) v[k] = v[k - 1];
    v[4] += x;
    v[0] = x + y;
  }
  for (u32 i = 0; i < 8; i++) hash->state[i] += v[i];
}

static void sha256_add(struct sha256 *hash, struct text text) {
  while (text.at < text.end) {
    hash->block[hash->size++ % 64] = *text.at++;
    if (hash->size % 64 == 0) sha256_block(hash);
  }
}

static struct text text_of(const char *string) { return (struct text){string, string + length(string)}; }

/* The hexadecimal SHA-256 of `address/namespace/group`. */
static char *append_hash(char *to, const char *address, const char *namespace, struct text group) {
  struct sha256 hash;
  hash.size = 0;
  hash.state[0] = 0x6a09e667;
  hash.state[1] = 0xbb67ae85;
  hash.state[2] = 0x3c6ef372;
  hash.state[3] = 0xa54ff53a;
  hash.state[4] = 0x510e527f;
  hash.state[5] = 0x9b05688c;
  hash.state[6] = 0x1f83d9ab;
  hash.state[7] = 0x5be0cd19;
  sha256_add(&hash, text_of(address));
  sha256_add(&hash, text_of("/"));
  sha256_add(&hash, text_of(namespace));
  sha256_add(&hash, text_of("/"));
  sha256_add(&hash, group);
  u64 bits = hash.size * 8;
  char byte = (char)0x80;
  sha256_add(&hash, (struct text){&byte, &byte + 1});
  byte = 0;
  while (hash.size % 64 != 56) sha256_add(&hash, (struct text){&byte, &byte + 1});
  for (i64 shift = 56; shift >= 0; shift -= 8) {
    byte = bits >> shift;
    sha256_add(&hash, (struct text){&byte, &byte + 1});
  }
  for (u32 i = 0; i < 64; i++) *to++ = "0123456789abcdef"[hash.state[i / 8] >> (28 - i % 8 * 4) & 15];
  *to = 0;
  return to;
}

/* unix(7) */
struct address {
  unsigned short family;
  char path[108];
};

/* Writes `unix://PATH` to a file of the bundle: containerd reads it when it is started again. */
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

/* containerd.task.v2.DeleteResponse: exit_status is 137, as SIGKILL makes it; exited_at is now. */
static void answer_delete(const struct shim_options *options) {
  char path[4096 + sizeof "/address"];
  if (options->bundle && length(options->bundle) > 4095) return;
  append(append(path, options->bundle ? options->bundle : "."), "/address");
  if (system_call(SYS_access, (i64)path, 0, 0) != -ENOENT) return;
  u8 message[16] = {0x10, 0x89, 0x01, 0x1a, 0, 0x08};
  u64 size = 6, seconds = system_call(SYS_time, 0, 0, 0);
  do {
    message[size++] = (seconds & 0x7f) | (seconds > 0x7f) << 7;
    seconds >>= 7;
  } while (seconds);
  message[4] = size - 5;
  answer(message, size);
}

/* Forks an init into a new PID namespace, which only children enter. Returns 1 in the init. */
static int fork_init(struct shim_process *process) {
  int pair[2];
  i64 own = system_call(SYS_open, (i64) "/proc/self/ns/pid", O_RDONLY | O_CLOEXEC, 0);
  if (own < 0) return 0;
  i64 pid = -1;
  if (system_call6(SYS_socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, (i64)pair, 0, 0) == 0) {
    if (system_call(SYS_unshare, CLONE_NEWPID, 0, 0) == 0) {
      pid = system_call(SYS_fork, 0, 0, 0);
      if (pid == 0) {
        system_call(SYS_dup2, pair[1], CHANNEL_FD, 0);
        system_call(SYS_close_range, CHANNEL_FD + 1, ~0u, 0);
        process->is_init = 1;
        process->count = 0;
        process->arguments[process->count++] = "init";
        return 1;
      }
      if (system_call(SYS_setns, own, CLONE_NEWPID, 0) < 0)
        fail("return to the own PID namespace", -1, "setns failed", 0);
    }
    if (pid > 0) system_call(SYS_dup2, pair[0], INIT_FD, 0);
  }
  system_call(SYS_close_range, INIT_FD + (pid > 0), ~0u, 0);
  if (pid > 0) {
    system_call(SYS_fcntl, INIT_FD, F_SETFD, FD_CLOEXEC);
    append_number(process->pid, pid);
    process->arguments[process->count++] = "-init";
    process->arguments[process->count++] = process->pid;
  }
  return 0;
}

/* What the caller has open stays with `start`; containerd waits for the end of its output. */
static void become_daemon(i64 listener) {
  system_call(SYS_setsid, 0, 0, 0);
  i64 input = system_call(SYS_fcntl, 0, F_DUPFD_CLOEXEC, 16);
  i64 nothing = system_call(SYS_open, (i64) "/dev/null", O_RDWR | O_CLOEXEC, 0);
  listener = system_call(SYS_fcntl, listener, F_DUPFD_CLOEXEC, 16);
  if (input < 0 || nothing < 0 || listener < 0) fail("start the shim", -1, "no file can be opened", 0);
  for (i64 fd = 0; fd < 3; fd++) system_call(SYS_dup2, nothing, fd, 0);
  system_call(SYS_dup2, listener, LISTEN_FD, 0);
  system_call(SYS_dup2, input, OPTIONS_FD, 0);
  system_call(SYS_close_range, OPTIONS_FD + 1, ~0u, 0);
  system_call(SYS_fcntl, LISTEN_FD, F_SETFD, FD_CLOEXEC);
  system_call(SYS_fcntl, OPTIONS_FD, F_SETFD, FD_CLOEXEC);
}

/* Returns in the daemon and its init, and where it has done nothing. */
static void answer_start(const struct shim_options *options, struct shim_process *process) {
  int shared = is_namespace_group();
  struct text group = shared > 0 ? text_of("*") : text_of(options->id);
  if (shared < 0) return;
  if (!shared) {
    u64 size;
    i64 error;
    const char *json = map_file("config.json", &size, &error);
    if (!json || !find_group(json, size, &group)) return;
  }

  struct address address = {AF_UNIX, ""};
  append(process->socket, SOCKET_DIRECTORY "/");
  append_hash(process->socket + sizeof SOCKET_DIRECTORY, options->address, options->namespace, group);
  append(address.path, process->socket);
  char text[sizeof "unix://" + sizeof process->socket];
  append(append(text, "unix://"), process->socket);

  system_call(SYS_mkdir, (i64) "/run/containerd", 0711, 0);
  system_call(SYS_mkdir, (i64)SOCKET_DIRECTORY, 0711, 0);
  /* One shim for a group, and none that is about to end. Kept until the exit. */
  i64 lock = system_call(SYS_open, (i64)SOCKET_DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  if (lock < 0) return;
  i64 fd = -1;
  if (system_call(SYS_flock, lock, LOCK_EX, 0) == 0)
    fd = system_call(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
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
        if (fork_init(process)) return;
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

/* Does not return when it has answered. `process` says what else the arguments are to be. */
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
