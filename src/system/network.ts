/**
 * A computer's network: one switch, the gateway that leads outside, and a place on it
 * for each OS instance. Places have fixed addresses, so that a port can be forwarded to
 * an instance before it has booted:
 *
 *   place n   MAC 52:54:00:00:00:(n + 1)   IPv4 10.0.2.(15 + n), by DHCP or told
 *
 * A process domain may bring addresses of its own; the switch learns them.
 */
import {
  formatIpv4,
  formatMac,
  Gateway,
  parseIpv4,
  Switch,
  type GatewayOptions,
  type Port,
  type PortShare,
} from '../net/index.js';
import { SystemError } from './errors.js';
import type { SystemPlatform } from './platform.js';

/** OS instances that can be on the network at one time. */
const PLACES = 32;
const FIRST_MAC = 0x5254_0000_0001;
/** Network cards that are added to running instances have these for their own; what uses one shows another. */
const FIRST_CARD_MAC = 0x5256_0000_0001;

/** What of the gateway can be chosen; docs/network.md describes each. */
export interface NetworkOptions extends Omit<GatewayOptions, 'port' | 'sockets' | 'clock' | 'leases' | 'firstGuest'> {
  /** Bytes per second that may pass between the network and what is outside, each way; no limit unless told. */
  readonly bandwidth?: number;
}

/** Where an OS instance is on the network. */
export interface Place {
  readonly index: number;
  readonly mac: number;
  /** Dotted IPv4. */
  readonly address: string;
}

/** A computer's network: a switch, and a gateway to the world outside. */
export class Network {
  readonly switch: Switch;
  readonly gateway: Gateway;
  readonly #places: readonly Place[];
  readonly #taken = new Set<Place>();
  #cards = 0;

  /** Throws NetError `BAD_CONFIG`. */
  constructor({ bandwidth, ...options }: NetworkOptions, platform: SystemPlatform) {
    this.switch = new Switch({ clock: platform.clock });
    const subnet = options.subnet ?? '10.0.2.0/24';
    const first = parseIpv4(subnet.split('/')[0]) + 15;
    this.#places = Array.from({ length: PLACES }, (_, index) => ({
      index,
      mac: FIRST_MAC + index,
      address: formatIpv4(first + index),
    }));
    this.gateway = new Gateway({
      ...options,
      port: this.switch.attach({ name: 'gateway', ...(bandwidth !== undefined && { bandwidth }) }),
      sockets: platform.sockets,
      clock: platform.clock,
      leases: Object.fromEntries(this.#places.map(({ mac, address }) => [formatMac(mac), address])),
    });
  }

  /** `ADDRESS NETMASK GATEWAY NAMESERVER`, as our images read it from /etc/understudy/network. */
  settings(place: Place): string {
    const { subnet, gateway, dns } = this.gateway.config;
    return `${place.address} ${formatIpv4(subnet.mask)} ${formatIpv4(gateway)} ${formatIpv4(dns)}\n`;
  }

  /** Throws SystemError `no-network` when all places are taken. */
  takePlace(): Place {
    const place = this.#places.find((p) => !this.#taken.has(p));
    if (place === undefined) throw new SystemError('no-network', `all ${PLACES} places on the network are taken`);
    this.#taken.add(place);
    return place;
  }

  leavePlace(place: Place): void {
    this.#taken.delete(place);
  }

  /** A port for the OS instance at `place`; the place's addresses are its own, others it may claim. */
  attach(name: string, { mac, address }: Place, share: PortShare = {}): Port {
    const port = this.switch.attach({ ...share, name });
    port.addresses.register({ mac, ip: parseIpv4(address) });
    return port;
  }

  /** A MAC address for a further network card; no other has it. */
  cardMac(): number {
    return FIRST_CARD_MAC + this.#cards++;
  }

  /** Whether an OS instance that runs has that IPv4 address (dotted) for its own. */
  isPlaceOf(address: string): boolean {
    return [...this.#taken].some((place) => place.address === address);
  }

  close(): Promise<void> {
    return this.gateway.close();
  }
}
