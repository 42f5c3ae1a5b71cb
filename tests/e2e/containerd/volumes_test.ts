/** Volumes of Kubernetes: a guest of an image that knows nothing of guests, beside a container under runc. */
import assert from "node:assert/strict";
import { type Containerd, CONTAINERD_NEEDS } from "../../support/containerd.ts";
import { busyboxFiles } from "../../support/docker.ts";
import type { ImageFile } from "../../support/image.ts";
import { PodVolumes } from "../../support/kubelet.ts";
import { nodeWithKernel } from "../../support/node_kernel.ts";
import { Pod, runAs } from "../../support/pod.ts";
import { run, waitFor } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { loopDevice } from "../../support/volumes.ts";
import { assertNothingLeft } from "./_common.ts";
import { missingPlugins, startWithCri } from "./_cri.ts";

const IMAGE = "docker.io/library/app:latest";
const USER = 1000;
/** The pod's `fsGroup`, which the kubelet adds to the groups of all its containers. */
const GROUP = 2000;
const TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount";

const PROGRAMS = "cut dd df grep head hostname ls mkdir mv od readlink rm sort stat touch true wc"
  .split(
    " ",
  );

/** As of a distribution: /var/run is a link. */
function appFiles(): ImageFile[] {
  return [
    ...busyboxFiles(),
    ...PROGRAMS.map((name) => ({ path: `/bin/${name}`, target: "busybox" })),
    { path: "/run/.here" },
    { path: "/var/run", target: "/run" },
    { path: "/etc/passwd", content: `root:x:0:0::/:/bin/sh\napp:x:${USER}:${USER}::/:/bin/sh\n` },
  ];
}

/** Until it is asked to end, which it does at once. */
const PROGRAM = "trap 'exit 0' TERM; echo up as $(id -u); while :; do sleep 1 & wait; done";

/** What a program of either container does, and what comes of it. */
const ALIKE: [what: string, script: string, output: string][] = [
  ["the groups of its user", "id -G", `${USER} ${GROUP}\n`],
  ["an emptyDir", "stat -c '%u:%g %a' /empty; df -T /empty >/dev/null", `0:${GROUP} 2777\n`],
  [
    "an emptyDir in memory",
    "echo kept >/memory/kept; stat -c '%u:%g %a' /memory",
    `0:${GROUP} 2777\n`,
  ],
  [
    "an emptyDir that is full",
    "dd if=/dev/zero of=/memory/$NAME bs=64k count=64 2>&1 | grep -o 'No space.*'; rm /memory/$NAME",
    "No space left on device\n",
  ],
  [
    "files of a setgid directory",
    "mkdir /empty/$NAME && touch /empty/$NAME/f && stat -c '%u:%g %a' /empty/$NAME /empty/$NAME/f",
    `${USER}:${GROUP} 2755\n${USER}:${GROUP} 644\n`,
  ],
  ["a configMap", "cat /config/key; readlink /config/key", "first\n..data/key\n"],
  ["a configMap's mode", "stat -L -c '%u:%g %a' /config/key", `0:${GROUP} 644\n`],
  [
    "what is read only",
    "(echo x >/config/..data/key) 2>&1 | grep -o Read-only.*",
    "Read-only file system\n",
  ],
  [
    "a secret",
    "cat /secret/password; stat -L -c '%u:%g %a' /secret/password",
    `word0:${GROUP} 440\n`,
  ],
  ["a secret of root", "cat /private/password 2>&1 | grep -oi perm.*", "Permission denied\n"],
  ["downwardAPI", "cat /podinfo/labels", 'app="web"\n'],
  ["projected volumes", "cat /all/key /all/password; ls /all", "firstwordkey\npassword\n"],
  ["the service account", `cat ${TOKEN}/token; ls ${TOKEN}`, "ey.tokenca.crt\nnamespace\ntoken\n"],
  [
    "a hostPath",
    "cat /host/file; (echo x >/host/$NAME) 2>&1 | grep -o Perm.*",
    "of the host\nPermission denied\n",
  ],
  [
    "a hostPath that is a file",
    "cat /etc/app.conf; (echo x >/etc/app.conf) 2>&1 | grep -o Read.*",
    "of the host\nRead-only file system\n",
  ],
  [
    "a subPath",
    "ls /sub; cat /sub/inner; ls /sub/..data 2>/dev/null || true",
    "inner\nin a directory\n",
  ],
  ["a subPath that is a file", "cat /etc/key.conf", "first\n"],
  [
    "a claim",
    "stat -c '%u:%g %a' /claim; echo $NAME >/claim/$NAME; cat /claim/$NAME",
    `0:${GROUP} 2775\nNAME\n`,
  ],
  ["a claim below another volume", "ls -d /nested/claim/directory", "/nested/claim/directory\n"],
  [
    "a claim that is a device",
    "stat -c %u:%g /dev/xvda; dd if=/dev/xvda bs=512 skip=1 count=1 2>/dev/null | head -n 1",
    `${USER}:${USER}\nfrom the device\n`,
  ],
  ["names", "grep -c web.example /etc/hosts; cat /etc/hostname; hostname", "1\npod\npod\n"],
  ["settings of the kernel", "cat /proc/sys/kernel/msgmax", "9000\n"],
  ["name servers", "grep -c . /etc/resolv.conf >/dev/null && echo some", "some\n"],
  ["the termination log", "echo $NAME >/dev/termination-log; cat /dev/termination-log", "NAME\n"],
  ["shared memory", "echo x >/dev/shm/$NAME && stat -c %a /dev/shm", "1777\n"],
];

