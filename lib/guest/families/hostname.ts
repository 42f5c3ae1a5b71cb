import { InvalidConfigurationError } from "../../errors.ts";

/**
 * Checks a host or domain name for a parameter whose separator cannot occur in one.
 *
 * @param subject the property, for the error
 * @returns the name
 * @throws InvalidConfigurationError
 * @see hostname(7); 64 is HOST_NAME_MAX of Linux
 */
export function checkHostname(name: string, subject: string): string {
  if (/^[A-Za-z0-9_.-]{1,64}$/.test(name)) return name;
  throw new InvalidConfigurationError({
    operation: "write the guest's command line",
    subject,
    reason: `found ${JSON.stringify(name.slice(0, 80))}, allowed: 1 to 64 of A-Z a-z 0-9 _ . -`,
  });
}
