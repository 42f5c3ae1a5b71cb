/**
 * The network of a guest that has one with its pod: a subnet of its own between the two, which every
 * such pod has. The addresses are those that urunc has always used, and that a `queue-proxy` made
 * for urunc expects.
 *
 * @see https://github.com/urunc-dev/urunc/blob/main/internal/constants/network_constants.go
 */
export const STATIC_NETWORK = {
  /** Of the tap: the guest's gateway. */
  tap: "172.16.1.1",
  guest: "172.16.1.2",
  prefixLength: 24,
} as const;
