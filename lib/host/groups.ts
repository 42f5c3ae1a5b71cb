/**
 * Finds a group's name in the text of /etc/group.
 *
 * @returns undefined when no line has the id
 * @see group(5)
 */
export function parseGroupName(text: string, gid: number): string | undefined {
  for (const line of text.split("\n")) {
    const [name, _password, id] = line.split(":");
    if (id !== undefined && id !== "" && Number(id) === gid) return name;
  }
  return undefined;
}

/** A group id's name in this host's /etc/group; undefined when it is not there. */
export function readGroupName(gid: number): string | undefined {
  try {
    return parseGroupName(Deno.readTextFileSync("/etc/group"), gid);
  } catch {
    return undefined; // A host without /etc/group: the number must do.
  }
}
