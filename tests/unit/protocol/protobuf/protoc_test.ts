/**
 * The tables of messages, and the encoding, judged from outside: by the `.proto` files that other
 * programs are built from, in Debian's packages of containerd's sources, and by `protoc`.
 */
import assert from "node:assert/strict";
import {
  embedded,
  int32,
  message,
  repeated,
  string,
} from "../../../../lib/protocol/protobuf/schema.ts";
import type { MessageOf, MessageType } from "../../../../lib/protocol/protobuf/types.ts";
import { cacheDirectory } from "../../../support/cache.ts";
import { run } from "../../../support/process.ts";
import { Scope } from "../../../support/scope.ts";
import { testIf } from "../../../support/skip.ts";
import { Random, randomMessage } from "../../shim/_random.ts";
import { TYPES } from "./_types.ts";

/** Only their `.proto` files are wanted, so they are unpacked, not installed: they depend on hundreds. */
const PACKAGES = [
  "golang-github-containerd-containerd-dev",
  "golang-github-containerd-cgroups-dev",
  "golang-github-containerd-ttrpc-dev",
  "libprotobuf-dev",
];

const SOURCES = "usr/share/gocode/src";
const CONTAINERD = "github.com/containerd/containerd";

/** As `protoc` is to be given them. */
const FILES = [
  `${CONTAINERD}/api/runtime/task/v2/shim.proto`,
  `${CONTAINERD}/api/events/task.proto`,
  `${CONTAINERD}/api/services/ttrpc/events/v1/events.proto`,
  `${CONTAINERD}/runtime/v2/runc/options/oci.proto`,
  `${CONTAINERD}/pkg/runtimeoptions/v1/api.proto`,
  "github.com/containerd/cgroups/cgroup1/stats/metrics.proto",
  "github.com/containerd/cgroups/cgroup2/stats/metrics.proto",
  "request.proto",
];

/** Types that these packages do not have: containerd's are younger, the status is googleapis'. */
const ELSEWHERE =
  /^(containerd\.runtime\.bootstrap\.v1\..*|containerd\.types\.Runtime.*|google\.rpc\.Status)$/;

/** Fields whose type is one of those. */
const OTHER_FIELDS = ["ttrpc.Response.status"];

testIf("protoc: every field has the number and the type that its .proto file says", {
  needs: ["protoc", "apt-get", "dpkg-deb"],
}, async () => {
  await using scope = new Scope();
  const output = `${await scope.temporaryDirectory("descriptors")}/set`;
  await protoc(["--include_imports", `--descriptor_set_out=${output}`]);
  const described = describe(FileDescriptorSet.decode(await Deno.readFile(output)));

  const compared = new Set<string>();
  for (const type of TYPES.filter((it) => !ELSEWHERE.test(it.name))) {
    const expected = described.get(type.name);
    assert(expected !== undefined, `${type.name} is in no .proto file`);
    // The tables have only fields that are used.
    const own = ours(type);
    const same = Object.fromEntries(Object.keys(own).map((it) => [it, expected[it]]));
    assert.deepEqual(own, same, type.name);
    compared.add(type.name);
  }
  assert(compared.size > 50, `only ${compared.size} were compared`);
  const missing = Array.from(described.keys()).filter((it) =>
    it.startsWith("containerd.task.v2.") && !compared.has(it)
  );
  assert.deepEqual(missing, [
    // No method has it.
    "containerd.task.v2.ExecProcessResponse",
    // Nothing in these is read.
    "containerd.task.v2.CheckpointTaskRequest",
    "containerd.task.v2.ShutdownRequest",
  ]);
});

testIf("protoc: reads what is written here, and what it writes is read", {
  needs: ["protoc", "apt-get", "dpkg-deb"],
}, async () => {
  const random = new Random(4);
  for (const type of TYPES.filter((it) => !ELSEWHERE.test(it.name))) {
    const value = randomMessage(random, type);
    for (const name of Object.keys(value)) if (isOther(type, name)) delete value[name];
    const bytes = type.encode(value as never);
    const text = await protoc([`--decode=${type.name}`], bytes);
    const again = await protoc([`--encode=${type.name}`], text);
    assert.deepEqual(type.decode(again), type.decode(bytes), type.name);
  }
});

