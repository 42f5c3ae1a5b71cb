/** Steps that write into the monitor's root: nothing that stands there already is followed. */
import assert from "node:assert/strict";
import { close, O_DIRECTORY, O_PATH, open } from "../../../ffi/linux.ts";
import type { PerformContext } from "../../../lib/launch/context.ts";
import { ROOT_STEPS } from "../../../lib/launch/steps/root.ts";

const owner = { uid: Deno.uid()!, gid: Deno.gid()! };

/** What is written at a path of the root. */
const WRITERS: Record<string, (context: PerformContext, target: string) => void> = {
  copyImageFile: (context, target) =>
    ROOT_STEPS.copyImageFile(
      { step: "copyImageFile", source: "/kernel", target, maximumBytes: 6, ...owner },
      context,
    ),
  writeFile: (context, path) =>
    ROOT_STEPS.writeFile({ step: "writeFile", path, content: "content", ...owner }, context),
  mkdir: (context, path) => ROOT_STEPS.mkdir({ step: "mkdir", path, mode: 0o755 }, context),
};

/** Calls `test` with a root, an image that has `/kernel`, and a directory of the host beside them. */
function withRoot(test: (context: PerformContext, root: string, host: string) => void): void {
  const directory = Deno.makeTempDirSync({ prefix: "urunc-root-" });
  const opened: number[] = [];
  try {
    for (const name of ["root", "image", "host"]) Deno.mkdirSync(`${directory}/${name}`);
    Deno.writeTextFileSync(`${directory}/image/kernel`, "kernel");
    const openDirectory = (name: string) => {
      const fd = open(`${directory}/${name}`, O_PATH | O_DIRECTORY);
      opened.push(fd);
      return fd;
    };
    const context = { root: openDirectory("root"), imageRoot: openDirectory("image") };
    test(context as PerformContext, `${directory}/root`, `${directory}/host`);
  } finally {
    opened.forEach(close);
    Deno.removeSync(directory, { recursive: true });
  }
}

for (const [step, write] of Object.entries(WRITERS)) {
  Deno.test(`${step}: a free path is used, once`, () => {
    withRoot((context, root) => {
      write(context, "/place");
      Deno.lstatSync(`${root}/place`);
      assert.throws(() => write(context, "/place"), { code: "EEXIST" });
    });
  });

  Deno.test(`${step}: a link at the path is not followed`, () => {
    withRoot((context, root, host) => {
      Deno.writeTextFileSync(`${host}/file`, "host");
      for (const target of [`${host}/file`, `${host}/new`, "../host/new"]) {
        Deno.symlinkSync(target, `${root}/place`);
        assert.throws(() => write(context, "/place"), /EEXIST|ELOOP/);
        assert.equal(Deno.readLinkSync(`${root}/place`), target);
        Deno.removeSync(`${root}/place`);
      }
      assert.equal(Deno.readTextFileSync(`${host}/file`), "host");
      assert.deepEqual([...Deno.readDirSync(host)].map(({ name }) => name), ["file"]);
    });
  });

  Deno.test(`${step}: a link on the way to the place is not followed`, () => {
    withRoot((context, root, host) => {
      Deno.mkdirSync(`${root}/directory`);
      for (const target of [host, "../host", "directory"]) {
        Deno.symlinkSync(target, `${root}/link`);
        assert.throws(() => write(context, "/link/place"), { code: "ELOOP" });
        Deno.removeSync(`${root}/link`);
      }
      assert.throws(() => write(context, "/../host/place"), { code: "ENOENT" });
      assert.deepEqual([...Deno.readDirSync(host), ...Deno.readDirSync(`${root}/directory`)], []);
    });
  });
}
