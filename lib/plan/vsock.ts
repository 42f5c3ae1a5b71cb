import { agentPorts, DNS_PORT, HANDING, portEnds } from "./agent.ts";

/**
 * The directory in the clean room with a guest's sockets of vsock. It is the monitor's to write to, which
 * binds one there itself. Nobody connects to any of them but the monitor: the guest makes all connections, to
 * sockets that listened before the monitor was executed. So nobody finds what it puts in their place.
 */
export const VSOCK_DIRECTORY = "/guest/vsock";

/** The name of the socket that the monitor binds. Those to which it connects have it before their port. */
const NAME = "v";

/** Its path. */
export const VSOCK_SOCKET = `${VSOCK_DIRECTORY}/${NAME}`;

/** VSOCK_FIRST of lib/build/guest_init/protocol.h: the host's port that the first of an agent's is. */
const FIRST_PORT = 1024;

/** A socket to which a guest's agent connects. */
export interface VsockSocket {
  /** Of its descriptor. */
  name: string;
  /** In the directory. */
  file: string;
}

/**
 * Those of a guest, in the order of their ports, as protocol.h there has it; the second part of their names is
 * as docs/vsock.md of Firecracker says.
 *
 * @param dns whether it has a name server to ask; the number of that one is left free otherwise
 */
export function vsockSockets(dns: boolean): VsockSocket[] {
  const [guests] = HANDING;
  const names = [...agentPorts(true).map((port) => portEnds(port).ours), guests];
  return names
    .map((name, index) => ({ name, file: `${NAME}_${FIRST_PORT + index}` }))
    .filter(({ name }) => dns || name !== portEnds(DNS_PORT).ours);
}
