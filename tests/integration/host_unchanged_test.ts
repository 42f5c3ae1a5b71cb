/** The host and the bundle are as before, whatever a container does and whatever its image holds. */
import assert from "node:assert/strict";
import { guestKernel } from "../support/fixtures.ts";
import { assertNoLeaks, takeSnapshot } from "../support/leaks.ts";
import { run } from "../support/process.ts";
import {
  assertFailed,
  assertNothingLeft,
  assertSucceeded,
  Container,
  doubleContainer,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

const needs = ["root", "gcc"];

/** Every file below a directory: type, owner, mode, times, a hash of a small one; by path. */
async function describeTree(directory: string): Promise<Record<string, string>> {
  const tree: Record<string, string> = {};
  const visit = async (path: string) => {
    const { uid, gid, mode, size, mtime, ctime, isDirectory, isSymlink, isFile } = Deno.lstatSync(
      path,
    );
    const content = isSymlink
      ? Deno.readLinkSync(path)
      : isFile && size < 1e6
      ? new Uint8Array(await crypto.subtle.digest("SHA-256", Deno.readFileSync(path))).toHex()
      : "";
    const times = `${mtime?.getTime()} ${ctime?.getTime()}`;
    tree[path] = `${uid}:${gid} ${mode?.toString(8)} ${size} ${times} ${content}`;
    if (!isDirectory) return;
    for (const { name } of Deno.readDirSync(path)) await visit(`${path}/${name}`);
  };
  await visit(directory);
  return tree;
}

/** What is in the host's directories that are bound into the clean room. */
function libraryNames(): string[] {
  return ["/usr/lib", "/usr/lib64", "/lib", "/lib64"].flatMap((directory) =>
    [...Deno.readDirSync(directory)].map(({ name }) => `${directory}/${name}`)
  ).sort();
}

async function throughItsLife(container: Container, output: string): Promise<void> {
  const pid = await container.mustCreate();
  assertSucceeded(await container.start(), "start");
  await container.waitForOutput(output);
  assertSucceeded(await container.kill("KILL"), "kill");
  await container.waitForStatus("stopped");
  assertSucceeded(await container.delete(), "delete");
  assertNothingLeft(container, pid);
}

for (const accelerator of ["kvm", "tcg"] as const) {
  testIf(`host and bundle are as before a guest on ${accelerator}`, {
    needs: ["root", "qemu-system-x86_64", ...(accelerator === "kvm" ? ["kvm"] : [])],
  }, async () => {
    await using scope = new Scope();
    const container = await Container.prepare(scope, {
      args: ["idle"],
      accelerator,
      memoryLimit: 256 << 20,
    });
    // Nobody but root reads this one: it is copied, and must stay as it is.
    await Deno.chmod(`${container.rootfs}/unikernel/guest.elf`, 0o600);
    const [before, bundle, names] = [
      takeSnapshot(),
      await describeTree(container.bundle),
      libraryNames(),
    ];
    await throughItsLife(container, "idle");
    assert.deepEqual(await describeTree(container.bundle), bundle);
    assert.deepEqual(libraryNames(), names);
    assertNoLeaks(before, takeSnapshot(), new RegExp(`^host file|${container.id}`));
  });
}

testIf("host and bundle are as before a create that fails", { needs }, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle", {
    edit: (config) => {
      config.hooks = { createContainer: [{ path: "/bin/false" }] };
    },
  });
  const [before, bundle] = [takeSnapshot(), await describeTree(container.bundle)];
  assertFailed(await container.create(), ["createContainer hook /bin/false"]);
  assert.deepEqual(await describeTree(container.bundle), bundle);
  assertNoLeaks(before, takeSnapshot(), new RegExp(`^host file|${container.id}`));
  assertNothingLeft(container);
});

const KERNEL = "unikernel/guest.elf";

interface HostileImage {
  name: string;
  /** @param trap a host directory with the files `secret` and `unikernel/guest.elf` */
  prepare(rootfs: string, trap: string): void | Promise<void>;
  /** What create fails with; otherwise it must work. */
  fails?: string[];
}

const special = (kind: string, text: string): HostileImage => ({
  name: `the kernel is ${text}`,
  prepare: async (rootfs) => {
    Deno.removeSync(`${rootfs}/${KERNEL}`);
    await run(["mknod", `${rootfs}/${KERNEL}`, ...kind.split(" ")], { check: true });
  },
  fails: ["/unikernel/guest.elf", `it is ${text}, not a regular file`],
});

function linkKernel(target: (trap: string) => string): HostileImage["prepare"] {
  return (rootfs, trap) => {
    Deno.removeSync(`${rootfs}/${KERNEL}`);
    Deno.symlinkSync(target(trap), `${rootfs}/${KERNEL}`);
  };
}

