import assert from "node:assert/strict";
import { close, pipe, writeAll } from "../../../ffi/linux.ts";
import { Reactor } from "../../../lib/shim/daemon/reactor.ts";
import { Reaper } from "../../../lib/shim/daemon/reaper.ts";
import { type LoggerServices, parseLoggerUri } from "../../../lib/shim/stdio/logger.ts";
import { openStdio } from "../../../lib/shim/stdio/task_stdio.ts";
import { Scope } from "../../support/scope.ts";

const commands: [uri: string, path: string, args: string[]][] = [
  ["binary:///bin/log", "/bin/log", []],
  ["binary:///bin/log?_INTERNAL=/var/x&key=a%20b", "/bin/log", [
    "_INTERNAL",
    "/var/x",
    "key",
    "a b",
  ]],
  ["binary:///a%20b?k=1&k=2&flag", "/a b", ["k", "1", "flag", ""]],
];

for (const [uri, path, args] of commands) {
  Deno.test(`the logging program in ${uri}`, () => {
    assert.deepEqual(parseLoggerUri(uri), { path, args });
  });
}

const NONE = [
  "binary://",
  "binary://host/bin/log",
  "binary:bin/log",
  "binary:///a%00b",
  "binary:///%",
];
for (const uri of NONE) {
  Deno.test(`no logging program is in ${uri}`, () => {
    assert.throws(() => parseLoggerUri(uri), /found no absolute path/);
  });
}

/** A logging program that writes what it reads, and what it was told, beside itself. */
const PROGRAM = `#!/bin/sh
echo "$1=$2 $CONTAINER_NAMESPACE/$CONTAINER_ID $(env | wc -l)" >"$2/told"
exec 5>&-
cat <&4 >"$2/stderr" &
exec 4<&-
cat <&3 >"$2/stdout"
exec 3<&-
wait
echo end >>"$2/told"
`;

async function prepare(scope: Scope, text = PROGRAM) {
  const directory = await scope.temporaryDirectory("logger");
  const program = `${directory}/program`;
  await Deno.writeTextFile(program, text, { mode: 0o755 });
  const warnings: string[] = [];
  const reactor = new Reactor();
  const reaper = new Reaper(reactor);
  // What it does not know is another test's.
  reaper.hold();
  const services: LoggerServices = {
    namespace: "ns",
    reactor,
    reaper,
    log: { warning: (line) => warnings.push(line) },
  };
  const read = (name: string) => Deno.readTextFileSync(`${directory}/${name}`);
  return { directory, uri: `binary://${program}?dir=${directory}`, services, warnings, read };
}

const text = (value: string) => new TextEncoder().encode(value);

Deno.test("a logging program gets both outputs of its container, and ends after it", async () => {
  await using scope = new Scope();
  const { directory, uri, services, read, warnings } = await prepare(scope);
  const io = { stdin: "", stdout: uri, stderr: uri, terminal: false };
  const stdio = await openStdio(services, "box", io);
  const [, stdout, stderr] = stdio.stdio;
  writeAll(stdout, text("out\n"));
  writeAll(stderr, text("error\n"));
  stdio.given();
  await stdio.drain();
  stdio.close();
  assert.equal(read("stdout"), "out\n");
  assert.equal(read("stderr"), "error\n");
  // Beside these two the shell makes PWD and, bash, SHLVL and _.
  assert.match(read("told"), RegExp(`^dir=${directory} ns/box [2-5]\nend\n$`));
  assert.deepEqual(warnings, []);
});

Deno.test("a logging program gets a terminal's output", async () => {
  await using scope = new Scope();
  const { uri, services, read } = await prepare(scope);
  const stdio = await openStdio(services, "box", {
    stdin: "",
    stdout: uri,
    stderr: "",
    terminal: true,
  });
  const [master, slave] = pipe();
  stdio.attachTerminal(master);
  writeAll(slave, text("in a terminal\n"));
  close(slave);
  await stdio.drain();
  stdio.close();
  assert.equal(read("stdout"), "in a terminal\n");
  assert.equal(read("stderr"), "");
});

/** One that another has waited for. */
class LateReaper extends Reaper {
  override async wait(pid: number): Promise<never> {
    await super.wait(pid);
    throw new Error("ECHILD");
  }
}

Deno.test("a logging program that cannot be waited for is logged", async () => {
  await using scope = new Scope();
  const { uri, services, warnings } = await prepare(scope);
  const reaper = new LateReaper(services.reactor);
  reaper.hold();
  const io = { stdin: "", stdout: uri, stderr: uri, terminal: false };
  const stdio = await openStdio({ ...services, reaper }, "box", io);
  stdio.given();
  await stdio.drain();
  stdio.close();
  assert.match(warnings.join(), /^box: wait for its logging program .*: ECHILD$/);
});

Deno.test("a logging program that cannot be started is an error", async () => {
  await using scope = new Scope();
  const { uri, services, directory } = await prepare(scope);
  await Deno.chmod(`${directory}/program`, 0o644);
  const io = { stdin: "", stdout: uri, stderr: uri, terminal: false };
  await assert.rejects(
    () => openStdio(services, "box", io),
    /start the logging program.*program.*(Permission denied|EACCES)/,
  );
});

Deno.test("a logging program that does not exit is terminated, and its failure is logged", async () => {
  await using scope = new Scope();
  const { uri, services, warnings } = await prepare(
    scope,
    "#!/bin/sh\ntrap 'exit 3' TERM\nexec 5>&-\nwhile :; do sleep 0.05; done\n",
  );
  const io = { stdin: "", stdout: uri, stderr: uri, terminal: false };
  const stdio = await openStdio(services, "box", io);
  stdio.given();
  await stdio.drain();
  stdio.close();
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!, /^box: its logging program .*\/program ended with exit code 3$/);
});
