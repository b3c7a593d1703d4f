/**
 * The DHCP server (RFC 2131, 4.3): a lease per MAC address, fixed ones first. Nothing is kept across restarts. Every lease
 * is told to the switch, which keeps others from using the address; and what others use is not given out.
 */
import { inSubnet } from '../address.js';
import { buildDhcp, DhcpType, parseDhcp, word, type DhcpOption, type DhcpRequest } from '../wire/dhcp.js';
import type { PortAddresses } from '../port.js';
import { Shares } from '../shares.js';
import type { GatewayConfig } from './config.js';

const LEASE_SECONDS = 86_400;

export interface DhcpReply {
  readonly message: Uint8Array;
  readonly mac: number;
  /** Where to send it: an address the client listens on, or the broadcast address. */
  readonly address: number;
}

interface Lease {
  readonly address: number;
  readonly until: number;
  /** Whose share of the pool it is taken from; undefined for a fixed one. */
  readonly station: number | undefined;
}

export class DhcpServer {
  readonly #leases = new Map<number, Lease>();
  readonly #taken = new Map<number, number>();
  readonly #shares: Shares;

  constructor(
    readonly config: GatewayConfig,
    readonly addresses: Pick<PortAddresses, 'lease' | 'mayUse' | 'stationOfMac' | 'stations'>,
    readonly now: () => number,
  ) {
    this.#shares = new Shares(config.broadcast - config.firstGuest, () => addresses.stations());
    for (const [mac, address] of config.leases) this.#assign(mac, address, Infinity, undefined);
  }

  /** The address a MAC has been given. */
  addressOf(mac: number): number | undefined {
    return this.#leases.get(mac)?.address;
  }

  /** The answer to a client's message, if it deserves one. */
  answer(data: Uint8Array): DhcpReply | undefined {
    const request = parseDhcp(data);
    if (request === undefined) return undefined;
    switch (request.type) {
      case DhcpType.Discover:
        return this.#offer(request);
      case DhcpType.Request:
        return this.#confirm(request);
      case DhcpType.Inform:
        return { ...this.#reply(request, DhcpType.Ack, 0), address: request.ciaddr };
      case DhcpType.Release:
        this.#free(request.mac);
        return undefined;
      case DhcpType.Decline:
        this.#decline(request);
        return undefined;
      default:
        return undefined;
    }
  }

  #offer(request: DhcpRequest): DhcpReply | undefined {
    const address = this.#addressFor(request.mac, request.requested);
    return address === undefined ? undefined : this.#reply(request, DhcpType.Offer, address);
  }

  #confirm(request: DhcpRequest): DhcpReply | undefined {
    // Another server was chosen.
    if (request.server !== undefined && request.server !== this.config.gateway) return undefined;
    const wanted = request.requested ?? request.ciaddr;
    const address = this.#addressFor(request.mac, wanted);
    if (address === undefined || address !== wanted) {
      return { ...this.#reply(request, DhcpType.Nak, 0), address: this.config.broadcast };
    }
    const lease = this.#leases.get(request.mac);
    if (lease?.until !== Infinity) {
      const station = lease?.station ?? this.addresses.stationOfMac(request.mac);
      if (lease === undefined && !this.#shares.take(station)) return undefined;
      this.#assign(request.mac, address, this.now() + LEASE_SECONDS * 1000, station);
    }
    return this.#reply(request, DhcpType.Ack, address);
  }

  /** The lease the client has, the address it wishes if that is free, or a free one. */
  #addressFor(mac: number, wished: number | undefined): number | undefined {
    const lease = this.#leases.get(mac);
    if (lease !== undefined) return lease.address;
    if (wished !== undefined && this.#isGuest(wished) && this.#isFree(wished, mac)) return wished;
    for (let address = this.config.firstGuest; this.#isGuest(address); address++) {
      if (this.#isFree(address, mac)) return address;
    }
    return undefined;
  }

  #isGuest(address: number): boolean {
    const { subnet, gateway, dns, broadcast, firstGuest } = this.config;
    if (!inSubnet(subnet, address) || address < firstGuest || address === broadcast) return false;
    return address !== gateway && address !== dns;
  }

  #isFree(address: number, mac: number): boolean {
    const owner = this.#taken.get(address);
    if (owner !== undefined) {
      if ((this.#leases.get(owner)?.until ?? 0) > this.now()) return false;
      this.#free(owner);
    }
    return this.addresses.mayUse(address, mac);
  }

  #assign(mac: number, address: number, until: number, station: number | undefined): void {
    this.#leases.set(mac, { address, until, station });
    this.#taken.set(address, mac);
    this.addresses.lease(address, mac);
  }

  #free(mac: number): void {
    const lease = this.#leases.get(mac);
    if (lease === undefined || lease.until === Infinity) return;
    this.#leases.delete(mac);
    if (lease.station !== undefined) this.#shares.give(lease.station);
    if (this.#taken.get(lease.address) !== mac) return;
    this.#taken.delete(lease.address);
    this.addresses.lease(lease.address, undefined);
  }

  /** The client found its address in use by somebody: it is not given out again for a while. */
  #decline(request: DhcpRequest): void {
    const lease = this.#leases.get(request.mac);
    if (lease === undefined || lease.until === Infinity || lease.address !== request.requested) return;
    this.#leases.delete(request.mac);
    const nobody = -1 - lease.address;
    this.#assign(nobody, lease.address, this.now() + 600_000, lease.station);
  }

  #reply(request: DhcpRequest, type: number, yiaddr: number): DhcpReply {
    const { gateway, dns, subnet, mtu, broadcast } = this.config;
    const options: DhcpOption[] = [];
    if (type !== DhcpType.Nak) {
      options.push([1, word(subnet.mask)], [3, word(gateway)], [6, word(dns)], [28, word(broadcast)]);
      options.push([26, Uint8Array.of(mtu >>> 8, mtu & 255)]);
      if (type !== DhcpType.Ack || yiaddr !== 0) options.push([51, word(LEASE_SECONDS)]);
    }
    const address = request.broadcast || request.ciaddr === 0 ? broadcast : request.ciaddr;
    return { message: buildDhcp(request, type, yiaddr, gateway, options), mac: request.mac, address };
  }
}
