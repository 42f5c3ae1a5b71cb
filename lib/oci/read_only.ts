/**
 * Whether a mount's options make it read-only, as runc takes them: the last of `ro` and `rw` counts,
 * but `rro` and `rrw` are applied after all others, to the mount and what is mounted below it; where
 * both are given, `rro` wins.
 *
 * @see https://github.com/opencontainers/runtime-spec/blob/v1.2.0/config.md#linux-mount-options
 */
export function isReadOnlyMount(options: readonly string[]): boolean {
  if (options.includes("rro")) return true;
  if (options.includes("rrw")) return false;
  return options.lastIndexOf("ro") > options.lastIndexOf("rw");
}
