/** The record of what was installed: no path in it is another's. */
import assert from "node:assert/strict";
import { freeBackup, readRecord, RECORD, writeRecord } from "../../../lib/install/record.ts";
import type { InstallRecord } from "../../../lib/install/record.ts";

const DOCKER = "/etc/docker/daemon.json";
const BACKUP = "/var/lib/urunc/install/etc%2Fdocker%2Fdaemon.json";

const RECORDED: InstallRecord = {
  version: 1,
  files: [
    { path: "/usr/local/bin/containerd-shim-urunc-v2", target: "urunc" },
    { path: DOCKER, sha256: "00", backup: `${BACKUP}.12`, inserted: "x" },
  ],
  directories: ["/etc", "/etc/docker", "/var/lib/urunc/install"],
};

async function withPrefix(use: (prefix: string) => void): Promise<void> {
  const prefix = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${prefix}/var/lib/urunc/install`, { recursive: true });
    use(prefix);
  } finally {
    await Deno.remove(prefix, { recursive: true });
  }
}

Deno.test("a record is read as it was written", async () => {
  await withPrefix((prefix) => {
    assert.deepEqual(readRecord(prefix), { version: 1, files: [], directories: [] });
    writeRecord(prefix, RECORDED);
    assert.deepEqual(readRecord(prefix), RECORDED);
    assert.equal(Deno.statSync(prefix + RECORD).mode! & 0o777, 0o600);
  });
});

Deno.test("a record that names other paths than install writes is refused", async () => {
  const files = (file: object) => ({ ...RECORDED, files: [{ path: DOCKER, ...file }] });
  const cases: [record: object, field: RegExp][] = [
    [files({ path: "/etc/passwd" }), /files\[0\]\.path/],
    [files({ path: `/x/../${DOCKER}` }), /files\[0\]\.path/],
    [files({ backup: "/../../etc/passwd" }), /files\[0\]\.backup/],
    [files({ backup: `${BACKUP}.1/../../x` }), /files\[0\]\.backup/],
    [files({ backup: "/var/lib/urunc/install/record.json" }), /files\[0\]\.backup/],
    [{ ...RECORDED, directories: ["/../.."] }, /directories\[0\]/],
    [{ ...RECORDED, directories: ["/"] }, /directories\[0\]/],
    [{ ...RECORDED, version: 2 }, /version/],
  ];
  await withPrefix((prefix) => {
    for (const [record, message] of cases) {
      Deno.writeTextFileSync(prefix + RECORD, JSON.stringify(record));
      const error = { name: "InvalidConfigurationError", message };
      assert.throws(() => readRecord(prefix), error, JSON.stringify(record));
    }
    Deno.writeTextFileSync(prefix + RECORD, "secret words");
    assert.throws(() => readRecord(prefix), (error: Error) => !error.message.includes("secret"));
  });
});

Deno.test("a record that is a link out of the tree is not read", async () => {
  await withPrefix((prefix) => {
    Deno.symlinkSync("/".padEnd(60, "../") + "etc/passwd", prefix + RECORD);
    assert.throws(() => readRecord(prefix), { message: /leads out of it/ });
  });
});

Deno.test("a backup never has the name of another", async () => {
  await withPrefix((prefix) => {
    assert.equal(freeBackup(prefix, DOCKER), BACKUP);
    Deno.symlinkSync("/nowhere", prefix + BACKUP);
    assert.equal(freeBackup(prefix, DOCKER), `${BACKUP}.1`);
  });
});
