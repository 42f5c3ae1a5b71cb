/**
 * The exit codes of Linux guests' programs, as each caller tells them: a table of all callers and codes, with
 * Debian's kernels and both kinds of roots taking turns.
 */
import { remoteCommand } from "../e2e/containerd/_cri.ts";
import { whenOver } from "./busy.ts";
import type { Containerd } from "./containerd.ts";
import type { Docker } from "./docker.ts";
import type { LinuxKernel } from "./fixtures.ts";
import { linuxImage } from "./guest_images.ts";
import type { ImageFile } from "./image.ts";
import { Pod, runAs } from "./pod.ts";
import { type CommandResult, run, waitFor } from "./process.ts";
import type { Scope } from "./scope.ts";

/** A kernel of Debian's, and whether the guest's root is its initial RAM disk or a disk. */
export type Variant = `${LinuxKernel}-${"ram" | "disk"}`;

/** In the order in which they take turns. */
export const VARIANTS: Variant[] = ["cloud-ram", "stock-disk", "stock-ram", "cloud-disk"];

/** What guests of {@linkcode variantImage} need of the machine. */
export const VARIANT_NEEDS = [
  ...["qemu-system-x86_64", "busybox", "cpio", "apt-get", "mkfs.ext4"],
];

/** Where the disk is in the image. */
const DISK = "/unikernel/disk.img";

/** Room for busybox. */
const DISK_MEGABYTES = 8;

/** The image of a guest of that kind: nothing but busybox is in its root. */
export async function variantImage(
  scope: Scope,
  accelerator: "kvm" | "tcg",
  variant: Variant,
): Promise<ImageFile[]> {
  const [kernel, root] = variant.split("-") as [LinuxKernel, string];
  const onDisk = root === "disk";
  const disk: Record<string, string> = onDisk ? { block: DISK, blkMntPoint: "/" } : {};
  const files = await linuxImage(
    scope,
    accelerator,
    { kernel, moduleTree: true },
    // Each byte that a kernel says costs milliseconds where KVM is emulated.
    { agent: "on", kernelParameters: "quiet", ...disk },
  );
  // The guest's user writes to it.
  return onDisk ? [...files, { path: DISK, source: await makeDisk(scope), mode: 0o666 }] : files;
}

async function makeDisk(scope: Scope): Promise<string> {
  const directory = await scope.temporaryDirectory("disk");
  for (const name of ["bin", "dev", "etc", "proc", "sys"]) {
    await Deno.mkdir(`${directory}/tree/${name}`, { recursive: true });
  }
  await Deno.copyFile("/usr/bin/busybox", `${directory}/tree/bin/busybox`);
  const disk = `${directory}/disk.ext4`;
  const how = ["-q", "-d", `${directory}/tree`, disk, `${DISK_MEGABYTES}M`];
  await run(["mkfs.ext4", ...how], { check: true });
  return disk;
}

/** A program, and what is done to it. */
interface Program {
  args: string[];
  stdin?: string;
  /** Once it has printed `up`; `stop` is the caller's gentle way. */
  then?: "stop" | "kill";
  /** All that it prints. */
  prints: string;
}

const shell = (script: string) => ["busybox", "sh", "-c", script];

/**
 * By the exit code. As process 1 a program is ended only by signals that it handles, and by SIGKILL from
 * outside, as under runc.
 */
const PROGRAMS = {
  0: { args: ["busybox", "cat"], stdin: "hello world\n", prints: "hello world\n" },
  3: { args: shell("echo out; exit 3"), prints: "out\n" },
  143: {
    args: shell("trap 'exit 143' TERM; echo up; busybox sleep 1000 & wait"),
    then: "stop",
    prints: "up\n",
  },
  137: { args: shell("echo up; exec busybox sleep 1000"), then: "kill", prints: "up\n" },
  127: { args: ["nothing"], prints: "" },
  126: { args: ["/bin"], prints: "" },
} satisfies Record<number, Program>;

/** What a container can end with. */
export type ExitCode = keyof typeof PROGRAMS;

/** All of them. */
export const EXIT_CODES = Object.keys(PROGRAMS).map(Number) as ExitCode[];

/** Who runs containers. */
export interface Caller {
  name: string;
  /** Makes an image of these files. */
  makeImage(name: string, files: ImageFile[]): Promise<void>;
  /** Runs a program in a guest of this image to its end; what it has printed is in `stdout`. */
  run(image: string, program: Program): Promise<Pick<CommandResult, "code" | "stdout">>;
}

