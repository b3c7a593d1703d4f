import type { Batch, BatchResult, Ref } from '../../../guest/hands/batch.js';
import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { isFound } from '../../linux/os.js';
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
const COMMON: readonly OptionName[] = [
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
  [SOL_SOCKET, SO.BUF_LOCK, 4],
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

/** What sockets of all families have: {@link addSetCommon}. */
export interface CommonOptions {
  readonly options: readonly SocketOption[];
  readonly sendBuffer: number;
  readonly receiveBuffer: number;
}

/** Adds the reading of what sockets of all families have in common, and of its own. */
export function addReadCommon(b: Batch, fd: number, own: readonly OptionName[]): (r: BatchResult) => CommonOptions {
  const usual = addReadOptions(b, fd, [...COMMON, ...own]);
  const seldom = addReadOptions(b, fd, SELDOM);
  const sizes = addReadOptions(b, fd, [
    [SOL_SOCKET, SO.SNDBUF, 4],
    [SOL_SOCKET, SO.RCVBUF, 4],
  ]);
  // Those that few sockets have set are left out where a new socket has them so: a rate without a limit is all ones.
  const isSet = ({ value }: SocketOption): boolean =>
    value.some((byte) => byte !== 0) && value.some((byte) => byte !== 0xff);
  return (r) => {
    const read = sizes(r);
    return {
      options: [...usual(r), ...seldom(r).filter(isSet)],
      sendBuffer: numberOf(read, SOL_SOCKET, SO.SNDBUF),
      receiveBuffer: numberOf(read, SOL_SOCKET, SO.RCVBUF),
    };
  };
}

/** Adds what gives a socket buffers and options that another had. */
export function addSetCommon(b: Batch, fd: number, s: CommonOptions): (r: BatchResult) => void {
  // The kernel doubles what it is told.
  const sizes = [
    addSetNumber(b, fd, SOL_SOCKET, SO.SNDBUFFORCE, s.sendBuffer >> 1),
    addSetNumber(b, fd, SOL_SOCKET, SO.RCVBUFFORCE, s.receiveBuffer >> 1),
  ];
  const options = addSetOptions(b, fd, s.options);
  return (r) => {
    for (const ref of sizes) isFound(r.value(ref), SETTING);
    options(r);
  };
}
const SETTING = 'setting an option of a socket';

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

/** The value of an option among those read; 0 if it was not there. */
export function numberOf(options: readonly SocketOption[], level: number, name: number): number {
  const value = options.find((o) => o.level === level && o.name === name)?.value;
  return value === undefined || value.length < 4 ? 0 : new DataView(value.buffer, value.byteOffset).getInt32(0, true);
}

/** Adds the setting of options to a batch. A kernel may refuse one that does not go with the state the socket is in. */
export function addSetOptions(b: Batch, fd: number, options: readonly SocketOption[]): (r: BatchResult) => void {
  const refs = options.map(({ level, name, value }) =>
    b.call(SYS.setsockopt, fd, level, name, b.bytes(value), value.length),
  );
  return (r) => {
    for (const ref of refs) isFound(r.value(ref), SETTING);
  };
}

/** Adds the setting of one number that must succeed. */
export function addSetNumber(b: Batch, fd: number, level: number, name: number, value: number): Ref {
  return b.call(SYS.setsockopt, fd, level, name, b.bytes(int(value)), 4);
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
