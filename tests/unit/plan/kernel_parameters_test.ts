import assert from "node:assert/strict";
import { defaultConfiguration } from "../../../lib/config/parse.ts";
import { InvalidConfigurationError, UnsupportedError } from "../../../lib/errors.ts";
import { guestOf } from "../../../lib/guest/families/registry.ts";
import { kernelParameters } from "../../../lib/plan/kernel_parameters.ts";
import { planLaunch } from "../../../lib/plan/launch.ts";
import { launchInputOf } from "../../support/plan_inputs.ts";

function read(asked: string | undefined, denied: string[] = [], type: "linux" | "elf" = "linux") {
  const configuration = { denied_kernel_parameters: denied };
  return kernelParameters({ kernelParameters: asked }, guestOf(type), configuration);
}

Deno.test("an image's or caller's kernel parameters are separate words", () => {
  assert.equal(read(undefined), undefined);
  assert.deepEqual(read('quiet  loglevel=3 dyndbg="file x.c +p"'), [
    "quiet",
    "loglevel=3",
    '"dyndbg=file x.c +p"',
  ]);
});

Deno.test("what the runtime sets itself is refused by what sets it", () => {
  const cases: [word: string, says: RegExp][] = [
    ["init=/bin/sh", /"init=\/bin\/sh": urunc sets it itself .*process\.args/],
    ["--", /process\.args/],
    ["root=/dev/vda2", /mountRootfs/],
    ["rw", /root\.readonly/],
    ["ip=dhcp", /the container's network/],
    ["panic=0", /exits when its guest panics/],
  ];
  for (const [word, says] of cases) {
    assert.throws(() => read(`quiet ${word}`), (error) => {
      assert.ok(error instanceof InvalidConfigurationError);
      assert.match(error.message, says);
      return true;
    });
  }
  for (const word of ["=x", "a/b", '"a b"', "é=1"]) {
    assert.throws(() => read(word), /it is not NAME or NAME=VALUE/);
  }
});

Deno.test("an operator denies parameters by name, by beginning, or all", () => {
  const cases: [denied: string, refused: string[], allowed: string[]][] = [
    ["mitigations", ["mitigations=off", "mitigations"], ["mitigation", "quiet"]],
    ["page-poison", ["page_poison=1", "page-poison=1"], ["page"]],
    ["spec_*", ["spec_store_bypass_disable=off", "spec-x"], ["spec"]],
    ["*", ["quiet"], []],
  ];
  for (const [denied, refused, allowed] of cases) {
    for (const word of refused) {
      assert.throws(
        () => read(`loglevel=3 ${word}`.replace(denied === "*" ? "loglevel=3 " : "", ""), [denied]),
        (error: Error) =>
          error.message.includes(`the operator denies "${denied}"`) &&
          error.message.includes("denied_kernel_parameters"),
      );
    }
    for (const word of allowed) assert.deepEqual(read(word, [denied]), [word]);
  }
});

Deno.test("guests without a Linux kernel take none", () => {
  assert.throws(() => read("quiet", [], "elf"), (error: Error) => {
    assert.ok(error instanceof UnsupportedError);
    return /kernelParameters.*elf guests take no parameters of a Linux kernel/.test(error.message);
  });
});

Deno.test("they come after the runtime's own, and before init and its arguments", () => {
  const configuration = defaultConfiguration();
  const input = launchInputOf({
    guest: guestOf("linux"),
    unikernel: {
      unikernelType: "linux",
      hypervisor: "qemu",
      binary: "/vmlinuz",
      accelerator: "kvm",
      kernelParameters: "quiet",
    },
    configuration,
  });
  const exec = planLaunch(input).plan.steps.find((step) => step.step === "startMonitor")!;
  assert.ok(
    JSON.stringify(exec).includes(
      "panic=-1 console=ttyS0 net.ifnames=0 no_timer_check quiet init=hello -- world",
    ),
    JSON.stringify(exec),
  );
  configuration.denied_kernel_parameters = ["quiet"];
  assert.throws(() => planLaunch(input), /the operator denies "quiet"/);
});
