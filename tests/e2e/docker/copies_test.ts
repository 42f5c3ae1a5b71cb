/** `docker cp`, `diff` and `commit` of guests, beside the same of runc's containers. */
import assert from "node:assert/strict";
import { busyboxFiles, type Docker, startDocker } from "../../support/docker.ts";
import { makeLayer } from "../../support/image.ts";
import { nodeWithKernel, UNDESCRIBED } from "../../support/node_kernel.ts";
import { run, waitFor } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { bothRuntimes, NEEDS } from "./_common.ts";

/**
 * What all containers do to the files of their image, as their owner: it makes, changes, removes, renames and
 * links files and directories, makes again what it has removed, and changes modes.
 */
const CHANGES = `
cd /tree
mkdir made made/below; echo new >made/file; ln -s file made/link; ln made/file made/hard
echo more >>changed; echo other >replaced.new; mv replaced.new replaced
rm removed; rm -r gone; rm -r again; mkdir again; echo only >again/only
mv moved there; mv renamed renamed-file; chmod 700 private; chmod 4755 tool
touch -d "2001-02-03 04:05:06" dated
`;

/** The files of the image, all of which belong to the container's user. */
const FILES = [
  ...["changed", "replaced", "removed", "renamed", "tool", "dated", "kept", "seen", "private/it"],
  ...["gone/a", "gone/below/b", "again/first", "again/below/second", "moved/a", "moved/below/b"],
].map((name) => ({ path: `/tree/${name}`, content: `${name}\n` }));

/** Names, modes, owners, sizes and content of all of /tree. */
const LISTING = "cd /tree; find . | sort | while read it; do stat -c '%n %A %u:%g %h' $it; " +
  "[ -h $it ] && readlink $it; [ -f $it ] && md5sum <$it; done; stat -c %Y dated";

const USER = "--user=1000:1000";

/** What a container's life has left, as docker says it. */
interface Outcome {
  /** While it ran. */
  running: { copiedOut: string; seen: string[]; changes: string };
  code: number;
  /** When it had ended. */
  changes: string;
  copiedOut: string;
  committed: string;
}

/** Makes an image of an owner's files: `docker import` takes owners from the layer. */
async function makeOwnedImage(scope: Scope, { docker }: Docker): Promise<void> {
  const applets = [
    ...["chmod", "find", "ln", "md5sum", "mkdir", "mv", "readlink", "rm", "sort", "stat", "test"],
    ...["touch", "tail"],
  ].map((it) => ({ path: `/bin/${it}`, target: "busybox" }));
  const tar = await makeLayer(scope, [...busyboxFiles(), ...applets, ...FILES]);
  const directory = await scope.temporaryDirectory("owned");
  const script = 'tar -x -f "$1" -C "$2" && chown -R 1000:1000 "$2"/tree && ' +
    'tar -c -f "$1" --numeric-owner -C "$2" .';
  await run(["sh", "-c", script, "sh", tar, directory], { check: true });
  await docker(["import", tar, "owned"], { check: true });
}

/** One container's life. */
async function outcomeOf(scope: Scope, it: Docker, runtime: string): Promise<Outcome> {
  const { docker, inspect } = it;
  const checked = async (...words: string[]) =>
    (await docker(words, { check: true, timeoutSeconds: 120 })).stdout;
  const sorted = (text: string) => text.split("\n").sort().join("\n");
  const files = await scope.temporaryDirectory("files");
  await Deno.writeTextFile(`${files}/in`, "from the host\n");

  const script = `${CHANGES}\ncat seen; echo ready; ` +
    "until test -e /tree/in; do sleep 0.1; done; " +
    "until cat seen | grep -q host; do sleep 0.1; done; cat in seen; exit 3";
  await checked(
    ...["run", "--detach", `--name=${runtime}`, `--runtime=${runtime}`, USER],
    ...["owned", "sh", "-c", script],
  );
  const logs = () => checked("logs", runtime);
  await waitFor(async () => (await logs()).includes("ready\n"), {
    timeoutSeconds: 120,
    what: `${runtime} to have made its changes`,
    intervalMilliseconds: 200,
  });
  const readOut = async (path: string) => {
    await checked("cp", `${runtime}:${path}`, `${files}/out`);
    return await Deno.readTextFile(`${files}/out`);
  };
  const running = {
    copiedOut: await readOut("/tree/made/file"),
    changes: sorted(await checked("diff", runtime)),
    seen: [] as string[],
  };
  // One that the container has looked for in vain, and one that it has read.
  await checked("cp", `${files}/in`, `${runtime}:/tree/in`);
  await checked("cp", `${files}/in`, `${runtime}:/tree/seen`);
  const { stdout } = await docker(["wait", runtime], { check: true, timeoutSeconds: 60 });
  running.seen = (await logs()).split("\n");

  const changes = sorted(await checked("diff", runtime));
  const copiedOut = await readOut("/tree/again/only");
  await checked("cp", `${files}/in`, `${runtime}:/tree/made/in`);
  await checked("commit", runtime, `${runtime}-committed`);
  const list = (by: string) =>
    checked("run", "--rm", `--runtime=${by}`, USER, `${runtime}-committed`, "sh", "-c", LISTING);
  const committed = await list("runc");
  // A guest sees in it what a container does.
  assert.equal(await list(runtime), committed);
  assert.equal((await inspect(runtime)).State.ExitCode, Number(stdout));
  return { running, code: Number(stdout), changes, copiedOut, committed };
}

testIf("docker: cp, diff and commit of guests are as of runc's containers", {
  needs: [...NEEDS, "virtiofsd", "busybox", "apt-get"],
  timeoutSeconds: 600,
}, async () => {
  await using scope = new Scope();
  const config = await nodeWithKernel(scope, UNDESCRIBED);
  const it = await startDocker(scope, await bothRuntimes(config));
  await makeOwnedImage(scope, it);
  const expected = await outcomeOf(scope, it, "runc");
  assert.match(expected.changes, /^D \/tree\/removed$/m);
  assert.match(expected.changes, /^A \/tree\/there\/below\/b$/m);
  assert.match(expected.committed, /^\.\/made\/in /m);
  assert.equal(expected.code, 3);
  for (const runtime of ["path", "shim"]) {
    assert.deepEqual(await outcomeOf(scope, it, runtime), expected, runtime);
  }
});
