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

/** The name this host's /etc/group gives to a group id; undefined when it has none. */
export function readGroupName(gid: number): string | undefined {
  try {
    return parseGroupName(Deno.readTextFileSync("/etc/group"), gid);
  } catch {
    return undefined; // A host without /etc/group: the number has to do.
  }
}
