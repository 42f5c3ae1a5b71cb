/** `file_access = "userns"` on an overlay, whose layers the shim mounts with their owners mapped. */
import assert from "node:assert/strict";
import { CONTAINERD_NEEDS, startContainerd } from "../../support/containerd.ts";
import { FIRST_ID } from "../../support/host_ids.ts";
import type { ImageFile } from "../../support/image.ts";
import { nodeWithKernel, UNDESCRIBED } from "../../support/node_kernel.ts";
import { isAlive, readStatus, waitFor } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { assertNothingLeft, waitForLine, waitForStatus } from "./_common.ts";

const IMAGE = "docker.io/library/any:latest";

testIf(
  "an image whose entrypoint is root, gives its files away and drops is a guest on an overlay",
  {
    needs: [...CONTAINERD_NEEDS, "qemu-system-x86_64", "virtiofsd", "busybox", "cpio", "apt-get"],
    timeoutSeconds: 400,
  },
  async () => {
    await using scope = new Scope();
    const ids = `[ids]\nmode = "uid"\nrange = "${FIRST_ID}-${FIRST_ID + 65536}"`;
    const config = await Deno.readTextFile(await nodeWithKernel(scope, `${UNDESCRIBED}\n${ids}`));
    const it = await startContainerd(scope, {
      uruncConfiguration: `${config}file_access = "userns"\n`,
    });
    const names = ["sh", "id", "sleep", "chown", "su", "cat", "rm", "mkdir"];
    const files: ImageFile[] = [
      { path: "/bin/busybox", source: "/usr/bin/busybox", mode: 0o755 },
      { path: "/etc/passwd", content: "root:x:0:0::/:/bin/sh\ndb:x:999:998::/data:/bin/sh\n" },
      { path: "/etc/group", content: "root:x:0:\ndb:x:998:\n" },
      { path: "/etc/secret", content: "secret\n", mode: 0o600 },
      { path: "/old/file", content: "old\n" },
      ...names.map((name) => ({ path: `/bin/${name}`, target: "busybox" })),
    ];
    await it.makeImage(IMAGE, files);
    const script =
      "trap 'exit 3' TERM; cat /etc/secret; mkdir /data; chown db:db /data; rm -r /old; " +
      "su db -c 'id -u; cat /etc/secret 2>/dev/null || echo refused; echo written >/data/file'; " +
      "echo ready; while :; do sleep 1; done";
    const log = `${it.directory}/any.log`;
    const flags = ["--detach", `--log-uri=file://${log}`];
    await it.ctrRun(flags, IMAGE, "any", ["sh", "-c", script], { check: true });
    const pid = await waitForStatus(it, "any", "RUNNING");
    await waitForLine(log, "ready");
    const output = (await Deno.readTextFile(log)).replaceAll("\r", "");
    assert.match(output, /^secret\n999\nrefused\nready$/m);
    assert.equal(readStatus(pid).uids[0], FIRST_ID + 65536);
    await it.ctr(["task", "kill", "any"], { check: true });
    await waitFor(() => !isAlive(pid), { timeoutSeconds: 100, what: "the guest to stop" });
    assert.match((await it.ctr(["task", "delete", "any"])).stderr, /exit code 3\b/);
    // As runc would have left it: owners, and the whiteout of what is gone.
    const { stdout } = await it.ctr(["snapshots", "mounts", "/x", "any"], { check: true });
    const [, upper] = /upperdir=([^,\s]+)/.exec(stdout)!;
    const { uid, gid } = Deno.statSync(`${upper}/data/file`);
    assert.deepEqual([uid, gid], [999, 998]);
    assert.ok(Deno.lstatSync(`${upper}/old`).isCharDevice);
    await it.ctr(["containers", "delete", "any"], { check: true });
    await assertNothingLeft(it);
  },
);
