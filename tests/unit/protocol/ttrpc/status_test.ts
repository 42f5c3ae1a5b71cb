import assert from "node:assert/strict";
import {
  AlreadyExistsError,
  HostError,
  InvalidConfigurationError,
  NotFoundError,
  UnsupportedError,
  UsageError,
  WrongStateError,
} from "../../../../lib/errors.ts";
import { malformed } from "../../../../lib/protocol/protobuf/error.ts";
import {
  processAlreadyFinished,
  RpcError,
  statusOf,
} from "../../../../lib/protocol/ttrpc/status.ts";

const PARTS = { operation: "kill", subject: "a", reason: "container not running" };

/** The numbers are those of google.golang.org/grpc/codes. */
const STATUSES: { error: unknown; code: number; message?: string }[] = [
  { error: new NotFoundError(PARTS), code: 5, message: "kill a: container not running" },
  { error: new AlreadyExistsError(PARTS), code: 6 },
  { error: new WrongStateError(PARTS), code: 9 },
  { error: new UnsupportedError(PARTS), code: 12 },
  { error: new UsageError(PARTS), code: 3 },
  { error: new InvalidConfigurationError(PARTS), code: 3 },
  { error: malformed("x.Y", "it is cut off"), code: 3, message: "decode x.Y: it is cut off" },
  { error: new HostError(PARTS), code: 2 },
  { error: new TypeError("odd"), code: 2, message: "odd" },
  { error: "text", code: 2, message: "text" },
  { error: undefined, code: 2, message: "undefined" },
  { error: new RpcError(14, "later"), code: 14, message: "later" },
  { error: processAlreadyFinished(), code: 5, message: "process already finished" },
  { error: new Error("a\r\nb"), code: 2, message: "a\\x0d\\x0ab" },
  { error: new Error("x".repeat(10_000)), code: 2, message: "x".repeat(4096) },
];

for (const { error, code, message } of STATUSES) {
  const name = error instanceof Error ? error.name : String(error);
  Deno.test(`status: ${name} is ${code} (${message?.slice(0, 30)})`, () => {
    const status = statusOf(error);
    assert.equal(status.code, code);
    if (message !== undefined) assert.equal(status.message, message);
  });
}
