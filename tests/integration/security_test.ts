/** What a hostile monitor, image or neighbour tries, and what a careless caller lets them have. */
import assert from "node:assert/strict";
import { run, waitFor } from "../support/process.ts";
import {
  assertFailed,
  assertNothingLeft,
  assertSucceeded,
  doubleContainer,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { urunc } from "../support/urunc.ts";
import { RUN_PREFIX } from "../support/mark.ts";

const needs = ["root", "gcc"];

const ROOT = { uid: 0, gid: 0 };

/** A process of uid 0 as a monitor is one: without any capability. */
const POWERLESS_ROOT = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"];

testIf("no other process of its uid gets into init, which is root still in some threads", {
  needs: [...needs, "setpriv"],
}, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle", { user: ROOT });
  const pid = await container.mustCreate();
  const attempts = [
    // The memory that it shares with threads which have all capabilities until the exec.
    `exec 9<>/proc/${pid}/mem`,
    // The runtime's own executable, to be written once nobody executes it (CVE-2019-5736).
    `exec 9</proc/${pid}/exe`,
    `exec 9</proc/${pid}/root/`,
    `exec 9</proc/${pid}/fd/1`,
  ];
  for (const attempt of attempts) {
    const { code, stderr } = await run([...POWERLESS_ROOT, "sh", "-c", attempt]);
    assert.notEqual(code, 0, `${attempt} succeeded`);
    assert.match(stderr, /Permission denied/, attempt);
  }
});

/**
 * Keyrings by their system calls (linux/keyctl.h, asm/unistd_64.h: add_key is 248, keyctl is 250).
 * `fill UID` uses up that user's quota of keys; `session COMMAND…` runs a command in a session
 * keyring that is not empty.
 */
const KEYRINGS = `
my ($what, @rest) = @ARGV;
my ($type, $name, $payload) = ("user", "urunc-test-secret", "secret");
if ($what eq "fill") {
  $( = $) = $< = $> = $rest[0];
  for (my $i = 0; ; $i++) {
    $name = "urunc-test-$i";
    last if syscall(248, $type, $name, $payload, length $payload, -2) < 0;
  }
  $| = 1;
  print "full: $!\\n";
  sleep 60;
}
my $session = "urunc-test-session";
syscall(250, 1, $session) > 0 or die "join: $!";
syscall(248, $type, $name, $payload, length $payload, -3) > 0 or die "add: $!";
exec @rest;
`;

testIf("the caller's keys are out of reach, also when the user's quota of keys is used up", {
  needs: [...needs, "perl"],
}, async () => {
  await using scope = new Scope();
  const user = { uid: 54321, gid: 54321 };
  const output = `${await scope.temporaryDirectory("keys")}/output`;
  const hoarder = new Deno.Command("sh", {
    args: ["-c", 'exec perl -e "$1" fill 54321 >"$2"', "sh", KEYRINGS, output],
    stdin: "null",
  }).spawn();
  scope.defer("end the hoarder of keys", async () => {
    hoarder.kill("SIGKILL");
    await hoarder.status;
  });
  await waitFor(
    () => {
      try {
        return Deno.readTextFileSync(output).startsWith("full: Disk quota exceeded") || undefined;
      } catch {
        return undefined;
      }
    },
    { timeoutSeconds: 10, what: "the quota to be used up" },
  );

  const container = await doubleContainer(scope, "report; idle", { user });
  const wrapper = ["perl", "-e", KEYRINGS, "session"];
  assertSucceeded(await container.create({ wrapper }), "create");
  assertSucceeded(await container.start(), "start");
  const { sessionKeyring, sessionKeyringDescription } = await container.report();
  assert.ok(sessionKeyring > 0, "it has a session keyring");
  assert.doesNotMatch(sessionKeyringDescription, /urunc-test-session/);
});

testIf("a monitor that owns the host's device node cannot change it", {
  needs: [...needs, "kvm", "setpriv"],
}, async () => {
  await using scope = new Scope();
  const mode = () => (Deno.statSync("/dev/kvm").mode ?? 0) & 0o7777;
  const before = mode();
  scope.defer("restore the mode of /dev/kvm", () => Deno.chmodSync("/dev/kvm", before));
  for (const access of ["private", "groups"]) {
    const container = await doubleContainer(scope, "report; open /dev/kvm rw; idle", {
      user: ROOT,
      configuration: `device_access = "${access}"`,
    });
    await container.mustStart();
    const pid = await container.monitorPid();
    assert.deepEqual((await container.report()).dev.map(({ name }) => name), ["kvm"]);
    await container.waitForOutput('{"errno":0}');
    const chmod = ["chmod", "0606", `/proc/${pid}/root/dev/kvm`];
    const { code, stderr } = await run([...POWERLESS_ROOT, ...chmod]);
    assert.notEqual(code, 0, `${access}: chmod succeeded`);
    assert.match(stderr, /Read-only file system/, access);
    assert.equal(mode(), before, `${access}: the host's node has another mode`);
  }
});

