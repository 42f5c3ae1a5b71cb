import assert from "node:assert/strict";
import { parseState } from "../../../lib/container/state.ts";
import { Store } from "../../../lib/container/store.ts";
import { AlreadyExistsError, HostError, NotFoundError } from "../../../lib/errors.ts";
import { STATE } from "./_state.ts";

async function withStore(test: (store: Store, path: string) => void | Promise<void>) {
  const path = Deno.makeTempDirSync({ prefix: "urunc-store-" });
  try {
    await test(new Store(`${path}/deep/root`), path);
  } finally {
    Deno.removeSync(path, { recursive: true });
  }
}

Deno.test("an id is taken once, and free again after remove", () =>
  withStore((store) => {
    store.create("one").remove();
    const directory = store.create("one");
    assert.throws(() => store.create("one"), (error: Error) => {
      assert.ok(error instanceof AlreadyExistsError);
      assert.match(error.message, /container with id one already exists/);
      return true;
    });
    directory.remove();
    directory.remove();
    assert.deepEqual(store.list(), []);
  }));

Deno.test("a missing container is reported in the text that callers match", () =>
  withStore((store) => {
    for (const prepare of [() => {}, () => store.create("other")]) {
      prepare();
      assert.throws(() => store.open("one"), (error: Error) => {
        assert.ok(error instanceof NotFoundError);
        assert.match(error.message, /container "one" does not exist/);
        return true;
      });
    }
  }));

Deno.test("an id that is a path is rejected before anything is read", () =>
  withStore((store) => {
    for (
      const use of [() => store.create("../x"), () => store.open(".."), () => store.pathOf("")]
    ) {
      assert.throws(use, /are allowed/);
    }
    assert.throws(() => Deno.statSync(store.root), Deno.errors.NotFound);
  }));

Deno.test("containers are listed, also one without a state; other things are not", () =>
  withStore((store) => {
    assert.deepEqual(store.list(), []);
    store.create("two").writeState({ ...STATE, id: "two" });
    store.create("one");
    Deno.writeTextFileSync(`${store.root}/file`, "");
    Deno.mkdirSync(`${store.root}/not an id`);
    assert.deepEqual(store.list(), ["one", "two"]);
    assert.equal(store.open("one").readState(), undefined);
    assert.equal(store.open("two").readState()?.id, "two");
  }));

Deno.test("only the owner may look", () =>
  withStore(async (store) => {
    const saved = Deno.umask(0);
    try {
      const directory = store.create("one");
      directory.writeState(STATE);
      (await directory.lockAsync()).release();
      const mode = (path: string) => (Deno.statSync(path).mode ?? 0) & 0o777;
      assert.equal(mode(store.root), 0o700);
      assert.equal(mode(directory.path), 0o700);
      assert.equal(mode(`${directory.path}/state.json`), 0o600);
      assert.equal(mode(`${directory.path}/lock`), 0o600);
    } finally {
      Deno.umask(saved);
    }
  }));

Deno.test("a state is replaced as a whole, whatever a killed writer left", () =>
  withStore((store) => {
    const directory = store.create("one");
    Deno.writeTextFileSync(`${directory.path}/state.json.new`, "{ half");
    directory.writeState(STATE);
    directory.writeState({ ...STATE, phase: "started" });
    assert.equal(directory.readState()?.phase, "started");
    const names = [...Deno.readDirSync(directory.path)].map(({ name }) => name).sort();
    assert.deepEqual(names, ["state.json", "state.json.previous"]);
    assert.deepEqual(JSON.parse(directory.readPreviousStateText()!), STATE);
    // What damages the one spares the other.
    Deno.writeTextFileSync(`${directory.path}/state.json`, "{ half");
    assert.deepEqual(JSON.parse(directory.readPreviousStateText()!), STATE);
  }));

Deno.test("a reader never sees half a state", () =>
  withStore(async (store) => {
    const directory = store.create("one");
    directory.writeState(STATE);
    const path = `${directory.path}/state.json`;
    // Files of very different lengths, renamed into place by another process.
    const long = JSON.stringify({ ...STATE, annotations: { pad: "x".repeat(100_000) } });
    const write = `const write = (text) => {
      Deno.writeTextFileSync("${path}.new", text);
      Deno.renameSync("${path}.new", "${path}");
    };
    const long = await new Response(Deno.stdin.readable).text();
    const short = JSON.stringify({ ...JSON.parse(long), annotations: {} });
    for (let round = 0; round < 300; round++) write(round % 2 ? short : long);`;
    const writer = new Deno.Command(Deno.execPath(), {
      args: ["eval", write],
      stdin: "piped",
      stdout: "null",
    }).spawn();
    const stdin = writer.stdin.getWriter();
    await stdin.write(new TextEncoder().encode(long));
    await stdin.close();
    let ended = false;
    const status = writer.status.finally(() => ended = true);
    while (!ended) {
      parseState(Deno.readTextFileSync(path), path);
      await new Promise((resolve) => setTimeout(resolve));
    }
    assert.ok((await status).success);
  }));

Deno.test("a state directory that others can write, or a symlink, is refused", () =>
  withStore((store, path) => {
    store.create("one");
    Deno.chmodSync(store.root, 0o770);
    for (const use of [() => store.open("one"), () => store.create("two"), () => store.list()]) {
      assert.throws(
        use,
        (error: Error) =>
          error instanceof HostError && /others than its owner can write it/.test(error.message),
      );
    }
    Deno.chmodSync(store.root, 0o711);
    store.open("one");
    Deno.symlinkSync(store.root, `${path}/link`);
    assert.throws(() => new Store(`${path}/link`).open("one"), /name what it points to/);
  }));

Deno.test("a lock is held until it is released", () =>
  withStore(async (store) => {
    const directory = store.create("one");
    const lock = await directory.lockAsync();
    const waiter = new Deno.Command("flock", { args: [`${directory.path}/lock`, "true"] }).spawn();
    let waited = true;
    const status = waiter.status.finally(() => waited = false);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.ok(waited, "the lock did not hold");
    lock.release();
    lock.release();
    assert.ok((await status).success);
  }));

Deno.test("waiting for the lock of a container that is deleted meanwhile finds no container", () =>
  withStore(async (store) => {
    const directory = store.create("one");
    // Holds the lock of the first container; once somebody waits for it, deletes that container and
    // takes its id for a second one.
    (await directory.lockAsync()).release();
    const { ino } = Deno.statSync(`${directory.path}/lock`);
    const waiting = `-> FLOCK.*:${ino} `;
    const holder = new Deno.Command("flock", {
      args: [
        `${directory.path}/lock`,
        "sh",
        "-c",
        `echo held
        for _ in $(seq 1000); do grep -q -e "${waiting}" /proc/locks && break; sleep 0.01; done
        rm -r ${directory.path}; mkdir ${directory.path}`,
      ],
      stdout: "piped",
    }).spawn();
    const reader = holder.stdout.getReader();
    await reader.read();
    await assert.rejects(directory.lockAsync(), NotFoundError);
    await reader.cancel();
    assert.ok((await holder.status).success);
    assert.throws(() => new Store(store.root).open("two"), NotFoundError);
    using _lock = await store.open("one").lockAsync();
  }));
