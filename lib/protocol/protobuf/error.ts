import { UruncError } from "../../errors.ts";

/** Bytes that are not a message of the expected type. */
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
