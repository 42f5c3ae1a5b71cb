/**
 * What a boot brings along, as the node's second disk, mounted read-only before anything starts:
 * the tree under test at its root, and in `.node` what goes elsewhere.
 */
import { cacheDirectory } from "../support/cache.ts";
import { doubleBinary } from "../support/double.ts";
import { debianKernel } from "../support/fixtures.ts";
import { run } from "../support/process.ts";
import { repositoryDirectory, uruncBinary } from "../support/urunc.ts";

/** Where the repository is in the node. */
export const NODE_REPOSITORY = "/urunc";

/** Deno's cache in the node. */
export const NODE_DENO_DIR = "/var/cache/deno";

/** Of the repository: everything that tests read. */
const TREE = ["deno.json", "deno.lock", "main.ts", "ffi", "lib", "tests", "fixtures"];

/** An operator's configuration in which the host's groups decide who may use KVM. */
export const GROUPS_CONFIGURATION = "/etc/urunc/groups.toml";

/** Docker, as an operator sets it up for urunc: all else is Debian's default. */
const CONFIGURATION = {
  "/etc/docker/daemon.json": JSON.stringify({
    runtimes: {
      urunc: { path: "/usr/local/bin/urunc" },
      "urunc-groups": {
        path: "/usr/local/bin/urunc",
        runtimeArgs: ["--config", GROUPS_CONFIGURATION],
      },
    },
  }),
  [GROUPS_CONFIGURATION]: 'device_access = "groups"\n',
};

/** The keys of one boot; nothing else gets in. */
export interface Keys {
  /** The private key of the one who may log in as root. */
  identityFile: string;
  /** `ssh-keygen`'s line with the node's own public key. */
  hostKey: string;
}

/**
 * Makes the disk and the keys.
 *
 * @param directory an existing one of the caller's, for them
 * @param files more files, by absolute path in the node
 */
export async function makePayload(
  directory: string,
  files: Record<string, string>,
): Promise<{ disk: string; keys: Keys }> {
  const stage = `${directory}/stage`;
  await Deno.mkdir(stage);
  const repository = repositoryDirectory();
  for (const name of TREE) await put(stage, `/${name}`, { link: `${repository}${name}` });
  await put(stage, "/dist/urunc", { link: await uruncBinary() });
  await put(stage, "/.node/bin/deno", { link: Deno.execPath() });
  const registry = "npm/registry.npmjs.org";
  const cached = `${await denoDirectory()}/${registry}`;
  for (const path of await lockedPackages()) {
    await put(stage, `/.node/deno/${registry}/${path}`, { link: `${cached}/${path}` });
  }
  // Tests find these in their cache, and neither compile nor fetch them.
  await doubleBinary();
  for (const kernel of ["cloud", "stock"] as const) await debianKernel(kernel);
  for (const name of ["double", "linux"]) {
    await put(stage, `/.node/cache/${name}`, { link: await cacheDirectory(name) });
  }

  // Copied over the node's root.
  const keys = await makeKeys(directory);
  const own = {
    "/root/.ssh/authorized_keys": await Deno.readTextFile(`${keys.identityFile}.pub`),
    "/etc/ssh/ssh_host_ed25519_key": await Deno.readTextFile(`${directory}/host`),
    ...CONFIGURATION,
    ...files,
  };
  for (const [path, text] of Object.entries(own)) {
    await put(stage, `/.node/root${path}`, { text });
  }

  const disk = `${directory}/payload`;
  const paths = [stage, `${directory}/payload.tar`, disk];
  await run(["sh", "-ec", MAKE, "sh", ...paths], { timeoutSeconds: 120, check: true });
  return { disk, keys };
}

/** esbuild only builds the executable, which is already there; schemas judge what no node changes. */
const NOT_IN_NODES = /esbuild|kubernetes/;

/** In the registry's part of Deno's cache: the locked packages, and what it knows of their versions. */
async function lockedPackages(): Promise<Set<string>> {
  const lock = JSON.parse(await Deno.readTextFile(`${repositoryDirectory()}deno.lock`));
  const paths = new Set<string>();
  for (const key of Object.keys(lock.npm)) {
    // Name, version, and the versions of peers that it was installed with.
    const [, name = "", version = ""] = /^(@?[^@]+)@([^_]+)/.exec(key) ?? [];
    if (NOT_IN_NODES.test(name)) continue;
    paths.add(`${name}/registry.json`).add(`${name}/${version}`);
  }
  return paths;
}

/** The disk has room for inodes and for the ends of files' last blocks, too. */
const MAKE = `cd "$1"
find -L . \\( -type f -o -type d \\) -print0 |
  tar --create --file "$2" --dereference --null --no-recursion --files-from=- \
    --owner=0 --group=0 --numeric-owner
truncate --size "$(($(stat --format %s "$2") * 5 / 4 + (64 << 20)))" "$3"
mkfs.ext4 -q -F -O ^has_journal -d "$2" "$3"
rm "$2"`;

async function put(
  stage: string,
  path: string,
  content: { link: string } | { text: string },
): Promise<void> {
  const target = `${stage}${path}`;
  await Deno.mkdir(target.slice(0, target.lastIndexOf("/")), { recursive: true });
  if ("link" in content) await Deno.symlink(content.link, target);
  else await Deno.writeTextFile(target, content.text, { mode: 0o600 });
}

async function denoDirectory(): Promise<string> {
  const { stdout } = await run([Deno.execPath(), "info", "--json"], { check: true });
  return JSON.parse(stdout).denoDir;
}

async function makeKeys(directory: string): Promise<Keys> {
  for (const name of ["identity", "host"]) {
    const options = ["-q", "-t", "ed25519", "-N", "", "-C", "urunc-test"];
    await run(["ssh-keygen", ...options, "-f", `${directory}/${name}`], { check: true });
  }
  return {
    identityFile: `${directory}/identity`,
    hostKey: (await Deno.readTextFile(`${directory}/host.pub`)).trim(),
  };
}
