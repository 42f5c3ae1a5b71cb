/** Volumes of a pod, made as the kubelet makes them: kubernetes' pkg/volume and pkg/kubelet. */
import { baseName } from "../../lib/os/path.ts";
import type { Containerd } from "./containerd.ts";
import type { Scope } from "./scope.ts";

/** What a volume of files differs in. */
export interface FilesOptions {
  /** Of each file; the kubelet's `defaultMode`, 0644. */
  mode?: number;
  /** The pod's `fsGroup`, where the kubelet applies it. */
  group?: number;
}

/** The directory of one pod. What is mounted there is where the engine is only. */
export class PodVolumes {
  readonly #directory: string;
  readonly #it: Pick<Containerd, "onHost" | "root">;

  private constructor(directory: string, it: Pick<Containerd, "onHost" | "root">) {
    this.#directory = directory;
    this.#it = it;
  }

  static async make(scope: Scope, it: Pick<Containerd, "onHost" | "root">): Promise<PodVolumes> {
    const directory = `${await scope.temporaryDirectory("kubelet")}/pods/3f1b`;
    await Deno.mkdir(directory, { recursive: true });
    return new PodVolumes(directory, it);
  }

  /** The path of a path of the engine's, for this process. */
  path(path: string): string {
    return `${this.#it.root}${path}`;
  }

  /** @param memory bytes of one that is in memory */
  async emptyDir(name: string, { group, memory }: FilesOptions & { memory?: number } = {}) {
    const path = await this.#volume("empty-dir", name);
    if (memory !== undefined) {
      await this.#mount("-t", "tmpfs", "-o", `size=${memory}`, "tmpfs", path);
    }
    await Deno.chmod(this.path(path), 0o777);
    if (group !== undefined) await this.applyGroup(path, group);
    return path;
  }

  /**
   * A volume of a kind that is written at once, and only read.
   *
   * @param kind as the kubelet's plugins are called; all but a configMap are in memory
   */
  async files(
    kind: "configmap" | "secret" | "downward-api" | "projected",
    name: string,
    files: Record<string, string>,
    options: FilesOptions = {},
  ): Promise<string> {
    const path = await this.#volume(kind, name);
    if (kind !== "configmap") await this.#mount("-t", "tmpfs", "tmpfs", path);
    await Deno.chmod(this.path(path), 0o777);
    await this.write(path, files, options);
    return path;
  }

  /**
   * Writes, or replaces, all files of such a volume at once: pkg/volume/util/atomic_writer.go. Each name is a link
   * into `..data`, a link to a directory that is new each time and is renamed into its place.
   */
  async write(
    volume: string,
    files: Record<string, string>,
    { mode = 0o644, group }: FilesOptions = {},
  ): Promise<void> {
    const path = this.path(volume);
    const old = await Deno.readLink(`${path}/..data`).catch(() => undefined);
    const current = await Deno.makeTempDir({ dir: path, prefix: "..2026_11_28_20_00_00." });
    await Deno.chmod(current, 0o755);
    for (const [name, content] of Object.entries(files)) {
      await Deno.writeTextFile(`${current}/${name}`, content);
      await Deno.chmod(`${current}/${name}`, group === undefined ? mode : mode | 0o440);
      if (group !== undefined) await Deno.chown(`${current}/${name}`, 0, group);
    }
    await Deno.symlink(baseName(current), `${path}/..data_tmp`);
    await Deno.rename(`${path}/..data_tmp`, `${path}/..data`);
    for (const name of Object.keys(files)) {
      const link = await Deno.readLink(`${path}/${name}`).catch(() => undefined);
      if (link === undefined) await Deno.symlink(`..data/${name}`, `${path}/${name}`);
    }
    if (old !== undefined) await Deno.remove(`${path}/${old}`, { recursive: true });
  }

  /** A file that every container gets: `etc-hosts`, a termination log. */
  async file(name: string, content: string, mode = 0o644): Promise<string> {
    const path = `${this.#directory}/${name}`;
    await Deno.writeTextFile(path, content);
    await Deno.chmod(path, mode);
    return path;
  }

  /** The file system of a claim. */
  async claim(name: string, image: string): Promise<string> {
    const path = await this.#volume("csi", name);
    await this.#mount("-o", "loop", image, path);
    return path;
  }

  /**
   * What is bound for a `subPath`: pkg/volume/util/subpath. It is bound anew for each container, since the file
   * may be another one by then.
   *
   * @returns a path that has nothing of the file's
   */
  async subPath(volume: string, path: string, index: number): Promise<string> {
    const directory = `${this.#directory}/volume-subpaths/${baseName(volume)}/app`;
    await Deno.mkdir(directory, { recursive: true });
    const target = `${directory}/${index}`;
    await this.#it.onHost(["sh", "-c", 'umount "$1" && rm -d "$1"', "sh", target]);
    const { isFile } = await Deno.stat(this.path(`${volume}/${path}`));
    if (isFile) await Deno.writeTextFile(target, "");
    else await Deno.mkdir(target);
    await this.#mount("--bind", `${volume}/${path}`, target);
    return target;
  }

  async #volume(plugin: string, name: string): Promise<string> {
    const path = `${this.#directory}/volumes/kubernetes.io~${plugin}/${name}`;
    await Deno.mkdir(path, { recursive: true });
    return path;
  }

  async #mount(...words: string[]): Promise<void> {
    await this.#it.onHost(["mount", ...words], { check: true });
  }

  /** What `fsGroup` asks for: pkg/volume/volume_linux.go. The group may do what the owner may, and new files have it. */
  async applyGroup(volume: string, group: number): Promise<void> {
    const path = this.path(volume);
    const { isDirectory, isSymlink, mode, uid } = await Deno.lstat(path);
    if (isSymlink) return;
    await Deno.chown(path, uid, group);
    await Deno.chmod(path, mode! & 0o7777 | (isDirectory ? 0o2770 : 0o660));
    if (!isDirectory) return;
    for await (const { name } of Deno.readDir(path)) {
      await this.applyGroup(`${volume}/${name}`, group);
    }
  }
}
