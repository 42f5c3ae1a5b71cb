/**
 * `urunc doctor` on this machine, with misconfigurations made in a mount namespace, where nobody else sees
 * them. Their fixes are run there, too, where they are commands.
 */
import assert from "node:assert/strict";
import type { Line } from "../../lib/doctor/checks/types.ts";
import type { NodeFacts } from "../../lib/doctor/facts.ts";
import { run } from "../support/process.ts";
import { assertFailed } from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { uruncBinary } from "../support/urunc.ts";

interface Report {
  code: number;
  lines: Line[];
  facts: NodeFacts;
}

/** In a mount namespace: directories of configuration that are empty, and root's alone to see. */
const EMPTY = `set -e
for directory in /etc/urunc /etc/docker /etc/containerd /etc/crio /run/containerd; do
  [ -d $directory ] || continue
  mount -t tmpfs none $directory
done
`;

/** A place for a file of /etc that may have no directory: the whole of /etc is copied. */
const OWN_ETC = `set -e
copy=$(mktemp -d); mount -t tmpfs none $copy; cp -a /etc/. $copy
mount --move $copy /etc; rmdir $copy
mkdir -p /etc/urunc /etc/docker /etc/containerd /etc/crio/crio.conf.d
rm -f /etc/urunc/config.toml /etc/docker/daemon.json /etc/containerd/config.toml
`;

/**
 * Runs `urunc doctor --json` in a mount namespace.
 *
 * @param script that changes what is mounted there
 */
async function examine(script: string, args: string[] = []): Promise<Report> {
  await using scope = new Scope();
  const root = await scope.temporaryDirectory("root");
  const command = [await uruncBinary(), "--root", root, "doctor", "--json", ...args];
  const { code, stdout, stderr } = await run(
    ["unshare", "--mount", "sh", "-c", `${script}\nexec "$@"`, "sh", ...command],
    { timeoutSeconds: 60 },
  );
  assert.equal(stderr, "");
  return { code, ...JSON.parse(stdout) };
}

const CASES: [
  name: string,
  script: string,
  status: Line["status"],
  check: string,
  text: RegExp,
  args?: string[],
][] = [
  [
    "no devices",
    "mount -t tmpfs none /dev; mknod -m 666 /dev/null c 1 3",
    "fail",
    "kvm",
    /\/dev\/kvm does not exist/,
  ],
  [
    "something else in place of /dev/kvm",
    "mount --bind /dev/null /dev/kvm",
    "fail",
    "kvm",
    /\/dev\/kvm is not KVM/,
  ],
  [
    "no tun",
    "mount -t tmpfs none /dev/net",
    "fail",
    "network",
    /\/dev\/net\/tun does not exist/,
  ],
  [
    "nodes of root alone, which groups should open",
    `${OWN_ETC} echo 'device_access = "groups"' >/etc/urunc/config.toml
mount -t tmpfs none /dev; mknod -m 600 /dev/kvm c 10 232; mknod -m 666 /dev/null c 1 3`,
    "fail",
    "user",
    /mode 0600: no group would change that/,
  ],
  [
    "a group that the user is not in",
    `${OWN_ETC} echo 'device_access = "groups"' >/etc/urunc/config.toml
mount -t tmpfs none /dev; mknod -m 660 /dev/kvm c 10 232; mknod -m 666 /dev/null c 1 3
chgrp 4242 /dev/kvm`,
    "fail",
    "user",
    /group 4242, mode 0660/,
  ],
  [
    "a typo in the configuration",
    `${OWN_ETC} printf '\\nacelerator = "tcg"\\n' >/etc/urunc/config.toml`,
    "fail",
    "config",
    /\/etc\/urunc\/config\.toml:2: acelerator: no such key/,
  ],
  [
    "the Go implementation's configuration",
    `${OWN_ETC} printf '[log]\\nlevel = "info"\\n' >/etc/urunc/config.toml`,
    "warn",
    "config",
    /\/etc\/urunc\/config\.toml:1: log: ignored/,
  ],
  [
    "a monitor that is not there",
    `${OWN_ETC} printf '[monitors.qemu]\\npath = "/opt/none"\\n' >/etc/urunc/config.toml`,
    "fail",
    "monitors",
    /\/opt\/none is not an executable regular file/,
  ],
  [
    "a delegated runtime that is not there",
    `${OWN_ETC} echo 'oci_runtime = "/opt/none"' >/etc/urunc/config.toml`,
    "fail",
    "programs",
    /\/opt\/none: not an executable file/,
  ],
  [
    "docker's file is not JSON",
    `${OWN_ETC} echo '{ "runtimes": ' >/etc/docker/daemon.json`,
    "fail",
    "docker",
    /daemon\.json: not JSON/,
  ],
  [
    "docker's runtime has a wrong type",
    `${OWN_ETC} echo '{ "runtimes": { "urunc": { "runtimeType": "urunc" } } }' >/etc/docker/daemon.json`,
    "fail",
    "docker",
    /has the type "urunc"/,
  ],
  [
    "containerd's runtime has a wrong type",
    `${OWN_ETC} cat >/etc/containerd/config.toml <<'END'
version = 2
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.urunc]
runtime_type = "io.containerd.urunc.v1"
END`,
    "fail",
    "containerd",
    /has the type "io\.containerd\.urunc\.v1"/,
  ],
  [
    "containerd's file is not TOML",
    `${OWN_ETC} echo 'version = ' >/etc/containerd/config.toml`,
    "fail",
    "containerd",
    /config\.toml: /,
  ],
  [
    "CRI-O ignores the runtime for its annotations",
    `${OWN_ETC} cat >/etc/crio/crio.conf.d/50-urunc.conf <<'END'
[crio.runtime.runtimes.urunc]
runtime_path = "/bin/true"
allowed_annotations = ["com.urunc.unikernel"]
END`,
    "fail",
    "crio",
    /allowed_annotations/,
  ],
];

