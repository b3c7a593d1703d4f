/** netlink(7): dumps of what a network namespace has, and requests to change it. */
import type { Batch, BatchResult, Ref } from '../../../guest/hands/batch.js';
import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { DomainError } from '../../errors.js';
import { CLONE, O } from '../../linux/flags.js';
import { inside, type Where } from '../../linux/inside.js';
import { closeAll } from '../../linux/making.js';
import { check, isFound } from '../../linux/os.js';
import { together } from '../../together.js';
import { AF_NETLINK, MSG_DONTWAIT, SOCK_RAW } from '../../linux/socket-numbers.js';

const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const NLM_F_DUMP = 0x300;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
/** `struct nlmsghdr`: length u32, type u16, flags u16, sequence u32, port u32. */
const HEADER = 16;
const NLA_TYPE_MASK = 0x3fff;
/**
 * A dump's parts are no longer than that, if no more is asked for at once (NLMSG_GOODSIZE). The first is there when it was
 * asked for, each other when the one before has been read: one that is short is over with the first two.
 */
const PART = 0x2000;
const READS = 2;
/** As long as the kernel makes parts of a dump that is not short (netlink_recvmsg), and how many of them are read at once. */
const LONG_PART = 0x8000;
const LONG_READS = 8;
/** Batches, each of a thousand entries or more, that are read at most. */
const MOST_BATCHES = 1000;

export type Attribute = readonly [type: number, value: Uint8Array];

/** A message as it says what there is: the header of its family, and attributes. */
export interface Entry {
  readonly header: Uint8Array;
  readonly attributes: readonly Attribute[];
}

/** What to dump: the type of the request, the bytes of its family's header, and how long the headers of the answers are. */
export interface Dump {
  readonly protocol: number;
  readonly type: number;
  readonly header: Uint8Array;
  readonly size: number;
  /** A kernel that does not know the request is an error, not one that has nothing of that sort. */
  readonly needed?: boolean;
}

export const u32 = (n: number): Uint8Array => new Uint8Array(new Uint32Array([n]).buffer);
export const readU32 = (bytes: Uint8Array | undefined, at = 0): number =>
  bytes === undefined || bytes.length < at + 4 ? 0 : new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);
export const attributeOf = (e: Entry, type: number): Uint8Array | undefined =>
  e.attributes.find(([t]) => t === type)?.[1];

export function attributesIn(bytes: Uint8Array): Attribute[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const out: Attribute[] = [];
  for (let at = 0; at + 4 <= bytes.length;) {
    const size = view.getUint16(at, true);
    if (size < 4 || at + size > bytes.length) break;
    out.push([view.getUint16(at + 2, true) & NLA_TYPE_MASK, bytes.slice(at + 4, at + size)]);
    at += (size + 3) & ~3;
  }
  return out;
}