/** One end of one guest. */
export interface Case {
  caller: Caller;
  variant: Variant;
  code: ExitCode;
}

/** Each of the callers with each code; each of them, and each code, with all kinds of guests. */
export function allCases(callers: Caller[]): Case[] {
  return callers.flatMap((caller, row) =>
    EXIT_CODES.map((code, column) => ({
      caller,
      code,
      variant: VARIANTS[(row + column) % VARIANTS.length]!,
    }))
  );
}

/**
 * Runs all cases to their ends.
 *
 * @param lanes how many guests run at the same time
 * @throws Error that names each case which ended otherwise, and how
 */
export async function runCases(
  scope: Scope,
  accelerator: "kvm" | "tcg",
  cases: Case[],
  lanes: number,
): Promise<void> {
  await makeImages(scope, accelerator, cases);
  const failures: string[] = [];
  const left = [...cases];
  const work = async () => {
    for (let it = left.shift(); it !== undefined; it = left.shift()) {
      const failure = await runCase(it);
      if (failure !== undefined) failures.push(failure);
    }
  };
  await Promise.all(Array.from({ length: lanes }, work));
  if (failures.length > 0) throw new Error(failures.join("\n"));
}

/** Each image once in each store. */
async function makeImages(scope: Scope, accelerator: "kvm" | "tcg", cases: Case[]): Promise<void> {
  for (const variant of VARIANTS) {
    const users = cases.filter((it) => it.variant === variant);
    const stores = new Set(users.map(({ caller }) => caller.makeImage));
    if (stores.size === 0) continue;
    const files = await variantImage(scope, accelerator, variant);
    for (const makeImage of stores) await makeImage(variant, files);
  }
}

/** Returns what is wrong with it. */
async function runCase({ caller, variant, code }: Case): Promise<string | undefined> {
  const name = `${caller.name}, ${variant}, ${code}`;
  const program: Program = PROGRAMS[code];
  const began = performance.now();
  let failure: string | undefined;
  try {
    const ended = await caller.run(variant, program);
    if (ended.code !== code || ended.stdout !== program.prints) {
      failure = `${name}: ended with ${JSON.stringify(ended)}`;
    }
  } catch (error) {
    failure = `${name}: ${error instanceof Error ? error.message : error}`;
  }
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  console.log(failure === undefined ? `${name}: as it should, ${seconds} s` : failure);
  return failure;
}

/** Longer than a guest takes to boot in an emulated machine. */
const RUN_SECONDS = 240;

/** From the gentle end to the other one. */
const GRACE_SECONDS = 60;

const PATH = "PATH=/bin";
const USER = 65534;

let counter = 0;
const newName = () => `ends-${counter++}`;

/** A docker, or podman, for {@linkcode clientCaller}. */
export interface Client {
  /** The command line of these arguments. */
  command(args: string[]): string[];
  env?: Record<string, string>;
  makeImage(name: string, files: ImageFile[]): Promise<void>;
}

/**
 * Whoever runs containers by `run`, and ends them by `stop` and `kill`.
 *
 * @param flags of `run`
 */
export function clientCaller(name: string, client: Client, flags: string[]): Caller {
  return {
    name,
    makeImage: client.makeImage,
    run(image, { args, stdin, then }) {
      const id = newName();
      const how = [
        "--rm",
        "--interactive",
        `--name=${id}`,
        `--env=${PATH}`,
        `--user=${USER}:${USER}`,
      ];
      const end = then === "stop" ? ["stop", `--time=${GRACE_SECONDS}`, id] : ["kill", id];
      return attend(client.command(["run", ...how, ...flags, image, ...args]), {
        env: client.env,
        stdin,
        up: then && (() => command(client.command(end), client.env)),
      });
    },
  };
}

/**
 * Has docker run a program that fails, and start it again three times.
 *
 * @param flags of `run`
 * @param intervalMilliseconds from one look at it to the next
 */
