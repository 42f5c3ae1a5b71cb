import { LinuxError } from "../../ffi/linux.ts";
import { releaseRootDisk, rootDiskInUse } from "../block/release.ts";
import type { MountedDisk } from "../block/types.ts";
import { HostError, UruncError } from "../errors.ts";
import type { CreatorMessage, InitMessage, Report, StepFailure } from "../launch/channel.ts";
import type { SpawnedInit } from "../launch/spawn.ts";
import { shortageRemedy } from "../os/shortage.ts";
import { readableStack } from "../os/stack.ts";
import { debug, timed } from "../watch.ts";
import type { InitLog } from "./init_log.ts";

/** Who talks with an init, of which container: the creator's side of launch/channel.ts. */
export interface Conversation {
  options: { id: string };
  init: SpawnedInit;
  /** When the creation is watched. */
  log?: InitLog;
}

type Answer = Exclude<InitMessage, Report>;

/**
 * The root that the caller, or the shim, has mounted becomes the guest's: the other half of
 * launch/steps/root_disk.ts. When the creation fails after it, the root stays unmounted, which those
 * who mounted it find in order: they unmount what is there.
 *
 * @throws HostError naming who uses it
 */
export async function releaseRootfs(conversation: Conversation, disk: MountedDisk): Promise<void> {
  await expect(conversation, "releaseRootfs");
  await timed(`unmount the root ${disk.mountPoint}`, () => releaseRootDisk(disk));
  tell(conversation, { type: "released" });
}

/** What an init that is gone has said before is read next. */
export function tell({ init }: Conversation, ...messages: CreatorMessage[]): void {
  try {
    init.channel.send(...messages);
  } catch (error) {
    if (!(error instanceof LinuxError && error.code === "EPIPE")) throw error;
  }
}

/**
 * @param rootDisk the root that init claims meanwhile; until it was released, it is busy by our own doing
 * @throws UruncError with init's own words when it failed, and when it ended
 */
export async function expect<Type extends InitMessage["type"]>(
  conversation: Conversation,
  type: Type,
  rootDisk?: MountedDisk,
): Promise<Extract<InitMessage, { type: Type }>> {
  const message = await receive(conversation);
  if (message === undefined) {
    throw new HostError({
      operation: "launch container",
      reason: "the init process ended before it was done",
      remedy: "was it killed? A memory limit that is too small for it ends it, too",
    });
  }
  if (message.type === "failed") throw failure(conversation, message.failure, rootDisk);
  if (message.type !== type) throw new Error(`init sent ${message.type}, not ${type}`);
  return message as Extract<InitMessage, { type: Type }>;
}

/**
 * Waits until init is the waiter, and that waits for `start`: it closes the channel then. So does one that was
 * killed, which the proof finds.
 *
 * @throws UruncError when it could not be executed
 */
export async function expectWaiter(conversation: Conversation): Promise<void> {
  const message = await receive(conversation);
  if (message === undefined) return;
  if (message.type !== "failed") throw new Error(`init sent ${message.type} after the barrier`);
  throw failure(conversation, message.failure);
}

/** @param rootDisk which may be in use */
function failure(
  conversation: Conversation,
  { step, kind, code, message, stack }: StepFailure,
  rootDisk?: MountedDisk,
): UruncError {
  if (stack !== undefined) debug(readableStack(stack), { id: conversation.options.id });
  if (rootDisk !== undefined && kind === "claimRootDisk" && code === "EBUSY") {
    return rootDiskInUse(rootDisk);
  }
  const remedy = shortageRemedy(code);
  return new UruncError({ operation: "launch container", reason: `${step}: ${message}`, remedy });
}

/** The next message that is an answer. Undefined when init is gone. */
async function receive({ init, log }: Conversation): Promise<Answer | undefined> {
  for (;;) {
    const message = await init.channel.receiveAsync();
    if (message?.type !== "step" && message?.type !== "note") {
      log?.answered(message?.type);
      return message;
    }
    log?.take(message);
  }
}
