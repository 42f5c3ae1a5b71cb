/** The IPv4 addresses of `nameserver` lines, in order, resolv.conf(5). */
export function parseNameservers(text: string): string[] {
  return [...text.matchAll(/^nameserver[ \t]+(\d{1,3}(?:\.\d{1,3}){3})[ \t]*(?:[#;].*)?$/gm)]
    .map(([, address]) => address!)
    .filter((address) => address.split(".").every((byte) => Number(byte) <= 255));
}
