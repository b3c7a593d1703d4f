/** The part of the network in a move: a domain's packets wait at the switch while it is nowhere. */
import type { LeftConnection } from '../domain/tree/anchor.js';
import type { DomainNetwork } from '../domain/tree/netlink.js';
import type { NetworkGate } from '../remapping/migrate.js';
import type { Connection, Gate, Port, Stay } from '../net/index.js';
import type { Network } from '../system/index.js';
import { targetOf } from './cards.js';
import { MaintenanceError } from './errors.js';

/** Connections that stay at the source's port when the domain has gone. */
export interface Left {
  readonly stay: Stay;
  readonly connections: readonly Connection[];
}

/** A gate of a switch. */
export interface SwitchGate extends NetworkGate {
  /** What is said in these connections goes on reaching the source: from now on, unless the domain is released there. */
  leave(connections: readonly LeftConnection[]): void;
  /** What was left; undefined: nothing. */
  readonly left: Left | undefined;
}

/** Holds what concerns a domain's addresses, and releases it towards the port of the instance it is in then. */
export function switchGate(
  network: Network,
  domain: DomainNetwork,
  ports: { readonly source: Port; readonly destination: Port },
): SwitchGate {
  const target = targetOf(domain);
  let gate: Gate | undefined;
  let left: Left | undefined;
  return {
    hold: () => {
      if (gate !== undefined) throw new MaintenanceError('state', 'the network holds this domain already');
      gate = network.switch.hold(target, ports.source);
      return Promise.resolve();
    },
    release: (where) => {
      if (where === 'source') {
        left?.stay.end();
        left = undefined;
      }
      gate?.release(ports[where]);
      gate = undefined;
      return Promise.resolve();
    },
    leave: (some) => {
      left?.stay.end();
      const connections = some.map(connectionOf);
      left = { stay: network.switch.stay(ports.source, target, connections), connections };
    },
    get left() {
      return left;
    },
  };
}

const numberOf = (address: Uint8Array): number => address.reduce((n, byte) => n * 256 + byte, 0);

export const connectionOf = ({ local, peer }: LeftConnection): Connection => ({
  ip: numberOf(local.address),
  port: local.port,
  peerIp: numberOf(peer.address),
  peerPort: peer.port,
});
