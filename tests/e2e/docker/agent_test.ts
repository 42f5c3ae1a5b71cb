/** A Linux guest with an agent is to docker what any container is. */
import assert from "node:assert/strict";
import { UNDER_TEST } from "../../support/docker.ts";
import { failThreeTimesMore } from "../../support/exit_codes.ts";
import { linuxImage } from "../../support/guest_images.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { logsWith, NEEDS, startWithUrunc } from "./_common.ts";

/** `busybox` has no applets beside it in the RAM disk. */
const shell = (script: string) => [
  ...["busybox", "sh", "-c"],
  `for name in cat hostname id ip sleep; do alias $name="busybox $name"; done\n${script}`,
];

testIf("docker: a guest with an agent has its files, names, network, signals and restarts", {
  needs: [...NEEDS, "busybox", "cpio", "apt-get"],
  timeoutSeconds: 400,
}, async () => {
  await using scope = new Scope();
  const it = await startWithUrunc(scope);
  const { docker, inspect } = it;
  await it.makeImage(
    "linux",
    await linuxImage(scope, "tcg", { moduleTree: true }),
  );
  const options = ["--env=PATH=/bin", "--user=1000:1000", "--group-add=7"];

  for (const runtime of ["urunc", UNDER_TEST]) {
    const run = ["run", "--rm", `--runtime=${runtime}`, ...options];
    const names = ["--hostname=small", "--add-host=other:10.1.2.3", "--interactive"];
    const script = "id; hostname; cat /etc/hosts; ip -4 address show eth0; " +
      'busybox wget -O - http://$GATEWAY:1/ 2>&1 | busybox grep -o "Connection refused"; ' +
      "cat /proc/sys/net/ipv4/ip_unprivileged_port_start; cat >&2; exit 3";
    const gateway = (await docker([
      ...["network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}"],
    ], { check: true })).stdout.trim();
    const { code, stdout, stderr } = await docker(
      [...run, ...names, `--env=GATEWAY=${gateway}`, "linux", ...shell(script)],
      { stdin: "hello world\n", timeoutSeconds: 120 },
    );
    assert.equal(stderr, "hello world\n", runtime);
    assert.match(stdout, /^uid=1000 gid=1000 groups=7(,1000)?\nsmall\n127\.0\.0\.1\s+localhost\n/);
    assert.match(stdout, /^10\.1\.2\.3\s+other$/m);
    assert.match(stdout, /^ +inet 10\.88\.3\.\d+\/24 /m);
    assert.match(
      stdout,
      /^Connection refused\n0$/m,
      "the bridge answers, and docker's sysctl is set",
    );
    assert.equal(code, 3, runtime);
  }

  const script = 'trap "echo trapped; exit 3" TERM; echo up; while :; do sleep 0.1; done';
  const { stdout } = await docker([
    ...["run", "--detach", `--runtime=${UNDER_TEST}`, ...options, "linux", ...shell(script)],
  ], { check: true });
  const id = stdout.trim();
  assert.equal(await logsWith(it, id, "up\n"), "up\n", "and nothing of the kernel's");
  await docker(["stop", "--time=30", id], { check: true, timeoutSeconds: 90 });
  assert.equal((await inspect(id)).State.ExitCode, 3);
  assert.equal((await docker(["logs", id])).stdout, "up\ntrapped\n");

  await failThreeTimesMore(docker, ["--runtime=urunc"], "linux", 200);
});
