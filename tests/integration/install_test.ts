/** `urunc install` and `urunc uninstall`, below a directory in place of the root directory. */
import assert from "node:assert/strict";
import { run } from "../support/process.ts";
import { assertFailed } from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { uruncBinary } from "../support/urunc.ts";

const ENGINES = ["--containerd", "--docker", "--crio", "--podman"];

const DAEMON = '{\n\t"debug": true, "log-level":   "warn"\n}';
const CONTAINERD = `# the operator's own words
version = 2

[plugins]
  [plugins."io.containerd.grpc.v1.cri"]   # kept
    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "/usr/lib/cni"`;

/** A node's files: two configurations, one of them by a link, and an older executable. */
async function makeNode(scope: Scope): Promise<string> {
  const prefix = await scope.temporaryDirectory("node");
  for (const it of ["etc/docker", "etc/containerd", "opt", "usr/local/bin"]) {
    await Deno.mkdir(`${prefix}/${it}`, { recursive: true });
  }
  await Deno.writeTextFile(`${prefix}/etc/docker/daemon.json`, DAEMON, { mode: 0o600 });
  await Deno.writeTextFile(`${prefix}/opt/containerd.toml`, CONTAINERD);
  await Deno.symlink("../../opt/containerd.toml", `${prefix}/etc/containerd/config.toml`);
  await Deno.writeTextFile(`${prefix}/usr/local/bin/urunc`, "an older one", { mode: 0o755 });
  return prefix;
}

/** All that is below a directory: kinds, modes and contents. */
async function listTree(prefix: string): Promise<string> {
  const script = 'cd "$1"; find . -printf "%p %M %l\\n" | sort; ' +
    "find . -type f -print0 | sort -z | xargs -0 sha256sum";
  return (await run(["sh", "-c", script, "sh", prefix], { check: true })).stdout;
}

