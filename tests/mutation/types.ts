/** A test that must fail when something is left out. */
export interface Guard {
  /** The file's path in the repository. */
  test: string;
  /** As `deno test --filter` takes it; all tests of the file otherwise. */
  filter?: string;
  /** Only a node of the vm group has what it needs: it is not run here. */
  inNode?: true;
}

/** A change of the source, by its exact text; the executable is built from it for an integration test. */
export interface Patch extends Guard {
  /** The file's path in the repository. */
  file: string;
  /** Occurs once in it. */
  replace: string;
  by: string;
}