const json = (name: string, write: (path: string) => void, says: string): HostileImage => ({
  name: `urunc.json is ${name}`,
  prepare: (rootfs) => {
    Deno.removeSync(`${rootfs}/urunc.json`);
    write(`${rootfs}/urunc.json`);
  },
  fails: ["urunc.json", says],
});

const IMAGES: HostileImage[] = [
  {
    name: "/dev, /proc, /sys, /tmp, /guest and /usr are links to the host",
    prepare: (rootfs, trap) => {
      for (const name of ["dev", "proc", "sys", "tmp", "guest", "usr", "lib", "lib64", "var"]) {
        Deno.symlinkSync(name === "dev" || name === "tmp" ? `/${name}` : trap, `${rootfs}/${name}`);
      }
    },
  },
  {
    name: "links stand where the clean room puts its own files",
    prepare: (rootfs, trap) => {
      Deno.mkdirSync(`${rootfs}/guest`);
      Deno.mkdirSync(`${rootfs}/dev/net`, { recursive: true });
      for (const name of ["guest/kernel", "guest/initrd", "dev/kvm", "dev/net/tun"]) {
        Deno.symlinkSync(`${trap}/secret`, `${rootfs}/${name}`);
      }
    },
  },
  {
    name: "the kernel's directory is a link to the host",
    prepare: (rootfs, trap) => {
      Deno.removeSync(`${rootfs}/unikernel`, { recursive: true });
      Deno.symlinkSync(`${trap}/unikernel`, `${rootfs}/unikernel`);
    },
    fails: ["/unikernel/guest.elf", "no such file"],
  },
  {
    name: "the kernel is a link to a host file by its path",
    prepare: linkKernel((trap) => `${trap}/secret`),
    fails: ["/unikernel/guest.elf", "no such file"],
  },
  {
    name: "the kernel is a link to a host file by many dots",
    prepare: linkKernel((trap) => `${"../".repeat(30)}${trap}/secret`),
    fails: ["/unikernel/guest.elf", "no such file"],
  },
  {
    name: "the kernel is a link to /proc/self/root",
    prepare: (rootfs, trap) => {
      Deno.mkdirSync(`${rootfs}/proc/self`, { recursive: true });
      Deno.symlinkSync("/", `${rootfs}/proc/self/root`);
      return linkKernel(() => `/proc/self/root${trap}/secret`)(rootfs, trap);
    },
    fails: ["/unikernel/guest.elf", "no such file"],
  },
  {
    name: "the kernel is a dangling link",
    prepare: linkKernel(() => "/no/such/file"),
    fails: ["/unikernel/guest.elf", "no such file"],
  },
  {
    name: "the kernel is a link to itself",
    prepare: linkKernel(() => "guest.elf"),
    fails: ["/unikernel/guest.elf", "too many symbolic links"],
  },
  {
    name: "the kernel is a directory",
    prepare: (rootfs) => {
      Deno.removeSync(`${rootfs}/${KERNEL}`);
      Deno.mkdirSync(`${rootfs}/${KERNEL}`);
    },
    fails: ["/unikernel/guest.elf", "it is a directory, not a regular file"],
  },
  special("p", "a FIFO"),
  special("c 1 3", "a character device"),
  special("b 7 0", "a block device"),
  {
    name: "the kernel is empty",
    prepare: (rootfs) => Deno.truncateSync(`${rootfs}/${KERNEL}`),
    fails: ["/unikernel/guest.elf", "it is an empty file"],
  },
  {
    name: "urunc.json is a link to the host, so that there is none",
    prepare: (rootfs, trap) => {
      Deno.renameSync(`${rootfs}/urunc.json`, `${trap}/urunc.json`);
      Deno.symlinkSync(`${trap}/urunc.json`, `${rootfs}/urunc.json`);
    },
    fails: ["/urunc.json", "symbolic link", "nothing in the image"],
  },
  json("a directory", (path) => Deno.mkdirSync(path), "it is a directory"),
  json("no JSON", (path) => Deno.writeTextFileSync(path, "{"), "JSON"),
  json("a JSON array", (path) => Deno.writeTextFileSync(path, "[]"), "object"),
  json("not UTF-8", (path) => Deno.writeFileSync(path, new Uint8Array([0x7b, 0xff])), "UTF-8"),
  json("of 1 TB", (path) => {
    Deno.writeTextFileSync(path, "{}");
    Deno.truncateSync(path, 1e12);
  }, "are allowed"),
  {
    name: "urunc.json is a FIFO",
    prepare: async (rootfs) => {
      Deno.removeSync(`${rootfs}/urunc.json`);
      await run(["mkfifo", `${rootfs}/urunc.json`], { check: true });
    },
    fails: ["urunc.json", "it is a FIFO"],
  },
];

