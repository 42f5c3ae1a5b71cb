import assert from "node:assert/strict";
import { LinuxError } from "../../../ffi/linux.ts";
import { isGone, osErrorCode } from "../../../lib/os/os_error.ts";

function errorOf(fn: () => unknown): unknown {
  try {
    fn();
  } catch (error) {
    return error;
  }
  assert.fail("it succeeded");
}

Deno.test("a number that Deno knows, and one that it does not, have names", async () => {
  const directory = await Deno.makeTempDir();
  try {
    assert.equal(osErrorCode(errorOf(() => Deno.readTextFileSync(`${directory}/none`))), "ENOENT");
    // open(2): "The file is a UNIX domain socket."
    const path = `${directory}/socket`;
    using _listener = Deno.listen({ transport: "unix", path });
    assert.equal(osErrorCode(errorOf(() => Deno.readTextFileSync(path))), "ENXIO");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("errors without a number have no name", () => {
  for (
    const error of [new Error("os error 3"), new TypeError("(os error x)"), "ESRCH", undefined]
  ) {
    assert.equal(osErrorCode(error), undefined);
    assert.equal(isGone(error), false);
  }
});

/** As Deno says it of a process that ended after its file was opened. */
const ENDED = new Error("No such process (os error 3): readfile '/proc/1883/stat'");

const gone: [name: string, error: unknown, isGone: boolean][] = [
  ["Deno's of what is not there", new Deno.errors.NotFound("x (os error 2): readfile 'y'"), true],
  ["Deno's of what has ended", ENDED, true],
  ["the kernel's of what has ended", new LinuxError("kill", "7", 3), true],
  ["Deno's of what may not be read", new Error("Permission denied (os error 13): readfile"), false],
  ["the kernel's of what may not be done", new LinuxError("kill", "7", 1), false],
];

for (const [name, error, expected] of gone) {
  Deno.test(`an error of ${name} ${expected ? "means" : "does not mean"} that it is gone`, () => {
    assert.equal(isGone(error), expected);
  });
}
