/** What the kernel and files of the host or of an image say: lines of text, an access control list. */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import { parseCgroupLayout } from "../../../lib/cgroups/layout.ts";
import { parseCommandLine } from "../../../lib/cli/parser/parse.ts";
import { parseNameservers } from "../../../lib/guest/families/nameservers.ts";
import { parseAcl } from "../../../lib/host/acl.ts";
import { parseAppArmorProfile } from "../../../lib/host/apparmor.ts";
import { parseGroupName } from "../../../lib/host/groups.ts";
import { parseIdentity } from "../../../lib/host/identity.ts";
import { parseMountInfo } from "../../../lib/host/mounts.ts";
import { parseSignal } from "../../../lib/monitor/signals.ts";
import { parseOwner } from "../../../lib/network/owner.ts";
import { parseProcessStat } from "../../../lib/os/process.ts";
import { parseShimArguments } from "../../../lib/shim/command/arguments.ts";
import { parseMountOptions } from "../../../lib/shim/rootfs/mount_options.ts";
import { parseLoggerUri } from "../../../lib/shim/stdio/logger.ts";
import { damaged, hostileBytes, joined } from "../bytes.ts";
import { parsed, target } from "../target.ts";

const MOUNTINFO = `22 27 0:21 / /proc rw,nosuid shared:12 - proc proc rw
30 22 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
31 22 0:27 /pod /mnt/with\\040space rw master:1 propagate_from:2 - cgroup2 cgroup2 rw
`;

const STATUS = `Name:\tqemu
Uid:\t65534\t65534\t65534\t65534
Gid:\t65534\t65534\t65534\t65534
Groups:\t108 109
CapInh:\t0000000000000000
CapPrm:\t0000000000000000
CapEff:\t0000000000000000
CapBnd:\t000001ffffffffff
CapAmb:\t0000000000000000
NoNewPrivs:\t1
Seccomp:\t2
`;

const TEXTS = [
  MOUNTINFO,
  STATUS,
  "42 (a ) b) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 123456 1 1\n",
  "# c\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\nsearch x\noptions ndots:5\n",
  "root:x:0:\nkvm:x:108:a,b\n",
  "docker-default (enforce)\n",
  "urunc one",
  "binary:///usr/bin/logger?a=b&c=%20d",
  "SIGRTMIN+3",
  "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t1\t1\t1\n",
].map((it) => new TextEncoder().encode(it));

const ACL = joined(
  Uint8Array.of(2, 0, 0, 0),
  Uint8Array.of(1, 0, 6, 0, 255, 255, 255, 255),
  Uint8Array.of(2, 0, 4, 0, 1, 0, 0, 0),
  Uint8Array.of(0x20, 0, 0, 0, 255, 255, 255, 255),
);

/** Words of command lines, and what is none. */
const WORDS = [
  ...["create", "start", "state", "kill", "delete", "run", "events", "update", "features", "spec"],
  ...[
    "--bundle",
    "--bundle=/b",
    "--root",
    "/r",
    "--pid-file",
    "-x",
    "--",
    "--all",
    "-h",
    "--debug",
  ],
  ...["--log-format", "json", "id", "KILL", "9", "-9", "--force", "", "\u0000", "=", "--=", "---"],
  ...["-namespace", "k8s.io", "-id=a", "-address", "/a", "-v", "-info", "--interval", "1e9h"],
  ...["__proto__", "--__proto__", "x".repeat(3000), "--memory", "-1", "1e400", "∞"],
];

const OPTIONS = [
  ...["ro", "rw", "nosuid", "noexec", "bind", "rbind", "rprivate", "size=1", "lowerdir=/a:/b"],
  ...["X-mount.mkdir", "loop", "", "=", "upperdir=/x,y", "__proto__", "a\0b", "x".repeat(5000)],
];

const field = fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 12 })
  .filter((it) => !/[\s\\,]/.test(it) && it !== "-");
const path = fc.array(fc.string({ unit: "grapheme-ascii", maxLength: 8 }), { maxLength: 3 })
  .map((parts) => `/${parts.join("/")}`);

/** mangle() of fs/seq_file.c. */
const mangled = (text: string) =>
  text.replace(/[ \t\n\\#]/g, (it) => `\\${it.charCodeAt(0).toString(8).padStart(3, "0")}`);

export const HOST_TEXTS = [
  target({
    name: "mountinfo",
    weight: 5,
    inputs: hostileBytes(TEXTS[0]!),
    check(bytes) {
      const mounts = parsed(() => parseMountInfo(new TextDecoder().decode(bytes)));
      if (mounts === undefined) return;
      parseCgroupLayout({ mounts, procCgroups: "cpu\t1\t1\t1\n", readControllers: () => "cpu" });
    },
  }),
  target({
    name: "mountinfo, valid",
    weight: 2,
    inputs: fc.record({
      id: fc.nat(),
      parentId: fc.nat(),
      device: fc.record({ major: fc.nat(4095), minor: fc.nat() }, {
        noNullPrototype: true,
      }),
      root: path,
      mountPoint: path,
      options: fc.array(field, { minLength: 1, maxLength: 3 }),
      optionalFields: fc.array(field, { maxLength: 3 }),
      type: field,
      source: path,
      superOptions: fc.array(field, { minLength: 1, maxLength: 3 }),
    }, { noNullPrototype: true }),
    check(mount) {
      const { device: { major, minor }, options, optionalFields, superOptions } = mount;
      const line = [
        ...[mount.id, mount.parentId, `${major}:${minor}`],
        ...[mangled(mount.root), mangled(mount.mountPoint), options.join(",")],
        ...optionalFields,
        ...["-", mangled(mount.type), mangled(mount.source), superOptions.join(",")],
      ].join(" ");
      assert.deepEqual(parseMountInfo(`${line}\n`), [mount]);
    },
  }),
  target({
    name: "texts of the host",
    weight: 4,
    inputs: fc.oneof(...TEXTS.map((text) => damaged(text))),
    check(bytes) {
      const text = new TextDecoder().decode(bytes);
      parsed(() => parseIdentity(text));
      parsed(() => parseProcessStat(text));
      parsed(() => parseNameservers(text));
      parsed(() => parseGroupName(text, 108));
      parsed(() => parseAppArmorProfile(text));
      parsed(() => parseOwner(text));
      parsed(() => parseSignal(text));
      parsed(() => parseLoggerUri(text));
    },
  }),
  target({
    name: "access control lists",
    weight: 1,
    inputs: hostileBytes(ACL),
    check: (bytes) => void parsed(() => parseAcl(bytes)),
  }),
  target({
    name: "command lines",
    weight: 2,
    inputs: fc.array(fc.oneof(fc.constantFrom(...WORDS), fc.string({ unit: "binary" })), {
      maxLength: 7,
    }),
    check(args) {
      parsed(() => parseCommandLine(args));
      parsed(() => parseShimArguments(args));
    },
  }),
  target({
    name: "mount options",
    weight: 1,
    inputs: fc.array(fc.constantFrom(...OPTIONS), { maxLength: 6 }),
    check: (options) => void parsed(() => parseMountOptions(options)),
  }),
];
