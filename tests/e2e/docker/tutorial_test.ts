/**
 * The command of urunc's tutorial "Non-root execution of monitor", with docker in nerdctl's place (it
 * says itself that both take the same) and a local image under the tutorial's name.
 *
 * @see https://github.com/urunc-dev/urunc/blob/main/docs/tutorials/Non-root-monitor-execution.md
 */
import assert from "node:assert/strict";
import {
  type Docker,
  DOCKER_NEEDS,
  type ImageFile,
  startDocker,
  UNDER_TEST,
} from "../../support/docker.ts";
import { doubleTable, parseReport } from "../../support/double.ts";
import { makeElf } from "../../support/kernels.ts";
import { guestImage, uruncJson } from "../../support/guest_images.ts";
import { run } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { NEEDS } from "./_common.ts";

const IMAGE = "harbor.nbfc.io/nubificus/urunc/nginx-firecracker-unikraft-initrd:latest";

/** In the image, as bunny puts it there: for the double. */
const COMMAND_LINE = ["nginx", "report", "/guest/initrd;", "exit", "7"];

/** To the letter, from the tutorial. */
const COMMAND = `run  --user 65534:65534 --runtime "${UNDER_TEST}" --rm -it ${IMAGE}`;

/** Types it into a shell with a terminal. */
async function type({ directory }: Docker): Promise<{ output: string; code: number }> {
  const docker = `DOCKER_CONFIG=${directory}/client docker --host unix://${directory}/docker.sock`;
  const { stdout, code } = await run(
    ["script", "--quiet", "--return", "--command", `${docker} ${COMMAND}`, "/dev/null"],
    { timeoutSeconds: 60 },
  );
  return { output: stdout.replaceAll("\r", ""), code };
}

testIf("the tutorial's command: Unikraft on Firecracker, played by the test double", {
  needs: [...DOCKER_NEEDS, "gcc", "script"],
  timeoutSeconds: 120,
}, async () => {
  await using scope = new Scope();
  const configuration = `${await scope.temporaryDirectory("config")}/config.toml`;
  await Deno.writeTextFile(configuration, await doubleTable("firecracker"));
  const it = await startDocker(scope, {
    [UNDER_TEST]: {
      runtimeType: UNDER_TEST,
      options: { TypeUrl: "runtimeoptions.v1.Options", ConfigPath: configuration },
    },
  });
  const files: ImageFile[] = [
    { path: "/unikernel/kernel", content: makeElf(), mode: 0o644 },
    { path: "/unikernel/initrd", content: "an initial RAM disk" },
    {
      path: "/urunc.json",
      content: uruncJson({
        unikernelType: "unikraft",
        unikernelVersion: "0.18.0",
        hypervisor: "firecracker",
        binary: "/unikernel/kernel",
        initrd: "/unikernel/initrd",
        cmdline: COMMAND_LINE.join(" "),
      }),
    },
  ];
  await it.makeImage(IMAGE, files, COMMAND_LINE);
  const { output, code } = await type(it);
  assert.equal(code, 7, output);
  const report = parseReport(output);
  assert.deepEqual(report.uids, [65534, 65534, 65534]);
  assert.deepEqual(report.gids, [65534, 65534, 65534]);
  assert.deepEqual(report.groups, [65534]);
  assert.deepEqual(new Set(Object.values(report.capabilities)), new Set(["0".repeat(16)]));
  assert.equal(report.opens["/guest/initrd"]?.errno, 0);
  const kvm = report.dev.find(({ name }) => name === "kvm");
  assert.deepEqual([kvm?.uid, kvm?.gid, kvm?.mode], [65534, 65534, 0o600]);
});

testIf("the tutorial's command: a guest on QEMU", {
  needs: [...NEEDS, "script"],
  timeoutSeconds: 120,
}, async () => {
  await using scope = new Scope();
  const it = await startDocker(scope);
  await it.makeImage(IMAGE, guestImage("tcg"), ["hello", "Hello", "3"]);
  const { output, code } = await type(it);
  assert.equal(output, "Hello\n");
  assert.equal(code, 3);
});
