import { Fields, integer, oneOf, type Place, text } from "../decode/decode.ts";
import {
  SECCOMP_ACTIONS,
  SECCOMP_FLAGS,
  SECCOMP_OPERATORS,
  type SeccompArgument,
  type SeccompProfile,
  type SeccompRule,
} from "../seccomp/profile.ts";

/** Above it a number of JSON is not exact; what is compared with arguments has to be. */
const exact = integer(0, Number.MAX_SAFE_INTEGER, "a whole number up to 2^53 - 1, not negative");

/** errno(3): the largest that a call returns, MAX_ERRNO in linux/err.h. */
const errno = integer(0, 4095);

/** A call has six arguments (syscall(2)). */
const position = integer(0, 5);

/**
 * Reads `linux.seccomp`.
 *
 * @see https://github.com/opencontainers/runtime-spec/blob/v1.2.0/config-linux.md#seccomp
 */
export function readSeccomp(value: unknown, at: Place): SeccompProfile {
  const profile = new Fields(value, at);
  return {
    defaultAction: profile.required("defaultAction", oneOf(SECCOMP_ACTIONS)),
    defaultErrnoRet: profile.optional("defaultErrnoRet", errno),
    architectures: profile.list("architectures", text),
    flags: profile.list("flags", oneOf(SECCOMP_FLAGS)),
    listenerPath: profile.optionalText("listenerPath"),
    syscalls: profile.list("syscalls", readRule),
  };
}

function readRule(value: unknown, at: Place): SeccompRule {
  const rule = new Fields(value, at);
  return {
    names: rule.list("names", text),
    action: rule.required("action", oneOf(SECCOMP_ACTIONS)),
    errnoRet: rule.optional("errnoRet", errno),
    args: rule.list("args", readArgument),
  };
}

function readArgument(value: unknown, at: Place): SeccompArgument {
  const argument = new Fields(value, at);
  return {
    index: argument.required("index", position),
    value: BigInt(argument.required("value", exact)),
    valueTwo: BigInt(argument.optional("valueTwo", exact) ?? 0),
    op: argument.required("op", oneOf(SECCOMP_OPERATORS)),
  };
}
