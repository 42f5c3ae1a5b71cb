/** Mistakes of callers and operators: each error says what to do, and leaves nothing behind. */
import assert from "node:assert/strict";
import { commands } from "../../lib/cli/parser/commands.ts";
import { refusedVerbs } from "../../lib/cli/refused.ts";
import type { CommandResult } from "../support/process.ts";
import {
  assertFailed,
  assertNothingLeft,
  Container,
  type CreateCall,
  doubleContainer,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { run } from "../support/process.ts";
import { uruncBinary } from "../support/urunc.ts";

const needs = ["root", "gcc"];

testIf("the command line: what is wrong, what would be right, and code 2", {}, async () => {
  const cases: [args: string[], texts: string[]][] = [
    [[], ["no command is given", "urunc --help"]],
    [["crate", "x"], ["crate", 'did you mean "create"?', "--help"]],
    [["--rot", "/x", "list"], ["--rot", "--root"]],
    [["create", "--bundel", "/x", "id"], ["--bundel", "--bundle"]],
    [["create"], ["ID"]],
    [["start", "one", "two"], ["two", "an unexpected argument"]],
    [["list", "--format", "xml"], ["--format", "xml", "table, json"]],
    [["create", "--preserve-fds", "-1", "x"], ["--preserve-fds", "a number"]],
    [["--log-format", "x", "list"], ["--log-format", "text, json"]],
    [["list", "--format"], ["--format", "needs a value"]],
    [["--debug=yes", "list"], ["--debug", "takes no value"]],
    [["kill"], ["ID"]],
    // What only the command itself can tell.
    [["update", "--memory", "much", "x"], ["--memory", '"much" is not a number', "update --help"]],
    [["update", "--resources", "-", "--memory", "1m", "x"], ["--resources", "give either"]],
    [["events", "--interval", "5", "x"], ["--interval", '"5" is not a duration', "500ms"]],
    [["logs", "x"], ["logs", "docker logs", "--console"]],
    [["kernel"], ["kernel", "it needs ACTION"]],
    [["kernel", "ad", "/x"], ["kernel", '"ad" is not one of add, list, rm', "kernel --help"]],
    [["kernel", "add"], ["kernel", "add needs FILE"]],
    [["kernel", "rm"], ["kernel", "rm needs NAME"]],
    [["kernel", "list", "x"], ["kernel", "list takes no argument"]],
    [["completion", "sh"], ["sh", "not a supported shell", "bash, zsh, fish"]],
    // An internal command, when it is typed.
    [["init"], ["init", "only urunc itself calls it", "urunc create"]],
    [["init", "--help"], ["init", "only urunc itself calls it"]],
  ];
  await using scope = new Scope();
  const state = ["--root", await scope.temporaryDirectory("state")];
  for (const [args, texts] of cases) {
    const words = args[0] === "init" || args.length === 0 ? args : [...state, ...args];
    const result = await run([await uruncBinary(), ...words]);
    assert.equal(result.stdout, "");
    assertFailed(result, texts, 2);
    assert.match(result.stderr, /^urunc: .*\n$/);
  }
});

testIf("every command names a missing and an unexpected argument", {}, async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("cwd");
  const root = ["--root", `${directory}/state`];
  for (const [verb, spec] of Object.entries(commands)) {
    const { positionals } = spec;
    const words = Object.entries<{ metavar: string; default?: string }>(positionals);
    const missing = words.filter(([, it]) => it.default === undefined).length > 0;
    const superfluous = [...words.map(([name]) => name), "surplus"];
    // Of some, all that follows is a command for the container.
    const cases: [string[], string][] = "rest" in spec ? [] : [[superfluous, "surplus"]];
    if (missing) cases.push([[], "it needs"]);
    for (const [args, text] of cases) {
      const result = await run([await uruncBinary(), ...root, verb, ...args], { cwd: directory });
      assert.equal(result.stdout, "");
      assertFailed(result, [`parse command line ${verb}`, text, `urunc ${verb} --help`], 2);
    }
  }
  assert.deepEqual([...Deno.readDirSync(directory)], []);
});

