/**
 * Binds files as a file server gets them. As a program, in a mount namespace of its own, it does so in the
 * existing directory that is its argument, and prints what happened as JSON.
 */
import { O_DIRECTORY, O_PATH, open } from "../../ffi/linux.ts";
import type { PerformContext } from "../../lib/launch/context.ts";
import { FILE_SERVER_STEPS } from "../../lib/launch/steps/file_server.ts";
import { errorMessage } from "../../lib/errors.ts";

const [directory] = Deno.args;
for (const name of ["root", "source", "source/below", "other"]) {
  Deno.mkdirSync(`${directory}/${name}`);
}
Deno.writeTextFileSync(`${directory}/file`, "");
Deno.symlinkSync("other", `${directory}/link`);
await new Deno.Command("chown", { args: ["-h", "1000", `${directory}/link`] }).output();

const context = { root: open(`${directory}/root`, O_PATH | O_DIRECTORY) } as PerformContext;

/** @returns what the error says, if any */
function bind(source: string, target: string): string {
  try {
    FILE_SERVER_STEPS.bindShared({
      step: "bindShared",
      source: `${directory}/${source}`,
      target,
      kind: "directory",
      readOnly: false,
      recursive: true,
    }, context);
    return "bound";
  } catch (error) {
    return errorMessage(error);
  }
}

const mount = async (...args: string[]) => {
  const { success } = await new Deno.Command("mount", { args }).output();
  if (!success) throw new Error(`mount ${args.join(" ")}`);
};

const [link, type] = [bind("link", "/link"), bind("file", "/file")];
// As systemd makes the host's mounts.
await mount("--bind", `${directory}/source`, `${directory}/source`);
await mount("--make-shared", `${directory}/source`);
bind("source", "/source");
await mount("-t", "tmpfs", "tmpfs", `${directory}/source/below`);
Deno.writeTextFileSync(`${directory}/source/below/later`, "");
const list = (path: string) => [...Deno.readDirSync(path)].map(({ name }) => name);
const bound = list(`${directory}/root/source`);
const below = list(`${directory}/root/source/below`);
console.log(JSON.stringify({ link, type, bound, below }));
