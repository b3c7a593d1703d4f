/** rtnetlink(7): dumps of what a network namespace has, and requests to change it. */
import type { BatchResult, Buf, Ref } from '../../../guest/hands/batch.js';
import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { DomainError } from '../../errors.js';
import { CLONE, O } from '../../linux/flags.js';
import { inside } from '../../linux/inside.js';
import { closeAll } from '../../linux/making.js';
import { check } from '../../linux/os.js';
import { together } from '../../together.js';
import type { Anchor } from '../../tree/anchor.js';
import { AF_NETLINK, MSG_DONTWAIT, SOCK_RAW } from '../../linux/socket-numbers.js';

const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const NLM_F_DUMP = 0x300;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLA_TYPE_MASK = 0x3fff;
/** A dump's parts are no longer than that, if no more is asked for at once (NLMSG_GOODSIZE). */
const PART = 0x2000;
const READS = 2;
const MOST_PARTS = 2000;

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

/** All dumps of the domain's network namespace, in one batch where they are short. One whose protocol is not there is empty. */
export async function dumpAll(hands: Hands, anchor: Anchor, dumps: readonly Dump[]): Promise<Entry[][]> {
  const asked = await inside(hands, anchor.pid, CLONE.NEWNET, (b) => {
    const refs = dumps.map((d) => {
      const fd = b.call(SYS.socket, AF_NETLINK, SOCK_RAW | O.CLOEXEC, d.protocol);
      const m = encode(d.type, NLM_F_DUMP, { header: d.header, attributes: [] });
      const sent = b.call(SYS.sendto, fd, b.bytes(m), m.length, 0, 0, 0);
      const parts = Array.from({ length: READS }, () => {
        const buf = b.out(PART);
        return { buf, n: b.call(SYS.recvfrom, fd, buf, PART, MSG_DONTWAIT, 0, 0) };
      });
      return { fd, sent, parts };
    });
    return (r) => refs.map(({ fd, sent, parts }) => ({ fd: r.value(fd), sent: r.value(sent), parts: take(r, parts) }));
  });
  try {
    return await together(
      asked.map(async ({ fd, sent, parts }, i) => {
        const out: Entry[] = [];
        const size = dumps[i]?.size ?? 0;
        if (fd < 0 || sent < 0) return out;
        let ended = parts.some((p) => parse(p, size, out));
        for (let turn = 0; !ended && turn < MOST_PARTS; turn++) {
          const b = hands.batch();
          const buf = b.out(PART);
          const n = b.call(SYS.recvfrom, fd, buf, PART, MSG_DONTWAIT, 0, 0);
          const r = await b.run();
          check(r.value(n), 'reading the state of the network');
          ended = take(r, [{ buf, n }]).some((p) => parse(p, size, out));
        }
        return out;
      }),
    );
  } finally {
    await closeAll(
      hands,
      asked.map((a) => a.fd),
    );
  }
}

const take = (r: BatchResult, parts: readonly { buf: Buf; n: Ref }[]): Uint8Array[] =>
  parts.map(({ buf, n }) => r.bytes(buf, Math.max(0, r.value(n))));

/** Answers true at the end of the dump. */
function parse(part: Uint8Array, headerSize: number, out: Entry[]): boolean {
  const view = new DataView(part.buffer, part.byteOffset, part.length);
  for (let at = 0; at + 16 <= part.length;) {
    const size = view.getUint32(at, true);
    const type = view.getUint16(at + 4, true);
    if (type === NLMSG_DONE || type === NLMSG_ERROR) return true;
    if (size < 16 + headerSize || at + size > part.length) return true;
    out.push({
      header: part.slice(at + 16, at + 16 + headerSize),
      attributes: attributesIn(part.subarray(at + 16 + headerSize, at + size)),
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
export async function change(hands: Hands, anchor: Anchor, changes: readonly Change[]): Promise<void> {
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
