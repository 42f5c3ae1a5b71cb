import { escapeUnicode, replaceSteering } from "./printable.ts";

/**
 * Errors that a person or a calling program is meant to read. Each carries the operation, its
 * subject, the reason and what to do; they are formatted once, at the edge. The class is chosen by
 * meaning, because callers act on it: containerd and podman match texts, the shim answers a ttrpc
 * status.
 */
export interface ErrorParts {
  /** What was attempted, as a verb phrase: `create container`. */
  operation: string;
  /** What it was attempted on: an id, a path, a key. */
  subject?: string;
  /** Why it failed. */
  reason: string;
  /** What the reader can do about it. */
  remedy?: string;
  cause?: unknown;
}

export class UruncError extends Error {
  override name = "UruncError";
  readonly parts: ErrorParts;

  constructor(parts: ErrorParts) {
    super(formatParts(parts), { cause: parts.cause });
    this.parts = parts;
  }
}

/** The command line cannot be understood. */
export class UsageError extends UruncError {
  override name = "UsageError";
}

/** config.json, an annotation, urunc.json or the operator's configuration says something impossible. */
export class InvalidConfigurationError extends UruncError {
  override name = "InvalidConfigurationError";
}

/** Understood, and deliberately not done by this version. */
export class UnsupportedError extends UruncError {
  override name = "UnsupportedError";
}

/** Understood, and the operator of this node does not allow it. */
export class NotAllowedError extends UruncError {
  override name = "NotAllowedError";
}

/** No such container. Callers match the text `does not exist`. */
export class NotFoundError extends UruncError {
  override name = "NotFoundError";
}

/** The id is taken. */
export class AlreadyExistsError extends UruncError {
  override name = "AlreadyExistsError";
}

/** The container's state does not allow it. Callers match `container not running` and the like. */
export class WrongStateError extends UruncError {
  override name = "WrongStateError";
}

/** The machine lacks something: /dev/kvm, a binary, memory, a group. */
export class HostError extends UruncError {
  override name = "HostError";
}

/** The program of a further process in a container cannot be executed. */
export class ExecFailedError extends UruncError {
  override name = "ExecFailedError";

  /** @param exitCode a shell's: 127 when there is no such program, 126 otherwise */
  constructor(parts: ErrorParts, readonly exitCode: number) {
    super(parts);
  }
}

/** A container could not be made, and something of it is left. */
export class NotUndoneError extends UruncError {
  override name = "NotUndoneError";
}

/**
 * Of each part, in characters: what an image or a config.json says may be of any length. A failed hook's
 * last output has room.
 */
const LONGEST_PART = 4000;

function formatParts({ operation, subject, reason, remedy }: ErrorParts): string {
  const about = subject === undefined ? "" : ` ${shorten(subject) || '""'}`;
  const advice = remedy === undefined ? "" : ` (${shorten(remedy)})`;
  return `${operation}${about}: ${shorten(reason)}${advice}`;
}

function shorten(text: string): string {
  return text.length > LONGEST_PART ? `${text.slice(0, LONGEST_PART)}…` : text;
}

/** What an error says, whatever was thrown; its name when it says nothing. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}

/** One line for a log or a terminal: what could forge a second line, or steer a terminal, is escaped. */
export function formatError(error: unknown): string {
  return replaceSteering(errorMessage(error), escapeCharacter);
}

function escapeCharacter(character: string): string {
  const code = character.charCodeAt(0);
  return code > 0xff ? escapeUnicode(character) : `\\x${code.toString(16).padStart(2, "0")}`;
}
