import {
  close,
  LANDLOCK_ACCESS_FS_EXECUTE,
  LANDLOCK_ACCESS_FS_IOCTL_DEV,
  LANDLOCK_ACCESS_FS_MAKE_BLOCK,
  LANDLOCK_ACCESS_FS_MAKE_CHAR,
  LANDLOCK_ACCESS_FS_MAKE_SYM,
  LANDLOCK_ACCESS_FS_READ_FILE,
  LANDLOCK_ACCESS_FS_REFER,
  LANDLOCK_ACCESS_FS_TRUNCATE,
  LANDLOCK_ACCESS_NET_BIND_TCP,
  LANDLOCK_ACCESS_NET_CONNECT_TCP,
  LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET,
  LANDLOCK_SCOPE_SIGNAL,
  landlockAddPath,
  landlockAddPort,
  landlockCreateRuleset,
  landlockRestrictSelf,
  type LandlockRuleset,
  landlockVersion,
  O_CLOEXEC,
  O_DIRECTORY,
  O_PATH,
  open,
} from "../../../ffi/linux.ts";
import type { StepHandlers } from "../context.ts";

/** Bits of the first version: all up to this one. */
const FIRST_ACCESS = 2 * LANDLOCK_ACCESS_FS_MAKE_SYM - 1;

/** What came with a version of the interface: landlock(7), "Landlock ABI versions". */
const ADDED: readonly ({ version: number } & Partial<LandlockRuleset>)[] = [
  { version: 2, fs: LANDLOCK_ACCESS_FS_REFER },
  { version: 3, fs: LANDLOCK_ACCESS_FS_TRUNCATE },
  { version: 4, net: LANDLOCK_ACCESS_NET_BIND_TCP | LANDLOCK_ACCESS_NET_CONNECT_TCP },
  { version: 5, fs: LANDLOCK_ACCESS_FS_IOCTL_DEV },
  { version: 6, scoped: LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL },
];

/** Nodes come from the host only. */
const NODES = LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK;

/** To the directory with the programs of waiter and monitor, which is mounted nowhere. */
const PROGRAMS = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE;

/** A second fence around the monitor's root. */
export const LANDLOCK_STEPS: StepHandlers<"confineToRoot"> = {
  confineToRoot({ tcpPort }, { programs }) {
    const version = landlockVersion();
    if (version === 0) return;
    const handled = handledBy(version);
    const ruleset = landlockCreateRuleset(handled);
    const root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    try {
      landlockAddPath(ruleset, root, handled.fs & ~NODES);
      if (programs !== undefined) landlockAddPath(ruleset, programs, PROGRAMS);
      if (tcpPort !== undefined && handled.net !== 0) {
        landlockAddPort(ruleset, tcpPort, LANDLOCK_ACCESS_NET_CONNECT_TCP);
      }
      landlockRestrictSelf(ruleset);
    } finally {
      close(root);
      close(ruleset);
    }
  },
};

/** What a kernel's version of Landlock can forbid. */
export function handledBy(version: number): LandlockRuleset {
  const handled = { fs: FIRST_ACCESS, net: 0, scoped: 0 };
  for (const added of ADDED) {
    if (added.version > version) break;
    handled.fs |= added.fs ?? 0;
    handled.net |= added.net ?? 0;
    handled.scoped |= added.scoped ?? 0;
  }
  return handled;
}
