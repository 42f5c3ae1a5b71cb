/** The double in the place of a file server (virtiofsd), beside a double that is an idle monitor. */
import { doubleBinary, doubleConfiguration } from "./double.ts";
import { Container, type ContainerOptions, type CreateCall } from "./runtime.ts";
import { childrenOf, readCommandLine, run, waitFor } from "./process.ts";
import type { Scope } from "./scope.ts";

/** What tests that use it need. */
export const FILE_SERVER_NEEDS = ["root", "gcc", "virtiofsd", "unshare", "mount"];

/** The program, and in the caller's mount namespace the double. */
const SERVER = "/usr/libexec/virtiofsd";

/** As whom it serves unless the test says otherwise. */
export const SERVER_USER = 1000;

/** A container whose file server is the double, and what it shares. */
export interface HostileServer {
  container: Container;
  /** The directory of the first volume, on the host. */
  data: string;
  /** Creates it. */
  create(call?: CreateCall): ReturnType<Container["create"]>;
  /** Waits for this in the output of the double, which is among the monitor's errors. */
  outputWith(text: RegExp): Promise<string>;
}

/** Besides those of any container. */
export interface HostileServerOptions extends ContainerOptions {
  /** Lines of the operator's configuration. */
  configuration?: string;
  /** The file server is virtiofsd, and the commands are the monitor's. */
  isServed?: true;
}

/**
 * A container with two volumes: one that can be written to, which has the double's commands, and one that
 * can not be.
 *
 * @param commands of the double in the file server's place, with commas for spaces where it is the monitor's
 */
export async function hostileServer(
  scope: Scope,
  commands: string,
  { configuration = "", isServed, ...options }: HostileServerOptions = {},
): Promise<HostileServer> {
  const initrd = `${await scope.temporaryDirectory("initrd")}/initrd`;
  await Deno.writeTextFile(initrd, "070701".padEnd(512, "0"));
  const data = await sharedDirectory(scope, { double: commands });
  const fixed = await sharedDirectory(scope, { secret: "secret\n" });
  await Deno.symlink("/etc", `${data}/link`);
  await Deno.copyFile(await doubleBinary(), `${data}/program`);
  await Deno.chmod(`${data}/program`, 0o6755);
  // Of the host's first RAM disk or SCSI disk: what it stands for need not exist.
  await run(["mknod", "-m", "666", `${data}/disk`, "b", "8", "0"], { check: true });
  const container = await Container.prepare(scope, {
    unikernelType: "linux",
    initrd,
    unikernel: { agent: "on", ...(isServed && { kernelParameters: `double=${commands}` }) },
    user: { uid: SERVER_USER, gid: SERVER_USER },
    config: await doubleConfiguration(scope, `accelerator = "tcg"\n${configuration}`),
    edit: (config) => config.mounts = [bind(data, "/data"), bind(fixed, "/fixed", "ro")],
    ...options,
  });
  const wrapper = isServed ? [] : await inPlaceOf(SERVER);
  return {
    container,
    data,
    outputWith: async (text) => {
      const found = () => text.test(container.errors()) ? container.errors() : undefined;
      return await waitFor(found, { timeoutSeconds: 60, what: `${text} of the file server` });
    },
    create: (call = {}) => {
      return container.create({ ...call, wrapper: [...wrapper, ...call.wrapper ?? []] });
    },
  };
}

/**
 * The file server of a container.
 *
 * @param pid the container's process, whose child it is
 */
export function fileServerOf(pid: number): number {
  const found = childrenOf(pid).find((child) => readCommandLine(child)[0] === SERVER);
  if (found === undefined) throw new Error(`process ${pid} has no file server`);
  return found;
}

/** Its caller finds the double by the server's name. */
async function inPlaceOf(path: string): Promise<string[]> {
  const script = 'mount --bind "$1" "$2"; shift 2; exec "$@"';
  return ["unshare", "--mount", "sh", "-c", script, "sh", await doubleBinary(), path];
}

const bind = (source: string, destination: string, ...options: string[]) => ({
  source,
  destination,
  type: "bind",
  options: ["rbind", ...options],
});

async function sharedDirectory(scope: Scope, files: Record<string, string>): Promise<string> {
  const directory = await scope.temporaryDirectory("shared");
  await Deno.chmod(directory, 0o755);
  for (const [name, content] of Object.entries(files)) {
    await Deno.writeTextFile(`${directory}/${name}`, content);
  }
  await Deno.chown(directory, SERVER_USER, SERVER_USER);
  return directory;
}
