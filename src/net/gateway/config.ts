/** What a gateway can be told, and the validated form the rest works with. */
import { formatIpv4, inSubnet, parseIpv4, parseMac, parseSubnet, broadcastOf, type Subnet } from '../address.js';
import type { Clock } from '../clock.js';
import { NetError } from '../errors.js';
import type { Port } from '../port.js';
import type { Sockets } from '../sockets.js';
import type { TcpConfig } from '../tcp/tcb.js';

/** A place outside that a guest wants to reach. */
export interface Target {
  readonly protocol: 'tcp' | 'udp';
  /** Dotted IPv4, as the host will use it: the gateway's own address is shown as 127.0.0.1. */
  readonly address: string;
  readonly port: number;
  /** The guest's address. */
  readonly guest: string;
}

/** Addresses, names and limits of a gateway; each has a default. */
export interface GatewayOptions {
  /** The switch port the gateway is plugged into. */
  readonly port: Port;
  readonly sockets: Sockets;
  readonly clock: Clock;
  /** `10.0.2.0/24` unless told. The gateway is its second address, the name server its third, guests from the fifteenth. */
  readonly subnet?: string;
  readonly gateway?: string;
  readonly dns?: string;
  readonly firstGuest?: string;
  /** The gateway's MAC address. */
  readonly mac?: string;
  /** Largest IPv4 packet in bytes, 576 to 65535; 1500 unless told. Guests learn it by DHCP. */
  readonly mtu?: number;
  /** Addresses for certain guests, by MAC address. No one else may claim them. */
  readonly leases?: Readonly<Record<string, string>>;
  /** Names the gateway answers itself. `gateway` and `dns` are there always. */
  readonly names?: Readonly<Record<string, string>>;
  /** Whether guests reach the host's own 127.0.0.1 under the gateway's address. True unless told. */
  readonly hostAccess?: boolean;
  /** Asked before each new flow to the outside; true lets it pass. */
  readonly allow?: (target: Target) => boolean;
  /** Milliseconds a UDP flow may be silent, 60,000 unless told. */
  readonly udpIdle?: number;
  readonly tcp?: Partial<TcpConfig>;
  /** TCP connections at one time, 4096 unless told. */
  readonly maxConnections?: number;
}

/** The gateway's options, checked, with everything filled in. */
export interface GatewayConfig {
  readonly subnet: Subnet;
  readonly broadcast: number;
  readonly gateway: number;
  readonly dns: number;
  readonly firstGuest: number;
  readonly mac: number;
  readonly mtu: number;
  readonly leases: ReadonlyMap<number, number>;
  readonly names: ReadonlyMap<string, number>;
  readonly hostAccess: boolean;
  readonly allow: (target: Target) => boolean;
  readonly udpIdle: number;
}

/** Throws NetError `BAD_CONFIG` for what does not fit together. */
export function validate(options: GatewayOptions): GatewayConfig {
  const subnet = parseSubnet(options.subnet ?? '10.0.2.0/24');
  const within = (what: string, text: string | undefined, offset: number): number => {
    const address = text === undefined ? subnet.network + offset : parseIpv4(text);
    if (!inSubnet(subnet, address) || address === subnet.network || address === broadcastOf(subnet)) {
      throw new NetError(
        'BAD_CONFIG',
        `${what} ${formatIpv4(address)} lies outside the subnet ${formatIpv4(subnet.network)}/${subnet.prefix}`,
      );
    }
    return address;
  };
  const gateway = within('the gateway', options.gateway, 2);
  const dns = within('the name server', options.dns, subnet.prefix > 29 ? 2 : 3);
  const small = subnet.prefix > 27;
  const firstGuest = within('the first guest', options.firstGuest, small ? (subnet.prefix > 29 ? 1 : 4) : 15);
  const mtu = options.mtu ?? 1500;
  if (!Number.isInteger(mtu) || mtu < 576 || mtu > 65535) {
    throw new NetError('BAD_CONFIG', `an MTU of ${mtu} is not between 576 and 65535`);
  }
  const leases = new Map<number, number>();
  for (const [mac, address] of Object.entries(options.leases ?? {})) {
    leases.set(parseMac(mac), within('the lease', address, 0));
  }
  const names = new Map([
    ['gateway', gateway],
    ['dns', dns],
  ]);
  for (const [name, address] of Object.entries(options.names ?? {})) names.set(name.toLowerCase(), parseIpv4(address));
  return {
    subnet,
    broadcast: broadcastOf(subnet),
    gateway,
    dns,
    firstGuest,
    mac: parseMac(options.mac ?? '52:55:0a:00:02:02'),
    mtu,
    leases,
    names,
    hostAccess: options.hostAccess ?? true,
    allow: options.allow ?? (() => true),
    udpIdle: options.udpIdle ?? 60_000,
  };
}

/** Where on the host a guest's destination is, dotted; undefined if no guest may go there. */
export function hostAddress(config: GatewayConfig, destination: number): string | undefined {
  if (destination === config.gateway) return config.hostAccess ? '127.0.0.1' : undefined;
  const first = destination >>> 24;
  // This network, loopback, multicast and above (RFC 6890); and what is on the link is not behind the gateway.
  if (first === 0 || first === 127 || first >= 224 || inSubnet(config.subnet, destination)) return undefined;
  return formatIpv4(destination);
}
