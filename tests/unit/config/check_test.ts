import assert from "node:assert/strict";
import { checkConfiguration } from "../../../lib/config/check.ts";
import { effectiveValues } from "../../../lib/config/effective.ts";
import { configurationKeys } from "../../../lib/config/keys.ts";
import { keyLines, lineOf } from "../../../lib/config/lines.ts";

const WRONG = `# a comment with device_access = "x"
device_access = "grops"
typo = 3
oci_runtime = """
accelerator = "kvm"
"""

[log]
level = "info"

[monitors.qemu] # ours
pth = "/usr/bin/qemu"
default_memory_mb = 12000000

[allow]
monitors = [
  "qemu",
  "quemu",
]
ids."default_user" = 1
`;

Deno.test("a file with many mistakes: each is found, with its line", async () => {
  const findings = await checkConfiguration(WRONG);
  assert.deepEqual(
    findings.map(({ kind, line, subject }) => [line, kind, subject]),
    [
      [2, "error", "device_access"],
      [3, "error", "typo"],
      [8, "warning", "log"],
      [12, "error", "monitors.qemu.pth"],
      [13, "error", "monitors.qemu.default_memory_mib"],
      [16, "error", "allow.monitors[1]"],
      [20, "error", "allow.ids"],
    ],
  );
  assert.equal(findings[3]!.remedy, 'did you mean "path"?');
});

Deno.test("valid files have no findings", async () => {
  for (const toml of ["", "# nothing", 'seccomp = "log"\n[ids]\ndefault_user = "1:1"']) {
    assert.deepEqual(await checkConfiguration(toml), [], toml);
  }
});

Deno.test("what is not TOML has the line of the syntax error", async () => {
  const [finding, ...others] = await checkConfiguration('seccomp = "on"\n[allow\n');
  assert.deepEqual(others, []);
  assert.equal(finding!.kind, "error");
  assert.equal(finding!.line, 2);
  assert.match(finding!.reason, /^not TOML: /);
});

Deno.test("an inline table and a key with dots have lines", () => {
  const lines = keyLines(
    'x = 1\nallow = { monitors = ["x"] }\nmonitors.qemu.path = "/x"\n["a b"]\nc = 1',
  );
  assert.equal(lineOf(lines, ["allow.monitors[0]"]), 2);
  assert.equal(lineOf(lines, ["monitors.qemu.path"]), 3);
  assert.equal(lineOf(lines, ['["a b"].c']), 5);
  assert.equal(lineOf(lines, ["none.at.all"]), undefined);
});

Deno.test("effective values say where each is from", async () => {
  const values = await effectiveValues(
    'default_vcpus = 2\nallow = { host_devices = false }\n[hypervisors.qemu]\nbinary_path = "/q"\n',
  );
  const of = (name: string) => values.find(({ key }) => key === name);
  assert.deepEqual(of("default_vcpus"), {
    key: "default_vcpus",
    value: 2,
    origin: "file",
    line: 1,
  });
  assert.deepEqual(of("allow.host_devices"), {
    key: "allow.host_devices",
    value: false,
    origin: "file",
    line: 2,
  });
  assert.deepEqual(of("monitors.qemu.path"), {
    key: "monitors.qemu.path",
    value: "/q",
    origin: "file",
    line: 4,
  });
  assert.deepEqual(of("allow.root_monitor"), {
    key: "allow.root_monitor",
    value: true,
    origin: "default",
  });
  for (const key of Object.keys(configurationKeys)) assert.ok(of(key), key);
});