testIf("every command on a container reports a missing one", {}, async () => {
  await using scope = new Scope();
  const root = `${await scope.temporaryDirectory("root")}/state`;
  const options: Record<string, string[]> = {
    update: ["--memory", "1g"],
    events: ["--stats"],
    logs: ["--console"],
  };
  const makers = ["create", "run"];
  const verbs = Object.entries(commands)
    .filter(([verb, { positionals }]) => "id" in positionals && !makers.includes(verb))
    .map(([verb]) => verb);
  assert.ok(verbs.length >= 8, verbs.join(" "));
  for (const verb of verbs) {
    const command = verb === "exec" ? ["true"] : [];
    const words = ["--root", root, verb, ...options[verb] ?? [], "nobody", ...command];
    assertFailed(await run([await uruncBinary(), ...words]), ['"nobody" does not exist']);
  }
});

testIf("spec never overwrites a file, and reports where it cannot write", {}, async () => {
  await using scope = new Scope();
  const bundle = await scope.temporaryDirectory("bundle");
  const spec = async (directory: string) =>
    run([await uruncBinary(), "spec", "--bundle", directory]);
  assert.equal((await spec(bundle)).code, 0);
  await Deno.writeTextFile(`${bundle}/config.json`, "mine");
  assertFailed(await spec(bundle), [`${bundle}/config.json`, "is there already", "remove it"]);
  assert.equal(await Deno.readTextFile(`${bundle}/config.json`), "mine");
  assertFailed(await spec(`${bundle}/none`), [`${bundle}/none`, "no such directory", "--bundle"]);
});

testIf("a usage error is written to the log that the command line names, too", {}, async () => {
  await using scope = new Scope();
  const log = `${await scope.temporaryDirectory("log")}/log.json`;
  const logging = ["--log", log, "--log-format", "json"];
  for (const args of [["crate", "x"], ["create", "--bundel", "/x"], ["create"]]) {
    const result = await run([await uruncBinary(), ...logging, ...args]);
    assertFailed(result, ["parse command line"], 2);
    assertLogged(result, log);
  }
});

testIf(
  "unsupported commands are rejected by name, whatever follows, and logged",
  {},
  async () => {
    const cases: [args: string[], texts: string[]][] = [
      [["checkpoint", "x"], ["checkpoint in container", "pause and resume"]],
      [["restore", "--bundle", "/x", "x"], ["restore in container", "create and start"]],
    ];
    await using scope = new Scope();
    const log = `${await scope.temporaryDirectory("log")}/log.json`;
    for (const [args, texts] of cases) {
      const logging = ["--log", log, "--log-format", "json"];
      const result = await run([await uruncBinary(), ...logging, ...args]);
      assert.equal(result.stdout, "");
      assertFailed(result, texts);
      assertLogged(result, log);
    }
  },
);

testIf("help and version are accepted everywhere", {}, async () => {
  const verbs = [...Object.keys(commands), ...Object.keys(refusedVerbs)];
  const cases = [
    ...[["--help"], ["-h"], ["help"], ["help", "--help"], ["help", "help"]],
    ...verbs.flatMap((verb) => [["help", verb], [verb, "--help"], [verb, "-h"]]),
  ];
  for (const args of cases) {
    const { code, stdout, stderr } = await run([await uruncBinary(), ...args]);
    assert.deepEqual([code, stderr], [0, ""], args.join(" "));
    assert.match(stdout, /^(urunc: |Usage: )/);
  }
  // That is what the guest's process would be asked for; there is no such container.
  const { code } = await run([await uruncBinary(), "exec", "x", "ls", "--help"]);
  assert.equal(code, 1);
  const { stdout } = await run([await uruncBinary(), "--version"]);
  assert.match(stdout, /^urunc version \d+\.\d+\.\d+\n/);
});

testIf("output without a reader, or to a full disk: one line reports it", {}, async () => {
  for (const args of ["--version", "help spec", "features", "completion bash"]) {
    for (const to of [">/dev/full", "| true"]) {
      const script = `{ sleep 0.2; "$0" ${args}; echo "code $?" >&2; } ${to}`;
      const { stderr } = await run(["sh", "-c", script, await uruncBinary()]);
      assert.match(stderr, /^.*write to standard output: .*\ncode 1\n$/, `${args} ${to}`);
    }
  }
});

