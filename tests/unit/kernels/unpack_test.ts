import assert from "node:assert/strict";
import { compressionOf, unpack } from "../../../lib/kernels/unpack.ts";

Deno.test("a file that unpacks to more than it may is refused without being kept", async () => {
  const path = Deno.makeTempFileSync();
  try {
    const source = new Blob([new Uint8Array(8 * 2 ** 20)]).stream();
    const packed = source.pipeThrough(new CompressionStream("gzip"));
    Deno.writeFileSync(path, await new Response(packed).bytes());
    const gzip = compressionOf(Deno.readFileSync(path))!;
    assert.equal((await unpack(path, gzip, 8 * 2 ** 20)).length, 8 * 2 ** 20);
    await assert.rejects(unpack(path, gzip, 8 * 2 ** 20 - 1), {
      message: /more than 8388607 bytes/,
    });
  } finally {
    Deno.removeSync(path);
  }
});
