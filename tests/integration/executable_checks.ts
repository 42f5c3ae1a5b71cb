/** What a linked executable must do, as checks that can run on more than one: see executable_test.ts. */
import assert from "node:assert/strict";
import { getrlimit, RLIMIT_NOFILE } from "../../ffi/linux.ts";
import { type CommandOptions, type CommandResult, run } from "../support/process.ts";
import type { Need } from "../support/skip.ts";
import type { ProbeReport } from "./executable_probe.ts";

/** The constants that the probe is bundled with. */
export const CONSTANTS = { version: "1.2.3", commit: "0123456789abcdef" };

/** What one check is given. */
export interface Context {
  /** A directory of its own, in which `probe` is the executable and the only file. */
  directory: string;
  probe: string;
}

/** One property of the executable. */
export interface Check {
  name: string;
  needs?: Need[];
  fn: (context: Context) => Promise<void>;
}

/** Runs the probe and reads its report; fails when it printed anything else. */
async function report(argv: string[], options: CommandOptions = {}): Promise<ProbeReport> {
  const result = await run(argv, options);
  assert.equal(result.stderr, "");
  assert.equal(result.code, 0);
  return parseReport(result);
}

function parseReport(result: CommandResult): ProbeReport {
  const lines = result.stdout.trimEnd().split("\n");
  assert.equal(lines.length, 1, result.stdout);
  return JSON.parse(lines[0] ?? "");
}

async function shell(script: string, args: string[], options: CommandOptions = {}) {
  return await run(["bash", "-c", script, "bash", ...args], options);
}

const EMPTY: CommandOptions = { clearEnv: true, env: {} };

/** The variables that every run has, whatever the caller's are. */
const ownVariables = () => ({
  DENO_DIR: "/dev/null/x",
  DENO_LOG: "error,deno::cache=off",
  DENO_NO_UPDATE_CHECK: "1",
  DENO_NO_PACKAGE_JSON: "1",
  DENO_DISABLE_NODE_SHIM: "1",
  HOME: "/proc/self",
  // The program inherits that of this process, which Deno has raised.
  URUNC_FILE_LIMIT: String(getrlimit(RLIMIT_NOFILE).soft),
});

