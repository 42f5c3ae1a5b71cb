/**
 * Misconfigurations of a node as the kubelet gets them, which makes an event of a pod of the text
 * (`kubectl describe pod`): the whole error of the container, operation, reason and remedy.
 */
import assert from "node:assert/strict";
import { Pod, runAs } from "../../support/pod.ts";
import { Container } from "../../support/runtime.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { GUEST } from "./_common.ts";
import { CRI_NEEDS, missingPlugins, startWithCri } from "./_cri.ts";

const qemu = (path: string) => `[monitors.qemu]\npath = "${path}"\n`;

/** Content of config.toml, what the error says, and the container's uid. */
const CASES: Record<string, [configuration: string, says: string[], uid?: number]> = {
  typo: ['acelerator = "tcg"\n', [
    "read the configuration acelerator: no such key",
    'did you mean "accelerator"?',
  ]],
  missing: [qemu("/opt/none"), [
    "use configured monitor monitors.qemu.path: /opt/none is not an executable regular file",
    "name the program, or leave monitors.qemu.path out",
  ]],
  script: [qemu("/usr/bin/ldd"), ["/usr/bin/ldd", "it is not a program", "a script cannot run"]],
  range: ['[ids]\nmode = "uid"\nrange = "0-100"\n', [
    "read the configuration ids.range",
    "two numbers from 65536",
  ]],
  root: ["[allow]\nroot_monitor = false\n", ["uid 0", "runAsUser"], 0],
};

/** In the container's log, of a monitor that is another program: it was started. */
const MUTE =
  "urunc: run the monitor: it exited with 0 at once and said nothing: it is another program, or broken; " +
  "urunc doctor asks each monitor for its name, and has the remedy";

/** What `create` says of the same at a shell. */
async function ownError(scope: Scope, configuration: string, uid: number): Promise<string> {
  const config = `${await scope.temporaryDirectory("config")}/config.toml`;
  await Deno.writeTextFile(config, configuration);
  const globals = ["--log-format=json"];
  const own = await Container.prepare(scope, { config, globals, user: { uid, gid: uid } });
  const { stderr } = await own.create();
  return JSON.parse(stderr).msg.replace(config, "/etc/urunc/config.toml");
}

testIf("CRI: the kubelet gets what is misconfigured, why, and what to do", {
  needs: [...CRI_NEEDS, "qemu-system-x86_64"],
  skip: missingPlugins(),
  timeoutSeconds: 240,
}, async () => {
  await using scope = new Scope();
  const it = await startWithCri(scope);
  const configure = async (text: string) => {
    const script = 'printf "%s" "$1" >/etc/urunc/config.toml';
    await it.onHost(["sh", "-c", script, "sh", text], { check: true });
  };
  const pod = await Pod.run(scope, it);
  for (const [name, [configuration, says, uid = 65534]] of Object.entries(CASES)) {
    await configure(configuration);
    const id = await pod.create(name, { image: GUEST, args: ["hello"], linux: runAs(uid, uid) });
    const error: Error = await pod.cri.start(id).then(
      () => assert.fail(`${name}: it was started`),
      (error) => error,
    );
    for (const part of says) assert.ok(error.message.includes(part), `${part}: ${error.message}`);
    const own = await ownError(scope, configuration, uid);
    assert.match(error.message, /^StartContainer: failed to create containerd task: /);
    assert.ok(error.message.includes(`: ${own}: `), `${own} is not in ${error.message}`);
    await pod.cri.remove(id);
  }
  await configure(qemu("/usr/bin/true"));
  const mute = await pod.start("mute", { image: GUEST, args: ["hello"], linux: runAs(1, 1) });
  await pod.logsWith("mute", MUTE);
  assert.equal((await pod.ended(mute, 30)).exitCode, 255);
  await pod.cri.remove(mute);
  await pod.remove();
});
