import assert from "node:assert/strict";
import { forgetFilePages } from "../../../lib/os/mapped_files.ts";

/** What this process has mapped of files that it only reads, and what is its own of everything. KiB. */
function measure(): { files: number; own: number } {
  const found = { files: 0, own: 0 };
  let isRead = false;
  for (const line of Deno.readTextFileSync("/proc/self/smaps").split("\n")) {
    const range = /^[0-9a-f]+-[0-9a-f]+ (\S+) \S+ \S+ (\d+)/.exec(line);
    if (range) isRead = /^r-[x-]p$/.test(range[1]!) && range[2] !== "0";
    const [, name, size] = /^(Rss|Anonymous): +(\d+) kB/.exec(line) ?? [];
    if (name === "Rss" && isRead) found.files += Number(size);
    if (name === "Anonymous") found.own += Number(size);
  }
  return found;
}

Deno.test("pages of files that were read are forgotten, all others stay, and the program runs on", () => {
  const before = measure();
  assert.ok(before.files > 8192, `${before.files} KiB`);
  forgetFilePages();
  const after = measure();
  assert.ok(after.files < before.files / 2, `${before.files} KiB, then ${after.files}`);
  assert.ok(after.own > before.own * 0.9, `${before.own} KiB, then ${after.own}`);
});