testIf("install, twice, and uninstall: the files are as they were, byte for byte", {}, async () => {
  await using scope = new Scope();
  const prefix = await makeNode(scope);
  const urunc = await uruncBinary();
  const before = await listTree(prefix);

  const planned = await run([urunc, "install", "--dry-run", "--prefix", prefix, ...ENGINES]);
  assert.equal(planned.code, 0, planned.stderr);
  assert.match(planned.stdout, /would write .*daemon\.json, with\n.*"runtimes": \{ "urunc"/);
  assert.equal(await listTree(prefix), before);

  const first = await run([urunc, "install", "--prefix", prefix, ...ENGINES], {
    check: true,
    timeoutSeconds: 60,
  });
  assert.equal(first.stdout.match(/^written/gm)?.length, 6, first.stdout);
  assert.match(first.stdout, /kind: RuntimeClass/);
  const installed = await listTree(prefix);

  const shim = `${prefix}/usr/local/bin/containerd-shim-urunc-v2`;
  assert.match((await run([shim, "-v"])).stdout, /io\.containerd\.urunc\.v2|Version/i);
  const { runtimes } = JSON.parse(await Deno.readTextFile(`${prefix}/etc/docker/daemon.json`));
  assert.deepEqual(runtimes, { urunc: { runtimeType: "io.containerd.urunc.v2" } });
  const containerd = await Deno.readTextFile(`${prefix}/opt/containerd.toml`);
  assert.ok(containerd.startsWith(CONTAINERD));
  assert.ok((await Deno.lstat(`${prefix}/etc/containerd/config.toml`)).isSymlink);

  const second = await run([urunc, "install", "--prefix", prefix, ...ENGINES], { check: true });
  assert.doesNotMatch(second.stdout, /^written/m);
  assert.equal(second.stdout.match(/^unchanged/gm)?.length, 6, second.stdout);
  assert.equal(await listTree(prefix), installed);

  const removed = await run([urunc, "uninstall", "--prefix", prefix], { check: true });
  assert.doesNotMatch(removed.stdout, /^left/m);
  assert.equal(await listTree(prefix), before);
  const again = await run([urunc, "uninstall", "--prefix", prefix], { check: true });
  assert.equal(again.stdout, "nothing was installed by urunc install\n");
});

testIf("uninstall keeps what others have changed since", {}, async () => {
  await using scope = new Scope();
  const prefix = await makeNode(scope);
  const urunc = await uruncBinary();
  await run([urunc, "install", "--prefix", prefix, ...ENGINES], { check: true });
  const daemon = `${prefix}/etc/docker/daemon.json`;
  const changed = (await Deno.readTextFile(daemon)).replace('"warn"', '"info"');
  await Deno.writeTextFile(daemon, changed);
  const crio = `${prefix}/etc/crio/crio.conf.d/50-urunc.conf`;
  await Deno.writeTextFile(crio, "# mine\n");
  const { stdout } = await run([urunc, "uninstall", "--prefix", prefix], { check: true });
  assert.match(stdout, /^restored .*daemon\.json: .*only the runtime was removed$/m);
  assert.match(stdout, /^left .*50-urunc\.conf: .*by hand$/m);
  assert.equal(await Deno.readTextFile(daemon), DAEMON.replace('"warn"', '"info"'));
  assert.equal(await Deno.readTextFile(crio), "# mine\n");
  assert.equal(await Deno.readTextFile(`${prefix}/opt/containerd.toml`), CONTAINERD);
});

testIf("a file that cannot be added to stops install before anything is written", {}, async () => {
  await using scope = new Scope();
  const prefix = await makeNode(scope);
  await Deno.writeTextFile(`${prefix}/etc/docker/daemon.json`, "{ not JSON");
  const before = await listTree(prefix);
  const result = await run([await uruncBinary(), "install", "--prefix", prefix, ...ENGINES]);
  assertFailed(result, [`${prefix}/etc/docker/daemon.json`, "not JSON", "correct the file"]);
  assert.equal(await listTree(prefix), before);
});

testIf(
  "what the daemon itself does not accept is taken back",
  { needs: ["dockerd"] },
  async () => {
    await using scope = new Scope();
    const prefix = await makeNode(scope);
    const daemon = `${prefix}/etc/docker/daemon.json`;
    // Valid JSON, which docker refuses.
    await Deno.writeTextFile(daemon, '{ "no-such-option": 1 }');
    const result = await run([await uruncBinary(), "install", "--prefix", prefix, "--docker"]);
    assertFailed(result, [daemon, "dockerd does not accept it", "no-such-option", "as it was"]);
    assert.equal(await Deno.readTextFile(daemon), '{ "no-such-option": 1 }');
    const removed = await run([await uruncBinary(), "uninstall", "--prefix", prefix], {
      check: true,
    });
    assert.doesNotMatch(removed.stdout, /daemon\.json/);
  },
);

testIf(
  "containerd and podman read what install writes",
  { needs: ["containerd", "podman", "root"] },
  async () => {
    await using scope = new Scope();
    const prefix = await makeNode(scope);
    const urunc = await uruncBinary();
    await run([urunc, "install", "--prefix", prefix, ...ENGINES], { check: true });
    const dump = await run([
      "containerd",
      "--config",
      `${prefix}/opt/containerd.toml`,
      "config",
      "dump",
    ]);
    assert.match(dump.stdout, /runtimes\.urunc\]/);
    assert.match(dump.stdout, /runtimes\.runc\]/);
    assert.match(dump.stdout, /bin_dir = "\/usr\/lib\/cni"/);
    const dropIn = await Deno.readTextFile(
      `${prefix}/etc/containers/containers.conf.d/50-urunc.conf`,
    );
    const conf = `${prefix}/podman.conf`;
    await Deno.writeTextFile(conf, dropIn.replace("/usr/local/bin/urunc", urunc));
    const format = ["--format", "{{.Host.OCIRuntime.Path}}"];
    const info = await run(["podman", "--runtime", "urunc", "info", ...format], {
      env: { ...Deno.env.toObject(), CONTAINERS_CONF_OVERRIDE: conf },
      timeoutSeconds: 60,
    });
    assert.equal(info.stdout.trim(), urunc);
  },
);

/** A `dockerd` that accepts a configuration unless it has the word `refused`. */
async function fakeDocker(scope: Scope): Promise<Record<string, string>> {
  const directory = await scope.temporaryDirectory("bin");
  const script = '#!/bin/sh\n! grep -H refused "$3" >&2\n';
  await Deno.writeTextFile(`${directory}/dockerd`, script, { mode: 0o755 });
  return { ...Deno.env.toObject(), PATH: `${directory}:${Deno.env.get("PATH")}` };
}

testIf("a file that others have written since is what uninstall restores", {}, async () => {
  const rewritten = '{ "debug": false }\n';
  for (const before of [DAEMON, undefined]) {
    await using scope = new Scope();
    const prefix = await makeNode(scope);
    const options = { check: true, env: await fakeDocker(scope) };
    const daemon = `${prefix}/etc/docker/daemon.json`;
    if (before === undefined) await Deno.remove(daemon);
    const urunc = await uruncBinary();
    const install = [urunc, "install", "--prefix", prefix, "--docker"];
    await run(install, options);
    await Deno.writeTextFile(daemon, rewritten);
    const second = await run(install, options);
    assert.match(second.stdout, /^written .*daemon\.json$/m);
    const removed = await run([urunc, "uninstall", "--prefix", prefix], options);
    assert.match(removed.stdout, /^restored .*daemon\.json$/m);
    assert.equal(await Deno.readTextFile(daemon), rewritten);
    assert.doesNotMatch(await listTree(prefix), /var\/lib/);
  }
});

