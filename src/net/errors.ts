/** What can go wrong on the host's side of the outside network. Guest faults are dropped and counted, never thrown. */
export type NetErrorCode =
  /** An address, subnet, MAC or port in the configuration is not one. */
  | 'BAD_CONFIG'
  /** The host port asked for is taken by another program. */
  | 'PORT_IN_USE'
  /** The host refuses the port to this user (below 1024, as a rule). */
  | 'PORT_DENIED'
  /** The host has no such address to listen on. */
  | 'NO_SUCH_ADDRESS'
  /** The host could not open the socket for another reason; see `cause`. */
  | 'HOST_SOCKET'
  /** The object was closed before. */
  | 'CLOSED';

/** The network outside cannot do what was asked. */
export class NetError extends Error {
  constructor(
    readonly code: NetErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'NetError';
  }
}
