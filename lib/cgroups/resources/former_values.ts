import type { CgroupWrite } from "../writes.ts";
import { readIfThere } from "../../os/files.ts";

/**
 * The writes that would take a write back, from what the files hold now.
 *
 * @returns none for files that are not there
 */
export function formerValues({ file, value, or }: CgroupWrite): CgroupWrite[] {
  return [{ file, value }, ...(or === undefined ? [] : [or])].flatMap((write) => {
    const content = readIfThere(write.file);
    if (content === undefined) return [];
    return [{ file: write.file, value: formerValue(write, content) }];
  });
}

/**
 * What to write for a file to say again what it says now.
 *
 * @param write whose `value` says which of a file's several settings it changes
 * @param content of the file
 */
export function formerValue(
  { file, value }: Pick<CgroupWrite, "file" | "value">,
  content: string,
): string {
  const name = file.slice(file.lastIndexOf("/") + 1);
  const lines = content.trim().split("\n");
  const device = /^\d+:\d+(?= )/.exec(value)?.[0];
  if (device !== undefined) {
    return lines.find((line) => line.startsWith(`${device} `)) ?? `${device} ${unset(name)}`;
  }
  if (name === "memory.oom_control") return /^oom_kill_disable (\d)$/m.exec(content)?.[1] ?? "0";
  // `default 100`, and below it the devices that differ.
  const general = lines.find((line) => line.startsWith("default "));
  // An empty write is ignored: an empty set of processors is an empty line.
  return general ?? (content.trim() || "\n");
}

/** How a device's own setting is removed. */
function unset(name: string): string {
  if (name === "io.max") return "rbps=max wbps=max riops=max wiops=max";
  return name.startsWith("io.") ? "default" : "0";
}
