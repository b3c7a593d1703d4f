/** The part of the network in a move: a domain's packets wait at the switch while it is nowhere. */
import type { DomainNetwork } from '../domain/tree/netlink.js';
import type { NetworkGate } from '../remapping/migrate.js';
import { parseIpv4, parseMac, type Gate, type Port } from '../net/index.js';
import type { Network } from '../system/index.js';
import { MaintenanceError } from './errors.js';

/** Holds what concerns a domain's addresses, and releases it towards the port of the instance it is in then. */
export function switchGate(
  network: Network,
  domain: DomainNetwork,
  ports: { readonly source: Port; readonly destination: Port },
): NetworkGate {
  const target = { mac: parseMac(domain.mac), ip: parseIpv4(domain.address.split('/')[0]) };
  let gate: Gate | undefined;
  return {
    hold: () => {
      if (gate !== undefined) throw new MaintenanceError('state', 'the network holds this domain already');
      gate = network.switch.hold(target, ports.source);
      return Promise.resolve();
    },
    release: (where) => {
      gate?.release(ports[where]);
      gate = undefined;
      return Promise.resolve();
    },
  };
}
