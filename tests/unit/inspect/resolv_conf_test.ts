import assert from "node:assert/strict";
import { readHosts, readResolvConf } from "../../../lib/inspect/resolv_conf.ts";
import { parseNameservers } from "../../../lib/guest/families/nameservers.ts";
import { HostError } from "../../../lib/errors.ts";
import { openImageRoot } from "../../../lib/inspect/image.ts";
import { close } from "../../../ffi/linux.ts";
import { Scope } from "../../support/scope.ts";

const USER = { uid: Deno.uid()!, gid: Deno.gid()!, groups: [] };

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

Deno.test("host names are the last mount's, or none", async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("hosts");
  const source = `${directory}/hosts`;
  await Deno.writeTextFile(source, "10.0.0.1 other\n");
  const destination = "/etc/hosts";
  assert.equal(readHosts([{ destination: "/etc", source }], USER), undefined);
  const mounts = [{ destination, source: "/nowhere" }, { destination, source }];
  assert.equal(readHosts(mounts, USER), "10.0.0.1 other\n");
  assert.throws(
    () => readHosts([{ destination, source: "/nowhere" }], USER),
    (error: Error) => error instanceof HostError && /host names/.test(error.message),
  );
});

Deno.test("name servers are the mount's, or else the image's", async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("resolv");
  await Deno.mkdir(`${directory}/image/etc`, { recursive: true });
  const image = openImageRoot(`${directory}/image`);
  scope.defer("close the image", () => close(image));
  const destination = "/etc/resolv.conf";
  const source = `${directory}/mounted`;

  assert.deepEqual(readResolvConf([], image, USER), undefined);
  await Deno.writeTextFile(`${directory}/image/etc/resolv.conf`, "nameserver 1.1.1.1\n");
  assert.deepEqual(readResolvConf([], image, USER), "nameserver 1.1.1.1\n");
  assert.deepEqual(
    readResolvConf([{ destination: "/etc", source }], image, USER),
    "nameserver 1.1.1.1\n",
  );
  await Deno.writeTextFile(source, "nameserver 2.2.2.2\n");
  assert.deepEqual(readResolvConf([{ destination, source }], image, USER), "nameserver 2.2.2.2\n");
  assert.throws(
    () => readResolvConf([{ destination, source: `${directory}/none` }], image, USER),
    (error) => error instanceof HostError && error.message.includes("name servers"),
  );
});

Deno.test({
  name: "name servers are read only from a file that the container's user could read",
  ignore: Deno.uid() !== 0,
  fn: async () => {
    await using scope = new Scope();
    const directory = await scope.temporaryDirectory("resolv");
    const image = openImageRoot(directory);
    scope.defer("close the image", () => close(image));
    const source = `${directory}/mounted`;
    await Deno.writeTextFile(source, "nameserver 2.2.2.2\n");
    const nobody = { uid: 65534, gid: 65534, groups: [108] };
    const read = (path: string, user = nobody) =>
      readResolvConf([{ destination: "/etc/resolv.conf", source: path }], image, user);
    const refused = (path: string, reason: RegExp) =>
      assert.throws(() => read(path), (error) => {
        assert.ok(error instanceof HostError, String(error));
        assert.match(error.message, reason);
        return true;
      });

    assert.equal(read(source), "nameserver 2.2.2.2\n", "its directory is closed to the user");
    await Deno.chmod(source, 0o600);
    refused(source, /belongs to uid 0, group 0, with mode 0600: .* uid 65534.* may not open it/);
    assert.equal(read(source, { uid: 0, gid: 0, groups: [] }), "nameserver 2.2.2.2\n");
    await Deno.chown(source, 0, 108);
    await Deno.chmod(source, 0o640);
    assert.equal(read(source), "nameserver 2.2.2.2\n");

    // Root's links lead on, as systemd-resolved's does; another user's do not.
    const link = `${directory}/link`;
    await Deno.symlink("mounted", link);
    assert.equal(read(link), "nameserver 2.2.2.2\n");
    await lchown(link, 65534);
    refused(link, /link is a symbolic link of uid 65534: name the file itself/);
    await Deno.symlink("circle", `${directory}/circle`);
    refused(`${directory}/circle`, /too many symbolic links/);
    refused("/dev/null", /not a regular file/);
  },
});

async function lchown(path: string, uid: number): Promise<void> {
  const { success } = await new Deno.Command("chown", { args: ["-h", `${uid}`, path] }).output();
  assert.ok(success);
}