function encodeAttributes(attributes: readonly Attribute[]): Uint8Array {
  const sizes = attributes.map(([, value]) => (4 + value.length + 3) & ~3);
  const bytes = new Uint8Array(sizes.reduce((n, s) => n + s, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  attributes.forEach(([type, value], i) => {
    view.setUint16(at, 4 + value.length, true);
    view.setUint16(at + 2, type, true);
    bytes.set(value, at + 4);
    at += sizes[i] ?? 0;
  });
  return bytes;
}

/** An attribute that holds others. */
export const nest = (type: number, attributes: readonly Attribute[]): Attribute => [type, encodeAttributes(attributes)];

function encode(type: number, flags: number, { header, attributes }: Entry): Uint8Array {
  const rest = encodeAttributes(attributes);
  const bytes = new Uint8Array(16 + header.length + rest.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, NLM_F_REQUEST | flags, true);
  view.setUint32(8, 1, true);
  bytes.set(header, 16);
  bytes.set(rest, 16 + header.length);
  return bytes;
}

/** Whose network namespace is meant: the domain's first process, or whatever leads to one. */
export interface Within {
  readonly pid: Where;
}

/**
 * All dumps of a network namespace, in one batch where they are short. One whose protocol is not there is empty,
 * unless it is needed. Throws `guest`.
 */
export async function dumpAll(hands: Hands, anchor: Within, dumps: readonly Dump[]): Promise<Entry[][]> {
  const { r, asked } = await inside(hands, anchor.pid, CLONE.NEWNET, (b) => {
    const refs = dumps.map((d) => {
      const { fd, sent } = addDump(b, d);
      const parts = Array.from({ length: READS }, () => addRead(b, fd, PART));
      return { d, fd, sent, parts };
    });
    return (r) => ({ r, asked: refs.map((ref) => ({ ...ref, fd: r.value(ref.fd) })) });
  });
  try {
    return await together(
      asked.map(async ({ d, fd, sent, parts }) => {
        const out: Entry[] = [];
        for (const result of [fd, r.value(sent)]) if (!isThere(d, result)) return out;
        if (parts.some((part) => isLast(d, part(r), out))) return out;
        return readRest(hands, fd, d, out);
      }),
    );
  } finally {
    await closeAll(
      hands,
      asked.map((a) => a.fd),
    );
  }
}

async function readRest(hands: Hands, fd: number, d: Dump, out: Entry[]): Promise<Entry[]> {
  for (let turn = 0; turn < MOST_BATCHES; turn++) {
    const b = hands.batch();
    const more = Array.from({ length: LONG_READS }, () => addRead(b, fd, LONG_PART));
    const got = await b.run();
    if (more.some((part) => isLast(d, part(got), out))) return out;
  }
  throw new DomainError('guest', 'more in the network of the domain than can be read');
}

/** A dump over a netlink socket, of its network namespace. Throws `guest`. */
export async function dumpOver(hands: Hands, socket: number, d: Dump): Promise<Entry[]> {
  const b = hands.batch();
  const sent = addAsking(b, socket, d);
  check((await b.run()).value(sent), ASKING);
  return readRest(hands, socket, d, []);
}

/** Adds opening a socket and asking for a dump over it. */
export function addDump(b: Batch, d: Dump): { readonly fd: Ref; readonly sent: Ref } {
  const fd = b.call(SYS.socket, AF_NETLINK, SOCK_RAW | O.CLOEXEC, d.protocol);
  return { fd, sent: addAsking(b, fd, d) };
}

function addAsking(b: Batch, socket: number | Ref, d: Dump): Ref {
  const m = encode(d.type, NLM_F_DUMP, { header: d.header, attributes: [] });
  return b.call(SYS.sendto, socket, b.bytes(m), m.length, 0, 0, 0);
}

/** Adds the reading of a part of a dump; nothing waits for one that does not come. */
function addRead(b: Batch, fd: number | Ref, room: number): (r: BatchResult) => Uint8Array {
  const buf = b.out(room);
  const n = b.call(SYS.recvfrom, fd, buf, room, MSG_DONTWAIT, 0, 0);
  return (r) => r.bytes(buf, check(r.value(n), 'reading the state of the network'));
}

/** Whether what a dump asks for is there, by what the kernel has answered. */
const isThere = (d: Dump, result: number): boolean =>
  isFound(d.needed === true ? check(result, ASKING) : result, ASKING);
const ASKING = 'asking for the state of the network';

/** Goes through the messages of a part; answers true at the end of the dump. */
function isLast(d: Dump, part: Uint8Array, out: Entry[]): boolean {
  const view = new DataView(part.buffer, part.byteOffset, part.length);
  for (let at = 0; at + HEADER <= part.length;) {
    const size = view.getUint32(at, true);
    const type = view.getUint16(at + 4, true);
    const isEnd = type === NLMSG_DONE || type === NLMSG_ERROR;
    if (size < HEADER + (isEnd ? 4 : d.size) || at + size > part.length)
      throw new DomainError('guest', 'a part of the state of the network is cut off');
    // Both have an error i32, which is 0 at the end of what is there.
    if (isEnd) {
      isThere(d, view.getInt32(at + HEADER, true));
      return true;
    }
    const attributes = at + HEADER + d.size;
    out.push({
      header: part.slice(at + HEADER, attributes),
      attributes: attributesIn(part.subarray(attributes, at + size)),
    });
    at += (size + 3) & ~3;
  }
  return false;
}

/** One change. `forgiven`: errors that mean that there is nothing to change. */
export interface Change {
  readonly what: string;
  readonly type: number;
  readonly flags: number;
  readonly entry: Entry;
  readonly forgiven?: readonly number[];
}

const AT_ONCE = 100;

/** Makes changes in the domain's network namespace, in order. Throws `guest`. */
export async function change(hands: Hands, anchor: Within, changes: readonly Change[]): Promise<void> {
  for (let start = 0; start < changes.length; start += AT_ONCE) {
    const some = changes.slice(start, start + AT_ONCE);
    const answers = await inside(hands, anchor.pid, CLONE.NEWNET, (b) => {
      const fd = b.call(SYS.socket, AF_NETLINK, SOCK_RAW | O.CLOEXEC, 0);
      const refs = some.map(({ type, flags, entry }) => {
        const m = encode(type, flags | NLM_F_ACK, entry);
        const buf = b.out(512);
        b.call(SYS.sendto, fd, b.bytes(m), m.length, 0, 0, 0);
        return { buf, n: b.call(SYS.recvfrom, fd, buf, 512, MSG_DONTWAIT, 0, 0) };
      });
      b.call(SYS.close, fd);
      // struct nlmsghdr, then error i32 (0: acknowledged).
      return (r) => refs.map(({ buf, n }) => (r.value(n) < 20 ? r.value(n) : r.view(buf).getInt32(16, true)));
    });
    some.forEach(({ what, forgiven = [] }, i) => {
      const error = answers[i] ?? 0;
      if (error !== 0 && !forgiven.includes(-error))
        throw new DomainError('guest', `${what}: errno ${-error}`, { errno: -error });
    });
  }
}
