/**
 * What the Go implementation of urunc (0.5) passed to its monitors for 188 containers, and what we
 * pass for the same ones: the same in meaning, but for the differences listed here.
 */
import assert from "node:assert/strict";
import { UruncError } from "../../../lib/errors.ts";
import { monitorByName, supportedMonitors } from "../../../lib/monitor/registry.ts";
import { TAP_NAME } from "../../../lib/network/names.ts";
import { planLaunch } from "../../../lib/plan/launch.ts";
import type { StepBody } from "../../../lib/plan/types.ts";
import { mountPointOf } from "../../../lib/guest/disks.ts";
import { guestOf } from "../../../lib/guest/families/registry.ts";
import type { Solo5Device } from "../../../lib/guest/kernel/types.ts";
import { parseUnikernel } from "../../../lib/guest/parse.ts";
import { factsOf, kernelFormatFor, launchInputOf, specOf } from "../../support/plan_inputs.ts";
import { repositoryDirectory } from "../../support/urunc.ts";
import {
  type Booted,
  bootMewz,
  bootMirage,
  bootRumprun,
  bootUnikraft,
  firecrackerLine,
  multibootLine,
} from "./guest_models.ts";
import { boot as bootLinux } from "./kernel_model.ts";

const MIB = 1024 * 1024;
const MAC = "02:42:0a:58:03:07";

/** A container, on a network 10.88.3.7/20 by 10.88.0.1 when it has one. */
interface Case {
  type: "linux" | "unikraft" | "mirage" | "rumprun" | "mewz";
  monitor: string;
  version?: string;
  net?: boolean;
  initrd?: boolean;
  block?: boolean;
  /** The limit in bytes. */
  memory?: number;
  args: string[];
  env?: string[];
  /** config.json has a seccomp profile. */
  seccomp?: boolean;
}

interface FirecrackerConfiguration {
  "boot-source": { kernel_image_path: string; initrd_path?: string; boot_args: string };
  "machine-config": { mem_size_mib: number };
  drives: unknown[];
  "network-interfaces": { host_dev_name: string; guest_mac?: string }[];
}

interface Recorded {
  case: Case;
  argv: string[];
  fc?: FirecrackerConfiguration;
}

/** What monitor and guest are told, whatever the words. */
interface Meaning {
  kernel: boolean;
  initrd: boolean;
  block: boolean;
  /** MiB. */
  memory: number | string;
  /** Tap of each network card, and its MAC, when it is told. */
  cards: { tap: string; mac?: string }[];
  /** The monitor filters its own system calls. */
  seccomp: boolean;
  /** The guest's serial port is standard input and output. */
  console: boolean;
  /** Some keys on the console lead to the monitor's own prompt. */
  prompt: boolean;
  /** A guest that resets has ended. */
  resetEnds: boolean;
  guest: Booted;
}

interface Difference {
  reason: string;
  applies(it: Case): boolean;
  change(theirs: Meaning, it: Case, recorded: Recorded): void;
}

const onSolo5 = ({ monitor }: Case) => monitor === "hvt" || monitor === "spt";
const isCurrentUnikraft = ({ type, version }: Case) => type === "unikraft" && version !== "0.15.0";