for (const { name, prepare, fails } of IMAGES) {
  testIf(`hostile image: ${name}`, { needs }, async () => {
    await using scope = new Scope();
    const trap = await scope.temporaryDirectory("trap");
    await Deno.writeTextFile(`${trap}/secret`, "of the host");
    await Deno.mkdir(`${trap}/unikernel`);
    await Deno.copyFile(guestKernel, `${trap}/unikernel/guest.elf`);
    const container = await doubleContainer(scope, "print there; list /guest; idle");
    await prepare(container.rootfs, trap);

    const [before, host, bundle] = [
      takeSnapshot(),
      await describeTree(trap),
      await describeTree(container.bundle),
    ];
    if (fails === undefined) await throughItsLife(container, "there\n[");
    else {
      assertFailed(await container.create(), fails);
      assertNothingLeft(container);
    }
    assert.deepEqual(await describeTree(trap), host);
    assert.deepEqual(await describeTree(container.bundle), bundle);
    assertNoLeaks(before, takeSnapshot(), new RegExp(`^host file|${container.id}`));
  });
}

testIf("a kernel that is a link is found inside the image", {
  needs: ["root", "qemu-system-x86_64"],
}, async () => {
  await using scope = new Scope();
  const container = await Container.prepare(scope, { args: ["hello"], accelerator: "tcg" });
  Deno.mkdirSync(`${container.rootfs}/etc`);
  Deno.renameSync(`${container.rootfs}/${KERNEL}`, `${container.rootfs}/etc/shadow`);
  Deno.symlinkSync("/etc/shadow", `${container.rootfs}/${KERNEL}`);
  assert.equal((await container.run()).stdout, "Hello from a urunc guest\n");
});

testIf("annotations name files of the image, whatever they say", { needs }, async () => {
  await using scope = new Scope();
  const names = [
    "/etc/shadow",
    "/proc/self/exe",
    "/usr/bin/qemu-system-x86_64",
  ];
  for (const binary of names) {
    const container = await doubleContainer(scope, "idle", {
      annotations: { "com.urunc.unikernel.binary": binary },
    });
    assertFailed(await container.create(), [binary, "no such file"]);
    assertNothingLeft(container);
  }
  for (const binary of ["../../etc/shadow", "/a,b", "/a=b", "/a\nb", "/a b", "/a;b", "/ä"]) {
    const container = await doubleContainer(scope, "idle", {
      annotations: { "com.urunc.unikernel.binary": binary },
    });
    assertFailed(await container.create(), ["com.urunc.unikernel.binary"]);
    assertNothingLeft(container);
  }
});

/**
 * renameat2(2) with RENAME_EXCHANGE, by its number on x86-64: at no time is there no file.
 * Bursts, to fall between one system call of a start and the next, and pauses as long as a whole
 * start: without them hardly any container runs, and sometimes none in a hundred.
 */
const SWAP = `while (1) {
  for (0 .. rand 80) {
    syscall(316, -100, $ARGV[0], -100, $ARGV[1], 2);
    select(undef, undef, undef, 0.0002);
  }
  select(undef, undef, undef, rand 0.04);
}`;

testIf("swapping the kernel's path while 100 containers start shows no host file", {
  needs: [...needs, "perl"],
}, async () => {
  await using scope = new Scope();
  const trap = await scope.temporaryDirectory("trap");
  const secret = `${trap}/secret`;
  await Deno.writeTextFile(secret, "of the host");
  const container = await doubleContainer(scope, "list /guest");
  const kernel = `${container.rootfs}/${KERNEL}`;
  Deno.symlinkSync(secret, `${kernel}.file-link`);
  Deno.symlinkSync(trap, `${container.rootfs}/directory-link`);
  for (
    const [one, other] of [
      [kernel, `${kernel}.file-link`],
      [`${container.rootfs}/unikernel`, `${container.rootfs}/directory-link`],
    ]
  ) {
    const child = new Deno.Command("perl", { args: ["-e", SWAP, one!, other!] }).spawn();
    scope.defer("end the swapping", async () => {
      child.kill("SIGKILL");
      await child.status;
    });
  }
  const host = await describeTree(trap);
  const size = Deno.statSync(guestKernel).size;
  const counts = { ran: 0, refused: 0 };
  // Which of both happens is chance: a hundred times, and on until each has been seen.
  const seen = () => counts.ran > 0 && counts.refused > 0;
  for (let round = 0; round < 100 || (!seen() && round < 600); round++) {
    const { code, stdout, stderr } = await container.run();
    if (code === 0) {
      counts.ran++;
      const [file] = JSON.parse(stdout);
      assert.deepEqual([file.name, file.size, file.type], ["kernel", size, "file"]);
    } else {
      counts.refused++;
      assert.match(stderr, /no such file|not a directory|is a symbolic link/);
    }
    assert.ok(!container.exists());
  }
  assert.ok(seen(), JSON.stringify(counts));
  assert.deepEqual(await describeTree(trap), host);
});
