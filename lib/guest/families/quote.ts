import { InvalidConfigurationError } from "../../errors.ts";

const quoteMark = 0x22;
const equalsSign = 0x3d;

/**
 * Writes one argument so that the Linux kernel's splitting returns it unchanged. next_arg() in the
 * kernel's lib/cmdline.c
 *
 * - splits at white space outside double quotes; there is no escape;
 * - removes a quote at the very start of a word, and then one at its end;
 * - removes a quote right after the first `=` (past the first character), and then one at the end;
 * - keeps every other quote, which still toggles whether white space splits.
 *
 * So an argument is written bare or in one pair of quotes, whichever survives. One with an odd number of
 * quotes, or white space on the wrong side of one, survives neither way.
 *
 * @param argument any text without NUL
 * @param subject where it comes from, for the error
 * @throws InvalidConfigurationError when neither way survives
 */
export function quoteArgument(argument: string, subject: string): string {
  const bytes = new TextEncoder().encode(argument);
  if (bytes.length > 0 && bytes[0] !== quoteMark && survives(bytes, false)) return argument;
  if (survives(bytes, true)) return `"${argument}"`;
  throw new InvalidConfigurationError({
    operation: "write the guest's command line",
    subject,
    reason: `${JSON.stringify(argument.slice(0, 80))} cannot be written so that the guest reads ` +
      "it unchanged: its double quotes cannot be escaped",
    remedy: "avoid double quotes in it, or have the image read it from a file",
  });
}

/**
 * Splits a line in that notation into arguments. Only ASCII's white space separates: `à` is one letter,
 * which {@linkcode quoteArgument} protects from the kernel.
 *
 * @param line any text
 * @param subject where it comes from, for the error
 * @throws InvalidConfigurationError when a double quote is not closed
 */
export function splitArguments(line: string, subject: string): string[] {
  if (line.split('"').length % 2 === 0) {
    throw new InvalidConfigurationError({
      operation: "write the guest's command line",
      subject,
      reason: `${JSON.stringify(line.slice(0, 80))} has a double quote that is not closed`,
    });
  }
  return (line.match(/(?:"[^"]*"|[^\t-\r "])+/g) ?? []).map(withoutQuotes);
}

function withoutQuotes(word: string): string {
  const [, before, after] = /^([^"=][^=]*=|)"(.*)$/s.exec(word) ?? [];
  return after === undefined ? word : before + after.replace(/"$/, "");
}

/**
 * Whether next_arg() returns a word unchanged.
 *
 * @param bytes the word, without the pair of quotes
 * @param quoted whether a pair of quotes is put around it
 */
function survives(bytes: Uint8Array, quoted: boolean): boolean {
  let inQuotes = quoted;
  let equalsAt = 0;
  for (const [index, byte] of bytes.entries()) {
    if (isSpace(byte) && !inQuotes) return false;
    if (byte === equalsSign && equalsAt === 0) equalsAt = index;
    if (byte === quoteMark) inQuotes = !inQuotes;
  }
  // An unclosed quote would swallow the words that follow.
  return inQuotes === quoted && (equalsAt === 0 || bytes[equalsAt + 1] !== quoteMark);
}

/**
 * isspace() in the kernel's lib/ctype.c: besides ASCII white space the no-break space of Latin-1,
 * 0xa0, which in UTF-8 is the second byte of `à` and many others.
 */
function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d) || byte === 0xa0;
}