testIf("CRI: a guest has its pod's volumes, as a container under runc has them", {
  needs: [
    ...CONTAINERD_NEEDS,
    "qemu-system-x86_64",
    "virtiofsd",
    "busybox",
    "apt-get",
    "mkfs.ext4",
  ],
  skip: missingPlugins(),
  timeoutSeconds: 300,
}, async () => {
  await using scope = new Scope();
  const ids = `[ids]\ndefault_user = "${USER}:${USER}"`;
  const configuration = await Deno.readTextFile(await nodeWithKernel(scope, ids));
  const it = await startWithCri(scope, false, { configuration });
  await it.makeImage(IMAGE, appFiles());
  const { volumes, ...made } = await makeVolumes(scope, it);
  const pod = await Pod.run(scope, it, {
    annotations: {
      "com.urunc.unikernel.container": "guest",
      "com.urunc.unikernel.unikernelType": "linux",
      "com.urunc.unikernel.hypervisor": "qemu",
    },
    sysctls: { "kernel.msgmax": "9000" },
  });
  const start = async (name: string, user: number, mounts: Mounts) => {
    const container = await pod.start(name, {
      image: IMAGE,
      command: ["/bin/sh", "-c", PROGRAM],
      linux: runAs(user, user, [GROUP]),
      mounts: mounts.map(([hostPath, containerPath, mode]) => (
        { hostPath, containerPath, readonly: mode === "ro" }
      )),
      devices: [{ containerPath: "/dev/xvda", hostPath: made.device, permissions: "rwm" }],
    });
    await pod.logsWith(name, `up as ${user}`, 120);
    return container;
  };
  const sh = async (container: string, script: string) => {
    const command = ["/bin/sh", "-c", `exec 2>&1; ${script}`];
    const { stdout, exitCode } = await pod.cri.exec(container, command, 600n);
    return exitCode === 0 ? stdout : `${stdout}exit ${exitCode}\n`;
  };
  // In a guest that is emulated each exec takes its time: the loop is there.
  const seen = (script: string, output: string) =>
    `until [ "$(${script})" = "${output}" ]; do sleep 0.2; done`;

  const sidecar = await start("sidecar", USER, made.alike("sidecar"));
  const guest = await start("guest", USER, [...made.alike("guest"), [made.disk, "/data.img"]]);
  for (const [name, container] of Object.entries({ sidecar, guest })) {
    const scripts = ALIKE.map(([what, script]) => `echo "# ${what}"; (${script})`);
    assert.deepEqual(
      await sh(container, `NAME=${name}; ${scripts.join("; ")}`),
      ALIKE.map(([what, , output]) => `# ${what}\n${output.replaceAll("NAME", name)}`).join(""),
      name,
    );
  }
  // The file that a container's exit is explained by; and what the host, and nobody else, is asked.
  assert.equal(await Deno.readTextFile(made.log("guest")), "guest\n");
  assert.equal(await Deno.readTextFile(volumes.path(`${made.claim}/guest`)), "guest\n");
  assert.equal((await Deno.stat(`${made.empty}/guest/f`)).gid, GROUP);
  // A disk of its own, and no file.
  assert.equal(
    await sh(guest, "for it in /sys/block/vd*; do cat $it/serial; echo; done; ls /data.img"),
    "data.img\nxvda\nls: /data.img: No such file or directory\nexit 1\n",
  );

  // Each sees what the other writes, also where it has read before.
  const talk = "cat /empty/talk 2>/dev/null";
  const [guests, both] = ["of the guest", "of the guest\nof the sidecar"];
  const moved = seen("ls /empty/d 2>/dev/null", "moved");
  const answered = sh(
    sidecar,
    `${seen(talk, guests)}; echo of the sidecar >>/empty/talk; ${moved}`,
  );
  const talked = sh(
    guest,
    `echo of the guest >/empty/talk; cat /empty/talk >/dev/null; ${seen(talk, both)}; ` +
      "mkdir /empty/d && mv /empty/talk /empty/d/moved",
  );
  assert.deepEqual(await Promise.all([talked, answered]), ["", ""]);

  // An update reaches a guest that has read the old, and has a file of it open; a subPath has none.
  const updated = sh(
    guest,
    "exec 3</config/key; cat /config/key; echo >/empty/read; " +
      `${seen("cat /config/* 2>/dev/null", "second\nadded")}; cat <&3; cat /etc/key.conf`,
  );
  const update = async () => {
    const read = `${made.empty}/read`;
    await waitFor(() => exists(read), { timeoutSeconds: 60, what: "a file to be open" });
    await volumes.write(made.config, { key: "second\n", more: "added\n" }, { group: GROUP });
  };
  assert.deepEqual(await Promise.all([updated, update()]), ["first\nfirst\nfirst\n", undefined]);

  // A new container of the pod, which is root in its guest; on the host it is not.
  await pod.stopAndRemove(guest, 20);
  await volumes.subPath(made.config, "key", 2);
  const again = await start("guest", 0, made.alike("guest"));
  assert.equal(
    await sh(
      again,
      "id -u; cat /empty/d/moved /claim/guest /memory/kept /config/key /etc/key.conf; " +
        // runc's root reads it.
        "cat /private/password",
    ),
    "0\nof the guest\nof the sidecar\nguest\nkept\nsecond\nsecond\n" +
      "cat: can't open '/private/password': Permission denied\nexit 1\n",
  );
  assert.match(it.log(), /private\/password: root of the guest cannot read it/);
  await pod.stopAndRemove(again, 20);
  await pod.stopAndRemove(sidecar, 20);
  await pod.remove();
  await assertNothingLeft(it);
});

