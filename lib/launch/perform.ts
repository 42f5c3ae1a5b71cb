import type { PerformContext, StepHandlers } from "./context.ts";
import { LinuxError } from "../../ffi/linux.ts";
import { describeStep } from "../plan/describe.ts";
import { type LaunchPlan, PLAN_VERSION, type Step } from "../plan/types.ts";
import type { StepFailure } from "./channel.ts";
import { CREDENTIAL_STEPS } from "./steps/credentials.ts";
import { DEVICE_STEPS } from "./steps/devices.ts";
import { EXEC_STEPS } from "./steps/exec.ts";
import { MONITOR_STEPS } from "./steps/monitor.ts";
import { FILE_SERVER_STEPS } from "./steps/file_server.ts";
import { LANDLOCK_STEPS } from "./steps/landlock.ts";
import { NAMESPACE_STEPS } from "./steps/namespaces.ts";
import { NETWORK_STEPS } from "./steps/network.ts";
import { ROOT_STEPS } from "./steps/root.ts";
import { MOUNT_POINT_STEPS } from "./steps/mount_points.ts";
import { ROOT_DISK_STEPS } from "./steps/root_disk.ts";
import { TERMINAL_STEPS } from "./steps/terminal.ts";
import { USER_NAMESPACE_STEPS } from "./steps/user_namespace.ts";
import { errorMessage } from "../errors.ts";

const HANDLERS: StepHandlers<Step["step"]> = {
  ...NAMESPACE_STEPS,
  ...NETWORK_STEPS,
  ...ROOT_STEPS,
  ...MOUNT_POINT_STEPS,
  ...ROOT_DISK_STEPS,
  ...TERMINAL_STEPS,
  ...DEVICE_STEPS,
  ...CREDENTIAL_STEPS,
  ...LANDLOCK_STEPS,
  ...MONITOR_STEPS,
  ...FILE_SERVER_STEPS,
  ...USER_NAMESPACE_STEPS,
  ...EXEC_STEPS,
};

/** A step failed; says which, with its arguments. */
export class StepError extends Error {
  override name = "StepError";
  readonly failure: StepFailure;

  constructor(failure: StepFailure) {
    super(`${failure.step}: ${failure.message}`);
    this.failure = failure;
  }
}

/**
 * Performs a plan in the calling thread, step by step. Nothing is decided here: an errno that is
 * harmless stands on its step. Only synchronous calls are made, since Deno's other threads stay in
 * the old namespaces.
 *
 * Throws StepError naming the step, its arguments and the errno.
 */
export function perform(plan: LaunchPlan, context: PerformContext): void {
  // The executable may have been replaced between the creator's start and init's.
  if (plan.version !== PLAN_VERSION) {
    throw new StepError({
      step: `${plan.phase} plan`,
      message: `it has version ${plan.version}, this urunc performs ${PLAN_VERSION}`,
    });
  }
  plan.steps.forEach((step, index) => {
    try {
      tryStep(step, context);
      context.observer.afterStep(plan.phase, index, step.step);
    } catch (error) {
      throw stepError(plan, index, error);
    }
  });
}

function tryStep(step: Step, context: PerformContext): void {
  try {
    performStep(step, context);
  } catch (error) {
    if (!isTolerated(step, error)) throw error;
  }
}

function performStep<Kind extends Step["step"]>(
  step: Extract<Step, { step: Kind }>,
  context: PerformContext,
): void {
  const handler = HANDLERS[step.step] as StepHandlers<Kind>[Kind];
  handler(step, context);
}

function isTolerated(step: Step, error: unknown): boolean {
  return error instanceof LinuxError && (step.tolerate ?? []).includes(error.code);
}

function stepError(plan: LaunchPlan, index: number, error: unknown): StepError {
  const step = plan.steps[index]!;
  return new StepError({
    step: `${plan.phase} step ${index} (${describeStep(step)})`,
    kind: step.step,
    message: errorMessage(error),
    code: error instanceof LinuxError ? error.code : undefined,
    stack: error instanceof Error && Error.stackTraceLimit > 0 ? error.stack : undefined,
  });
}
