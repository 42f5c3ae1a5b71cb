/** Arguments and environment reach a Linux guest whole, or are refused; nobody sees them in ps. */
import assert from "node:assert/strict";
import { listPids, readCommandLine, run } from "../support/process.ts";
import {
  assertFailed,
  assertNothingLeft,
  type ContainerOptions,
  doubleContainer,
  linuxContainer,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

const needs = ["root", "gcc"];
const linuxNeeds = ["root", "qemu-system-x86_64", "busybox", "cpio", "apt-get"];

/** What Kubernetes adds for a hundred services, and what a command line could not carry. */
const ENVIRONMENT = [
  "PATH=/bin",
  "QUOTES=\"a\" 'b' $(c) \\",
  "LINES=one\ntwo\n",
  "console=tty0",
  "dotted.name=1",
  "EMPTY=",
  "ACCENTS=é\u{1f642}",
  `LONG=${"x".repeat(60_000)}`,
  ...Array.from({ length: 700 }, (_, i) => `SERVICE_${i}_PORT=tcp://10.96.0.${i % 256}:80`),
];

async function checksum(strings: string[]): Promise<string> {
  const bytes = new TextEncoder().encode(strings.map((it) => `${it}\0`).join(""));
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

testIf("environment: a Linux guest has every byte of its arguments and environment", {
  needs: linuxNeeds,
}, async () => {
  await using scope = new Scope();
  const script = 'busybox sha256sum /proc/1/environ /proc/1/cmdline; echo "pid $$"';
  // A program that is looked for along PATH, with arguments that the kernel would take or cut.
  const args = ["busybox", "sh", "-c", script, "--", "", 'a "b" c', "root=/dev/sda", "z\n"];
  const container = await linuxContainer(scope, { args, env: ENVIRONMENT });
  const { code, stdout } = await container.run();
  assert.equal(code, 0);
  assert.match(stdout, /^pid 1\r?$/m);
  const environment = [...ENVIRONMENT, "HOME=/"];
  assert.ok(stdout.includes(`${await checksum(environment)}  /proc/1/environ`), "environment");
  assert.ok(stdout.includes(`${await checksum(args)}  /proc/1/cmdline`), "arguments");
});

testIf("environment: so has one without an agent, which powers off by itself", {
  needs: linuxNeeds,
}, async () => {
  await using scope = new Scope();
  const script = "busybox mount -t proc proc /proc; " +
    'busybox sha256sum /proc/1/environ /proc/1/cmdline; echo "pid $$"; busybox poweroff -f';
  const args = ["busybox", "sh", "-c", script, "--", "", 'a "b" c', "root=/dev/sda", "z\n"];
  const options = { args, env: ENVIRONMENT, unikernel: { agent: "none" } };
  const container = await linuxContainer(scope, options);
  const { code, stdout } = await container.run();
  assert.equal(code, 0);
  assert.match(stdout, /^pid 1\r?$/m);
  const environment = ["HOME=/", "TERM=linux", ...ENVIRONMENT];
  assert.ok(stdout.includes(`${await checksum(environment)}  /proc/1/environ`), "environment");
  assert.ok(stdout.includes(`${await checksum(args)}  /proc/1/cmdline`), "arguments");
});

testIf(
  "environment: a program that is not there ends a guest without an agent, with a shell's code",
  {
    needs: linuxNeeds,
  },
  async () => {
    await using scope = new Scope();
    const options = { args: ["nothing"], env: ["A=1"], unikernel: { agent: "none" } };
    const container = await linuxContainer(scope, options);
    const { code, stdout } = await container.run();
    assert.match(stdout, /urunc: cannot run nothing: errno 2/);
    assert.equal(code, 127);
  },
);

const SECRET = "s3cret-of-the-test";

testIf("environment: secrets are in no process's arguments or environment, nor in the state", {
  needs: [...needs, "cpio"],
}, async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("initrd");
  const initrd = `${directory}/initrd`;
  // Only root may read it; its own archive comes after ours.
  const pack = 'cd "$1" && echo content >file && echo file | cpio --quiet -o -H newc >"$2"';
  await run(["sh", "-ec", pack, "sh", directory, initrd], { check: true });
  const container = await doubleContainer(scope, "", {
    unikernelType: "linux",
    initrd,
    args: ["/init", `--token=${SECRET}`],
    env: [`TOKEN=${SECRET}`],
  });
  const pid = await container.mustStart();
  const others = listPids().filter((it) => it !== Deno.pid);
  assert.deepEqual(
    others.filter((it) => readCommandLine(it).join(" ").includes(SECRET)),
    [],
    "in arguments",
  );
  assert.doesNotMatch(await Deno.readTextFile(`/proc/${pid}/environ`), new RegExp(SECRET));
  const state = await Deno.readTextFile(`${container.root}/${container.id}/state.json`);
  assert.doesNotMatch(state, new RegExp(SECRET));
  assert.doesNotMatch(container.errors(), new RegExp(SECRET));
});

testIf("environment: the guest's disk has both archives, and is the monitor's alone", {
  needs: [...needs, "cpio"],
}, async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("initrd");
  const pack = 'cd "$1" && echo content >file && echo file | cpio --quiet -o -H newc >initrd';
  await run(["sh", "-ec", pack, "sh", directory], { check: true });
  const container = await doubleContainer(scope, "", {
    unikernelType: "linux",
    initrd: `${directory}/initrd`,
    args: ["/init"],
    env: ["A=1"],
  });
  const pid = await container.mustCreate();
  const disk = `/proc/${pid}/root/guest/initrd`;
  const { uid, gid, mode, size } = await Deno.stat(disk);
  assert.deepEqual([uid, gid, mode! & 0o777], [65534, 65534, 0o400]);
  const image = await Deno.readFile(`${directory}/initrd`);
  const whole = await Deno.readFile(disk);
  assert.deepEqual(whole.subarray(size - image.length), image);
  const copy = `${directory}/segment`;
  await Deno.writeFile(copy, whole.subarray(0, size - image.length));
  const listed = await run(["sh", "-c", 'cpio --quiet -itv <"$1"', "sh", copy], { check: true });
  assert.match(listed.stdout, /^-r-------- .* urunc\/env$/m);
  assert.match(listed.stdout, /^-r-------- .* urunc\/args$/m);
});

testIf("environment: what cannot be carried is refused with its length, and leaves nothing", {
  needs,
}, async () => {
  const cases: [options: ContainerOptions, says: RegExp][] = [
    [{ env: [`A=${"x".repeat(5000)}`] }, /50\d\d bytes long.*at most 2047.*initial RAM disk/],
    [
      { env: ["A=1"], annotations: { "com.urunc.unikernel.environment": "initrd" } },
      /com\.urunc\.unikernel\.environment.*no initial RAM disk/,
    ],
    [{ annotations: { "com.urunc.unikernel.environment": "ps" } }, /supported: cmdline, initrd/],
    [{ annotations: { "com.urunc.unikernel.stop": "never" } }, /supported: auto, button/],
  ];
  for (const [options, says] of cases) {
    await using scope = new Scope();
    const container = await doubleContainer(scope, "", {
      unikernelType: "linux",
      args: ["/init"],
      ...options,
    });
    assertFailed(await container.create(), [says]);
    assertNothingLeft(container);
  }
});
