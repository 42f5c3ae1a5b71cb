/**
 * Packages a built executable: `deno run -A lib/build/package.ts [DIRECTORY]`, by default `dist`. It writes
 *
 * - `urunc_VERSION_ARCHITECTURE.deb`: the executable, the shim's name, manual pages, completion;
 * - `urunc.cdx.json`: what the executable is made of, in CycloneDX;
 * - `SHA256SUMS` of these and of the executable.
 *
 * The same executable gives the same bytes, wherever and whenever. It needs `dpkg-deb` and gzip(1).
 */
import { join, resolve } from "pathe";
import config from "../../deno.json" with { type: "json" };
import { arch } from "../arch/arch.ts";
import { completionScript } from "../cli/completion.ts";
import { formatError, HostError } from "../errors.ts";
import { KNOWN_BASE } from "./base.ts";
import { manualPages } from "./man.ts";

const ROOT = resolve(import.meta.dirname ?? ".", "../..");

const MAINTAINER = "urunc authors <urunc@example.org>";

/** npm packages that are linked into the executable; the others only build and test it. */
const LINKED = ["smol-toml"];

/** What lintian objects to, and why it is so. */
const OVERRIDES = [
  "# Deno's executable is linked in as its makers publish it.",
  "urunc: embedded-library *",
  "urunc: hardening-no-relro [usr/bin/urunc]",
];

/** A file of the package. */
interface PackagedFile {
  /** Without the leading slash. */
  path: string;
  content?: Uint8Array<ArrayBuffer>;
  /** Of a symbolic link. */
  target?: string;
  mode: number;
}

/**
 * Writes the Debian package of an executable.
 *
 * @param executable its path
 * @param output of the package
 * @param date that all of its files have, in seconds since 1970
 * @throws HostError when dpkg-deb fails
 */
export async function writeDebianPackage(
  executable: string,
  output: string,
  date: number,
): Promise<void> {
  const tree = await Deno.makeTempDir({ prefix: "urunc-deb-" });
  try {
    const files = await packagedFiles(executable, date);
    const size = files.reduce((sum, { content }) => sum + (content?.length ?? 0), 0);
    const sums = await Promise.all(
      files.map(async ({ path, content }) =>
        content === undefined ? "" : `${await digest("MD5", content)}  ${path}\n`
      ),
    );
    await writeTree(tree, [
      ...files,
      textFile("DEBIAN/control", control(size)),
      textFile("DEBIAN/md5sums", sums.join("")),
    ]);
    await run(["dpkg-deb", "--root-owner-group", "-Zxz", "--build", tree, output], {
      // Of the archive's members, and the most that files in it have.
      SOURCE_DATE_EPOCH: `${date}`,
    });
  } finally {
    await Deno.remove(tree, { recursive: true });
  }
}

async function packagedFiles(executable: string, date: number): Promise<PackagedFile[]> {
  const compressed = async (path: string, text: string) => ({
    path: `${path}.gz`,
    content: await gzip(text),
    mode: 0o644,
  });
  const pages = manualPages().map(({ name, text }) =>
    compressed(`usr/share/man/man${name.split(".").at(-1)}/${name}`, text)
  );
  return [
    { path: "usr/bin/urunc", content: await Deno.readFile(executable), mode: 0o755 },
    { path: "usr/bin/containerd-shim-urunc-v2", target: "urunc", mode: 0 },
    ...await Promise.all(pages),
    textFile("usr/share/bash-completion/completions/urunc", completionScript("bash")),
    textFile("usr/share/fish/vendor_completions.d/urunc.fish", completionScript("fish")),
    textFile("usr/share/doc/urunc/copyright", copyright()),
    await compressed("usr/share/doc/urunc/changelog", changelog(date)),
    await compressed(
      "usr/share/doc/urunc/CHANGELOG.md",
      await Deno.readTextFile(`${ROOT}/CHANGELOG.md`),
    ),
    textFile("usr/share/lintian/overrides/urunc", `${OVERRIDES.join("\n")}\n`),
  ];
}

function textFile(path: string, text: string): PackagedFile {
  return { path, content: new TextEncoder().encode(text), mode: 0o644 };
}

/** @see deb-control(5); sizes are in KiB */
function control(size: number): string {
  return `Package: urunc
Version: ${config.version}
Architecture: ${arch.imageName}
Maintainer: ${MAINTAINER}
Installed-Size: ${Math.ceil(size / 1024)}
Depends: libc6 (>= 2.27)
Recommends: ${arch.qemu.debianPackage}, runc
Suggests: containerd, docker.io, podman
Section: admin
Priority: optional
Description: container runtime that runs unikernels and small Linux guests
 urunc is an OCI runtime and a containerd shim in one executable: docker,
 podman, containerd and Kubernetes call it as they call runc. Instead of a
 process it starts a virtual machine monitor (QEMU, Firecracker or Solo5) as
 the user that the container asked for, without capabilities.
 .
 "urunc doctor" checks a node, "urunc install" configures docker, containerd,
 CRI-O and podman for it.
`;
}

/** @see https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/ */
function copyright(): string {
  return `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: urunc
Source: the repository that this package was built from

Files: *
Copyright: 2026 urunc authors
License: Apache-2.0
 On Debian systems, the full text of the Apache License, Version 2.0, is in
 /usr/share/common-licenses/Apache-2.0.
Comment:
 The executable has Deno ${KNOWN_BASE.version} linked in, which is under the MIT licence
 (https://github.com/denoland/deno/blob/main/LICENSE.md), and smol-toml, which
 is under the BSD 3-clause licence.
`;
}

