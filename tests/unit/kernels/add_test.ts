import assert from "node:assert/strict";
import { addKernel } from "../../../lib/kernels/add.ts";
import { exists } from "../../../lib/os/files.ts";
import { KernelStore } from "../../../lib/kernels/store.ts";
import { makeBzImage, makeElf } from "../../support/kernels.ts";

const RELEASE = "6.1.2-test";

/** In the setup code, where the header points to. */
const VERSION_AT = 0x300;
/** The payload is after the boot sector and four sectors more. */
const PAYLOAD_AT = 5 * 512;

/** A bzImage with a release, and a payload. */
function makeImage(payload: Uint8Array = new Uint8Array()): Uint8Array<ArrayBuffer> {
  const image = new Uint8Array(PAYLOAD_AT + payload.length);
  image.set(makeBzImage());
  const view = new DataView(image.buffer);
  view.setUint16(0x20e, VERSION_AT - 0x200, true);
  image.set(new TextEncoder().encode(`${RELEASE} (somebody@somewhere) #1\0`), VERSION_AT);
  view.setUint32(0x24c, payload.length, true);
  image.set(payload, PAYLOAD_AT);
  return image;
}

const VIRTIO = "kernel/virtio_pci.ko\nkernel/virtio_console.ko\n";

/** Root of a distribution, with what a test says over a kernel that can be added. */
interface Distribution {
  image?: Uint8Array;
  files?: Record<string, string | Uint8Array>;
}

