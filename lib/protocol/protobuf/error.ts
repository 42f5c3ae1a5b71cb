import { UruncError } from "../../errors.ts";

/** Bytes that are no message of the type that was expected. */
export class MalformedMessageError extends UruncError {
  override name = "MalformedMessageError";
}

/**
 * @param subject the message's full name
 * @param reason what is wrong with the bytes
 */
export function malformed(subject: string, reason: string): MalformedMessageError {
  return new MalformedMessageError({ operation: "decode", subject, reason });
}
