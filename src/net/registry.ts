/**
 * Which port of the switch an address belongs to. There are three ways to come by one:
 *
 *   registered   by the host program, or by a gate that was released: nobody else may use it, it moves by the host's
 *                word alone
 *   leased       an IPv4 address that the gateway gave to a MAC address: it belongs to the port of that MAC address
 *   claimed      by the first frame that comes from it: no one else may use it until that port is closed
 *
 * A port that claims more than its share loses its own oldest claim, never a neighbour's.
 */
import { broadcastOf, inSubnet, type Subnet } from './address.js';
import { NetError } from './errors.js';
import { formatIpv4, formatMac } from './address.js';
import type { GateTarget } from './port.js';

/** MAC addresses that one port may claim. */
const MAX_MACS = 64;
/** IPv4 addresses that one port may claim: a subnet has few of them. */
const MAX_IPS = 16;

interface Entry<P> {
  readonly port: P;
  readonly registered: boolean;
  /** Of an IPv4 address that was claimed: the MAC address that spoke for it. */
  readonly mac?: number;
}

export class Registry<P extends object> {
  readonly #macs = new Map<number, Entry<P>>();
  readonly #ips = new Map<number, Entry<P>>();
  /** IPv4 address → the MAC address it is leased to. */
  readonly #leases = new Map<number, number>();
  /** Ports that have, or had, an address. */
  readonly #known = new Set<P>();
  #router: P | undefined;
  #subnet: Subnet | undefined;
  /** Grows whenever something that was allowed may be so no longer. */
  version = 0;

  /** The port that leads out of the subnet: all addresses outside of it are its own. */
  route(port: P, subnet: Subnet): void {
    this.#router = port;
    this.#subnet = subnet;
    this.version++;
  }

  /** How many ports beside the router's have spoken, or have been given an address. */
  get stations(): number {
    return this.#known.size - (this.#router !== undefined && this.#known.has(this.#router) ? 1 : 0);
  }

  portOfMac(mac: number): P | undefined {
    return this.#macs.get(mac)?.port;
  }

  portOfIp(ip: number): P | undefined {
    const lease = this.#leases.get(ip);
    return this.#ips.get(ip)?.port ?? (lease === undefined ? undefined : this.portOfMac(lease));
  }

  isRegisteredMac(mac: number): boolean {
    return this.#macs.get(mac)?.registered === true;
  }

  /** Throws NetError `BAD_CONFIG` for an address of the router. */
  register(port: P, { mac, ip }: GateTarget): void {
    for (const [table, address, text] of [
      [this.#macs, mac, formatMac],
      [this.#ips, ip, formatIpv4],
    ] as const) {
      if (address === undefined) continue;
      const known = table.get(address);
      if (known?.port === this.#router && known !== undefined && port !== this.#router) {
        throw new NetError('BAD_CONFIG', `${text(address)} is the gateway's own address: choose another`);
      }
      table.set(address, { port, registered: true });
      this.#known.add(port);
    }
    if (mac !== undefined) this.#follow(mac, port);
    this.version++;
  }

  /** A station that has another port now takes along what it has claimed. */
  #follow(mac: number, port: P): void {
    for (const [ip, entry] of this.#ips) {
      if (entry.mac === mac && entry.port !== port) this.#ips.set(ip, { port, registered: false, mac });
    }
  }

  /** From now on `ip` is only for the station with that MAC address; undefined: for whoever comes first. */
  lease(ip: number, mac: number | undefined): void {
    if (mac === undefined) this.#leases.delete(ip);
    else this.#leases.set(ip, mac);
    this.version++;
  }

  isLeased(ip: number): boolean {
    return this.#leases.has(ip);
  }

  /** Whether an address may be given to the station with that MAC address: nobody else has it. */
  mayUse(ip: number, mac: number): boolean {
    const lease = this.#leases.get(ip);
    if (lease !== undefined && lease !== mac) return false;
    const known = this.#ips.get(ip);
    return known === undefined || known.port === this.portOfMac(mac);
  }

  /** Whether a port has these addresses already; of an IPv4 address of 0 nothing is said. */
  has(port: P, mac: number, ip: number): boolean {
    return this.#macs.get(mac)?.port === port && (ip === 0 || this.#ips.get(ip)?.port === port);
  }

  /** Whether `port` may use a MAC address: it has it, or nobody does. */
  allowsMac(port: P, mac: number): boolean {
    const known = this.#macs.get(mac);
    return known === undefined || known.port === port;
  }

  /** Whether `port` may use an IPv4 address: it has it, or nobody does and it is one for stations. */
  allowsIp(port: P, ip: number): boolean {
    const known = this.#ips.get(ip);
    if (known !== undefined) return known.port === port;
    const lease = this.#leases.get(ip);
    if (lease !== undefined) return this.portOfMac(lease) === port;
    const first = ip >>> 24;
    if (first === 0 || first === 127 || first >= 224) return false;
    const subnet = this.#subnet;
    return subnet === undefined || (inSubnet(subnet, ip) && ip !== subnet.network && ip !== broadcastOf(subnet));
  }

  claimMac(port: P, mac: number): void {
    this.#claim(this.#macs, port, mac, MAX_MACS);
  }

  claimIp(port: P, ip: number, mac: number): void {
    if (!this.#leases.has(ip)) this.#claim(this.#ips, port, ip, MAX_IPS, mac);
  }

  /** Forgets everything of a port that is gone. */
  remove(port: P): void {
    for (const table of [this.#macs, this.#ips]) {
      for (const [address, entry] of table) if (entry.port === port) table.delete(address);
    }
    this.#known.delete(port);
    if (port === this.#router) this.#router = this.#subnet = undefined;
    this.version++;
  }

  #claim(table: Map<number, Entry<P>>, port: P, address: number, most: number, mac?: number): void {
    if (table.has(address)) return;
    let claims = 0;
    let oldest: number | undefined;
    for (const [known, entry] of table) {
      if (entry.port !== port || entry.registered) continue;
      claims++;
      oldest ??= known;
    }
    if (claims >= most && oldest !== undefined) {
      table.delete(oldest);
      this.version++;
    }
    table.set(address, { port, registered: false, ...(mac !== undefined && { mac }) });
    this.#known.add(port);
  }
}