interface Case {
  name: string;
  args?: string[];
  globals?: string[];
  edit?: (config: Record<string, unknown> & { process: Record<string, unknown> }) => void;
  /** Operation, subject, reason and remedy. */
  says: (string | RegExp)[];
}

const CASES: Case[] = [
  {
    name: "a terminal that nobody takes",
    edit: ({ process }) => process.terminal = true,
    says: ["give a terminal process.terminal", "there is no receiver for it", "--console-socket"],
  },
  {
    name: "--console-socket without a terminal",
    args: ["--console-socket", "/x"],
    says: [
      "give a terminal --console-socket",
      "process.terminal is false in config.json",
      "leave the option out, or set process.terminal",
    ],
  },
  {
    name: "--no-pivot",
    args: ["--no-pivot"],
    says: ["parse command line --no-pivot", "pivot_root"],
  },
  {
    name: "--preserve-fds 1",
    args: ["--preserve-fds", "1"],
    says: ["parse command line --preserve-fds", "cannot be passed to a guest"],
  },
  {
    name: "a missing configuration",
    globals: ["--config", "/no/such/config.toml"],
    says: ["read configuration /no/such/config.toml", "no such file"],
  },
  {
    name: "no process",
    edit: (config) => delete (config as Record<string, unknown>).process,
    says: ["read config.json process", "required, but missing"],
  },
  {
    name: "a uid of a wrong type",
    edit: ({ process }) => process.user = { uid: "root", gid: 0 },
    says: ['process.user.uid: found the string "root"', "allowed: a whole number from 0"],
  },
  {
    name: "a uid that is too large",
    edit: ({ process }) => process.user = { uid: 2 ** 32, gid: 0 },
    says: ["process.user.uid", "4294967296", "allowed"],
  },
  {
    name: "the uid that means no change",
    edit: ({ process }) => process.user = { uid: 2 ** 32 - 1, gid: 0 },
    says: ["process.user.uid", "4294967295", "allowed"],
  },
  {
    name: "another version",
    edit: (config) => config.ociVersion = "2.0.0",
    says: ['ociVersion: found "2.0.0", allowed: 1.x.y'],
  },
  {
    name: "a user namespace without mappings",
    edit: (config) => config.linux = { namespaces: [{ type: "user" }] },
    says: ["linux.uidMappings: linux.namespaces has user, and there are no mappings"],
  },
  {
    name: "the runtime's own user namespace",
    edit: (config) => config.linux = { namespaces: [{ type: "user", path: "/proc/self/ns/user" }] },
    says: ["linux.namespaces[0].path", "is the runtime's own user namespace"],
  },
  {
    name: "a pod of CRI-O's in the node's network",
    edit: (config) => {
      config.annotations = {
        ...config.annotations as Record<string, string>,
        "io.kubernetes.cri-o.ContainerType": "container",
        "io.container.manager": "cri-o",
      };
      config.linux = { namespaces: [{ type: "uts" }] };
    },
    says: ["hostNetwork: true", "leave hostNetwork out of the pod"],
  },
  {
    name: "a user namespace that is none",
    edit: (config) => config.linux = { namespaces: [{ type: "user", path: "/proc/self/ns/net" }] },
    says: ["/proc/self/ns/net is no namespace to join: not a user namespace"],
  },
  {
    name: "a type twice",
    edit: (config) => config.linux = { namespaces: [{ type: "uts" }, { type: "uts" }] },
    says: ["linux.namespaces[1].type", "uts again", "each type once"],
  },
  {
    name: "a missing root file system",
    edit: (config) => config.root = { path: "no-such-directory" },
    says: ["open the root file system", "no-such-directory", "root.path in config.json"],
  },
  {
    name: "systemd's cgroup path",
    edit: (config) => (config.linux as Record<string, unknown>).cgroupsPath = "a.slice:b:c",
    says: ["plan cgroup", "a.slice:b:c", "systemd", "--systemd-cgroup", "cgroupfs"],
  },
  {
    name: "a cgroup path that leaves its place",
    edit: (config) => (config.linux as Record<string, unknown>).cgroupsPath = "/a/../../b",
    says: ["plan cgroup", "/a/../../b", '".." is not allowed'],
  },
];