testIf(
  "doctor changes nothing, and says what it found in both forms",
  { needs: ["root"] },
  async () => {
    const { code, lines, facts } = await examine(EMPTY);
    assert.equal(code, lines.some(({ status }) => status === "fail") ? 1 : 0);
    assert.ok(lines.every(({ status, fix }) => status === "ok" || fix !== undefined));
    assert.equal(facts.kernel.release, (await run(["uname", "-r"])).stdout.trim());
    const { stdout } = await run([await uruncBinary(), "doctor"]);
    assert.match(stdout, /^ok +urunc +version /m);
    assert.match(stdout, /^\d+ ok, \d+ warn, \d+ fail$/m);
  },
);

testIf("doctor and install say that they need root", { needs: ["root", "setpriv"] }, async () => {
  const nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
  for (const verb of ["doctor", "install", "uninstall"]) {
    const result = await run([...nobody, await uruncBinary(), verb]);
    assertFailed(result, ["operation not permitted", "uid 65534", "run it as root"]);
  }
});

for (const [name, script, status, check, text, args] of CASES) {
  testIf(`doctor: ${name}`, { needs: ["root"] }, async () => {
    const { code, lines } = await examine(script, args);
    const line = lines.find((it) => it.check === check && text.test(it.text));
    assert.ok(line, JSON.stringify(lines, null, 1));
    assert.equal(line.status, status);
    assert.ok(line.fix, line.text);
    if (status === "fail") assert.equal(code, 1);
  });
}

testIf("doctor: the group that it names lets the user in", { needs: ["root", "kvm"] }, async () => {
  const script = `${OWN_ETC} echo 'device_access = "groups"' >/etc/urunc/config.toml
mount -t tmpfs none /dev; mknod -m 660 /dev/kvm c 10 232; mknod -m 666 /dev/null c 1 3
mkdir /dev/net; mknod -m 666 /dev/net/tun c 10 200; chgrp 4242 /dev/kvm`;
  const userLines = ({ lines }: Report) => lines.filter(({ check }) => check === "user");
  const [refused] = userLines(await examine(script));
  const [, gid] = /--group-add (\d+); Kubernetes: securityContext\.supplementalGroups: \[4242\]$/
    .exec(refused!.fix!) ?? [];
  assert.equal(gid, "4242");
  const allowed = userLines(await examine(script, ["--groups", gid!]));
  assert.ok(allowed.every(({ status }) => status === "ok"), JSON.stringify(allowed));
});

testIf(
  "doctor: the fix for a node of root alone, pasted, works",
  { needs: ["root", "kvm"] },
  async () => {
    const script = `${OWN_ETC} echo 'device_access = "groups"' >/etc/urunc/config.toml
mkdir -p /etc/udev/rules.d; mount -t tmpfs none /dev
mknod -m 600 /dev/kvm c 10 232; mknod -m 666 /dev/null c 1 3`;
    const lineOf = ({ lines }: Report) =>
      lines.find(({ check, text }) => check === "user" && text.includes("/dev/kvm"))!;
    const { fix } = lineOf(await examine(script));
    const after = lineOf(await examine(`${script}\n${fix}`));
    // It is the group's now: what is missing is only the user's membership.
    assert.match(after.fix!, /--group-add \d+/);
  },
);

