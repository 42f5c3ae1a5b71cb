import assert from "node:assert/strict";
import { readResolvConf } from "../../../lib/inspect/resolv_conf.ts";
import { parseNameservers } from "../../../lib/guest/families/nameservers.ts";
import { HostError } from "../../../lib/errors.ts";
import { openImageRoot } from "../../../lib/inspect/image.ts";
import { close } from "../../../ffi/linux.ts";
import { Scope } from "../../support/scope.ts";

const cases: [text: string, servers: string[]][] = [
  ["", []],
  ["nameserver 10.96.0.10\n", ["10.96.0.10"]],
  ["nameserver 8.8.8.8\nnameserver\t1.1.1.1 # Cloudflare\n", ["8.8.8.8", "1.1.1.1"]],
  ["nameserver fe80::1%eth0\nnameserver ::1\nnameserver 9.9.9.9", ["9.9.9.9"]],
  ["#nameserver 1.2.3.4\n nameserver 1.2.3.4\nsearch nameserver 1.2.3.4\n", []],
  ["nameserver 1.2.3.256\nnameserver 1.2.3\nnameserver 1.2.3.4:53\nnameserver 1.2.3.4 x\n", []],
];

for (const [text, servers] of cases) {
  Deno.test(`name servers of ${JSON.stringify(text)}`, () => {
    assert.deepEqual(parseNameservers(text), servers);
  });
}

Deno.test("name servers are the mount's, or else the image's", async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("resolv");
  await Deno.mkdir(`${directory}/image/etc`, { recursive: true });
  const image = openImageRoot(`${directory}/image`);
  scope.defer("close the image", () => close(image));
  const destination = "/etc/resolv.conf";
  const source = `${directory}/mounted`;

  assert.deepEqual(readResolvConf([], image), undefined);
  await Deno.writeTextFile(`${directory}/image/etc/resolv.conf`, "nameserver 1.1.1.1\n");
  assert.deepEqual(readResolvConf([], image), "nameserver 1.1.1.1\n");
  assert.deepEqual(
    readResolvConf([{ destination: "/etc", source }], image),
    "nameserver 1.1.1.1\n",
  );
  await Deno.writeTextFile(source, "nameserver 2.2.2.2\n");
  assert.deepEqual(readResolvConf([{ destination, source }], image), "nameserver 2.2.2.2\n");
  assert.throws(
    () => readResolvConf([{ destination, source: `${directory}/none` }], image),
    (error) => error instanceof HostError && error.message.includes("name servers"),
  );
});