for (const { name, args, globals, edit, says } of CASES) {
  testIf(`misuse: ${name}`, { needs }, async () => {
    await using scope = new Scope();
    const container = await doubleContainer(scope, "idle", { edit });
    const { root } = container;
    // On standard error for people, and in the log for programs.
    const log = `${await scope.temporaryDirectory("log")}/log.json`;
    const logging = ["--log", log, "--log-format", "json"];
    const words = ["create", "--bundle", container.bundle, ...args ?? [], container.id];
    const result = await container.urunc(words, { globals: [...logging, ...globals ?? []] });
    assertFailed(result, says);
    assertLogged(result, log);
    assertNothingLeft(container);
    assert.throws(() => Deno.lstatSync(root), Deno.errors.NotFound, "a state directory was made");
  });
}

/** The last line of the log is what callers show. */
function assertLogged({ stderr }: CommandResult, log: string): void {
  const last = JSON.parse(Deno.readTextFileSync(log).trimEnd().split("\n").at(-1)!);
  assert.equal(last.level, "error");
  // Warnings of what it read before are there, too.
  assert.equal(stderr.replaceAll(/^urunc: warning: .*\n/gm, ""), `urunc: ${last.msg}\n`);
  assert.ok(Math.abs(Date.parse(last.time) - Date.now()) < 60_000);
}

testIf(
  "misuse: a console socket that is not a socket, or without a listener",
  { needs },
  async () => {
    await using scope = new Scope();
    const container = await doubleContainer(scope, "idle", { terminal: true });
    const socket = `${await scope.temporaryDirectory("socket")}/socket`;
    const create = () => container.create({ args: ["--console-socket", socket] });
    assertFailed(await create(), ["sendTerminal", socket, "ENOENT"]);
    await Deno.writeTextFile(socket, "");
    assertFailed(await create(), ["sendTerminal", socket, "ECONNREFUSED"]);
    await Deno.remove(socket);
    // A socket's file may outlive who listened; Deno removes the one it made.
    const listener = Deno.listen({ transport: "unix", path: `${socket}.made` });
    await Deno.link(`${socket}.made`, socket);
    listener.close();
    assertFailed(await create(), ["sendTerminal", socket, "ECONNREFUSED"]);
    assertNothingLeft(container);
  },
);

testIf("misuse: invalid bundles", { needs }, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle");
  const create = (bundle: string) => container.urunc(["create", "--bundle", bundle, container.id]);
  const config = `${container.bundle}/config.json`;
  assertFailed(await create("/no/such/bundle"), [
    "read bundle /no/such/bundle/config.json",
    "no such file",
    "--bundle names the directory",
  ]);
  assertFailed(await create(container.rootfs), [`${container.rootfs}/config.json`, "no such file"]);
  const contents: [content: string | Uint8Array, says: string][] = [
    ["", "not JSON"],
    ["{", "not JSON"],
    ["[]", "an object"],
    ["null", "an object"],
    [new Uint8Array([0x22, 0xff, 0x22]), "not UTF-8"],
    ["[".repeat(100_000), "not JSON"],
    [" ".repeat(3 << 20), "bytes"],
  ];
  for (const [content, says] of contents) {
    if (typeof content === "string") await Deno.writeTextFile(config, content);
    else await Deno.writeFile(config, content);
    assertFailed(await create(container.bundle), [says]);
  }
  await Deno.remove(config);
  await run(["mkfifo", config], { check: true });
  assertFailed(await create(container.bundle), [config]);
  assertNothingLeft(container);
});

