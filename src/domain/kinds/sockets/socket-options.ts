import type { Batch, BatchResult } from '../../../guest/hands/batch.js';
import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import type { OpenFile } from '../kind.js';

export const SOL_SOCKET = 1;
export const IPPROTO_IP = 0;
export const IPPROTO_IPV6 = 41;

export const SO = {
  REUSEADDR: 2,
  TYPE: 3,
  ERROR: 4,
  BROADCAST: 6,
  SNDBUF: 7,
  RCVBUF: 8,
  KEEPALIVE: 9,
  OOBINLINE: 10,
  PRIORITY: 12,
  LINGER: 13,
  REUSEPORT: 15,
  PASSCRED: 16,
  RCVLOWAT: 18,
  RCVTIMEO: 20,
  SNDTIMEO: 21,
  SNDBUFFORCE: 32,
  RCVBUFFORCE: 33,
  MARK: 36,
  PROTOCOL: 38,
  DOMAIN: 39,
  BUF_LOCK: 72,
} as const;

/** One option as setsockopt(2) takes it. */
export interface SocketOption {
  readonly level: number;
  readonly name: number;
  readonly value: Uint8Array;
}

/** An option to be kept: level, name, bytes. */
export type OptionName = readonly [level: number, name: number, size: number];

/** Options every socket has. Buffer sizes are kept apart: asking for one and setting it are not the same. */
export const COMMON_OPTIONS: readonly OptionName[] = [
  [SOL_SOCKET, SO.REUSEADDR, 4],
  [SOL_SOCKET, SO.REUSEPORT, 4],
  [SOL_SOCKET, SO.BROADCAST, 4],
  [SOL_SOCKET, SO.KEEPALIVE, 4],
  [SOL_SOCKET, SO.OOBINLINE, 4],
  [SOL_SOCKET, SO.PRIORITY, 4],
  [SOL_SOCKET, SO.LINGER, 8],
  [SOL_SOCKET, SO.RCVLOWAT, 4],
  [SOL_SOCKET, SO.RCVTIMEO, 16],
  [SOL_SOCKET, SO.SNDTIMEO, 16],
  [SOL_SOCKET, SO.MARK, 4],
];

/**
 * Stamps of the time of arrival, in the order in which they are asked: one that is set hides those before. `struct
 * so_timestamping` has 8 bytes.
 */
export const STAMPS: readonly OptionName[] = [
  [SOL_SOCKET, 29, 4], // TIMESTAMP
  [SOL_SOCKET, 63, 4], // TIMESTAMP_NEW
  [SOL_SOCKET, 35, 4], // TIMESTAMPNS
  [SOL_SOCKET, 64, 4], // TIMESTAMPNS_NEW
  [SOL_SOCKET, 37, 8], // TIMESTAMPING
];

/** `struct sock_txtime`: the clock, flags. By the real time and without flags it cannot be told from none. */
export const TXTIME: OptionName = [SOL_SOCKET, 61, 8];

/** Options every socket has and that few set. */
const SELDOM: readonly OptionName[] = [
  // RXQ_OVFL, WIFI_STATUS, NOFCS, SELECT_ERR_QUEUE, BUSY_POLL, PREFER_BUSY_POLL, RCVMARK
  ...[40, 41, 43, 45, 46, 69, 75].map((name): OptionName => [SOL_SOCKET, name, 4]),
  [SOL_SOCKET, 47, 8], // MAX_PACING_RATE
  TXTIME,
  ...STAMPS,
];

/** Adds the reading of options that few sockets have set; answers those that nobody sees in a new socket. */
export function addReadSeldom(b: Batch, fd: number): (r: BatchResult) => SocketOption[] {
  const read = addReadOptions(b, fd, SELDOM);
  // A rate without a limit is all ones.
  return (r) => read(r).filter(({ value }) => value.some((byte) => byte !== 0) && value.some((byte) => byte !== 0xff));
}

/** Adds the reading of options to a batch; one the socket does not have is left out of the answer. */
export function addReadOptions(b: Batch, fd: number, names: readonly OptionName[]): (r: BatchResult) => SocketOption[] {
  const reads = names.map(([level, name, size]) => {
    const value = b.out(size);
    const length = b.inout(int(size));
    return { level, name, value, length, n: b.call(SYS.getsockopt, fd, level, name, value, length) };
  });
  return (r) =>
    reads.flatMap(({ level, name, value, length, n }) =>
      r.value(n) < 0 ? [] : [{ level, name, value: r.bytes(value, r.view(length).getUint32(0, true)) }],
    );
}

async function readOptions(hands: Hands, fd: number, names: readonly OptionName[]): Promise<SocketOption[]> {
  const b = hands.batch();
  const answer = addReadOptions(b, fd, names);
  return answer(await b.run());
}

export function int(value: number): Uint8Array {
  return new Uint8Array(new Int32Array([value]).buffer);
}

/** A family of sockets, by what socket(2) is told. */
export interface SocketFamily {
  readonly domain: number;
  readonly type: number;
  readonly protocol: number;
}

const families = new WeakMap<OpenFile, Promise<SocketFamily>>();

/** Domain, type and protocol of a socket, which stay as they are: it is asked once. */
export function socketFamily(hands: Hands, file: OpenFile): Promise<SocketFamily> {
  const family = families.get(file) ?? readFamily(hands, file.held);
  families.set(file, family);
  return family;
}

async function readFamily(hands: Hands, fd: number): Promise<SocketFamily> {
  const names = [SO.DOMAIN, SO.TYPE, SO.PROTOCOL].map((name): OptionName => [SOL_SOCKET, name, 4]);
  const [domain = -1, type = -1, protocol = -1] = (await readOptions(hands, fd, names)).map((o) =>
    new DataView(o.value.buffer).getInt32(0, true),
  );
  return { domain, type, protocol };
}