/** In which we mean something else, each with its reason. */
const DIFFERENCES: Difference[] = [
  {
    reason: "Firecracker drops a -- that nothing follows, and then Unikraft takes the parameters " +
      "before it for arguments, and has no address",
    applies: ({ type, monitor, args }) =>
      type === "unikraft" && monitor === "firecracker" && args.length === 1,
    change: (theirs, _, { fc }) => theirs.guest = bootUnikraft(fc!["boot-source"].boot_args),
  },
  {
    reason:
      "an archive is unpacked to a file system, which Unikraft makes only when it is asked to",
    applies: (it) => it.initrd === true && isCurrentUnikraft(it) && it.version !== "0.16.1",
    change: ({ guest }) => guest.parameters["vfs.fstab"] = "initrd0:/:extract::ramfs=2:",
  },
  {
    reason: "0.15 has no vfs.rootfs any more",
    applies: (it) => it.type === "unikraft" && it.initrd === true && !isCurrentUnikraft(it),
    change({ guest: { parameters } }) {
      delete parameters["vfs.rootfs"];
      parameters["vfs.fstab"] = "initrd0:/:initrd";
    },
  },
  {
    reason:
      "guest memory equal to the limit (in MB where the monitor counts MiB) has the monitor " +
      "killed for it: the guest gets what the monitor leaves",
    applies: ({ memory }) => memory !== undefined,
    change: (theirs) => theirs.memory = "what the monitor leaves of the limit",
  },
  {
    reason: "without a network a guest is told no empty address",
    applies: ({ net, type }) => !net && (type === "unikraft" || type === "mewz"),
    change(theirs) {
      for (const key of Object.keys(theirs.guest.parameters)) {
        if (/^(netdev\.|ip$|gateway$)/.test(key)) delete theirs.guest.parameters[key];
      }
    },
  },
  {
    reason: "without a network there is no card: Firecracker refuses one without a tap",
    applies: ({ net, monitor }) => !net && monitor === "firecracker",
    change: (theirs) => theirs.cards = [],
  },
  {
    reason: "the network's own prefix length, not 24 whatever it is",
    applies: (it) => it.net === true && (isCurrentUnikraft(it) || it.type === "mirage"),
    change({ guest: { parameters } }) {
      for (const key of ["netdev.ip", "ipv4"]) {
        const address = parameters[key] as string | undefined;
        if (address !== undefined) {
          parameters[key] = address.replace("10.88.3.7/24", "10.88.3.7/20");
        }
      }
    },
  },
  {
    reason: "the network's own prefix length, not 1: that is needed only for a gateway outside it",
    applies: ({ net, type }) => net === true && type === "rumprun",
    change: ({ guest }) => (guest.parameters.net as Record<string, string>).mask = "20",
  },
  {
    reason: "the container's name servers (here none), not 8.8.8.8",
    applies: (it) => it.net === true && isCurrentUnikraft(it),
    change({ guest: { parameters } }) {
      parameters["netdev.ip"] = String(parameters["netdev.ip"]).replace(/:8\.8\.8\.8$/, "");
    },
  },
  {
    reason: "the guest has the container's MAC; one made up may not pass the bridge",
    applies: ({ net, monitor }) => net === true && monitor !== "firecracker",
    change: (theirs) => theirs.cards = theirs.cards.map((card) => ({ ...card, mac: MAC })),
  },
  {
    reason:
      "MirageOS has a name of its own for the program, and exits with 64 on a word that is not " +
      "an option",
    applies: ({ type }) => type === "mirage",
    change: ({ guest }, it) => guest.args = argumentsOf(it),
  },
  {
    reason: "Mewz's newest source passes its program what follows --",
    applies: ({ type }) => type === "mewz",
    change: ({ guest }, { args }) => guest.args = args,
  },
  {
    reason: "arguments are not split at their spaces; Linux knows no single quotes",
    applies: ({ args, type }) => args.length > 1 && type !== "mewz",
    change: ({ guest }, it) => guest.args = argumentsOf(it),
  },
  {
    reason: "the container's environment is the guest's, where the guest can have one",
    applies: ({ env, type }) => env !== undefined && type === "rumprun",
    change: ({ guest }, { env }) => guest.env = env!,
  },
  {
    reason: "without a block device Rumprun is not told to mount one, which it could not",
    applies: ({ type, block }) => type === "rumprun" && !block,
    change: ({ guest }) => delete guest.parameters.blk,
  },
  {
    reason: "the monitor's own filter is always on; the profile in config.json is not about it",
    applies: ({ seccomp, monitor }) => !seccomp && !onSolo5({ monitor } as Case),
    change: (theirs) => theirs.seccomp = true,
  },
  {
    reason: "the console is the guest's alone: no keys that lead to QEMU's prompt",
    applies: ({ monitor, type }) => monitor === "qemu" && type !== "linux",
    change: (theirs) => theirs.prompt = false,
  },
  {
    reason: "a guest that resets has ended, and does not run again in the same container",
    applies: ({ monitor, type }) =>
      monitor === "qemu" && (type === "unikraft" || type === "mirage"),
    change: (theirs) => theirs.resetEnds = true,
  },
  {
    reason: "Linux ends Firecracker only with a reset by the keyboard controller",
    applies: ({ monitor, type }) => monitor === "firecracker" && type === "linux",
    change: ({ guest }) => guest.parameters.reboot = "k",
  },
];

