/** Guests in networks that users define find other containers by their names, as any container does. */
import assert from "node:assert/strict";
import { busyboxFiles, UNDER_TEST } from "../../support/docker.ts";
import { linuxImage } from "../../support/guest_images.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import { NEEDS, startWithUrunc } from "./_common.ts";

/** A query for the address of `other`, by a connection: RFC 1035, 4.1 and 4.2.2. */
const QUERY =
  "\\000\\027\\022\\064\\001\\000\\000\\001\\000\\000\\000\\000\\000\\000\\005other\\000\\000\\001\\000\\001";

const SCRIPT = [
  "busybox grep ^nameserver /etc/resolv.conf",
  "busybox nslookup -type=a other; busybox nslookup -type=a nowhere.invalid >/dev/null || echo none",
  // The connection stays open until the answer is here.
  `{ printf '${QUERY}'; busybox sleep 2; } | busybox nc 127.0.0.11 53 | busybox od -An -tu1`,
  // As many as there are places, and more.
  "for i in 0 1 2; do for j in 0 1 2 3 4 5 6 7 8 9; do busybox nslookup -type=a other >/tmp/$i$j & done; wait; done",
  "busybox grep -l ^Name: /tmp/* | busybox wc -l",
].join("\n");

testIf("docker: a guest resolves the names of other containers of its network", {
  needs: [...NEEDS, "busybox", "cpio", "apt-get"],
  timeoutSeconds: 300,
}, async () => {
  await using scope = new Scope();
  const it = await startWithUrunc(scope);
  const { docker, inspect } = it;
  await it.makeImage("linux", await linuxImage(scope, "tcg", { moduleTree: true }));
  await it.makeImage("ordinary", busyboxFiles());
  await docker(["network", "create", "--subnet=10.88.5.0/24", "own"], { check: true });
  await docker([
    ...["run", "--detach", "--network=own", "--name=other", "ordinary", "/bin/sleep", "1000"],
  ], { check: true });
  const address = (await inspect("other")).NetworkSettings.Networks.own!.IPAddress;
  for (const runtime of ["runc", "urunc", UNDER_TEST]) {
    const image = runtime === "runc" ? "ordinary" : "linux";
    const { stdout, stderr } = await docker([
      ...[
        "run",
        "--rm",
        `--runtime=${runtime}`,
        "--network=own",
        "--tmpfs=/tmp",
        "--env=PATH=/bin",
      ],
      ...[image, "busybox", "sh", "-c", SCRIPT],
    ], { timeoutSeconds: 120 });
    assert.match(stdout, /^nameserver 127\.0\.0\.11$/m, `${runtime}: ${stderr}`);
    assert.match(stdout, new RegExp(`^Name:\\s+other\\nAddress: ${address}$`, "m"), runtime);
    assert.match(stdout, /^none$/m, runtime);
    const bytes = stdout.match(/^( +\d+)+$/gm)!.join(" ").trim().split(/\s+/);
    assert.deepEqual([bytes[2], bytes[3]], ["18", "52"], "the query's number");
    assert.deepEqual(bytes.slice(-4).join("."), address, runtime);
    assert.match(stdout, /^30$/m, runtime);
  }
});
