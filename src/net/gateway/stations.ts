/** The stations on the gateway's link, among which its tables are shared. */
import type { PortAddresses } from '../port.js';
import { Shares } from '../shares.js';

/** Sockets for all guests together where the host does not say how many there can be. */
const DESCRIPTORS = 8192;

export class Stations {
  /** Sockets of the host that are open for guests: connections, flows of datagrams, and questions to name servers. */
  readonly descriptors: Shares;

  constructor(
    readonly addresses: Pick<PortAddresses, 'stationOf' | 'stations'>,
    descriptors = DESCRIPTORS,
  ) {
    this.descriptors = new Shares(descriptors, () => this.count());
  }

  /** The station that has an IPv4 address; 0 for those nobody has. */
  of(address: number): number {
    return this.addresses.stationOf(address);
  }

  count(): number {
    return this.addresses.stations();
  }
}
