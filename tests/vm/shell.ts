/**
 * `deno task vm [--kvm-gid N] [COMMAND…]`: boots a fresh node with this tree in it and gives a
 * shell there, or runs the command. The node ends with the shell; several can run at once.
 */
import { run } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { repositoryDirectory } from "../support/urunc.ts";
import { nodeNeeds, VmNode } from "./node.ts";
import { NODE_REPOSITORY } from "./payload.ts";

async function main(args: string[]): Promise<number> {
  const { skip } = nodeNeeds();
  if (skip !== undefined) throw new Error(skip);
  const words = [...args];
  let kvmGid: number | undefined;
  if (words[0] === "--kvm-gid") [, kvmGid] = [words.shift(), Number(words.shift())];

  if (!Deno.env.get("URUNC_BINARY")) {
    await run([Deno.execPath(), "task", "compile"], {
      cwd: repositoryDirectory(),
      timeoutSeconds: 300,
      check: true,
    });
  }

  // The interrupt is for the shell in the node.
  Deno.addSignalListener("SIGINT", () => {});
  await using scope = new Scope();
  const node = await VmNode.boot(scope, { kvmGid });
  console.log(
    `the node is up after ${node.bootSeconds.toFixed(1)} s; the tree: ${NODE_REPOSITORY}`,
  );
  const [program, ...rest] = node.loginCommand();
  const command = words.length === 0 ? [] : [words.join(" ")];
  const child = new Deno.Command(program!, { args: [...rest, ...command] }).spawn();
  const { code } = await child.status;
  const ending = node.ending();
  if (ending !== undefined) console.log(ending);
  return code;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
