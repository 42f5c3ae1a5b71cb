import config from "../deno.json" with { type: "json" };

/** The linker puts these constants in; they do not exist under `deno run` and `deno test`. */
declare const URUNC_VERSION: string | undefined;
declare const URUNC_COMMIT: string | undefined;

/** Version of the OCI runtime specification that is implemented (`ociVersion`). */
export const SPEC_VERSION = "1.2.0";

/** What `--version` and `features` say. */
export interface VersionInfo {
  /** From deno.json. */
  version: string;
  /** Full hash, perhaps with `-dirty`; `unknown` when it was not linked, or linked without git. */
  commit: string;
  specVersion: string;
  deno: string;
}

/** Says which urunc this is, linked or not. */
export function versionInfo(): VersionInfo {
  return {
    version: typeof URUNC_VERSION === "string" ? URUNC_VERSION : config.version,
    commit: typeof URUNC_COMMIT === "string" ? URUNC_COMMIT : "unknown",
    specVersion: SPEC_VERSION,
    deno: Deno.version.deno,
  };
}

/** What `--version` prints. docker looks for the word "version" in it. */
export function versionText(): string {
  const { version, commit, specVersion, deno } = versionInfo();
  return `urunc version ${version}\ncommit: ${commit}\nspec: ${specVersion}\ndeno: ${deno}\n`;
}