testIf("misuse: the bundle is where the caller is, also when that was deleted", {
  needs,
}, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle");
  const { code, stderr } = await container.urunc(["create", container.id], {
    cwd: container.bundle,
  });
  assert.equal(code, 0, stderr);
  assert.equal((await container.state()).bundle, container.bundle);
  await container.delete("--force");

  const gone = await scope.temporaryDirectory("gone");
  const wrapper = ["sh", "-c", `cd ${gone}; rmdir ${gone}; exec "$@"`, "sh"];
  await container.mustCreate({ wrapper });
  assert.equal((await container.state()).bundle, container.bundle);
});

testIf("misuse: an ordinary user gets an error about rootless mode", {
  needs: [...needs, "setpriv"],
}, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle");
  const user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
  // Where the user could write.
  const root = `${await scope.temporaryDirectory("user")}/state`;
  await Deno.chmod(root.replace(/\/state$/, ""), 0o777);
  for (const verb of ["create", "run"]) {
    const words = ["--root", root, verb, "--bundle", container.bundle, container.id];
    const result = await run([...user, await uruncBinary(), ...words]);
    assertFailed(result, [
      "create container",
      "as uid 65534",
      "rootless mode is not supported",
      "run it as root",
    ]);
    assert.throws(() => Deno.lstatSync(root), Deno.errors.NotFound);
  }
  const { code, stdout } = await run([...user, await uruncBinary(), "--version"]);
  assert.deepEqual([code, stdout.startsWith("urunc version ")], [0, true]);
});

testIf("misuse: root of a user namespace gets an error about rootless mode", {
  needs: [...needs, "setpriv"],
}, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle");
  const user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
  const call = [await uruncBinary(), "create", "--bundle", container.bundle, container.id];
  const result = await run([...user, "unshare", "--user", "--map-root-user", ...call]);
  assertFailed(result, ["runs in a user namespace", "rootless mode is not supported"]);
});

testIf("misuse: a monitor that is a script", { needs }, async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("script");
  const script = `${directory}/monitor`;
  await Deno.writeTextFile(script, "#!/bin/sh\n", { mode: 0o755 });
  const config = `${directory}/config.toml`;
  await Deno.writeTextFile(config, `accelerator = "tcg"\n[monitors.qemu]\npath = "${script}"\n`);
  const container = await doubleContainer(scope, "idle", { config });
  assertFailed(await container.create(), [script, "it is not a program", "a script cannot run"]);
  assertNothingLeft(container);
});

testIf("misuse: state directories and logs that cannot be written", { needs }, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle");
  for (const root of ["/dev/null/state", "/proc/urunc-test"]) {
    const create = ["create", "--bundle", container.bundle, "x"];
    assertFailed(await container.urunc(create, { root }), [
      `use state directory ${root}`,
      "--root",
    ]);
  }
  const other = await doubleContainer(scope, "idle", { globals: ["--log", "/no/such/log"] });
  await other.editConfig((config) => delete config.process);
  assertFailed(await other.create(), ["write log /no/such/log", "read config.json process"]);
  assertNothingLeft(other);
});

testIf("misuse: an image with an incomplete description", { needs }, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle");
  await Deno.writeTextFile(`${container.rootfs}/urunc.json`, "{}");
  assertFailed(await container.create(), [
    "com.urunc.unikernel.unikernelType",
    "required, but missing",
    "elf",
  ]);
  assertNothingLeft(container);
});

testIf("misuse: a kernel for another processor", { needs }, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle");
  const path = "/unikernel/guest.elf";
  const kernel = await Deno.readFile(`${container.rootfs}${path}`);
  // e_machine of elf(5).
  new DataView(kernel.buffer).setUint16(18, 183, true);
  await Deno.writeFile(`${container.rootfs}${path}`, kernel);
  assertFailed(await container.create(), [
    `read the guest's kernel ${path}`,
    "another processor, arm64",
    "linux/amd64",
  ]);
  assertNothingLeft(container);
});