testIf("what an engine refuses is never written, nor forgotten what was before", {}, async () => {
  await using scope = new Scope();
  const prefix = await makeNode(scope);
  const env = await fakeDocker(scope);
  const daemon = `${prefix}/etc/docker/daemon.json`;
  const install = [await uruncBinary(), "install", "--prefix", prefix, "--docker"];
  await run(install, { check: true, env });
  const installed = await Deno.readTextFile(daemon);
  await Deno.writeTextFile(daemon, '{ "refused": true }', { mode: 0o600 });
  const before = await listTree(prefix);
  const result = await run(install, { env });
  assertFailed(result, [`dockerd does not accept it: ${daemon}:`, "refused", "as it was"]);
  assert.equal(await listTree(prefix), before);
  await Deno.writeTextFile(daemon, installed);
  await run([await uruncBinary(), "uninstall", "--prefix", prefix], { check: true, env });
  assert.equal(await Deno.readTextFile(daemon), DAEMON);
});

testIf("links below the directory lead to nothing of the host", {}, async () => {
  await using scope = new Scope();
  const prefix = await makeNode(scope);
  const host = await scope.temporaryDirectory("host");
  // As the links of an image are meant: from its own root.
  const crio = `${prefix}/etc/crio/crio.conf.d`;
  for (const it of [crio, `${prefix}/var`, `${prefix}${host}/lib`, `${host}/lib`]) {
    await Deno.mkdir(it, { recursive: true });
  }
  await Deno.symlink(`${host}/crio.conf`, `${crio}/50-urunc.conf`);
  await Deno.symlink(`${host}/lib`, `${prefix}/var/lib`);
  await Deno.writeTextFile(`${host}/crio.conf`, "the host's");
  await Deno.writeTextFile(`${prefix}${host}/crio.conf`, "the image's");
  const [before, inside] = [await listTree(host), await listTree(prefix)];

  const urunc = await uruncBinary();
  await run([urunc, "install", "--prefix", prefix, ...ENGINES], { check: true });
  assert.equal(await listTree(host), before);
  assert.match(await Deno.readTextFile(`${prefix}${host}/crio.conf`), /runtimes\.urunc/);
  await run([urunc, "uninstall", "--prefix", prefix], { check: true });
  assert.equal(await listTree(prefix), inside);

  await Deno.remove(`${crio}/50-urunc.conf`);
  await Deno.symlink(`${"../".repeat(9)}${host}/crio.conf`, `${crio}/50-urunc.conf`);
  const result = await run([urunc, "install", "--prefix", prefix, "--crio"]);
  assertFailed(result, ["50-urunc.conf leads out of it", "correct the link"]);
  assert.equal(await listTree(host), before);
});

testIf("uninstall refuses a record of other paths than install writes", {}, async () => {
  await using scope = new Scope();
  const prefix = await makeNode(scope);
  const host = await scope.temporaryDirectory("host");
  await Deno.writeTextFile(`${host}/file`, "the host's");
  await Deno.mkdir(`${prefix}/var/lib/urunc/install`, { recursive: true });
  const path = "/etc/docker/daemon.json";
  const backup = `${"/..".repeat(9)}${host}/file`;
  const record = { version: 1, files: [{ path, sha256: "", backup }], directories: [] };
  const file = `${prefix}/var/lib/urunc/install/record.json`;
  await Deno.writeTextFile(file, JSON.stringify(record));
  const result = await run([await uruncBinary(), "uninstall", "--prefix", prefix]);
  assertFailed(result, [file, "files[0].backup: it is not a backup of /etc/docker/daemon.json"]);
  assert.equal(await Deno.readTextFile(`${host}/file`), "the host's");
});

testIf("what was there before a file that uninstall leaves is kept", {}, async () => {
  await using scope = new Scope();
  const prefix = await makeNode(scope);
  const env = await fakeDocker(scope);
  const daemon = `${prefix}/etc/docker/daemon.json`;
  const urunc = await uruncBinary();
  await run([urunc, "install", "--prefix", prefix, "--docker"], { check: true, env });
  await Deno.writeTextFile(daemon, "{}");
  const { stdout } = await run([urunc, "uninstall", "--prefix", prefix], { check: true, env });
  const kept = /^left .*by hand; as it was before, it is in (.*)$/m.exec(stdout)?.[1];
  assert.ok(kept, stdout);
  assert.equal(await Deno.readTextFile(kept), DAEMON);
  assert.equal(await Deno.readTextFile(daemon), "{}");
});
