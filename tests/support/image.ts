/** Images that tests make out of files on this machine. */
import { run } from "./process.ts";
import type { Scope } from "./scope.ts";

/** A file of an image. */
export interface ImageFile {
  /** Absolute in the image. */
  path: string;
  /** Taken from here, or … */
  source?: string;
  /** … with this content, or … */
  content?: string | Uint8Array<ArrayBuffer>;
  /** … a symlink to this. */
  target?: string;
  /** 0o644 by default. */
  mode?: number;
}

/**
 * Makes the layer of a single-layer image.
 *
 * @returns the path of its tar file, gone with the scope
 */
export async function makeLayer(scope: Scope, files: ImageFile[]): Promise<string> {
  const directory = await scope.temporaryDirectory("image");
  const root = `${directory}/root`;
  for (const file of files) {
    const path = `${root}${file.path}`;
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    if (file.target !== undefined) await Deno.symlink(file.target, path);
    else if (file.source !== undefined) await Deno.copyFile(file.source, path);
    else await writeContent(path, file.content ?? "");
    if (file.target === undefined) await Deno.chmod(path, file.mode ?? 0o644);
  }
  const tar = `${directory}/image.tar`;
  const owner = ["--owner=0", "--group=0", "--numeric-owner"];
  await run(["tar", "--create", "--file", tar, ...owner, "--directory", root, "."], {
    check: true,
  });
  return tar;
}

async function writeContent(path: string, content: string | Uint8Array<ArrayBuffer>) {
  if (typeof content === "string") await Deno.writeTextFile(path, content);
  else await Deno.writeFile(path, content);
}