testIf("misuse: an impossible configuration", { needs }, async () => {
  const cases: [toml: string, texts: string[]][] = [
    ["device_access = 1", ["read the configuration device_access", "the number 1", "private"]],
    ["devise_access = 'private'", ["devise_access", 'did you mean "device_access"?']],
    ["= 1", ["line 2", "not TOML"]],
    ["[monitors.qemu]\ncapabilities = ['CAP_NO']", ["monitors.qemu.capabilities[0]", "CAP_NO"]],
    ["[monitors.qemu]\npath = '/no/such/qemu'", ["/no/such/qemu", "monitors.qemu"]],
    ["[monitors.qemu]\npath = '/etc/hostname'", ["/etc/hostname"]],
    ["[monitors.qemu]\ndata_paths = ['/no/such/data']", ["/no/such/data"]],
  ];
  for (const [toml, texts] of cases) {
    await using scope = new Scope();
    const config = `${await scope.temporaryDirectory("config")}/config.toml`;
    await Deno.writeTextFile(config, `accelerator = "tcg"\n${toml}\n`);
    const container = await Container.prepare(scope, { config });
    const result = await container.create();
    assertFailed(result, texts);
    // What is wrong with the text, and not with the path that it names.
    if (!texts[0]!.startsWith("/")) assertFailed(result, [`it is in ${config}`]);
    assertNothingLeft(container);
  }
});

/** In a mount namespace of its own: `/dev` as the script makes it. */
function withDevices(script: string): CreateCall {
  return { wrapper: ["unshare", "--mount", "sh", "-c", `set -e; ${script}; exec "$@"`, "sh"] };
}

const HIDDEN = "mount -t tmpfs -o mode=755 none /dev; mknod -m 666 /dev/null c 1 3";
/** What a node of another kind looks like: it opens, and is no KVM. */
const NO_KVM = "mount --bind /dev/null /dev/kvm";
/** As on most machines, where udev makes it: root, the group of KVM, 0660. */
const GROUP_NODE = (directory: string) =>
  `mount -t tmpfs none ${directory}; mknod ${directory}/kvm c 10 232; ` +
  `chgrp 108 ${directory}/kvm; chmod 660 ${directory}/kvm; mount --bind ${directory}/kvm /dev/kvm`;

testIf("misuse: no /dev/kvm, or a file in its place: how to do without", {
  needs: [...needs, "kvm", "unshare"],
}, async () => {
  for (const [script, text] of [[HIDDEN, "/dev/kvm"], [NO_KVM, "/dev/kvm"]] as const) {
    await using scope = new Scope();
    const container = await doubleContainer(scope, "idle", { configuration: "" });
    assertFailed(await container.create(withDevices(script)), [
      `plan device ${text}`,
      '"com.urunc.unikernel.accelerator": "tcg"',
      'accelerator = "tcg" in the configuration',
    ]);
    assertNothingLeft(container);
  }
});

const GROUPS = 'device_access = "groups"';

testIf("device_access groups: refused without the group, with the flag that grants it", {
  needs: [...needs, "kvm", "unshare"],
}, async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("node");
  for (
    const [user, node] of [
      [{ uid: 65534, gid: 65534 }, GROUP_NODE(directory)],
      [{ uid: 65534, gid: 65534, additionalGids: [4, 27] }, GROUP_NODE(directory)],
    ] as const
  ) {
    const container = await doubleContainer(scope, "idle", {
      configuration: GROUPS,
      user: { ...user, additionalGids: [..."additionalGids" in user ? user.additionalGids : []] },
    });
    assertFailed(await container.create(withDevices(node)), [
      "plan device /dev/kvm",
      'device_access = "groups" is configured',
      "--group-add 108",
      "supplementalGroups: [108]",
    ]);
    assertNothingLeft(container);
  }
});

testIf("device_access groups: with the group a guest boots on the host's own node", {
  needs: ["root", "kvm", "unshare", "qemu-system-x86_64"],
}, async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("node");
  const config = `${await scope.temporaryDirectory("config")}/config.toml`;
  await Deno.writeTextFile(config, `${GROUPS}\n`);
  const user = { uid: 65534, gid: 65534, additionalGids: [108] };
  const container = await Container.prepare(scope, { config, user });
  assert.deepEqual(await container.run(withDevices(GROUP_NODE(directory))), {
    code: 0,
    stdout: "Hello from a urunc guest\n",
    stderr: "",
  });
  assertNothingLeft(container);
});
