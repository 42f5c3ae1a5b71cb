/** Misconfigurations of a node as docker shows them: what was attempted, why it failed, and what to do. */
import assert from "node:assert/strict";
import { busyboxFiles, type DockerRuntime, startDocker, UNDER_TEST } from "../../support/docker.ts";
import { guestImage } from "../../support/guest_images.ts";
import { nodeWithKernel, UNDESCRIBED } from "../../support/node_kernel.ts";
import { monitorOf, waitFor } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { uruncBinary } from "../../support/urunc.ts";
import { AS_NOBODY, NEEDS, startWithUrunc } from "./_common.ts";

const qemu = (path: string) => `[monitors.qemu]\npath = "${path}"\n`;

/** Content of config.toml, and what the error says: operation and subject, reason, remedy. */
const CASES: Record<string, [configuration: string, says: string[], args?: string[]]> = {
  typo: ['acelerator = "tcg"\n', [
    "read the configuration acelerator: no such key",
    'did you mean "accelerator"?',
  ]],
  value: ['device_access = "group"\n', [
    'read the configuration device_access: found the string "group"',
    '"groups"',
  ]],
  missing: [qemu("/opt/none"), [
    "use configured monitor monitors.qemu.path: /opt/none is not an executable regular file",
    "name the program, or leave monitors.qemu.path out",
  ]],
  script: [qemu("/usr/bin/ldd"), ["/usr/bin/ldd", "it is not a program", "a script cannot run"]],
  mute: [qemu("/usr/bin/true"), ["the monitor: it exited with 0 at once", "urunc doctor"]],
  range: ['[ids]\nmode = "uid"\nrange = "0-100"\n', [
    "read the configuration ids.range",
    "two numbers from 65536",
  ]],
  root: ["[allow]\nroot_monitor = false\n", ["uid 0", "--user"], ["--user=0:0"]],
  files: ["", ["RLIMIT_NOFILE", "10 open files are too few", "--ulimit nofile=64"], [
    "--ulimit=nofile=10",
  ]],
  privileged: ["", ["linux.devices", "--privileged"], ["--privileged"]],
};

testIf("docker shows what is misconfigured, why, and what to do", {
  needs: [...NEEDS, "virtiofsd", "busybox", "cpio", "apt-get"],
  timeoutSeconds: 480,
}, async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("config");
  const path = await uruncBinary();
  const runtimes: Record<string, DockerRuntime> = {};
  const addRuntimes = (name: string, config: string) => {
    runtimes[name] = { path, runtimeArgs: ["--config", config] };
    runtimes[`${name}-shim`] = {
      runtimeType: UNDER_TEST,
      options: { TypeUrl: "runtimeoptions.v1.Options", ConfigPath: config },
    };
  };
  addRuntimes("shared", await nodeWithKernel(scope, UNDESCRIBED));
  for (const [name, [configuration]] of Object.entries(CASES)) {
    const config = `${directory}/${name}.toml`;
    await Deno.writeTextFile(config, configuration);
    addRuntimes(name, config);
  }
  const { docker, makeImage, onHost } = await startDocker(scope, runtimes);
  await makeImage("guest", guestImage("tcg"));
  await makeImage("image", busyboxFiles(), ["true"]);
  for (const [name, [, says, args = ["--user=65534:65534"]]] of Object.entries(CASES)) {
    for (const runtime of [name, `${name}-shim`]) {
      const words = ["run", "--rm", `--runtime=${runtime}`, ...args, "guest", "hello"];
      const { code, stderr } = await docker(words, { timeoutSeconds: 60 });
      assert.notEqual(code, 0, runtime);
      // A log line of text quotes the message.
      const text = stderr.replaceAll("\\", "");
      for (const part of says) assert.ok(text.includes(part), `${runtime}: ${part}: ${stderr}`);
    }
  }

  await onHost(["mount", "--bind", "/dev/null", "/usr/libexec/virtiofsd"], { check: true });
  for (const runtime of ["shared", "shared-shim"]) {
    const result = await docker(["run", "--rm", `--runtime=${runtime}`, "image", "true"]);
    assert.notEqual(result.code, 0);
    assert.match(result.stderr, /find the file server virtiofsd: none of .*install virtiofsd\)/);
  }
});

testIf("docker: a health check that no guest can run says so, and a dead guest is not up", {
  needs: NEEDS,
  timeoutSeconds: 240,
}, async () => {
  await using scope = new Scope();
  const it = await startWithUrunc(scope);
  await it.makeImage("guest", guestImage("tcg"));
  for (const runtime of ["urunc", UNDER_TEST]) {
    const health = ["--health-cmd=true", "--health-interval=1s", "--health-retries=1"];
    const options = ["--detach", `--runtime=${runtime}`, ...health, ...AS_NOBODY];
    const { stdout } = await it.docker(["run", ...options, "guest", "idle"], { check: true });
    const id = stdout.trim();
    const seen = await waitFor(async () => {
      const { State } = await it.inspect(id);
      return State.Health?.Status === "unhealthy" ? State : undefined;
    }, { timeoutSeconds: 60, what: "the health check", intervalMilliseconds: 200 });
    assert.match(seen.Health!.Log[0]!.Output, /its guest has no agent.*\(use the guest's console/);
    Deno.kill(monitorOf(seen.Pid), "SIGKILL");
    await waitFor(async () => (await it.inspect(id)).State.Status === "exited", {
      timeoutSeconds: 30,
      what: "docker to see the end",
      intervalMilliseconds: 200,
    });
    const { stdout: up } = await it.docker(["ps", "--quiet"], { check: true });
    assert.equal(up, "");
    assert.equal((await it.inspect(id)).State.ExitCode, 137);
  }
});
