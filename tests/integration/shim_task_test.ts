/** What becomes of a guest that the shim cannot make to its end. */
import assert from "node:assert/strict";
import { LinuxError, waitpid } from "../../ffi/linux.ts";
import { deleteContainer } from "../../lib/container/delete.ts";
import { Store } from "../../lib/container/store.ts";
import { AlreadyExistsError, NotUndoneError } from "../../lib/errors.ts";
import { exists } from "../../lib/os/files.ts";
import { loadConfiguration } from "../../lib/host/configuration.ts";
import { SILENT_OBSERVER } from "../../lib/launch/observer.ts";
import { cleanUp } from "../../lib/shim/command/delete.ts";
import { ShimLog } from "../../lib/shim/daemon/log.ts";
import { CreateTaskRequest } from "../../lib/protocol/containerd/messages.ts";
import { Code, statusOf } from "../../lib/protocol/ttrpc/status.ts";
import { Reactor, type ReadyHandler } from "../../lib/shim/daemon/reactor.ts";
import { type ChildExit, Reaper } from "../../lib/shim/daemon/reaper.ts";
import { readRecord } from "../../lib/shim/command/record.ts";
import type { TaskFactory } from "../../lib/shim/service.ts";
import { taskFactory } from "../../lib/shim/task/factory.ts";
import { WarmInit } from "../../lib/shim/daemon/warm_init.ts";
import { doubleConfiguration } from "../support/double.ts";
import { type BundleOptions, makeBundle } from "../support/fixtures.ts";
import { isAlive, listPids, readStatus, waitFor } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { RUN_PREFIX } from "../support/mark.ts";

const needs = ["root", "gcc"];
/** errno(3) */
const EMFILE = 24;
const ENOSPC = 28;

/** One that no terminal can be waited for with. */
class ReactorWithoutTerminals extends Reactor {
  override add(fd: number, events: number, handler: ReadyHandler): void {
    const target = Deno.readLinkSync(`/proc/self/fd/${fd}`);
    if (target.endsWith("/ptmx")) throw new LinuxError("epoll_ctl", `fd ${fd}`, ENOSPC);
    super.add(fd, events, handler);
  }
}

/** A shim in this process, and a bundle. */
interface Shim {
  tasks: TaskFactory;
  bundle: string;
  id: string;
  namespace: string;
  /** Where the containers' states are. */
  root: string;
  request(more?: Partial<Parameters<typeof CreateTaskRequest.encode>[0]>): CreateTaskRequest;
}

async function shim(
  scope: Scope,
  options: (root: string) => BundleOptions,
  reactor = new Reactor(),
  ReaperClass = Reaper,
  configuration = "",
): Promise<Shim> {
  const config = await doubleConfiguration(scope, `accelerator = "tcg"\n${configuration}`);
  const namespace = `${RUN_PREFIX}${crypto.randomUUID().slice(0, 13)}`;
  const root = `/run/containerd/urunc/${namespace}`;
  const { bundle, cleanup } = await makeBundle({ args: ["idle"], ...options(root) });
  scope.defer(`remove ${bundle}`, cleanup);
  // As its shims make it, with what is above.
  const made = [root, "/run/containerd/urunc", "/run/containerd"].filter((it) => !exists(it));
  scope.defer(`remove ${root}`, async () => {
    for (const it of made) await Deno.remove(it).catch(() => {});
  });
  const reaper = new ReaperClass(reactor);
  // What it does not know is another test's.
  reaper.hold();
  const tasks = taskFactory({
    namespace,
    observer: SILENT_OBSERVER,
    reactor,
    reaper,
    log: new ShimLog("", false),
    inits: new WarmInit(SILENT_OBSERVER, reaper),
    shared: false,
    configuration: () => loadConfiguration(config),
  });
  const id = `test-${crypto.randomUUID().slice(0, 13)}`;
  scope.defer(`delete ${id}`, () => deleteContainer(new Store(root), id, true));
  const request: Shim["request"] = (more) =>
    CreateTaskRequest.decode(CreateTaskRequest.encode({ id, bundle, ...more }));
  return { tasks, bundle, id, namespace, root, request };
}