export async function failThreeTimesMore(
  docker: Docker["docker"],
  flags: string[],
  image: string,
  intervalMilliseconds: number,
): Promise<void> {
  const how = ["--detach", "--restart=on-failure:3", `--env=${PATH}`, `--user=${USER}:${USER}`];
  const { stdout } = await docker(["run", ...how, ...flags, image, ...shell("exit 9")], {
    check: true,
    timeoutSeconds: RUN_SECONDS,
  });
  const id = stdout.trim();
  await waitFor(async () => {
    const format = "{{.RestartCount}} {{.State.Status}} {{.State.ExitCode}}";
    const found = await docker(["inspect", "--format", format, id], { check: true });
    return found.stdout.trim() === "3 exited 9";
  }, { timeoutSeconds: 4 * RUN_SECONDS, what: "three restarts", intervalMilliseconds });
  await docker(["rm", id], { check: true });
}

/** ctr, with the shim. */
export function ctrCaller(it: Containerd, makeImage: Caller["makeImage"]): Caller {
  return {
    name: "ctr",
    makeImage,
    run(image, { args, stdin, then, prints }) {
      const id = newName();
      const cgroup = `--cgroup=/${it.namespace}/${id}`;
      const flags = ["--rm", cgroup, `--env=${PATH}`, `--user=${USER}:${USER}`];
      const signal = then === "stop" ? "SIGTERM" : "SIGKILL";
      return attend(it.ctrRunCommand(flags, imageName(image), id, args), {
        stdin,
        // ctr 1.7 loses an end of its input that comes before it has made the task, with any runtime.
        inputEndsAfter: stdin && prints,
        up: then && (() => command(it.ctrCommand(["task", "kill", "--signal", signal, id]))),
      });
    },
  };
}

/** CRI, with the shim: containers of one pod. */
export function criCaller(it: Containerd, pod: Pod, makeImage: Caller["makeImage"]): Caller {
  return {
    name: "CRI",
    makeImage,
    async run(image, { args, stdin, then, prints }) {
      const name = newName();
      const { cri } = pod;
      const id = await pod.start(name, {
        image: imageName(image),
        command: args,
        envs: [{ key: "PATH", value: "/bin" }],
        linux: runAs(USER, USER),
        ...stdin === undefined ? {} : { stdin: true, stdinOnce: true },
      });
      if (stdin !== undefined) {
        await remoteCommand(it, await cri.attachUrl(id), { stdin, until: prints });
      }
      if (then !== undefined) {
        await pod.logsWith(name, "up", RUN_SECONDS);
        await cri.stop(id, then === "stop" ? GRACE_SECONDS : 0);
      }
      const { exitCode } = await pod.ended(id, RUN_SECONDS);
      const stdout = prints === "" ? "" : await pod.logsWith(name, prints.trimEnd());
      await cri.remove(id);
      return { code: exitCode, stdout };
    },
  };
}

/** Makes images for ctr and CRI, which have them in one store. */
export function containerdImages(it: Containerd): Caller["makeImage"] {
  return (name, files) => it.makeImage(imageName(name), files);
}

const imageName = (image: string) => `docker.io/library/${image}:latest`;

async function command(argv: string[], env?: Record<string, string>): Promise<void> {
  await run(argv, { env, check: true, timeoutSeconds: RUN_SECONDS });
}

/**
 * Runs a client to its end.
 *
 * @param up is called once, when it has printed `up`
 * @param inputEndsAfter what it has printed by then; otherwise its input ends at once
 */
async function attend(argv: string[], { env, stdin = "", inputEndsAfter = "", up }: {
  env?: Record<string, string>;
  stdin?: string;
  inputEndsAfter?: string;
  up?: () => Promise<void>;
}): Promise<CommandResult> {
  const [program, ...args] = argv;
  const child = new Deno.Command(program!, {
    args,
    env,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const deadline = whenOver(RUN_SECONDS, () => child.kill("SIGKILL"));
  try {
    const stderr = new Response(child.stderr).text();
    const writer = child.stdin.getWriter();
    // It may have ended without reading.
    await writer.write(new TextEncoder().encode(stdin)).catch(() => {});
    const endInput = () => writer.close().catch(() => {});
    if (inputEndsAfter === "") await endInput();
    let stdout = "";
    let waiting = up;
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      stdout += text;
      if (inputEndsAfter !== "" && stdout === inputEndsAfter) await endInput();
      if (waiting === undefined || !stdout.includes("up\n")) continue;
      await waiting();
      waiting = undefined;
    }
    if (stdout !== inputEndsAfter) await endInput();
    return { code: (await child.status).code, stdout, stderr: await stderr };
  } finally {
    deadline.cancel();
  }
}