testIf("a directory as a standard file is refused: the monitor could leave its root by it", {
  needs,
}, async () => {
  await using scope = new Scope();
  for (const fd of [0, 1, 2]) {
    const container = await doubleContainer(scope, "idle", { user: ROOT });
    const wrapper = ["sh", "-c", `exec "$@" ${fd}</`, "sh"];
    const { code } = await container.create({ wrapper });
    assert.equal(code, 1, `descriptor ${fd}`);
    assertNothingLeft(container);
  }
});

testIf("the caller's umask does not close the monitor's root to the monitor", {
  needs,
}, async () => {
  await using scope = new Scope();
  for (const umask of ["0777", "0077", "0"]) {
    const container = await doubleContainer(scope, "report; idle");
    const wrapper = ["sh", "-c", `umask ${umask}; exec "$@"`, "sh"];
    assertSucceeded(await container.create({ wrapper }), `create with umask ${umask}`);
    assertSucceeded(await container.start(), `start with umask ${umask}`);
    const { root, umask: own } = await container.report();
    assert.equal(own, 0o022);
    const open = root.filter(({ type, mode }) => type !== "symlink" && mode !== 0o755);
    assert.deepEqual(open, [], umask);
  }
});

testIf("a caller that ignores SIGCHLD gets its hooks waited for, and no foreign process killed", {
  needs: [...needs, "perl"],
}, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle", {
    edit: (config) => config.hooks = { createRuntime: [{ path: "/bin/true" }] },
  });
  const wrapper = ["perl", "-e", '$SIG{CHLD} = "IGNORE"; exec @ARGV'];
  assertSucceeded(await container.create({ wrapper }), "create");
});

testIf("no program is executed that others could have named in a state directory", {
  needs: ["root"],
}, async () => {
  await using scope = new Scope();
  const root = await scope.temporaryDirectory("root");
  const program = `${root}/program`;
  await Deno.writeTextFile(program, `#!/bin/sh\necho executed >${root}/ran\n`, { mode: 0o755 });
  await Deno.mkdir(`${root}/~oci/one`, { recursive: true });
  const state = () => urunc(["state", "one"], { root });
  await Deno.chmod(root, 0o700);
  assertFailed(await state(), ["find the OCI runtime of one", "one~runtime", "delete --force one"]);
  await Deno.writeTextFile(`${root}/~oci/one~runtime`, program);
  await Deno.chmod(root, 0o777);
  assertFailed(await state(), [`use state directory ${root}`, "others than its owner"]);
  await Deno.chmod(root, 0o700);
  await Deno.chown(root, 65534, 65534);
  assertFailed(await state(), [`use state directory ${root}`, "it belongs to uid 65534"]);
  assert.throws(() => Deno.statSync(`${root}/ran`), Deno.errors.NotFound);
  await Deno.chown(root, 0, 0);

  // Words that are no ids of containers, and the id of a guest before that of another container.
  for (const id of [".", ".."]) {
    assertFailed(await urunc(["state", id], { root }), ["use container id"]);
  }
  await Deno.mkdir(`${root}/two`);
  assertFailed(await urunc(["kill", "two", "one"], { root }), ["parse signal one"], 2);
  assert.throws(() => Deno.statSync(`${root}/ran`), Deno.errors.NotFound);
  assertSucceeded(await state());
  assert.equal(await Deno.readTextFile(`${root}/ran`), "executed\n");
});

/** A network namespace with an interface that a guest could take over. Returns its path. */
async function networkNamespace(scope: Scope, name: string): Promise<string> {
  const namespace = `${RUN_PREFIX}${name}`;
  await run(["ip", "netns", "add", namespace], { check: true });
  scope.defer(`delete ${namespace}`, () => run(["ip", "netns", "del", namespace]));
  for (
    const line of [
      "link add eth0 type veth peer name peer0",
      "address add 10.9.0.2/24 dev eth0",
      "link set eth0 up",
      "link set peer0 up",
      "route add default via 10.9.0.1",
    ]
  ) {
    await run(["ip", "-n", namespace, ...line.split(" ")], { check: true });
  }
  return `/run/netns/${namespace}`;
}