async function withDistribution(
  { image = makeImage(), files = {} }: Distribution,
  use: (root: string, store: KernelStore) => Promise<void> | void,
): Promise<void> {
  const root = Deno.makeTempDirSync();
  try {
    const modules = `${root}/usr/lib/modules/${RELEASE}`;
    Deno.mkdirSync(`${root}/boot`);
    Deno.mkdirSync(modules, { recursive: true });
    Deno.writeFileSync(`${root}/boot/vmlinuz-${RELEASE}`, image);
    const all = { "modules.builtin": VIRTIO, "modules.dep": "", ...files };
    for (const [name, content] of Object.entries(all)) {
      if (content === "") continue;
      if (typeof content === "string") Deno.writeTextFileSync(`${modules}/${name}`, content);
      else Deno.writeFileSync(`${modules}/${name}`, content);
    }
    if (!("modules.dep" in files)) Deno.writeTextFileSync(`${modules}/modules.dep`, "");
    await use(root, new KernelStore(`${root}/store/kernels`));
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
}

const fileIn = (root: string) => `${root}/boot/vmlinuz-${RELEASE}`;

function compressed(
  program: string,
  content: Uint8Array,
  args: string[] = [],
): Promise<Uint8Array> {
  const child = new Deno.Command(program, {
    args: [...args, "-c"],
    stdin: "piped",
    stdout: "piped",
  })
    .spawn();
  new Blob([new Uint8Array(content)]).stream().pipeTo(child.stdin);
  return new Response(child.stdout).bytes();
}

/** As `size_append` of the kernel's build has it. */
function withSize(packed: Uint8Array): Uint8Array {
  return new Uint8Array([...packed, 0, 1, 0, 0]);
}

function entries(store: KernelStore): string[] {
  try {
    return [...Deno.readDirSync(store.root)].map(({ name }) => name);
  } catch {
    return [];
  }
}

function unexpected(error: unknown): never {
  throw error;
}

/** That it is refused so, and nothing is left. */
async function requireRefused(
  distribution: Distribution,
  message: RegExp,
  more: { modules?: string; name?: string; with?: string[] } = {},
): Promise<void> {
  await withDistribution(distribution, async (root, store) => {
    await assert.rejects(addKernel(store, { file: fileIn(root), ...more }), { message });
    assert.deepEqual(entries(store), []);
  });
}

Deno.test("a kernel is stored with its modules, its ELF file, checksums and modes", async () => {
  const elf = makeElf();
  const module = makeElf({ type: 1 });
  const image = makeImage(await compressed("gzip", elf));
  const files = {
    "modules.dep": "fuse.ko.gz:\nvirtiofs.ko: fuse.ko.gz\n",
    "fuse.ko.gz": await compressed("gzip", module),
    "virtiofs.ko": module,
  };
  await withDistribution({ image, files }, async (root, store) => {
    const mask = Deno.umask(0o077);
    try {
      await addKernel(store, { file: fileIn(root) });
    } finally {
      Deno.umask(mask);
    }
    const { name, path, record } = store.open(RELEASE);
    assert.equal(name, RELEASE);
    assert.equal(record.release, RELEASE);
    assert.deepEqual(record.moduleNames, ["fuse", "virtiofs"]);
    assert.deepEqual(record.builtin, ["virtio_pci", "virtio_console"]);
    assert.deepEqual(Deno.readFileSync(`${path}/kernel`), image);
    assert.deepEqual(Deno.readFileSync(`${path}/kernel.elf`), elf);
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", image)).toHex();
    assert.deepEqual(record.image, { sha256: digest, bytes: image.length });
    const archive = new TextDecoder("latin1").decode(Deno.readFileSync(`${path}/modules.cpio`));
    for (const it of ["fuse.ko", "virtiofs.ko", "modules.dep"]) {
      assert.ok(archive.includes(`urunc/modules/${it}\0`), it);
    }
    assert.ok(archive.includes("virtiofs.ko: fuse.ko\n"));
    for (const it of Deno.readDirSync(path)) {
      assert.equal(Deno.statSync(`${path}/${it.name}`).mode! & 0o777, 0o644, it.name);
    }
    assert.equal(Deno.statSync(path).mode! & 0o777, 0o755);
    store.remove(RELEASE);
    assert.deepEqual(entries(store), []);
  });
});

for (const [program, args] of [["xz", ["-z"]], ["zstd", ["-q"]], ["lz4", ["-q", "-l"]]] as const) {
  Deno.test(`a kernel that is compressed by ${program} has its ELF file`, async () => {
    const elf = makeElf();
    const image = makeImage(withSize(await compressed(program, elf, [...args])));
    await withDistribution({ image }, async (root, store) => {
      const { path } = await addKernel(store, { file: fileIn(root), name: "mine" });
      assert.deepEqual(Deno.readFileSync(`${path}/kernel.elf`), elf);
    });
  });
}

Deno.test("a kernel without modules, and one that cannot be unpacked, are stored without", async () => {
  await withDistribution(
    { image: makeImage(new Uint8Array([1, 2, 3, 4])) },
    async (root, store) => {
      const { record } = await addKernel(store, { file: fileIn(root) });
      assert.deepEqual([record.elf, record.modules], [undefined, undefined]);
      assert.deepEqual(store.list(unexpected).map(({ name }) => name), [RELEASE]);
    },
  );
});

Deno.test("a name that is taken, impossible or unknown is refused", async () => {
  await withDistribution({}, async (root, store) => {
    const kernel = { file: fileIn(root) };
    await addKernel(store, kernel);
    await assert.rejects(addKernel(store, kernel), { message: /there is one of that name/ });
    for (const name of ["../x", "", ".hidden", "a/b", "a\nb", "x".repeat(65)]) {
      await assert.rejects(addKernel(store, { ...kernel, name }), {
        message: /no kernel has such/,
      });
      assert.throws(() => store.open(name), { message: /no kernel has such/ });
    }
    assert.throws(() => store.open("other"), { message: new RegExp(`there are: ${RELEASE}`) });
    assert.throws(() => store.remove("other"), { message: /does not exist/ });
    assert.deepEqual(entries(store), [RELEASE]);
  });
});

Deno.test("what is not a kernel is refused as what it is", async () => {
  await requireRefused({ image: makeElf() }, /it is an ELF file, not a bzImage/);
  await requireRefused({ image: new TextEncoder().encode("hello\n") }, /it is a text/);
  await requireRefused({ image: new Uint8Array() }, /it is an empty file/);
  await requireRefused({ image: makeBzImage() }, /does not say which release/);
});

Deno.test("nothing is left of the store without a kernel", async () => {
  await withDistribution({}, async (root, store) => {
    const kernel = { file: fileIn(root) };
    await addKernel(store, kernel);
    store.remove(RELEASE);
    assert.equal(exists(store.root), false);
    Deno.writeTextFileSync(kernel.file, "hello");
    await assert.rejects(addKernel(store, kernel));
    assert.equal(exists(store.root), false);
  });
});

Deno.test("a kernel without a driver for the channel is refused", async () => {
  const files = { "modules.builtin": "kernel/virtio_pci.ko\n" };
  await requireRefused({ files }, /no driver virtio_console/);
  const dependencies = { ...files, "modules.dep": "a/virtio_console.ko: a/virtio.ko\n" };
  await requireRefused({ files: dependencies }, /a\/virtio_console.ko.* no such file/);
});

Deno.test("modules that are missing, damaged or not where they should be are refused", async () => {
  await requireRefused({ files: { "modules.builtin": "" } }, /modules.builtin: no such file/);
  await requireRefused({}, /modules.builtin: no such file/, { modules: "/nowhere" });
  const listed = { "modules.dep": "fuse.ko.xz:\n" };
  const damaged = new Uint8Array([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 1, 2, 3]);
  await requireRefused({ files: { ...listed, "fuse.ko.xz": damaged } }, /\/xz: /);
  await requireRefused(
    { files: { ...listed, "fuse.ko.xz": "a text" } },
    /it is a text, not a module/,
  );
  await withDistribution({}, async (root, store) => {
    Deno.removeSync(`${root}/usr`, { recursive: true });
    await assert.rejects(addKernel(store, { file: fileIn(root) }), {
      message: new RegExp(`modules are not in .*/lib/modules/${RELEASE}.*--modules`),
    });
    assert.deepEqual(entries(store), []);
  });
});

Deno.test("a module that is not below the directory of the index is not stored", async () => {
  const module = makeElf({ type: 1 });
  for (const file of ["../../fuse.ko", "kernel/../../../fuse.ko", "/fuse.ko"]) {
    const files = { "modules.dep": `${file}:\n`, "../../fuse.ko": module, "fuse.ko": module };
    await requireRefused(
      { files },
      new RegExp(`modules.dep: it names ${file}, which is not below`),
    );
  }
});

Deno.test("a program that is missing is named with its package, and one that hangs is killed", async () => {
  const image = makeImage(await compressed("gzip", makeElf()));
  await withDistribution({ image }, async (root, store) => {
    const kernel = { file: fileIn(root) };
    await assert.rejects(addKernel(store, kernel, { directories: [`${root}/bin`] }), {
      message: /compressed by gzip, and .*apt-get install gzip/,
    });
    Deno.mkdirSync(`${root}/bin`);
    Deno.writeTextFileSync(`${root}/bin/gzip`, "#!/bin/sh\nexec sleep 60\n", { mode: 0o755 });
    const options = { directories: [`${root}/bin`], seconds: 0.2 };
    await assert.rejects(addKernel(store, kernel, options), { message: /took more than 0.2 s/ });
    Deno.writeTextFileSync(`${root}/bin/gzip`, "#!/bin/sh\necho no >&2; exit 3\n");
    await assert.rejects(addKernel(store, kernel, { directories: [`${root}/bin`] }), {
      message: /gzip: no/,
    });
    assert.deepEqual(entries(store), []);
  });
});

Deno.test("a directory that others can write is not used", async () => {
  await withDistribution({}, async (root, store) => {
    await addKernel(store, { file: fileIn(root) });
    Deno.chmodSync(store.root, 0o777);
    assert.throws(() => store.open(RELEASE), { message: /others than its owner can write it/ });
    Deno.chmodSync(store.root, 0o755);
    Deno.chmodSync(`${store.root}/${RELEASE}`, 0o775);
    assert.throws(() => store.open(RELEASE), { message: /others than its owner can write it/ });
  });
});

Deno.test("a damaged kernel does not hide the others, and is named", async () => {
  await withDistribution({}, async (root, store) => {
    const file = fileIn(root);
    for (const name of ["a", "b", "c", "d"]) await addKernel(store, { file, name });
    Deno.writeTextFileSync(`${store.root}/b/kernel.json`, "{");
    Deno.removeSync(`${store.root}/c/kernel.json`);
    Deno.writeTextFileSync(`${store.root}/notes`, "");
    const errors: string[] = [];
    const listed = store.list((error) => errors.push(String(error)));
    assert.deepEqual(listed.map(({ name }) => name), ["a", "d"]);
    assert.equal(errors.length, 2);
    assert.match(errors[0]!, /\/b\/kernel\.json: it is not JSON/);
    assert.match(errors[1]!, /\/c\/kernel\.json: no such file/);
    Deno.chmodSync(store.root, 0o777);
    assert.throws(() => store.list(unexpected), { message: /others than its owner can write/ });
  });
});

Deno.test("what a killed process has left is removed by the next", async () => {
  await withDistribution({}, async (root, store) => {
    Deno.mkdirSync(`${store.root}/.unfinished-old`, { recursive: true });
    Deno.mkdirSync(`${store.root}/.unfinished-new`);
    Deno.utimeSync(`${store.root}/.unfinished-old`, 0, 0);
    await addKernel(store, { file: fileIn(root) });
    assert.deepEqual(entries(store).sort(), [".unfinished-new", RELEASE].sort());
    assert.deepEqual(store.list(unexpected).map(({ name }) => name), [RELEASE]);
  });
});

Deno.test("a damaged record is an error that says how to go on", async () => {
  await withDistribution({}, async (root, store) => {
    const { path } = await addKernel(store, { file: fileIn(root) });
    for (const text of ["{", "{}", '{"version":2}']) {
      Deno.writeTextFileSync(`${path}/kernel.json`, text);
      assert.throws(() => store.open(RELEASE), { message: /kernel.json.*urunc kernel rm/ });
    }
  });
});

Deno.test("modules for what programs need are stored with what a guest's kernel asks by", async () => {
  const files = {
    "modules.dep": "bridge.ko:\n",
    "modules.alias": "alias rtnl-link-bridge bridge\n",
    "bridge.ko": makeElf({ type: 1 }),
  };
  await withDistribution({ files }, async (root, store) => {
    await addKernel(store, { file: fileIn(root), with: ["brid*"] });
    const { path, record } = store.open(RELEASE);
    assert.deepEqual([record.moduleNames, record.askedNames], [["bridge"], ["bridge"]]);
    const packed = Deno.readTextFileSync(`${path}/modules.cpio`);
    assert.ok(packed.includes("bridge bridge\nrtnl-link-bridge bridge\n"));
    assert.ok(packed.includes("urunc/modprobe\0"));
  });
  await requireRefused(
    { files },
    /--with bridges: the kernel has no such module, nor is one built in/,
    { with: ["bridges"] },
  );
});