type Mounts = [hostPath: string, containerPath: string, mode?: "ro"][];

async function makeVolumes(scope: Scope, it: Containerd) {
  const volumes = await PodVolumes.make(scope, it);
  const host = await scope.temporaryDirectory("host");
  await Deno.writeTextFile(`${host}/file`, "of the host\n");
  const { device } = await loopDevice(scope);
  const group = { group: GROUP };
  const empty = await volumes.emptyDir("empty", group);
  await Deno.mkdir(`${empty}/directory`);
  await Deno.writeTextFile(`${empty}/directory/inner`, "in a directory\n");
  const memory = await volumes.emptyDir("memory", { ...group, memory: 1 << 20 });
  const config = await volumes.files("configmap", "config", { key: "first\n" }, group);
  const password = { password: "word" };
  const secret = await volumes.files("secret", "secret", password, { ...group, mode: 0o400 });
  const ofRoot = await volumes.files("secret", "private", password, { mode: 0o400 });
  const podinfo = await volumes.files("downward-api", "podinfo", { labels: 'app="web"\n' }, group);
  const all = await volumes.files("projected", "all", { key: "first", ...password }, group);
  const access = { token: "ey.token", "ca.crt": "", namespace: "default" };
  const token = await volumes.files("projected", "access", access, { ...group, mode: 0o600 });
  const image = `${host}/claim.ext4`;
  await Deno.writeFile(image, new Uint8Array(8 << 20));
  await run(["mkfs.ext4", "-q", image], { check: true });
  const claim = await volumes.claim("claim", image);
  await Deno.mkdir(volumes.path(`${claim}/directory`));
  await Deno.writeFile(volumes.path(`${claim}/data.img`), new Uint8Array(1 << 16));
  await volumes.applyGroup(claim, GROUP);
  const directory = await volumes.subPath(empty, "directory", 1);
  const key = await volumes.subPath(config, "key", 2);
  const disk = await volumes.subPath(claim, "data.img", 3);
  const hosts = await volumes.file("etc-hosts", "127.0.0.1 localhost\n10.0.0.1 web.example\n");
  const logs: Record<string, string> = {};
  for (const name of ["guest", "sidecar"]) logs[name] = await volumes.file(name, "", 0o666);
  const alike = (name: string): Mounts => [
    [empty, "/empty"],
    [memory, "/memory"],
    [config, "/config", "ro"],
    [secret, "/secret", "ro"],
    [ofRoot, "/private", "ro"],
    [podinfo, "/podinfo", "ro"],
    [all, "/all", "ro"],
    [token, TOKEN, "ro"],
    [host, "/host"],
    [`${host}/file`, "/etc/app.conf", "ro"],
    [directory, "/sub"],
    [key, "/etc/key.conf", "ro"],
    [claim, "/claim"],
    [empty, "/nested"],
    [claim, "/nested/claim"],
    [hosts, "/etc/hosts"],
    [logs[name]!, "/dev/termination-log"],
  ];
  return { volumes, device, empty, config, claim, disk, alike, log: (name: string) => logs[name]! };
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
