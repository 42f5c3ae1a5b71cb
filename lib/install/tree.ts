import { HostError } from "../errors.ts";
import { isCode } from "../os/os_error.ts";

/** As many links as the kernel follows in one path: MAXSYMLINKS, include/linux/namei.h. */
const MOST_LINKS = 40;

/**
 * Where a path of a tree is on the host. Links are followed as in the tree: an absolute one begins at its
 * root. Meant for trees that do not change meanwhile.
 *
 * @param prefix the tree's root, an absolute path without a slash at its end; empty: the root directory
 * @param path absolute, in the tree; it may be missing
 * @param last what to do about a link of this very name
 * @throws HostError when it leads out of the tree
 */
export function locate(prefix: string, path: string, last: "link" | "followed" = "link"): string {
  const reached: string[] = [];
  // The next one is at the end.
  const ahead = componentsOf(path);
  let links = 0;
  for (let name = ahead.pop(); name !== undefined; name = ahead.pop()) {
    if (name === "..") {
      if (reached.pop() === undefined && prefix !== "") throw leaves(prefix, path);
      continue;
    }
    reached.push(name);
    if (ahead.length === 0 && last === "link") break;
    const target = targetOf(`${prefix}/${reached.join("/")}`);
    if (target === undefined) continue;
    if (++links > MOST_LINKS) throw circle(prefix, path);
    if (target.startsWith("/")) reached.length = 0;
    else reached.pop();
    ahead.push(...componentsOf(target));
  }
  return `${prefix}/${reached.join("/")}`;
}

function componentsOf(path: string): string[] {
  return path.split("/").filter((it) => it !== "" && it !== ".").reverse();
}

/** @returns undefined for what is not a link, or not there */
function targetOf(path: string): string | undefined {
  try {
    return Deno.lstatSync(path).isSymlink ? Deno.readLinkSync(path) : undefined;
  } catch (error) {
    if (isCode(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}

function leaves(prefix: string, path: string): HostError {
  return new HostError({
    operation: "find a file below",
    subject: prefix,
    reason: `a link in ${path} leads out of it`,
    remedy: "correct the link",
  });
}

function circle(prefix: string, path: string): HostError {
  return new HostError({
    operation: "find",
    subject: prefix + path,
    reason: `there are more than ${MOST_LINKS} links in it`,
    remedy: "correct the links",
  });
}