/** A message's fields, each as `number kind` by its name, a list as `number kind[]`. */
type Described = Record<string, string>;

function ours(type: MessageType<unknown>): Described {
  const described: Described = {};
  for (const [name, it] of Object.entries(type.fields)) {
    const { number, kind, repeated, type: inner } = it;
    if (isOther(type, name)) continue;
    described[snakeCase(name)] = `${number} ${inner?.name ?? kind}${repeated ? "[]" : ""}`;
  }
  return described;
}

function isOther(type: MessageType<unknown>, name: string): boolean {
  return OTHER_FIELDS.includes(`${type.name}.${snakeCase(name)}`);
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** @see google/protobuf/descriptor.proto, FieldDescriptorProto.Type */
const KINDS: Record<number, string> = {
  1: "double",
  3: "int64",
  4: "uint64",
  5: "int32",
  8: "bool",
  9: "string",
  12: "bytes",
  13: "uint32",
  14: "int32",
};
const LABEL_REPEATED = 3;

const FieldDescriptor = message("FieldDescriptorProto", () => ({
  name: string(1),
  number: int32(3),
  label: int32(4),
  type: int32(5),
  typeName: string(6),
}));

const Descriptor = message("DescriptorProto", () => ({
  name: string(1),
  fields: repeated(embedded(2, FieldDescriptor)),
}));

const FileDescriptor = message("FileDescriptorProto", () => ({
  package: string(2),
  messages: repeated(embedded(4, Descriptor)),
}));

const FileDescriptorSet = message("FileDescriptorSet", () => ({
  files: repeated(embedded(1, FileDescriptor)),
}));

function describe({ files }: MessageOf<typeof FileDescriptorSet>): Map<string, Described> {
  const described = new Map<string, Described>();
  for (const file of files) {
    for (const { name, fields } of file.messages) {
      const type = `${file.package}.${name}`;
      described.set(
        type,
        Object.fromEntries(
          fields.map((it) => [it.name, describeField(it)]),
        ),
      );
    }
  }
  return described;
}

function describeField(
  { number, label, type, typeName }: MessageOf<typeof FieldDescriptor>,
): string {
  const kind = KINDS[type] ?? typeName.slice(1);
  return `${number} ${kind}${label === LABEL_REPEATED ? "[]" : ""}`;
}

async function protoc(args: string[], input?: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const root = await protoFiles();
  const { code, stdout, stderr } = await spawn([
    "protoc",
    `-I${root}/${SOURCES}`,
    `-I${root}/${SOURCES}/github.com/containerd/ttrpc`,
    `-I${root}/usr/include`,
    ...args,
    ...FILES,
  ], input);
  assert.equal(code, 0, `${args}: ${new TextDecoder().decode(stderr)}`);
  return new Uint8Array(stdout);
}

async function spawn([program, ...args]: string[], input?: Uint8Array) {
  const child = new Deno.Command(program!, {
    args,
    stdin: input === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const output = child.output();
  if (input !== undefined) {
    const writer = child.stdin.getWriter();
    await writer.write(input);
    await writer.close();
  }
  return await output;
}

let unpacked: Promise<string> | undefined;

/** @returns the directory in which the packages are unpacked */
function protoFiles(): Promise<string> {
  return unpacked ??= (async () => {
    const cache = await cacheDirectory("protos");
    const root = `${cache}/unpacked`;
    if (await Deno.stat(root).catch(() => undefined) !== undefined) return root;
    const work = await Deno.makeTempDir({ dir: cache });
    await run(["apt-get", "-q", "download", ...PACKAGES], {
      cwd: work,
      timeoutSeconds: 100,
      check: true,
    });
    for await (const { name } of Deno.readDir(work)) {
      await run(["dpkg-deb", "-x", `${work}/${name}`, `${work}/unpacked`], { check: true });
    }
    // Whole or not at all; who is second keeps the first one's.
    await Deno.rename(`${work}/unpacked`, root).catch(() => {});
    await Deno.remove(work, { recursive: true });
    return root;
  })();
}