/** What this process has not waited for. */
function children(): number[] {
  return listPids().filter((pid) => {
    try {
      return readStatus(pid).ppid === Deno.pid;
    } catch {
      return false;
    }
  });
}

testIf("a guest whose terminal cannot be served is removed", { needs }, async () => {
  await using scope = new Scope();
  const it = await shim(scope, () => ({ terminal: true }), new ReactorWithoutTerminals());
  // Other tests in this process may have some.
  const before = new Set(children());
  await assert.rejects(it.tasks.create(it.request({ terminal: true })), /ENOSPC/);
  assert.deepEqual(children().filter((pid) => !before.has(pid)), []);
  assert.throws(() => new Store(it.root).open(it.id), /does not exist/);
  assert.equal(readRecord(it.bundle), undefined);
});

testIf("limits that cannot be read are refused as the request's, not config.json's", {
  needs,
}, async () => {
  await using scope = new Scope();
  const it = await shim(scope, () => ({}));
  const task = await it.tasks.create(it.request());
  const refused = async (json: string, message: RegExp) => {
    await assert.rejects(task.update(new TextEncoder().encode(json)), (error) => {
      assert.match((error as Error).message, message);
      assert.equal(statusOf(error).code, Code.invalidArgument);
      return true;
    });
  };
  await refused("{", /^read resources of the request: it is not JSON: /);
  await refused('{"pids": {"limit": "many"}}', /^read resources pids\.limit: found the string /);
  await task.update(new TextEncoder().encode('{"pids": {"limit": 100}}'));
});

testIf("what cannot be removed is left to containerd's clean-up", { needs }, async () => {
  await using scope = new Scope();
  // A mount in its directory, which then cannot be removed.
  const it = await shim(scope, (root) => ({
    edit: (config) => {
      const args = ["sh", "-c", `mount -t tmpfs none ${root}/test-*/root; exit 1`];
      config.hooks = { createRuntime: [{ path: "/bin/sh", args, env: ["PATH=/usr/bin:/bin"] }] };
    },
  }));
  const { root } = it;
  const mounted = `${root}/${it.id}/root`;
  const unmount = () => new Deno.Command("umount", { args: [mounted], stderr: "null" }).output();
  scope.defer(`unmount ${mounted}`, unmount);

  await assert.rejects(it.tasks.create(it.request()), (error) => {
    assert.ok(error instanceof NotUndoneError, `${error}`);
    assert.match(error.message, /EBUSY|busy/);
    assert.match(error.message, /run createRuntime hook/);
    assert.ok(error.message.includes(`(urunc --root ${root} delete --force ${it.id})`));
    return true;
  });
  assert.equal(readRecord(it.bundle)?.root, root);

  await unmount();
  const args = { bundle: it.bundle, id: it.id, namespace: it.namespace } as Parameters<
    typeof cleanUp
  >[0];
  await cleanUp(args);
  assert.throws(() => new Store(root).open(it.id), /does not exist/);
  assert.equal(readRecord(it.bundle), undefined);
});

/** One that cannot wait. */
class ReaperWithoutDescriptors extends Reaper {
  override wait(): Promise<ChildExit> {
    throw new LinuxError("pidfd_open", undefined, EMFILE);
  }
}

testIf("a guest that cannot be waited for has an exit all the same", { needs }, async () => {
  await using scope = new Scope();
  const it = await shim(scope, () => ({}), new Reactor(), ReaperWithoutDescriptors);
  const task = await it.tasks.create(it.request());
  assert.equal((await task.ended).status, 255);
  // It does not go on when it is reported to have exited.
  await waitFor(() => !isAlive(task.pid), { timeoutSeconds: 5, what: "its end" });
  await task.delete();
  it.tasks.remove(task);
  waitpid(task.pid, 0);
});

