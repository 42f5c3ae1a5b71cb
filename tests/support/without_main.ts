/**
 * The program with a switch that the shipped one does not have: init leaves out every step of one
 * kind, so that a test can see who notices. It is another entry, so the shipped bundle has not a
 * byte of it.
 *
 * `URUNC_WITHOUT=STEP` in the creator's environment chooses the kind. Init also leaves a descriptor
 * open that it should not: what `closeFds` is there for, should the runtime itself ever do that.
 */
import { O_RDONLY, open, setCloexec } from "../../ffi/linux.ts";
import { runMain } from "../../lib/entry.ts";
import { Channel } from "../../lib/launch/channel.ts";
import type { Observer } from "../../lib/launch/observer.ts";
import type { LaunchPlan } from "../../lib/plan/types.ts";

const INIT_ARGUMENT = "--without=";
const isInit = Deno.args[0] === "init";

const without = isInit
  ? Deno.args.find((arg) => arg.startsWith(INIT_ARGUMENT))?.slice(INIT_ARGUMENT.length)
  : Deno.env.get("URUNC_WITHOUT");

const observer: Observer = {
  afterStep() {},
  initArguments() {
    return without === undefined ? [] : [`${INIT_ARGUMENT}${without}`];
  },
};

function strip(plan: LaunchPlan): LaunchPlan {
  return { ...plan, steps: plan.steps.filter(({ step }) => step !== without) };
}

if (isInit) {
  setCloexec(open("/etc/shadow", O_RDONLY), false);
  const receive = Channel.prototype.receive;
  Channel.prototype.receive = function () {
    const message = receive.call(this) as { type: string; plan: LaunchPlan } | undefined;
    return message?.type === "perform" ? { ...message, plan: strip(message.plan) } : message;
  };
}

runMain(Deno.args, observer).then(Deno.exit);
