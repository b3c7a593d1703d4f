import { AF_INET, AF_INET6 } from '../../../linux/socket-numbers.js';

/** Where an end of a connection is: an address of 4 or 16 bytes, and a port. */
export interface Endpoint {
  readonly address: Uint8Array;
  readonly port: number;
}

/** An IPv4 address in an IPv6 socket (RFC 4291, section 2.5.5.2) is the IPv4 address. */
export function endpointAt(address: Uint8Array, port: number): Endpoint {
  const mapped = address.length === 16 && address.every((byte, i) => i >= 12 || byte === (i < 10 ? 0 : 0xff));
  return { address: mapped ? address.subarray(12) : address, port };
}

/** What a socket address names. Port at 2 in both `struct sockaddr_in` and `struct sockaddr_in6`, the address at 4 and at 8. */
export function endpointOf(name: Uint8Array): Endpoint {
  const port = ((name[2] ?? 0) << 8) | (name[3] ?? 0);
  return endpointAt(name.length < 24 ? name.slice(4, 8) : name.slice(8, 24), port);
}

export const endpointKey = ({ address, port }: Endpoint): string => `${port} ${[...address].join('.')}`;

/** True if a socket address has a port. */
export const isBound = (name: Uint8Array): boolean => name.length >= 4 && (name[2] !== 0 || name[3] !== 0);

/** `struct sockaddr_in` or `struct sockaddr_in6` (no scope) of an address. */
export function socketAddress({ address, port }: Endpoint): Uint8Array {
  const v4 = address.length === 4;
  const out = new Uint8Array(v4 ? 16 : 28);
  out.set([v4 ? AF_INET : AF_INET6, 0, port >> 8, port & 0xff]);
  out.set(address, v4 ? 4 : 8);
  return out;
}