testIf("doctor --compare names what differs, and nothing else", { needs: ["root"] }, async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("reports");
  const urunc = await uruncBinary();
  const { stdout } = await run([urunc, "doctor", "--json"]);
  const report = JSON.parse(stdout);
  await Deno.writeTextFile(`${directory}/a.json`, stdout);
  report.facts.kernel.release = "1.2.3";
  report.lines = [];
  await Deno.writeTextFile(`${directory}/b.json`, JSON.stringify(report));
  const compare = async (...files: string[]) => await run([urunc, "doctor", "--compare", ...files]);
  const same = await compare(`${directory}/a.json`, `${directory}/a.json`);
  assert.deepEqual([same.code, same.stdout], [0, "no differences\n"]);
  const other = await compare(`${directory}/a.json`, `${directory}/b.json`);
  assert.equal(other.code, 1);
  const [header, row, ...rest] = other.stdout.trimEnd().split("\n");
  assert.match(header!, /^FACT +.*a\.json +.*b\.json$/);
  assert.match(row!, /^kernel\.release +".+" +"1\.2\.3"$/);
  assert.deepEqual(rest, []);
  await Deno.writeTextFile(`${directory}/c.json`, "{}");
  assertFailed(await compare(`${directory}/c.json`), ["c.json", "not a report", "doctor --json"]);
});

testIf(
  "config check names every mistake with its line, and config shows where values are from",
  {},
  async () => {
    await using scope = new Scope();
    const file = `${await scope.temporaryDirectory("config")}/config.toml`;
    const urunc = await uruncBinary();
    await Deno.writeTextFile(file, '# ours\ndevice_access = "grops"\n\n[allow]\nmonitor = []\n');
    const wrong = await run([urunc, "config", "check", file]);
    assert.equal(wrong.code, 1);
    assert.deepEqual(
      wrong.stdout.split("\n").map((line) => line.split(" ").slice(0, 3).join(" ")),
      [
        `${file}:2: error: device_access:`,
        `${file}:5: error: allow.monitor:`,
        "",
      ],
    );
    await Deno.writeTextFile(file, "\ndefault_vcpus = 2\n");
    assert.equal((await run([urunc, "config", "check", file])).stdout, `${file}: valid\n`);
    const shown = await run([urunc, "--config", file, "config"], { check: true });
    assert.match(shown.stdout, new RegExp(`^default_vcpus +2 +${file}:2$`, "m"));
    assert.match(shown.stdout, /^accelerator +"kvm" +default$/m);
    const json = JSON.parse((await run([urunc, "--config", file, "config", "-f", "json"])).stdout);
    assert.deepEqual(json[3], { key: "default_vcpus", value: 2, from: `${file}:2` });
    assertFailed(await run([urunc, "config", "verify"]), ['"verify"', "show, check"], 2);
  },
);

testIf("doctor asks a configured monitor who it is", { needs: ["root", "gcc"] }, async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("monitors");
  const says = async (name: string, text: string) => {
    const source = `${directory}/${name}.c`;
    await Deno.writeTextFile(source, `int puts(const char *);int main(void){puts("${text}");}`);
    // Static: the libraries that a program needs are kept in /run/urunc, for doctor too.
    await run(["gcc", "-static", source, "-o", `${directory}/${name}`], { check: true });
    return `${directory}/${name}`;
  };
  // What each prints that is known: QEMU 10, Firecracker 1.16, Solo5 0.12.1, whatever its file is called.
  const config = `${directory}/config.toml`;
  const tables = [
    ["qemu", await says("q", "QEMU emulator version 10.0.3 (Debian)")],
    ["firecracker", await says("f", "Firecracker v1.16.0")],
    ["hvt", await says("h", "h tender, version v0.12.1")],
    ["spt", "/usr/bin/true"],
  ].map(([name, path]) => `[monitors.${name}]\npath = "${path}"\n`);
  await Deno.writeTextFile(config, tables.join(""));
  const { stdout } = await run([await uruncBinary(), "--config", config, "doctor", "--json"]);
  const { facts }: { facts: NodeFacts } = JSON.parse(stdout);
  const versions = Object.entries(facts.monitors).map(([name, it]) => [name, it.version]);
  assert.deepEqual(versions, [
    ["qemu", "10.0.3"],
    ["firecracker", "1.16.0"],
    ["hvt", "0.12.1"],
    ["spt", undefined],
  ]);
  assert.match(facts.monitors.spt!.problem!.reason, /\/usr\/bin\/true --version does not print/);
});
