import assert from "node:assert/strict";
import { parseProcessStat, readProcessStat } from "../../../lib/os/process.ts";
import { readFileIdentity } from "../../../lib/os/files.ts";

function stat(command: string): string {
  return `7 (${command}) S 5 7 7 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 1 0 123456789012345678 2 3\n`;
}

for (const command of ["sleep", "a b", "x) R 1 1 1", "((", ") Z 0"]) {
  Deno.test(`the process ${JSON.stringify(command)} cannot forge its state`, () => {
    assert.deepEqual(parseProcessStat(stat(command)), {
      state: "S",
      parentPid: 5,
      startTime: "123456789012345678",
    });
  });
}

for (const text of ["", "7 (x", "7 (x) S 1 2"]) {
  Deno.test(`the process status ${JSON.stringify(text)} is malformed`, () => {
    assert.equal(parseProcessStat(text), undefined);
  });
}

Deno.test("this process is found, and executes Deno", () => {
  assert.equal(readProcessStat(Deno.pid)?.parentPid, Deno.ppid);
  const { dev, ino } = Deno.statSync(Deno.execPath());
  assert.deepEqual(readFileIdentity(`/proc/${Deno.pid}/exe`), { dev, ino });
});

Deno.test("a missing process is undefined", () => {
  const pid = 0x7ffffffe; // above any kernel.pid_max
  assert.equal(readProcessStat(pid), undefined);
  assert.equal(readFileIdentity(`/proc/${pid}/exe`), undefined);
});

Deno.test("a zombie has a state and no executable", async () => {
  // The child outlives the shell, which sleep replaces, and so is never waited for.
  const shell = new Deno.Command("/bin/sh", {
    args: ["-c", "sleep 0.2 & echo $!; exec sleep 60"],
    stdout: "piped",
  }).spawn();
  try {
    const reader = shell.stdout.getReader();
    const { value } = await reader.read();
    await reader.cancel();
    const pid = Number(new TextDecoder().decode(value));
    const deadline = Date.now() + 5000;
    while (readProcessStat(pid)?.state !== "Z" && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.equal(readProcessStat(pid)?.state, "Z");
    assert.equal(readFileIdentity(`/proc/${pid}/exe`), undefined);
  } finally {
    shell.kill("SIGKILL");
    await shell.status;
  }
});
