/** What names of the operator's kernels have: a release, as uname(2) has it, is one. */
export const kernelNameForm = {
  allowed: "a kernel's name, 1 to 64 of A-Z a-z 0-9 . _ + ~ -, beginning with a letter or digit",
  accepts: (value: string) => /^[A-Za-z0-9][A-Za-z0-9._+~-]{0,63}$/.test(value),
};