/** QEMU puts its kernel's path where Unikraft has the program's name. */
function argumentsOf({ type, monitor, args }: Case): string[] {
  if (type === "linux") return args.slice(1);
  // MirageOS has a name of its own, and exits with 64 on another.
  if (type === "mirage") return args.slice(1);
  return type === "unikraft" && monitor === "qemu" ? ["/guest/kernel", ...args.slice(1)] : args;
}

/** What they pass and we refuse, each with its reason. */
const REFUSALS: { reason: string; applies(it: Case): boolean; message: RegExp }[] = [
  {
    reason: "Solo5's guests get no initial RAM disk; theirs is dropped without a word",
    applies: (it) => it.initrd === true && onSolo5(it),
    message: /initrd.*does not support an initial RAM disk/,
  },
  {
    reason: "Unikraft's and Mewz's guests mount no disk; theirs is dropped without a word",
    applies: ({ type, block }) => block === true && (type === "unikraft" || type === "mewz"),
    message: /com\.urunc\.unikernel\.block: (unikraft|mewz) guests get no disks/,
  },
  {
    reason: "Mewz splits its arguments at their spaces; theirs are dropped",
    applies: ({ type, args, block }) =>
      type === "mewz" && !block && args.some((it) => it.includes(" ")),
    message: /Mewz splits it at its spaces/,
  },
];

/** Reads the guest's line as the guest does. */
function readGuest(type: Case["type"], line: string): Booted {
  switch (type) {
    case "unikraft":
      return bootUnikraft(line);
    case "mirage":
      return bootMirage(line);
    case "rumprun":
      return bootRumprun(line);
    case "mewz":
      return bootMewz(line);
    case "linux": {
      const { parameters, init: _, args, env } = bootLinux(line);
      return { args, env, parameters: Object.fromEntries(parameters) };
    }
  }
}

function readMonitor(
  { type, monitor }: Pick<Case, "type" | "monitor">,
  argv: string[],
  fc?: FirecrackerConfiguration,
): Meaning {
  if (monitor === "firecracker") return readFirecracker(type, argv, fc!);
  return monitor === "qemu" ? readQemu(type, argv) : readSolo5(type, argv);
}

function readFirecracker(
  type: Case["type"],
  argv: string[],
  fc: FirecrackerConfiguration,
): Meaning {
  assert.deepEqual(argv.slice(1, 3), ["--no-api", "--config-file"]);
  const source = fc["boot-source"];
  return {
    kernel: source.kernel_image_path !== undefined,
    initrd: source.initrd_path !== undefined,
    block: fc.drives.length > 0,
    memory: fc["machine-config"].mem_size_mib,
    cards: fc["network-interfaces"].map((card) => ({
      tap: card.host_dev_name,
      ...(card.guest_mac === undefined ? {} : { mac: card.guest_mac }),
    })),
    seccomp: !argv.includes("--no-seccomp"),
    console: true,
    prompt: false,
    resetEnds: true,
    guest: readBehindFirecracker(type, fc),
  };
}

function readBehindFirecracker(type: Case["type"], fc: FirecrackerConfiguration): Booted {
  const hasNetwork = fc["network-interfaces"].length > 0;
  const guest = readGuest(type, firecrackerLine(fc["boot-source"].boot_args, hasNetwork));
  delete guest.parameters["virtio_mmio.device"];
  return guest;
}

