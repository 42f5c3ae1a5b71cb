/** 200 MB through a guest's program and back, with a reader that stalls for 15 seconds. */
import { linuxContainer } from "../support/runtime.ts";
import type { Scope } from "../support/scope.ts";
import { transfer } from "../support/transfer.ts";

const CHUNK = 65536;
const STALL_SECONDS = 15;

/**
 * @param megabytes how much there is each way
 * @returns megabytes a second, each way
 * @throws AssertionError when a byte is lost or changed
 */
export async function soakTransfer(scope: Scope, megabytes: number): Promise<number> {
  const container = await linuxContainer(scope, {
    args: ["busybox", "cat"],
    env: ["PATH=/bin"],
  });
  const bytes = Math.ceil(megabytes * 1e6 / CHUNK) * CHUNK;
  const { seconds } = await transfer(container, { bytes, stallSeconds: STALL_SECONDS });
  return bytes / 1e6 / seconds;
}