/** @see deb-changelog(5) */
function changelog(date: number): string {
  const day = new Date(date * 1000).toUTCString().replace("GMT", "+0000");
  return `urunc (${config.version}) unstable; urgency=medium\n\n` +
    `  * See CHANGELOG.md.gz.\n\n -- ${MAINTAINER}  ${day}\n`;
}

async function writeTree(tree: string, files: PackagedFile[]): Promise<void> {
  await Deno.chmod(tree, 0o755);
  for (const { path, content, target, mode } of files) {
    const at = join(tree, path);
    await run(["install", "-d", "-m", "0755", at.slice(0, at.lastIndexOf("/"))]);
    if (target !== undefined) await Deno.symlink(target, at);
    else {
      await Deno.writeFile(at, content!);
      // Whatever the umask is.
      await Deno.chmod(at, mode);
    }
  }
}

/** What the executable is made of: https://cyclonedx.org/docs/1.6/json/. */
export async function describeComponents(): Promise<unknown> {
  const lock: { npm: Record<string, { integrity: string }> } = JSON.parse(
    await Deno.readTextFile(join(ROOT, "deno.lock")),
  );
  const packages = LINKED.map((name) => {
    const key = Object.keys(lock.npm).find((it) => it.startsWith(`${name}@`))!;
    const { integrity } = lock.npm[key]!;
    return npmComponent(name, key.slice(name.length + 1), {
      alg: "SHA-512",
      content: Uint8Array.fromBase64(integrity.replace(/^sha512-/, "")).toHex(),
    });
  });
  return {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      component: {
        type: "application",
        "bom-ref": "urunc",
        name: "urunc",
        version: config.version,
        licenses: [{ license: { id: config.license } }],
      },
    },
    components: [
      npmComponent(arch.denoPackage, KNOWN_BASE.version, {
        alg: "SHA-256",
        content: KNOWN_BASE.sha256,
      }),
      ...packages,
    ],
  };
}

function npmComponent(name: string, version: string, hash: { alg: string; content: string }) {
  const purl = `pkg:npm/${name.replace("@", "%40")}@${version}`;
  return { type: "library", "bom-ref": purl, name, version, purl, hashes: [hash] };
}

/** @returns the names of what was written */
async function writePackages(directory: string): Promise<string[]> {
  const executable = join(directory, "urunc");
  const deb = `urunc_${config.version}_${arch.imageName}.deb`;
  await writeDebianPackage(executable, join(directory, deb), await commitDate());
  const components = `${JSON.stringify(await describeComponents(), null, 2)}\n`;
  await Deno.writeTextFile(join(directory, "urunc.cdx.json"), components);
  const names = ["urunc", deb, "urunc.cdx.json"];
  const sums = await Promise.all(
    names.map(async (name) =>
      `${await digest("SHA-256", await Deno.readFile(join(directory, name)))}  ${name}\n`
    ),
  );
  await Deno.writeTextFile(join(directory, "SHA256SUMS"), sums.join(""));
  return [...names, "SHA256SUMS"];
}

/** Of the commit that is packaged; 0 without git. */
async function commitDate(): Promise<number> {
  const { success, stdout } = await new Deno.Command("git", {
    args: ["-C", ROOT, "log", "-1", "--format=%ct"],
    stderr: "null",
  }).output();
  return success ? Number(new TextDecoder().decode(stdout)) : 0;
}

/** `crypto.subtle` has no MD5, which dpkg's list of files is in. */
async function digest(
  algorithm: "MD5" | "SHA-256",
  bytes: Uint8Array<ArrayBuffer>,
): Promise<string> {
  if (algorithm === "SHA-256") {
    return new Uint8Array(await crypto.subtle.digest(algorithm, bytes)).toHex();
  }
  return new TextDecoder().decode(await filter(["md5sum"], bytes)).split(" ")[0]!;
}

/** Without a name and a time (`-n`), as Debian's policy asks. */
async function gzip(text: string): Promise<Uint8Array<ArrayBuffer>> {
  return await filter(["gzip", "-9n"], new TextEncoder().encode(text));
}

async function filter(
  [program, ...args]: [string, ...string[]],
  input: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  const child = new Deno.Command(program, { args, stdin: "piped", stdout: "piped" }).spawn();
  const writer = child.stdin.getWriter();
  const [, output] = await Promise.all([
    writer.write(input).then(() => writer.close()),
    child.output(),
  ]);
  if (!output.success) throw failed(program, "");
  return output.stdout;
}

async function run(
  [program, ...args]: [string, ...string[]],
  env: Record<string, string> = {},
): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args, env }).output();
  if (!success) throw failed(program, new TextDecoder().decode(stderr).trim());
}

function failed(program: string, reason: string): HostError {
  return new HostError({ operation: "package", subject: program, reason: reason || "it failed" });
}

if (import.meta.main) {
  try {
    const directory = resolve(Deno.args[0] ?? join(ROOT, "dist"));
    const names = await writePackages(directory);
    for (const name of names) console.log(join(directory, name));
  } catch (error) {
    console.error(`package: ${formatError(error)}`);
    Deno.exit(1);
  }
}