testIf("a container that is not a guest is refused where the operator allows guests only", {
  needs,
}, async () => {
  await using scope = new Scope();
  // It would succeed at anything.
  const extra = 'oci_runtime = "/bin/true"\n[guests]\nundescribed = "refuse"';
  const it = await shim(scope, () => ({}), new Reactor(), Reaper, extra);
  await Deno.remove(`${it.bundle}/rootfs/urunc.json`);
  await assert.rejects(it.tasks.create(it.request()), /guests\.undescribed is "refuse"/);
  assert.equal(readRecord(it.bundle), undefined);
});

testIf("a container that nothing describes is a guest where the operator wants that", {
  needs,
}, async () => {
  await using scope = new Scope();
  const store = await scope.temporaryDirectory("kernels");
  const extra = 'oci_runtime = "/bin/true"\n[guests]\nundescribed = "linux"\n' +
    `[guests.linux]\nkernels = "${store}"\nkernel = "debian"`;
  const it = await shim(scope, () => ({}), new Reactor(), Reaper, extra);
  await Deno.remove(`${it.bundle}/rootfs/urunc.json`);
  await assert.rejects(it.tasks.create(it.request()), /use kernel debian: it does not exist/);
  assert.equal(readRecord(it.bundle), undefined);
});

/** An OCI runtime that can neither make a container nor delete it, until it is asked to. */
const RUNTIME = `#!/bin/sh
case "$*" in
  *" create "*) exit 1 ;;
  *" delete --force "*) [ -e "$0.can" ] && exit 0; cat "$0.says" >&2; exit 1 ;;
esac
`;

testIf("what an OCI runtime cannot remove is left to it, too", { needs }, async () => {
  await using scope = new Scope();
  const program = `${await scope.temporaryDirectory("runtime")}/runtime`;
  await Deno.writeTextFile(program, RUNTIME, { mode: 0o755 });
  const extra = `oci_runtime = "${program}"`;
  const it = await shim(scope, () => ({}), new Reactor(), Reaper, extra);
  await Deno.remove(`${it.bundle}/rootfs/urunc.json`);

  await Deno.writeTextFile(`${program}.says`, "dial unix /run/systemd/private: no such file");
  await assert.rejects(it.tasks.create(it.request()), (error) => {
    assert.ok(error instanceof NotUndoneError, `${error}`);
    assert.match(
      error.message,
      /no such file.*because of.*create: exit code 1.*\(\/.* delete --force/,
    );
    return true;
  });
  assert.equal(readRecord(it.bundle)?.runtime, program);
  await Deno.writeTextFile(`${program}.can`, "");
  await cleanUp(
    { bundle: it.bundle, id: it.id, namespace: it.namespace } as Parameters<typeof cleanUp>[0],
  );
  assert.equal(readRecord(it.bundle), undefined);

  await Deno.remove(`${program}.can`);
  await Deno.writeTextFile(`${program}.says`, "container does not exist");
  await assert.rejects(
    it.tasks.create(it.request()),
    (error: Error) =>
      !(error instanceof NotUndoneError) && /create: exit code 1/.test(error.message),
  );
  assert.equal(readRecord(it.bundle), undefined);
});

testIf("a guest whose id is taken leaves the one that has it alone", { needs }, async () => {
  await using scope = new Scope();
  const it = await shim(scope, () => ({}));
  const task = await it.tasks.create(it.request());
  const other = await makeBundle({ args: ["idle"] });
  scope.defer(`remove ${other.bundle}`, other.cleanup);
  await assert.rejects(
    it.tasks.create(it.request({ bundle: other.bundle })),
    (error) => error instanceof AlreadyExistsError,
  );
  assert.ok(isAlive(task.pid));
  assert.equal(readRecord(other.bundle), undefined);
  assert.equal(readRecord(it.bundle)?.root, it.root);
  // From sources its init is more than one program: a slow one is taken for a guest that runs.
  await deleteContainer(new Store(it.root), it.id, true);
  await task.ended;
});
