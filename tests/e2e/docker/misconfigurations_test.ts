/** Misconfigurations of a node as docker shows them: what was attempted, why it failed, and what to do. */
import assert from "node:assert/strict";
import { DOCKER_NEEDS, type DockerRuntime, startDocker } from "../../support/docker.ts";
import { guestImage } from "../../support/guest_images.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { uruncBinary } from "../../support/urunc.ts";

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
  needs: [...DOCKER_NEEDS, "qemu-system-x86_64"],
  timeoutSeconds: 240,
}, async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("config");
  const path = await uruncBinary();
  const runtimes: Record<string, DockerRuntime> = {};
  for (const [name, [configuration]] of Object.entries(CASES)) {
    const config = `${directory}/${name}.toml`;
    await Deno.writeTextFile(config, configuration);
    runtimes[name] = { path, runtimeArgs: ["--config", config] };
    runtimes[`${name}-shim`] = {
      runtimeType: "io.containerd.urunc.v2",
      options: { TypeUrl: "runtimeoptions.v1.Options", ConfigPath: config },
    };
  }
  const { docker, makeImage } = await startDocker(scope, runtimes);
  await makeImage("guest", guestImage("tcg"));
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
});
