import assert from "node:assert/strict";
import * as linux from "../../../ffi/linux.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { TIOCGPTN } from "../../support/kernel.ts";

const NEEDS = { needs: ["root"] };

function pty(scope: Scope): { master: number; slave: number } {
  const it = linux.openPrivatePty();
  for (const fd of [it.master, it.slave]) scope.defer("close", () => linux.close(fd));
  return it;
}

function modesOf(fd: number): linux.TerminalModes {
  const modes = linux.tcgetattr(fd);
  assert.ok(modes !== undefined);
  return modes;
}

/** Everything that can be read without waiting. */
function readNow(fd: number): string {
  const buffer = new Uint8Array(4096);
  let text = "";
  while (((linux.poll([{ fd, events: linux.POLLIN }], 50)[0] ?? 0) & linux.POLLIN) !== 0) {
    text += new TextDecoder().decode(buffer.subarray(0, linux.read(fd, buffer)));
  }
  return text;
}

function write(fd: number, text: string): void {
  linux.writeAll(fd, new TextEncoder().encode(text));
}

testIf(
  "a private pty has no path, is closed at exec and is not a controlling terminal",
  NEEDS,
  async () => {
    await using scope = new Scope();
    // Others' mounts come and go.
    const terminalMounts = () =>
      Deno.readTextFileSync("/proc/self/mountinfo").split("\n").filter((it) =>
        it.includes(" - devpts ")
      );
    const before = terminalMounts();
    const hostPtys = [...Deno.readDirSync("/dev/pts")].length;
    const { master, slave } = pty(scope);
    assert.deepEqual(terminalMounts(), before);
    assert.equal([...Deno.readDirSync("/dev/pts")].length, hostPtys);
    for (const fd of [master, slave]) {
      assert.match(Deno.readTextFileSync(`/proc/self/fdinfo/${fd}`), /^flags:\s+0?2\d{6}$/m);
    }
    // Its instance of devpts is its own, so it is the first there.
    assert.equal(linux.fstat(slave).mode & 0o7777, 0o600);
    const number = new Uint8Array(4);
    linux.ioctl(master, TIOCGPTN, number);
    assert.deepEqual([...number], [0, 0, 0, 0]);
  },
);

testIf("in raw mode input arrives at once, unchanged and without an echo", NEEDS, async () => {
  await using scope = new Scope();
  const { master, slave } = pty(scope);
  write(master, "x");
  assert.equal(readNow(master), "x", "a new terminal echoes");
  write(master, "\n");
  assert.equal(readNow(slave), "x\n");
  readNow(master);

  linux.tcsetattr(slave, linux.rawModes(modesOf(slave), false));
  write(master, "a\x03\x04\r\x1a");
  assert.equal(readNow(slave), "a\x03\x04\r\x1a");
  assert.equal(readNow(master), "");
  write(slave, "line\n");
  assert.equal(readNow(master), "line\r\n", "output is processed still");

  linux.tcsetattr(slave, linux.rawModes(modesOf(slave), true));
  write(slave, "line\n");
  assert.equal(readNow(master), "line\n");
});

testIf("modes are restored to what they were", NEEDS, async () => {
  await using scope = new Scope();
  const { slave } = pty(scope);
  const modes = modesOf(slave);
  const copy = [...modes];
  const raw = linux.rawModes(modes, true);
  assert.deepEqual([...modes], copy, "the given modes are not changed");
  assert.notDeepEqual([...raw], copy);
  linux.tcsetattr(slave, raw);
  assert.deepEqual([...modesOf(slave)], [...raw]);
  linux.tcsetattr(slave, modes);
  assert.deepEqual([...modesOf(slave)], copy);
});

testIf("the size is one for both sides", NEEDS, async () => {
  await using scope = new Scope();
  const { master, slave } = pty(scope);
  assert.deepEqual(linux.getTerminalSize(slave), { rows: 0, columns: 0 });
  linux.setTerminalSize(master, { rows: 65535, columns: 132 });
  assert.deepEqual(linux.getTerminalSize(slave), { rows: 65535, columns: 132 });
});

Deno.test("what is not a terminal has neither modes nor size", async () => {
  await using scope = new Scope();
  const [left, right] = linux.socketpair(linux.SOCK_STREAM);
  const file = linux.open("/dev/null", linux.O_RDWR);
  for (const fd of [left, right, file]) scope.defer("close", () => linux.close(fd));
  for (const fd of [left, file]) {
    assert.equal(linux.tcgetattr(fd), undefined);
    assert.throws(() => linux.getTerminalSize(fd), { operation: "ioctl" });
  }
  assert.throws(() => linux.tcgetattr(-1), { code: "EBADF" });
});

testIf("a hung up terminal is an error, not something else than a terminal", NEEDS, () => {
  const { master, slave } = linux.openPrivatePty();
  linux.close(master);
  try {
    assert.throws(() => linux.tcgetattr(slave), { code: "EIO" });
  } finally {
    linux.close(slave);
  }
});
