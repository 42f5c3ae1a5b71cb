/** Runs the shell commands of a document as its reader would, on a machine that is the document's own. */
import assert from "node:assert/strict";
import { removeCgroupTree } from "./cgroups.ts";
import { startDocker } from "./docker.ts";
import type { Block } from "./documents.ts";
import { isOutput } from "./documents.ts";
import { type CommandOptions, type CommandResult, run } from "./process.ts";
import type { Scope } from "./scope.ts";
import { repositoryDirectory } from "./urunc.ts";
import { RUN_PREFIX } from "./mark.ts";

/** Directories that a document's reader would change, and a test must not. */
const PRIVATE = ["/etc", "/usr/local"];

/**
 * Device nodes as Debian's udev makes them (50-udev-default.rules): the tests' machine may have others.
 * Numbers: Documentation/admin-guide/devices.txt.
 */
const NODES = [
  { path: "/dev/kvm", minor: 232, mode: "0660", gid: 108 },
  { path: "/dev/net/tun", minor: 200, mode: "0666", gid: 0 },
];

/** Options of {@linkcode runDocument}. */
export interface DocumentOptions {
  /** Shell commands that run first: what the document says that the reader has already. */
  before?: string;
  timeoutSeconds?: number;
}

type Enter = (argv: string[], options: CommandOptions) => Promise<CommandResult>;

/**
 * Runs a document's commands, in one shell, in order, in a clone of the repository. The files that it
 * shows are written where it says; `/etc`, `/usr/local` and device nodes are
 * the document's own, in a mount namespace, and so is docker, when it calls docker.
 *
 * @throws AssertionError naming the block that failed, or did not print what the document shows
 */
export async function runDocument(
  scope: Scope,
  blocks: Block[],
  options: DocumentOptions = {},
): Promise<void> {
  const directory = await scope.temporaryDirectory("document");
  const seconds = options.timeoutSeconds ?? 300;
  const results = `${directory}/results`;
  await Deno.mkdir(results);
  const { enter, env } = await machineFor(scope, blocks, directory);
  const script = `${directory}/script`;
  await Deno.writeTextFile(script, scriptOf(blocks, directory, options.before ?? ""));
  const { code, stderr } = await enter(["bash", script], {
    env: { ...env, PATH: `${await programs(directory)}:/usr/local/bin:${Deno.env.get("PATH")}` },
    timeoutSeconds: seconds,
  });
  check(blocks, results);
  assert.equal(code, 0, stderr);
}

/** Where the commands run, and the variables by which clients find its daemons. */
async function machineFor(
  scope: Scope,
  blocks: Block[],
  directory: string,
): Promise<{ enter: Enter; env: Record<string, string> }> {
  if (!blocks.some(({ language, text }) => language === "sh" && /^(docker|ctr)\b/m.test(text))) {
    const unshare = ["unshare", "--net", "--mount", "--propagation=private"];
    const enter: Enter = (argv, options) => run([...unshare, ...argv], options);
    return { enter, env: {} };
  }
  const namespace = `${RUN_PREFIX}documents`;
  scope.defer("remove containerd's cgroups", () => removeCgroupTree(`/${namespace}`));
  const daemon = blocks.find(({ mark }) =>
    mark?.kind === "file" && mark.path === "/etc/docker/daemon.json"
  );
  const it = await startDocker(scope, JSON.parse(daemon?.text ?? "{}").runtimes);
  // Where docker keeps the state of runtimes unless it is given another place, as this one is.
  const [own, usual] = [`${it.directory}/exec/runtime-runc`, "/run/docker/runtime-runc"];
  const bind = `mkdir -p ${own} ${usual} && mount --bind ${own} ${usual}`;
  await it.onHost(["sh", "-c", bind], { check: true });
  const enter: Enter = it.onHost;
  return {
    enter,
    env: {
      DOCKER_HOST: `unix://${it.directory}/docker.sock`,
      DOCKER_CONFIG: `${directory}/client`,
      CONTAINERD_ADDRESS: `${it.directory}/containerd.sock`,
      CONTAINERD_NAMESPACE: namespace,
    },
  };
}

