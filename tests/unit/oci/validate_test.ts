import assert from "node:assert/strict";
import { InvalidConfigurationError, UnsupportedError, UruncError } from "../../../lib/errors.ts";
import { parseSpec } from "../../../lib/oci/parse.ts";
import { validate } from "../../../lib/oci/validate.ts";

type Json = Record<string, unknown>;

function check(changes: Json): void {
  validate(parseSpec(JSON.stringify({
    ociVersion: "1.2.0",
    root: { path: "rootfs" },
    process: { cwd: "/" },
    ...changes,
  })));
}

const namespaces = (...types: string[]) => types.map((type) => ({ type }));
const mapping = (containerID: number, hostID: number, size: number) => [
  { containerID, hostID, size },
];
const userNamespace = (mappings: Json[]) => ({
  linux: { namespaces: namespaces("user"), uidMappings: mappings, gidMappings: mappings },
});
const rlimits = (...list: Json[]) => ({ process: { cwd: "/", rlimits: list } });
const invalid = InvalidConfigurationError;

const accepted: [name: string, changes: Json][] = [
  ["the minimum", {}],
  ["version 1.0.2-dev", { ociVersion: "1.0.2-dev" }],
  ["version 1.3.0+build", { ociVersion: "1.3.0+build" }],
  ["a terminal", { process: { cwd: "/", terminal: true } }],
  ["all namespaces that init can enter", {
    hostname: "h",
    linux: { namespaces: namespaces("pid", "network", "mount", "ipc", "uts", "cgroup") },
  }],
  ["a user namespace", userNamespace([...mapping(0, 100000, 65536), ...mapping(65536, 1000, 1)])],
  ["equal limits", rlimits({ type: "RLIMIT_CORE", soft: 5, hard: 5 })],
  ["sysctls of its namespaces", {
    linux: {
      namespaces: namespaces("network", "ipc"),
      sysctl: { "net.ipv4.ip_forward": "1", "net/ipv4/conf/eth0.1/mtu": "1", "kernel.sem": "1" },
    },
  }],
];

for (const [name, changes] of accepted) {
  Deno.test(`validate accepts ${name}`, () => check(changes));
}

const refused: [name: string, changes: Json, error: typeof UruncError, message: RegExp][] = [
  [
    "version 2.0.0",
    { ociVersion: "2.0.0" },
    invalid,
    /ociVersion: found "2.0.0", allowed: 1\.x\.y/,
  ],
  ["version 1", { ociVersion: "1" }, invalid, /ociVersion/],
  [
    "a namespace twice",
    { linux: { namespaces: namespaces("pid", "ipc", "pid") } },
    invalid,
    /linux\.namespaces\[2\]\.type: found pid again/,
  ],
  [
    "a user namespace without mappings",
    { linux: { namespaces: namespaces("pid", "user"), uidMappings: mapping(0, 1000, 1) } },
    invalid,
    /linux\.gidMappings: linux\.namespaces has user, and there are no mappings/,
  ],
  [
    "uid mappings without a user namespace",
    { linux: { uidMappings: mapping(0, 1000, 1) } },
    invalid,
    /linux\.uidMappings: there are mappings, but linux\.namespaces has no user/,
  ],
  [
    "an empty mapping",
    userNamespace(mapping(0, 1000, 0)),
    invalid,
    /linux\.uidMappings\[0\]\.size: found 0, allowed: at least 1/,
  ],
  [
    "a mapping beyond the last id",
    userNamespace(mapping(0, 2 ** 32 - 10, 10)),
    invalid,
    /linux\.uidMappings\[0\]: found 10 ids from 4294967286 on/,
  ],
  [
    "a user that no mapping has",
    userNamespace(mapping(1000, 100000, 1)),
    invalid,
    /process\.user\.uid: found 0, allowed: ids that linux\.uidMappings has/,
  ],
  [
    "a time namespace",
    { linux: { namespaces: namespaces("time") } },
    UnsupportedError,
    /linux\.namespaces\[0\]: time namespaces/,
  ],
  ["a hostname for the host", { hostname: "h" }, invalid, /hostname: .*uts/],
  ["a domain name for the host", { domainname: "d" }, invalid, /domainname: .*uts/],
  [
    "a long hostname",
    { hostname: "é".repeat(33), linux: { namespaces: namespaces("uts") } },
    invalid,
    /hostname: .*64 bytes/,
  ],
  [
    "a limit twice",
    rlimits(
      { type: "RLIMIT_CORE", soft: 0, hard: 0 },
      { type: "RLIMIT_CORE", soft: 0, hard: 1 },
    ),
    invalid,
    /process\.rlimits\[1\]\.type: found RLIMIT_CORE again/,
  ],
  [
    "a soft limit above the hard one",
    rlimits({ type: "RLIMIT_CORE", soft: 2, hard: 1 }),
    invalid,
    /process\.rlimits\[0\]\.soft: found 2, allowed: at most hard, which is 1/,
  ],
  ...["kernel.panic", "vm.swappiness", "kernel.hostname", "fs/mqueuex/a"].map((
    key,
  ): [string, Json, typeof UruncError, RegExp] => [
    `the host's sysctl ${key}`,
    { linux: { namespaces: namespaces("network", "ipc", "uts"), sysctl: { [key]: "1" } } },
    invalid,
    /linux\.sysctl\[.*whole host/,
  ]),
  ...["net.ipv4.ip_forward", "net/ipv4/ip_forward"].map((
    key,
  ): [string, Json, typeof UruncError, RegExp] => [
    `the sysctl ${key} without a network namespace`,
    { linux: { sysctl: { [key]: "1" } } },
    invalid,
    /linux\.sysctl\[.*network in linux\.namespaces/,
  ]),
  ...["net.ipv4/../../kernel/panic", "net../x", "net", "net.a b", ""].map((
    key,
  ): [string, Json, typeof UruncError, RegExp] => [
    `the sysctl name ${JSON.stringify(key)}`,
    { linux: { namespaces: namespaces("network"), sysctl: { [key]: "1" } } },
    invalid,
    /linux\.sysctl[.[]/,
  ]),
];

for (const [name, changes, expected, message] of refused) {
  Deno.test(`validate refuses ${name}`, () => {
    assert.throws(() => check(changes), (error) => {
      assert.ok(error instanceof expected, String(error));
      assert.match(error.message, message);
      return true;
    });
  });
}
