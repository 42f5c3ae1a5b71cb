/** spawn.h. These return an errno instead of setting it. @module */
import { declare } from "./_library.ts";

export const posix_spawn = declare("posix_spawn", {
  parameters: [
    /* pid_t *pid */ "buffer",
    /* const char *path */ "buffer",
    /* const posix_spawn_file_actions_t *file_actions */ "buffer",
    /* const posix_spawnattr_t *attrp */ "buffer",
    /* char *const argv[] */ "buffer",
    /* char *const envp[] */ "buffer",
  ],
  result: "i32",
});

export const posix_spawnattr_init = declare("posix_spawnattr_init", {
  parameters: [/* posix_spawnattr_t *attr */ "buffer"],
  result: "i32",
});

export const posix_spawnattr_destroy = declare("posix_spawnattr_destroy", {
  parameters: [/* posix_spawnattr_t *attr */ "buffer"],
  result: "i32",
});

export const posix_spawnattr_setflags = declare("posix_spawnattr_setflags", {
  parameters: [/* posix_spawnattr_t *attr */ "buffer", /* short flags */ "i16"],
  result: "i32",
});

export const posix_spawnattr_setsigmask = declare("posix_spawnattr_setsigmask", {
  parameters: [/* posix_spawnattr_t *attr */ "buffer", /* const sigset_t *sigmask */ "buffer"],
  result: "i32",
});

export const posix_spawnattr_setsigdefault = declare("posix_spawnattr_setsigdefault", {
  parameters: [/* posix_spawnattr_t *attr */ "buffer", /* const sigset_t *sigdefault */ "buffer"],
  result: "i32",
});

export const posix_spawn_file_actions_init = declare("posix_spawn_file_actions_init", {
  parameters: [/* posix_spawn_file_actions_t *file_actions */ "buffer"],
  result: "i32",
});

export const posix_spawn_file_actions_destroy = declare("posix_spawn_file_actions_destroy", {
  parameters: [/* posix_spawn_file_actions_t *file_actions */ "buffer"],
  result: "i32",
});

export const posix_spawn_file_actions_adddup2 = declare("posix_spawn_file_actions_adddup2", {
  parameters: [
    /* posix_spawn_file_actions_t *file_actions */ "buffer",
    /* int fd */ "i32",
    /* int newfd */ "i32",
  ],
  result: "i32",
});

export const posix_spawn_file_actions_addclose = declare("posix_spawn_file_actions_addclose", {
  parameters: [/* posix_spawn_file_actions_t *file_actions */ "buffer", /* int fd */ "i32"],
  result: "i32",
});

/** glibc 2.34 and later. */
export const posix_spawn_file_actions_addclosefrom_np = declare(
  "posix_spawn_file_actions_addclosefrom_np",
  {
    parameters: [/* posix_spawn_file_actions_t *file_actions */ "buffer", /* int from */ "i32"],
    result: "i32",
  },
);

export const posix_spawn_file_actions_addchdir_np = declare(
  "posix_spawn_file_actions_addchdir_np",
  {
    parameters: [
      /* posix_spawn_file_actions_t *file_actions */ "buffer",
      /* const char *path */ "buffer",
    ],
    result: "i32",
  },
);
