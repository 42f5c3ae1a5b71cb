import type { HookName, NamespaceType } from "./types.ts";

/** Hooks that are run, in the order of a container's life. */
export const supportedHookNames: HookName[] = [
  "prestart",
  "createRuntime",
  "createContainer",
  "startContainer",
  "poststart",
  "poststop",
];

/** Namespaces that are created or joined. */
export const supportedNamespaces: NamespaceType[] = [
  "cgroup",
  "ipc",
  "mount",
  "network",
  "pid",
  "user",
  "uts",
];
