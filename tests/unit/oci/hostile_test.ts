import assert from "node:assert/strict";
import { maximumSpecBytes } from "../../../lib/oci/parse.ts";

/**
 * config.json files made to hurt. Each is parsed in a process of its own, because memory is measured:
 * a clear error, within 1 s of processor time and 200 MB.
 */
const half = maximumSpecBytes / 2;
const wrap = (inside: string) =>
  `'{"ociVersion":"1.2.0","root":{"path":"r"},"process":{"cwd":"/","rlimits":[{"type":"RLIMIT_AS",` +
  `"soft":0,"hard":18446744073709551615}]},"linux":{"seccomp":' + ${inside} + '}}'`;

const documents: { name: string; source: string; says: RegExp }[] = [
  {
    name: "100 MB",
    source: `new Uint8Array(100_000_000)`,
    says: /more than 2097152 bytes/,
  },
  {
    name: "brackets to the limit",
    source: `"[".repeat(${half}) + "]".repeat(${half})`,
    says: /found an array/,
  },
  {
    name: "open brackets to the limit",
    source: `"[".repeat(${maximumSpecBytes})`,
    says: /not JSON/,
  },
  {
    name: "empty objects to the limit",
    source: `"[" + "{},".repeat(${Math.floor(maximumSpecBytes / 3) - 2}) + "1]"`,
    says: /found an array/,
  },
  {
    name: "10000 levels in a section that is kept",
    source: wrap(`'{"a":'.repeat(10000) + "1" + "}".repeat(10000)`),
    says: /deep nesting/,
  },
  {
    name: "100000 levels in a section that is kept",
    source: wrap(`'{"a":'.repeat(100000) + "1" + "}".repeat(100000)`),
    says: /deep nesting/,
  },
  { name: "bytes that are no UTF-8", source: `new Uint8Array(1000).fill(0x80)`, says: /not UTF-8/ },
];

const probe = new URL("./hostile_probe.ts", import.meta.url).pathname;

for (const { name, source, says } of documents) {
  Deno.test(`config.json of ${name}: a clear error, within 1 s and 200 MB`, async () => {
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-lock", "--no-check", probe, source],
    }).output();
    assert.equal(new TextDecoder().decode(stderr), "");
    const { message, milliseconds, megabytes } = JSON.parse(new TextDecoder().decode(stdout));
    assert.match(message, /^InvalidConfigurationError: read config\.json/);
    assert.match(message, says);
    assert.ok(message.length < 300, `${message.length} characters`);
    assert.ok(milliseconds < 1000, `${milliseconds} ms of a processor`);
    assert.ok(megabytes < 200, `${megabytes} MB`);
  });
}
