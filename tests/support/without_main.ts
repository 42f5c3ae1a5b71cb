/**
 * The program with a switch that the shipped one does not have: init leaves out every step of one
 * kind, so that a test can see who notices. It is another entry, so the shipped bundle has not a
 * byte of it.
 *
 * `URUNC_WITHOUT=STEP` in the creator's environment chooses the kind, `files.STEP` of the steps that start
 * the file server, or a part of a step: a name of `PARTS`. Init also leaves a descriptor
 * open that it should not: what `closeFds` is there for, should the runtime itself ever do that.
 */
import { O_RDONLY, open, setCloexec } from "../../ffi/linux.ts";
import { runMain } from "../../lib/entry.ts";
import { Channel } from "../../lib/launch/channel.ts";
import type { Observer } from "../../lib/launch/observer.ts";
import type { LaunchPlan, Step } from "../../lib/plan/types.ts";

const INIT_ARGUMENT = "--without=";

const without = Deno.args[0] === "init"
  ? Deno.args.find((arg) => arg.startsWith(INIT_ARGUMENT))?.slice(INIT_ARGUMENT.length)
  : Deno.env.get("URUNC_WITHOUT");

const observer: Observer = {
  afterStep() {},
  initArguments() {
    return without === undefined ? [] : [`${INIT_ARGUMENT}${without}`];
  },
};

/** Words of the file server's process, that others may stand for: who it becomes, and its filter. */
function partsOfServer(): typeof PARTS {
  const of = (edit: (word: string) => string | undefined) => (step: Step): Step => {
    if (step.step !== "startFileServer") return step;
    return { ...step, argv: step.argv.flatMap((word) => edit(word) ?? []) };
  };
  const without = (pattern: RegExp) => of((word) => pattern.test(word) ? undefined : word);
  return {
    "files.uid": of((word) => word.replace(/^uid=.*/, "uid=0")),
    "files.gid": of((word) => word.replace(/^gid=.*/, "gid=0")),
    "files.group": of((word) => word.replace(/^group=.*/, "group=0")),
    "files.filter": without(/^filter=/),
    "files.user": without(/^user=/),
    // CAP_SYS_ADMIN
    "files.capability": of((word) => word.replace(/^capability=8$/, "capability=21")),
    "files.maps": (step) =>
      step.step === "makeUserNamespace" && step.name !== undefined ? withOtherMaps(step) : step,
  };
}

function withOtherMaps(step: Extract<Step, { step: "makeUserNamespace" }>): Step {
  const { uidMappings: [uids], gidMappings: [gids] } = step;
  return {
    ...step,
    uidMappings: [{ ...uids!, hostID: uids!.hostID + 1 }],
    gidMappings: [{ ...gids!, hostID: gids!.hostID + 1 }],
  };
}

/** A step without a part of it; others as they are. */
const PARTS: Readonly<Record<string, (step: Step) => Step>> = {
  /** As a monitor's process that skips its setns(2), with what it was to give up there, and says it is done. */
  enterUserNamespace(step) {
    if (step.step !== "startMonitor") return step;
    const { entersUserNamespace: _, ...entered } = step;
    return { ...entered, argv: step.argv.filter((word) => !word.startsWith("user")) };
  },
  ...partsOfServer(),
  /** The namespace is made, with other ids of the host. */
  userMappings: (step) => step.step === "makeUserNamespace" ? withOtherMaps(step) : step,
};

/** The file server's steps are those up to the one that returns from its namespaces. */
const OF_FILES = "files.";

function strip(plan: LaunchPlan): LaunchPlan {
  const part = PARTS[without ?? ""] ?? ((step) => step);
  const { steps } = plan;
  const server = steps.findIndex(({ step }) => step === "startFileServer");
  const end = without?.startsWith(OF_FILES) && server >= 0 ? server + 2 : 0;
  const name = without?.startsWith(OF_FILES) ? without.slice(OF_FILES.length) : without;
  const isLeftOut = ({ step }: Step, position: number) =>
    step === name && (name === without || position < end);
  return { ...plan, steps: steps.filter((step, i) => !isLeftOut(step, i)).map(part) };
}

// Init alone reads from its channel like this.
let isLeaking = false;
const receive = Channel.prototype.receive;
Channel.prototype.receive = function () {
  if (!isLeaking) setCloexec(open("/etc/shadow", O_RDONLY), false);
  isLeaking = true;
  const message = receive.call(this) as { type: string; plan: LaunchPlan } | undefined;
  return message?.type === "perform" ? { ...message, plan: strip(message.plan) } : message;
};

runMain(Deno.args, observer).then(Deno.exit);
