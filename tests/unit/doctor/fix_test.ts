import assert from "node:assert/strict";
import { replaceIn } from "../../../lib/doctor/checks/fix.ts";

/** What a file contains after the command was pasted into a shell. */
async function afterwards(text: string, from: string, to: string, line?: number): Promise<string> {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(path, text);
    const command = replaceIn(path, from, to, line);
    const { success } = await new Deno.Command("sh", { args: ["-c", command] }).output();
    assert.ok(success, command);
    return await Deno.readTextFile(path);
  } finally {
    await Deno.remove(path);
  }
}

Deno.test("a command that replaces text takes it literally", async () => {
  const strange = String.raw`a.b*[c]|\d'e$^&f`;
  assert.equal(await afterwards(`x ${strange} y\n`, strange, "right"), "x right y\n");
  assert.equal(await afterwards("x wrong y\n", "wrong", strange), `x ${strange} y\n`);
  assert.equal(await afterwards("axb\n", "a.b", "right"), "axb\n");
});

Deno.test("a command that replaces text does so on one line, if that is known", async () => {
  assert.equal(await afterwards("a\na\na\n", "a", "b", 2), "a\nb\na\n");
  assert.equal(await afterwards("a\na\n", "a", "b"), "b\nb\n");
});