function readQemu(type: Case["type"], argv: string[]): Meaning {
  const values = (name: string) =>
    argv.flatMap((it, index) => it.replace(/^--/, "-") === name ? [argv[index + 1]!] : []);
  const field = (text: string, name: string) =>
    text.split(",").find((it) => it.startsWith(`${name}=`))?.slice(name.length + 1);
  const taps = [...values("-net"), ...values("-netdev")].filter((it) => it.startsWith("tap,"));
  const cards = values("-device").filter((it) => it.startsWith("virtio-net-pci"));
  const mac = cards.map((it) => field(it, "mac"))[0];
  const stdio = [...values("-serial"), ...values("-chardev")].some((it) => it.startsWith("stdio"));
  // Without a serial port of its own, -nographic makes one that it shares with the prompt.
  const shared = argv.includes("-nographic") && !stdio;
  return {
    kernel: values("-kernel").length === 1,
    initrd: values("-initrd").length === 1,
    block:
      [...values("-drive"), ...values("-blockdev")].some((it) => field(it, "file") !== undefined) &&
      values("-device").some((it) => it.startsWith("virtio-blk-pci,")),
    memory: Number(values("-m")[0]!.replace(/^size=|M$/g, "")),
    cards: taps.map((it) => ({
      // Ours is attached by a descriptor.
      tap: field(it, "ifname") ?? TAP_NAME,
      ...(mac === undefined ? {} : { mac }),
    })),
    seccomp: values("-sandbox").length === 1,
    console: stdio || shared,
    prompt: shared,
    resetEnds: argv.includes("-no-reboot"),
    guest: readGuest(type, behindQemu(type, values("-append")[0] ?? "")),
  };
}

function behindQemu(type: Case["type"], line: string): string {
  return type === "unikraft" ? multibootLine(line) : line;
}

function readSolo5(type: Case["type"], argv: string[]): Meaning {
  const options = argv.slice(1).filter((it) => /^--(mem|net|net-mac|block)[:=]/.test(it));
  const value = (start: string) =>
    options.filter((it) => it.startsWith(start)).map((it) => it.slice(start.length));
  const device = type === "rumprun" ? "tap" : "service";
  const [mac] = value(`--net-mac:${device}=`);
  const kernel = argv.findIndex((it, index) => index > 0 && !options.includes(it));
  return {
    kernel: argv[kernel]!.startsWith("/"),
    initrd: false,
    block: value(type === "rumprun" ? "--block:rootfs=" : "--block:storage=").length === 1,
    memory: Number(value("--mem=")[0]),
    cards: value(`--net:${device}=`).map((tap) => ({ tap, ...(mac === undefined ? {} : { mac }) })),
    seccomp: true,
    console: true,
    prompt: false,
    resetEnds: true,
    // The tender joins them with spaces.
    guest: readGuest(type, argv.slice(kernel + 1).join(" ")),
  };
}

const PREFIX = "com.urunc.unikernel.";

/** What an image of this container says of itself. */
function annotationsOf(it: Case): Record<string, string> {
  const values: Record<string, string | undefined> = {
    unikernelType: it.type,
    unikernelVersion: it.version,
    hypervisor: it.monitor,
    binary: "/unikernel/app.bin",
    initrd: it.initrd ? "/unikernel/initrd.cpio" : undefined,
    block: it.block ? "/unikernel/disk.img" : undefined,
    // That runtime has none.
    agent: "none",
  };
  return Object.fromEntries(
    Object.entries(values).flatMap(([key, value]) =>
      value === undefined ? [] : [[PREFIX + key, value]]
    ),
  );
}

