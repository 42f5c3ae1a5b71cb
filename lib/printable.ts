/**
 * Control characters, of ISO 6429 in one piece, too, and those that turn the direction of what follows
 * (Unicode's property Bidi_Control): they steer a terminal, or show a text as another.
 */
// deno-lint-ignore no-control-regex -- finding them is the point
const STEERING = /[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** A text that a terminal shows and does not obey: each character that would steer it is replaced. */
export function replaceSteering(text: string, replace: (character: string) => string): string {
  return text.replace(STEERING, replace);
}

/**
 * A value as JSON that a terminal does not obey: JSON.stringify leaves DEL and all above as they are.
 *
 * @param space blanks of indentation; undefined: all in one line
 */
export function formatJson(value: unknown, space?: number): string {
  // Of those below U+0020 only the newlines between values are left; strings have escapes in their place.
  return replaceSteering(
    JSON.stringify(value, null, space),
    (character) => character < " " ? character : escapeUnicode(character),
  );
}

/** `\uXXXX`, for a character of 16 bits. */
export function escapeUnicode(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
