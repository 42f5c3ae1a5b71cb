/**
 * Binds files as a file server gets them. As a program, in a mount namespace of its own, it does so in the
 * existing directory that is its argument, and prints what happened as JSON.
 */
import { O_DIRECTORY, O_PATH, open } from "../../ffi/linux.ts";
import type { PerformContext } from "../../lib/launch/context.ts";
import { FILE_SERVER_STEPS } from "../../lib/launch/steps/file_server.ts";
import { errorMessage } from "../../lib/errors.ts";

const [directory] = Deno.args;
for (const name of ["root", "source", "other"]) Deno.mkdirSync(`${directory}/${name}`);
Deno.writeTextFileSync(`${directory}/file`, "");
Deno.writeTextFileSync(`${directory}/source/in`, "");
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

const [link, type] = [bind("link", "/link"), bind("file", "/file")];
bind("source", "/source");
const bound = [...Deno.readDirSync(`${directory}/root/source`)].map(({ name }) => name);
console.log(JSON.stringify({ link, type, bound }));