/** What we would tell the monitor. */
function ours(it: Case): Meaning {
  const monitor = monitorByName(it.monitor);
  const file = { size: 4096, uid: 0, gid: 0, mode: 0o644 };
  const unikernel = parseUnikernel({
    annotations: annotationsOf(it),
    monitors: supportedMonitors,
  });
  const guest = guestOf(it.type);
  const disks = unikernel.block === undefined ? [] : [{
    name: "block",
    source: {
      kind: "imageFile" as const,
      file: { path: unikernel.block, ...file, uid: 65534 },
    },
    readOnly: false,
    mountPoint: mountPointOf(unikernel, guest),
  }];
  const { plan } = planLaunch(launchInputOf({
    spec: specOf({
      hostname: undefined,
      process: { user: { uid: 65534, gid: 65534 }, args: it.args, env: it.env ?? [], cwd: "/" },
      linux: {
        namespaces: ["pid", "network", "ipc", "uts", "mount"].map((type) => ({ type })),
        resources: it.memory === undefined ? {} : { memory: { limit: it.memory } },
      },
    }),
    unikernel,
    guest,
    monitor,
    facts: factsOf({
      monitor: { binary: `/usr/bin/${monitor.binaryNames[0]}`, dataPaths: [] },
      kernel: { path: "/unikernel/app.bin", ...file },
      disks,
      kernelFormat: kernelFormatFor(it.monitor, declaredBy(it)),
      ...(it.initrd
        ? { initrd: { path: "/unikernel/initrd.cpio", ...file, isInitramfs: true } }
        : {}),
    }),
    network: it.net
      ? {
        name: "eth0",
        index: 2,
        mac: MAC,
        mtu: 1500,
        addresses: [{ family: "inet", address: "10.88.3.7", prefixLength: 20 }],
        gateway: { inet: "10.88.0.1" },
      }
      : undefined,
  }));
  const steps: StepBody[] = plan.steps;
  const started = steps.find((step) => step.step === "startMonitor")!;
  const file_ = steps.find((step) => step.step === "writeFile");
  const meaning = readMonitor(
    it,
    started.argv.slice(started.argv.indexOf("--") + 1),
    file_ && JSON.parse(file_.content),
  );
  if (it.memory !== undefined) meaning.memory = judgeMemory(it, meaning.memory as number);
  return meaning;
}

/** What such guests call their devices in their manifests. */
function declaredBy({ type, net, block }: Case): Solo5Device[] {
  const isRumprun = type === "rumprun";
  return [
    ...net ? [{ name: isRumprun ? "tap" : "service", kind: "network" as const }] : [],
    ...block ? [{ name: isRumprun ? "rootfs" : "storage", kind: "block" as const }] : [],
  ];
}

function judgeMemory(it: Case, memoryMiB: number): string {
  const overhead = monitorByName(it.monitor).memoryOverheadBytes({
    memoryMiB,
    vcpus: 1,
    networks: it.net === true ? 1 : 0,
    disks: it.block ? 1 : 0,
    accelerator: "kvm",
    kernelBytes: 4096,
  });
  const unused = it.memory! - overhead - memoryMiB * MIB;
  return unused >= 0 && unused < 4 * MIB
    ? "what the monitor leaves of the limit"
    : `${memoryMiB} MiB, of which ${unused} bytes are unused`;
}

const recorded: Recorded[] = Deno
  .readTextFileSync(`${repositoryDirectory()}fixtures/urunc_argv.jsonl`)
  .trimEnd().split("\n").map((line) => JSON.parse(line));

for (const monitor of ["qemu", "firecracker", "hvt", "spt"]) {
  Deno.test(`urunc's arguments for ${monitor}, except for what is listed`, () => {
    const cases = recorded.filter(({ case: it }) => it.monitor === monitor);
    assert.ok(cases.length >= 15);
    for (const { case: it, argv, fc } of cases) {
      const name = JSON.stringify(it);
      const refusal = REFUSALS.find(({ applies }) => applies(it));
      if (refusal !== undefined) {
        assert.throws(
          () => ours(it),
          (error) => error instanceof UruncError && refusal.message.test(error.message),
          name,
        );
        continue;
      }
      const theirs = readMonitor(it, argv, fc);
      for (const { applies, change } of DIFFERENCES) {
        if (applies(it)) change(theirs, it, { case: it, argv, fc });
      }
      assert.deepEqual(ours(it), theirs, name);
    }
  });
}

Deno.test("every difference is one, in some case", () => {
  for (const { reason, applies, change } of DIFFERENCES) {
    const matters = recorded.some(({ case: it, argv, fc }) => {
      if (!applies(it)) return false;
      const before = readMonitor(it, argv, fc);
      const after = readMonitor(it, argv, fc);
      change(after, it, { case: it, argv, fc });
      return JSON.stringify(before) !== JSON.stringify(after);
    });
    assert.ok(matters, reason);
  }
  for (const { reason, applies } of REFUSALS) {
    assert.ok(recorded.some(({ case: it }) => applies(it)), reason);
  }
});