const linksOf = async (path: string) =>
  (await run(["nsenter", `--net=${path}`, "ip", "-br", "link"], { check: true })).stdout;

testIf("the host's own network and its sysctls cannot be reached by naming its namespace", {
  needs: [...needs, "ip", "nsenter"],
}, async () => {
  await using scope = new Scope();
  const host = await networkNamespace(scope, "host");
  const cases: { type: string; path: string; sysctl: Record<string, string> }[] = [
    { type: "network", path: host, sysctl: {} },
    { type: "network", path: host, sysctl: { "net.ipv4.ip_forward": "1" } },
    { type: "ipc", path: "/proc/self/ns/ipc", sysctl: { "kernel.shmmni": "4000" } },
    { type: "uts", path: "/proc/self/ns/uts", sysctl: { "kernel.domainname": "changed" } },
  ];
  for (const { type, path, sysctl } of cases) {
    const container = await doubleContainer(scope, "idle", {
      namespaces: [{ type: "pid" }, { type: "mount" }, { type, path }],
      edit: (config) => {
        delete config.hostname;
        (config.linux as Record<string, unknown>).sysctl = sysctl;
      },
    });
    const wrapper = ["nsenter", `--net=${host}`];
    assertFailed(await container.create({ wrapper }), [
      "linux.namespaces[2].path",
      `the runtime's own ${type} namespace`,
    ]);
    assertNothingLeft(container);
  }
  assert.doesNotMatch(await linksOf(host), /tap/);
});

testIf("delete touches no network namespace that only has the path of the container's", {
  needs: [...needs, "ip", "nsenter", "mount"],
}, async () => {
  await using scope = new Scope();
  const path = await networkNamespace(scope, "first");
  const other = await networkNamespace(scope, "second");
  const container = await doubleContainer(scope, "idle", {
    namespaces: [{ type: "pid" }, { type: "mount" }, { type: "uts" }, { type: "network", path }],
  });
  await container.mustCreate();
  assert.match(await linksOf(path), /tap0_urunc/);

  await run(["mount", "--bind", other, path], { check: true });
  let mounted = true;
  const unmount = async () => {
    if (mounted) await run(["umount", path], { check: true });
    mounted = false;
  };
  scope.defer("unmount", unmount);
  const tap = ["ip", "tuntap", "add", "tap0_urunc", "mode", "tap", "vnet_hdr"];
  await run(["nsenter", `--net=${other}`, ...tap], { check: true });

  assertSucceeded(await container.delete("--force"), "delete");
  assert.match(await linksOf(other), /tap0_urunc/);
});

testIf("processes of a named mount namespace cannot get hooks to run their files", {
  needs: [...needs, "unshare", "mount"],
}, async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("hostile");
  const [hostile, hook] = [`${directory}/hostile`, `${directory}/hook`];
  await Deno.writeTextFile(hook, `#!/bin/sh\necho harmless >${directory}/ran\n`, { mode: 0o755 });
  await Deno.writeTextFile(hostile, `#!/bin/sh\necho hostile >${directory}/ran\n`, { mode: 0o755 });
  const script = 'mount --bind "$1" "$2" && exec sleep 60';
  const holder = new Deno.Command("unshare", {
    args: ["--mount", "--propagation", "private", "sh", "-c", script, "sh", hostile, hook],
  }).spawn();
  scope.defer("end the holder", async () => {
    holder.kill("SIGKILL");
    await holder.status;
  });
  const mounts = `/proc/${holder.pid}/mountinfo`;
  await waitFor(() => Deno.readTextFileSync(mounts).includes(` ${hook} `), {
    timeoutSeconds: 5,
    what: "the mount",
  });

  const cases: [path: string, ran: string | undefined, error: string][] = [
    [`/proc/${holder.pid}/ns/mnt`, "harmless\n", ""],
    ["/proc/self/ns/net", undefined, "not a mount namespace"],
    ["/etc/passwd", undefined, "not a namespace"],
    ["/no/such/path", undefined, "ENOENT"],
  ];
  for (const [path, ran, error] of cases) {
    const container = await doubleContainer(scope, "idle", {
      namespaces: [{ type: "pid" }, { type: "uts" }, { type: "mount", path }],
      edit: (config) => config.hooks = { createContainer: [{ path: hook }] },
    });
    const result = await container.create();
    if (ran === undefined) {
      assertFailed(result, ["linux.namespaces[2].path", error]);
    } else {
      assertSucceeded(result, "create");
      assert.equal(Deno.readTextFileSync(`${directory}/ran`), ran);
    }
  }
});
