import { InvalidConfigurationError } from "../../errors.ts";

/**
 * The socket paths in an address list such as `unix:path=/run/dbus/system_bus_socket,guid=…;…`.
 *
 * Abstract sockets are left out: on the host anybody may be listening on one.
 *
 * @throws InvalidConfigurationError when it names no path
 * @see D-Bus specification, "Server Addresses"
 */
export function socketPaths(addresses: string): string[] {
  const paths = addresses.split(";").flatMap((address) => {
    const [transport, rest] = cut(address, ":");
    if (transport !== "unix" || rest === undefined) return [];
    return rest.split(",").flatMap((pair) => {
      const [key, value] = cut(pair, "=");
      return key === "path" && value !== undefined ? [unescape(value)] : [];
    });
  }).filter((path) => path.startsWith("/"));
  if (paths.length > 0) return paths;
  throw new InvalidConfigurationError({
    operation: "read address of D-Bus",
    subject: JSON.stringify(addresses),
    reason: "it names no socket by its path",
    remedy: "such as unix:path=/run/dbus/system_bus_socket, in DBUS_SYSTEM_BUS_ADDRESS",
  });
}

function cut(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

/** `%20` and the like; what is not one stays, and then names nothing. */
function unescape(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
