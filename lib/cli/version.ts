import { versionInfo } from "../version.ts";

/** What `--version` prints. docker looks for the word "version" in it. */
export function versionText(): string {
  const { version, commit, specVersion, deno } = versionInfo();
  return `urunc version ${version}\ncommit: ${commit}\nspec: ${specVersion}\ndeno: ${deno}\n`;
}
