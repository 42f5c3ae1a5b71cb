import assert from "node:assert/strict";
import { close, O_PATH, O_RDONLY } from "../../../ffi/linux.ts";
import { InvalidConfigurationError } from "../../../lib/errors.ts";
import {
  openImageFile,
  openImageRoot,
  readImageFile,
  statImageFile,
} from "../../../lib/inspect/image.ts";

/** Runs `test` with a directory tree as the image, which is removed afterwards. */
function withImage(test: (path: string, rootFd: number) => void): void {
  const path = Deno.makeTempDirSync({ prefix: "urunc-image-" });
  let rootFd: number | undefined;
  try {
    Deno.mkdirSync(`${path}/boot/old`, { recursive: true });
    Deno.writeTextFileSync(`${path}/boot/kernel`, "kernel", { mode: 0o640 });
    Deno.writeTextFileSync(`${path}/urunc.json`, "{}");
    rootFd = openImageRoot(path);
    test(path, rootFd);
  } finally {
    if (rootFd !== undefined) close(rootFd);
    Deno.removeSync(path, { recursive: true });
  }
}

Deno.test("a file of the image is inspected", () => {
  withImage((path, rootFd) => {
    Deno.chmodSync(`${path}/boot/kernel`, 0o640);
    assert.deepEqual(statImageFile(rootFd, "/boot/kernel"), {
      path: "/boot/kernel",
      size: 6,
      uid: Deno.uid(),
      gid: Deno.gid(),
      mode: 0o640,
    });
  });
});

const INSIDE: [string, string, string][] = [
  ["a relative symlink", "kernel", "/boot/kernel"],
  ["a symlink that is absolute in the image", "/boot/kernel", "/boot/kernel"],
  ["a symlink that climbs to the image's root and no further", "../../../boot/kernel", "x"],
];

for (const [what, target] of INSIDE) {
  Deno.test(`${what} is followed inside the image`, () => {
    withImage((path, rootFd) => {
      Deno.symlinkSync(target, `${path}/boot/current`);
      assert.equal(statImageFile(rootFd, "/boot/current").size, 6);
      assert.equal(statImageFile(rootFd, "boot/current").size, 6);
    });
  });
}

Deno.test("what a symlink names on the host is not reached", () => {
  withImage((path, rootFd) => {
    for (const [index, target] of ["/etc/passwd", "../../../../etc/passwd"].entries()) {
      Deno.symlinkSync(target, `${path}/escape${index}`);
      assert.throws(() => statImageFile(rootFd, `/escape${index}`), /no such file/);
    }
    assert.throws(() => statImageFile(rootFd, "/../../../etc/passwd"), /no such file/);
  });
});

Deno.test("a link of /proc is not followed", () => {
  const rootFd = openImageRoot("/proc/self");
  try {
    assert.throws(() => statImageFile(rootFd, "/exe"), /symbolic links, or through one of \/proc/);
  } finally {
    close(rootFd);
  }
});

Deno.test("symlinks in a circle end", () => {
  withImage((path, rootFd) => {
    Deno.symlinkSync("b", `${path}/a`);
    Deno.symlinkSync("a", `${path}/b`);
    assert.throws(() => statImageFile(rootFd, "/a"), /too many symbolic links/);
  });
});

Deno.test("a directory, a FIFO and a socket are refused by name and kind, without blocking", () => {
  withImage((path, rootFd) => {
    assert.ok(new Deno.Command("mkfifo", { args: [`${path}/fifo`] }).outputSync().success);
    const listener = Deno.listen({ transport: "unix", path: `${path}/socket` });
    try {
      for (const [name, kind] of [["boot", "directory"], ["fifo", "FIFO"], ["socket", "socket"]]) {
        for (const flags of [O_PATH, O_RDONLY]) {
          assert.throws(() => openImageFile(rootFd, `/${name}`, flags), (error: Error) => {
            assert.ok(error instanceof InvalidConfigurationError);
            assert.match(error.message, new RegExp(`/${name}: it is a ${kind}, not a regular`));
            return true;
          });
        }
      }
    } finally {
      listener.close();
    }
  });
});

Deno.test("a missing file is refused with its path", () => {
  withImage((_path, rootFd) => {
    assert.throws(() => statImageFile(rootFd, "/boot/none"), /\/boot\/none: no such file/);
    assert.throws(() => statImageFile(rootFd, "/boot/kernel/x"), /not a directory/);
  });
});

Deno.test("a small file is read, a missing one is undefined", () => {
  withImage((_path, rootFd) => {
    const content = readImageFile(rootFd, "/urunc.json", 2);
    assert.equal(new TextDecoder().decode(content), "{}");
    assert.equal(readImageFile(rootFd, "/none.json", 2), undefined);
  });
});

Deno.test("a file that is too long is refused with both lengths", () => {
  withImage((path, rootFd) => {
    Deno.truncateSync(`${path}/urunc.json`, 100_000_000_000);
    assert.throws(
      () => readImageFile(rootFd, "/urunc.json", 65536),
      /urunc\.json: it has 100000000000 bytes, at most 65536 are allowed/,
    );
  });
});

Deno.test("a file instead of the root is refused", () => {
  assert.throws(() => openImageRoot("/etc/passwd"), InvalidConfigurationError);
  assert.throws(() => openImageRoot("/nonexistent"), /no such file/);
});

Deno.test("a path that changes while it is opened never leads out of the image", async () => {
  const path = Deno.makeTempDirSync({ prefix: "urunc-image-" });
  Deno.mkdirSync(`${path}/real/etc`, { recursive: true });
  Deno.writeTextFileSync(`${path}/real/etc/passwd`, "image");
  // Another process swaps the directory for a symlink to the host's root, over and over.
  const swap =
    `cd ${path}; while [ ! -e stop ]; do ln -sfn ../../../../../../.. e; ln -sfn real e; done`;
  const swapper = new Deno.Command("/bin/sh", { args: ["-c", swap], stderr: "null" }).spawn();
  const rootFd = openImageRoot(path);
  try {
    let found = 0;
    const deadline = Date.now() + 10_000;
    for (let round = 0; (round < 2000 || found === 0) && Date.now() < deadline; round++) {
      try {
        const content = readImageFile(rootFd, "/e/etc/passwd", 1 << 20);
        if (content === undefined) continue;
        assert.equal(new TextDecoder().decode(content), "image");
        found++;
      } catch (error) {
        if (!(error instanceof InvalidConfigurationError)) throw error;
      }
    }
    assert.ok(found > 0, "the file was never found: the test raced with nothing");
  } finally {
    close(rootFd);
    // Not killed: what it runs would go on for a moment, and make the link anew.
    Deno.writeTextFileSync(`${path}/stop`, "");
    await swapper.status;
    Deno.removeSync(path, { recursive: true });
  }
});