/** Every check. */
export const CHECKS: Check[] = [
  {
    name: "starts with an empty environment",
    fn: async ({ probe }) => {
      const got = await report([probe, "a"], EMPTY);
      assert.deepEqual(got.args, ["a"]);
      assert.deepEqual(got.env, { ...ownVariables(), URUNC_ARGV0: probe });
      assert.equal(got.linked, true);
      assert.equal(got.execPath, probe);
    },
  },
  {
    name: "starts itself again with an empty environment",
    fn: async ({ probe }) => {
      const { self } = await report([probe], EMPTY);
      assert.deepEqual((await report([...self, "again"], EMPTY)).args, ["again"]);
    },
  },
  {
    name: "knows its version, commit and Deno",
    fn: async ({ probe }) => {
      assert.deepEqual((await report([probe])).version, {
        ...CONSTANTS,
        specVersion: "1.2.0",
        deno: Deno.version.deno,
      });
    },
  },
  {
    name: "passes every argument on unchanged",
    fn: async ({ probe }) => {
      const args = [
        "",
        " ",
        "two words",
        "line\nbreak",
        "tab\tand\\backslash",
        "é € 😀 \u{10ffff}",
        "--",
        "--help",
        "--version",
        "-A",
        "-",
        "",
      ];
      assert.deepEqual((await report([probe, ...args])).args, args);
      assert.deepEqual((await report([probe, "--", "x", "--"])).args, ["--", "x", "--"]);
    },
  },
  {
    name: "passes many and long arguments on",
    fn: async ({ probe }) => {
      const args = Array.from({ length: 5000 }, (_, i) => `${i}-${"x".repeat(i % 200)}`);
      args.push("y".repeat(100_000));
      assert.deepEqual((await report([probe, ...args])).args, args);
    },
  },
  {
    name: "refuses an argument that Deno would change",
    fn: async ({ probe }) => {
      const cases = [
        [String.raw`\xff`, "urunc: read argument 2: it is not valid UTF-8\n"],
        [String.raw`a\xc3`, "urunc: read argument 2: it is not valid UTF-8\n"],
        [String.raw`\xc0\x80`, "urunc: read argument 2: it is not valid UTF-8\n"],
        [String.raw`\xed\xa0\x80`, "urunc: read argument 2: it is not valid UTF-8\n"],
        [String.raw`\xf4\x90\x80\x80`, "urunc: read argument 2: it is not valid UTF-8\n"],
        [String.raw`a\r`, "urunc: read argument 2: it ends in a carriage return\n"],
      ];
      for (const [argument, message] of cases) {
        const result = await shell(`exec "$1" first $'${argument}'`, [probe]);
        assert.deepEqual(result, { code: 1, stdout: "", stderr: message });
      }
    },
  },
  {
    name: "passes the exit code on",
    fn: async ({ probe }) => {
      for (const code of [0, 1, 7, 255]) {
        assert.equal((await run([probe, `--exit=${code}`])).code, code);
      }
      const thrown = await run([probe, "--throw"]);
      assert.equal(thrown.code, 1);
      assert.match(thrown.stderr, /thrown by the probe/);
    },
  },
  {
    name: "gets /dev/null for closed standard files",
    fn: async ({ probe, directory }) => {
      const file = `${directory}/report`;
      const cases = { "0<&- 1>&- 2>&-": ["0", "1", "2"], "0<&-": ["0"], "1>&-": ["1"] };
      for (const [redirection, closed] of Object.entries(cases)) {
        const result = await shell(`exec "$1" --report="$2" ${redirection}`, [probe, file]);
        assert.deepEqual(result, { code: 0, stdout: "", stderr: "" }, redirection);
        const { fds, bundle }: ProbeReport = JSON.parse(await Deno.readTextFile(file));
        for (const fd of closed) assert.equal(fds[fd], "/dev/null", redirection);
        assert.ok(Number(bundle.fd) > 2, redirection);
      }
    },
  },
  {
    name: "leaves the descriptors alone that the caller holds open",
    fn: async ({ probe }) => {
      const result = await shell(
        `for fd in {3..200}; do eval "exec $fd</etc/hostname"; done; exec "$1"`,
        [probe],
      );
      assert.equal(result.stderr, "");
      const { fds, bundle } = parseReport(result);
      for (let fd = 3; fd <= 200; fd++) assert.equal(fds[fd], "/etc/hostname", `fd ${fd}`);
      assert.ok(Number(bundle.fd) > 200);
    },
  },
  {
    name: "keeps the bundle sealed and from its children",
    fn: async ({ probe }) => {
      const { bundle, fds, childFds } = await report([probe]);
      assert.match(fds[bundle.fd] ?? "", /^\/memfd:urunc\.js/);
      assert.ok(parseInt(bundle.flags, 8) & 0o2000000, "close-on-exec");
      assert.match(bundle.write, /Operation not permitted/);
      assert.match(bundle.truncate, /Operation not permitted/);
      assert.match(childFds, / 0 -> /);
      assert.doesNotMatch(childFds, /memfd/);
    },
  },
  {
    name: "knows the name it was called by, and takes no orders from it",
    fn: async ({ probe, directory }) => {
      for (const name of ["containerd-shim-urunc-v2", "node", "deno", "dx", "denox", "a b é"]) {
        const link = `${directory}/${name}`;
        await Deno.symlink(probe, link);
        const linked = await report([link, "x"], EMPTY);
        assert.deepEqual(
          [linked.invokedAs, linked.args, linked.execPath],
          [name, ["x"], probe],
        );
        await Deno.remove(link);
      }
      const copy = `${directory}/dnx`;
      await Deno.copyFile(probe, copy);
      const copied = await report(["dnx", "x"], { clearEnv: true, env: { PATH: directory } });
      assert.deepEqual([copied.invokedAs, copied.args, copied.execPath], ["dnx", ["x"], copy]);
      const empty = parseReport(await shell(`exec -a "" "$1" x`, [probe]));
      assert.deepEqual([empty.invokedAs, empty.args], ["", ["x"]]);
    },
  },
  {
    name: "runs from a read-only directory",
    needs: ["root", "unshare"],
    fn: async ({ probe, directory }) => {
      const result = await inMountNamespace(
        `mount --bind "$2" "$2" && mount -o remount,ro,bind "$2" && ! touch "$2/x" 2>/dev/null && exec "$1"`,
        [probe, directory],
      );
      assert.equal(result.stderr, "");
      assert.equal(parseReport(result).execPath, probe);
    },
  },
  {
    name: "says so when /proc is not there",
    needs: ["root", "unshare"],
    fn: async ({ probe }) => {
      assert.deepEqual(await inMountNamespace(`umount -l /proc && exec "$1"`, [probe]), {
        code: 1,
        stdout: "",
        stderr: "urunc: read /proc/self/fd: /proc must be mounted and readable; " +
          "mount -t proc proc /proc (errno 2)\n",
      });
    },
  },
  {
    name: "says so when a seccomp profile forbids the memory file",
    needs: ["gcc"],
    fn: async ({ probe, directory }) => {
      const host = await buildHost(directory);
      const refused = await run([host, "forbid-memfd", probe]);
      assert.equal(refused.code, 1);
      assert.equal(refused.stdout, "");
      assert.match(refused.stderr, /^urunc: create a memory file: .*seccomp.* \(errno 1\)\n$/);
    },
  },
  {
    name: "starts without any argument, not even its name",
    needs: ["gcc"],
    fn: async ({ probe, directory }) => {
      const got = await report([await buildHost(directory), "no-arguments", probe], EMPTY);
      assert.deepEqual([got.args, got.invokedAs], [[], ""]);
    },
  },
  {
    name: "lets no variable change what runs",
    fn: async ({ probe, directory }) => {
      const trap = `${directory}/trap`;
      const home = `${directory}/home`;
      const script = `${directory}/script.cjs`;
      await Deno.mkdir(home);
      await Deno.writeTextFile(`${home}/.npmrc`, "registry=::not a url\n@x:registry=::\n");
      await Deno.writeTextFile(script, "console.log('preloaded')\n");
      const hostile: Record<string, string> = {
        DENO_V8_FLAGS: "--help",
        DENO_DIR: trap,
        DENO_CERT: "/nonexistent",
        DENO_AUTH_TOKENS: "x@y",
        DENO_LOG: "trace",
        DENO_COMPAT: "1",
        DENO_COVERAGE_DIR: trap,
        DENO_AUDIT_PERMISSIONS: trap,
        DENO_TRACE_PERMISSIONS: "1",
        DENO_PERMISSION_BROKER_PATH: trap,
        DENO_UNSTABLE_CONTROL_SOCK: `unix:${trap}`,
        DENO_STARTUP_PHASES: "1",
        DENO_NO_UPDATE_CHECK: "0",
        DENO_TLS_CA_STORE: "nonsense",
        NODE_OPTIONS: `--require ${script}`,
        NODE_EXTRA_CA_CERTS: "/nonexistent",
        NODE_CHANNEL_FD: "0",
        NODE_V8_COVERAGE: trap,
        NPM_CONFIG_REGISTRY: "nonsense",
        npm_config_registry: "nonsense",
        OTEL_DENO: "true",
        RUST_LOG: "trace",
        RUST_BACKTRACE: "full",
        RUST_MIN_STACK: "1",
        TOKIO_WORKER_THREADS: "0",
        COMPLETE: "bash",
        SSLKEYLOGFILE: trap,
        URUNC_ARGV0: "containerd-shim-urunc-v2",
        URUNC_FILE_LIMIT: "5",
        HOME: home,
      };
      const kept = { PATH: "/usr/bin:/bin", TTRPC_ADDRESS: "/run/x", DENOX: "1", LANG: "C" };
      const expected = { ...ownVariables(), ...kept, URUNC_ARGV0: probe };
      for (const [name, value] of Object.entries(hostile)) {
        const got = await report([probe, "x"], { clearEnv: true, env: { ...kept, [name]: value } });
        assert.deepEqual([got.args, got.env, got.invokedAs], [["x"], expected, "probe"], name);
      }
      const all = await report([probe, "x"], { clearEnv: true, env: { ...hostile, ...kept } });
      assert.deepEqual([all.args, all.env], [["x"], expected]);
      assert.deepEqual([...Deno.readDirSync(home)].map((it) => it.name), [".npmrc"]);
      await assert.rejects(Deno.stat(trap), Deno.errors.NotFound);
    },
  },
  {
    name: "writes nothing to a home",
    fn: async ({ probe, directory }) => {
      const home = `${directory}/home`;
      await Deno.mkdir(home);
      await report([probe], { clearEnv: true, env: { HOME: home, XDG_CACHE_HOME: home } });
      assert.deepEqual([...Deno.readDirSync(home)], []);
    },
  },
  {
    name: "reads no configuration in the working directory",
    fn: async ({ probe, directory }) => {
      const cwd = `${directory}/cwd`;
      await Deno.mkdir(`${cwd}/node_modules`, { recursive: true });
      for (
        const name of ["deno.json", "deno.jsonc", "package.json", ".npmrc", ".env", "deno.lock"]
      ) {
        await Deno.writeTextFile(`${cwd}/${name}`, "]]] not what it should be");
      }
      assert.equal((await report([probe], { ...EMPTY, cwd })).cwd, cwd);
    },
  },
  {
    name: "starts in a removed working directory",
    fn: async ({ probe, directory }) => {
      const result = await shell(
        `mkdir "$2/gone" && cd "$2/gone" && rmdir "$2/gone" && exec "$1"`,
        [probe, directory],
      );
      assert.equal(result.stderr, "");
      assert.equal(parseReport(result).cwd, "/");
    },
  },
  {
    name: "starts itself again after its file was replaced",
    fn: async ({ probe, directory }) => {
      const copy = `${directory}/copy`;
      await Deno.copyFile(probe, copy);
      const result = await shell(`exec 7<"$1"; rm "$1"; exec /proc/self/fd/7`, [copy]);
      assert.equal(result.stderr, "");
      assert.deepEqual(parseReport(result).self, ["/proc/self/exe"]);
    },
  },
];

/** Runs a script in a mount namespace of its own, from which nothing reaches the host. */
async function inMountNamespace(script: string, args: string[]): Promise<CommandResult> {
  return await run(
    ["unshare", "--mount", "--propagation=private", "bash", "-c", script, "bash", ...args],
  );
}

/** Builds the small program that starts others in ways that no shell can. */
async function buildHost(directory: string): Promise<string> {
  const host = `${directory}/host`;
  const source = new URL("executable_host.c", import.meta.url).pathname;
  await run(["gcc", "-Wall", "-Werror", source, "-o", host], { check: true });
  return host;
}