/** `npx` as far as a reader needs it, with the Deno that runs the tests. */
async function programs(directory: string): Promise<string> {
  const path = `${directory}/programs`;
  await Deno.mkdir(path);
  const npx = [
    "#!/bin/sh",
    `[ "$1 $2" = "--yes deno@${Deno.version.deno}" ] || { echo "npx $*: not known" >&2; exit 1; }`,
    `shift 2; exec ${quote(Deno.execPath())} "$@"`,
    "",
  ].join("\n");
  await Deno.writeTextFile(`${path}/npx`, npx, { mode: 0o755 });
  return path;
}

function scriptOf(blocks: Block[], directory: string, before: string): string {
  const lines = ["set -eu -o pipefail"];
  for (const [index, lower] of [...PRIVATE, repositoryDirectory()].entries()) {
    const [upper, work] = [`${directory}/upper${index}`, `${directory}/work${index}`];
    const target = PRIVATE[index] ?? `${directory}/urunc`;
    lines.push(
      `mkdir -p ${upper} ${work} ${target}`,
      `mount -t overlay overlay -o lowerdir=${lower},upperdir=${upper},workdir=${work} ${target}`,
    );
  }
  lines.push(...NODES.map((node) => nodeLine(node, directory)), `cd ${directory}/urunc`, before);
  for (const [index, block] of blocks.entries()) lines.push(...linesOf(block, index, directory));
  return lines.join("\n") + "\n";
}

/** Puts a node of the document's own in the place of the machine's, where that has one. */
function nodeLine({ path, minor, mode, gid }: typeof NODES[number], directory: string): string {
  const own = `${directory}/node${minor}`;
  return [
    `if [ -c ${path} ]; then mkdir ${own}`,
    `mount -t tmpfs tmpfs ${own}`,
    `mknod ${own}/node c 10 ${minor}`,
    `chmod ${mode} ${own}/node`,
    `chgrp ${gid} ${own}/node`,
    `mount --bind ${own}/node ${path}`,
    "fi",
  ].join("; ");
}

/** What a block comes to; its output goes to a file, and then its exit code to another. */
function linesOf(block: Block, index: number, directory: string): string[] {
  const { mark, language, text } = block;
  if (mark?.kind === "file") {
    const path = quote(mark.path);
    return [
      `mkdir -p "$(dirname ${path})"`,
      // A new one, as an editor makes it: what is there may be from the machine.
      `printf %s ${quote(text)} >${path}.new && mv ${path}.new ${path}`,
    ];
  }
  if (language !== "sh" || mark?.kind === "skip") return [];
  const result = `${directory}/results/${index}`;
  const brace = `{\n${text}} >${result}.output 2>&1`;
  if (mark?.kind !== "exit") return [brace, `echo 0 >${result}.code`];
  return ["set +e", brace, `echo $? >${result}.code`, "set -e"];
}

function check(blocks: Block[], results: string): void {
  for (const [index, block] of blocks.entries()) {
    const { document, line, language, mark, text } = block;
    const where = `${document}:${line}`;
    if (language === "sh" && mark?.kind !== "skip") {
      const expected = mark?.kind === "exit" ? mark.code : 0;
      const output = readIfThere(`${results}/${index}.output`) ?? "(did not run)";
      const code = readIfThere(`${results}/${index}.code`)?.trim() ?? "not reached";
      assert.equal(code, `${expected}`, `${where}: ${text}${output}`);
    }
    if (mark?.kind !== "output") continue;
    const printed = readIfThere(`${results}/${index - 1}.output`) ?? "";
    assert.ok(
      isOutput(printed, text),
      `${where}: it shows\n${text}and this is printed\n${printed}`,
    );
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
