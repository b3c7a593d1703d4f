/**
 * The outside network in user space: a switch that guests' network cards are plugged into, and a gateway on it that
 * leads to the host's sockets. See docs/network.md.
 */
export type { Connection, Stay } from './stays.js';
export { Switch, type SwitchOptions } from './switch.js';
export type { GateTarget, Port, PortAddresses, PortCounters, PortOptions, PortShare, Release } from './port.js';
export { checkShare } from './share.js';
export type { Gate } from './gate.js';
export { Gateway, type GatewayStatus } from './gateway/gateway.js';
export type { GatewayOptions, Target } from './gateway/config.js';
export type { Forward, ForwardOptions } from './gateway/forwards.js';
export type { Clock } from './clock.js';
export type {
  DatagramsRefused,
  HostDatagrams,
  HostStream,
  Listener,
  Sockets,
  StreamEvents,
  StreamFault,
} from './sockets.js';
export type { TcpConfig } from './tcp/tcb.js';
export { makeLarge, segmentSize } from './large.js';
export { NetError, type NetErrorCode } from './errors.js';
export { formatIpv4, formatMac, parseIpv4, parseMac } from './address.js';
export { completeChecksum } from './wire/checksum.js';
