/** Where tests keep what is costly to make or fetch, between runs and outside the repository. */

/**
 * The directory for such files, made when missing: below `XDG_CACHE_HOME` where that is set, else
 * `/var/cache` for root and a user's own `~/.cache` otherwise.
 *
 * @param name one kind of content, a directory of its own
 */
export async function cacheDirectory(name: string): Promise<string> {
  const home = Deno.env.get("HOME");
  const base = Deno.env.get("XDG_CACHE_HOME") ||
    (Deno.uid() === 0 || !home ? "/var/cache" : `${home}/.cache`);
  const path = `${base}/urunc-tests/${name}`;
  await Deno.mkdir(path, { recursive: true });
  return path;
}
