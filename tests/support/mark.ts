/**
 * The mark of a run of the tests: it is in the names of all that the tests make on the machine, and in
 * the environment of every process that they start. What bears it is the run's, all else somebody else's.
 */

/** The variable: the runner sets it, and everything that it starts inherits it. */
export const RUN_VARIABLE = "URUNC_TEST_RUN";

/** Seven characters, at least one of which no hexadecimal number has. */
export const RUN_MARK = inherited() ?? newMark();

/** What the names of files, cgroups, network namespaces and the like begin with. */
export const RUN_PREFIX = `urunc-test-${RUN_MARK}-`;

function inherited(): string | undefined {
  return Deno.env.get(RUN_VARIABLE) || undefined;
}

function newMark(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(6));
  const mark = `r${Array.from(bytes, (it) => (it % 36).toString(36)).join("")}`;
  Deno.env.set(RUN_VARIABLE, mark);
  return mark;
}
