import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { unsupported } from '../../errors.js';
import { AT_FDCWD, MAP, O, PROT } from '../../linux/flags.js';
import { whileOpen } from '../../linux/making.js';
import { check, concat } from '../../linux/os.js';
import { together } from '../../together.js';
import { parseFdInfo } from '../../proc/fdinfo.js';
import {
  arrayAt,
  HEADS,
  IORING_OFF,
  isTold,
  ringBytes,
  SQE,
  sqesBytes,
  untold,
  type RingInfo,
  type RingShape,
} from './ring.js';

const CHUNK = 0x60000;
const MFD_CLOEXEC = 1;
const INFO = 4096;

/** What lies in a ring's memory, as far as there is some: as long as the largest that the ring can be. */
export interface Contents {
  readonly ring: Uint8Array;
  readonly sqes: Uint8Array;
  /** What `/proc` says of it when it has a request to take and a completion to see, the array that tells of requests right or wrong. */
  readonly told?: readonly [right: string, wrong: string];
}

/** The largest shape that a ring of so many entries can have. */
const largest = ({ sqEntries, cqEntries }: Pick<RingInfo, 'sqEntries' | 'cqEntries'>): RingShape => ({
  ...{ sqEntries, cqEntries },
  ...{ array: true, wideSqes: true, wideCqes: true },
});

/**
 * Reads a ring's memory, by mapping it into the hands. `fd`: theirs. `stands`: nobody uses it; then `/proc` is asked about
 * entries that are put into it for that moment. Throws `unsupported` if it cannot be mapped.
 */
export async function readContents(
  hands: Hands,
  fd: number,
  info: RingInfo,
  where: string,
  stands: boolean,
): Promise<Contents> {
  const shape = largest(info);
  const [ringMost, sqesMost] = [ringBytes(shape), sqesBytes(shape)];
  const b = hands.batch();
  const memory = b.must(SYS.memfd_create, b.str('ring'), MFD_CLOEXEC);
  const prot = PROT.READ | PROT.WRITE;
  const ring = b.call(SYS.mmap, 0, ringMost, prot, MAP.SHARED, fd, IORING_OFF.SQ_RING);
  const sqes = b.call(SYS.mmap, 0, sqesMost, prot, MAP.SHARED, fd, IORING_OFF.SQES);
  // What lies behind the end of the ring cannot be read: then it is less.
  const n = b.call(SYS.pwrite64, memory, ring, ringMost, 0);
  const m = b.call(SYS.pwrite64, memory, sqes, sqesMost, ringMost);
  const changed = ringMost + sqesMost;
  const looks = (stands ? [0, 0xffffffff] : []).map((index) => {
    b.call(SYS.pwrite64, memory, ring, ringMost, changed);
    b.call(
      SYS.pwrite64,
      memory,
      b.bytes(words(info.head, info.head + 1, info.completed - 1, info.completed)),
      HEADS,
      changed,
    );
    // It lies in one of two places; in the other one is nothing, or what is put back.
    for (const wideCqes of [false, true]) {
      const at = arrayAt({ ...info, wideCqes }) + 4 * (info.head & (info.sqEntries - 1));
      b.call(SYS.pwrite64, memory, b.bytes(words(index)), 4, changed + at);
    }
    b.call(SYS.pread64, memory, ring, ringMost, changed);
    const text = b.out(INFO);
    const file = b.call(SYS.openat, AT_FDCWD, b.str(`/proc/self/fdinfo/${fd}`), O.RDONLY | O.CLOEXEC, 0);
    const length = b.call(SYS.read, file, text, INFO);
    b.call(SYS.close, file);
    b.call(SYS.pread64, memory, ring, ringMost, 0);
    return { text, length };
  });
  b.call(SYS.munmap, ring, ringMost);
  b.call(SYS.munmap, sqes, sqesMost);
  const r = await b.run();
  const held = check(r.value(memory), 'making memory to copy a ring to');
  return whileOpen(hands, held, async () => {
    if (r.value(n) <= 0 || r.value(m) <= 0)
      throw unsupported('a ring of io_uring in memory of the program’s own (IORING_SETUP_NO_MMAP)', where);
    const texts = looks.map(({ text, length }) =>
      new TextDecoder().decode(r.bytes(text, check(r.value(length), 'asking about a ring of io_uring'))),
    );
    if (texts.some((text) => !isTold(parseFdInfo(text)))) throw untold(where);
    const [right, wrong] = texts;
    const [ringThere, sqesThere] = await together([
      readMemory(hands, held, 0, r.value(n)),
      readMemory(hands, held, ringMost, r.value(m)),
    ]);
    return {
      ring: ringThere,
      sqes: sqesThere,
      ...(right !== undefined && wrong !== undefined && { told: [right, wrong] as const }),
    };
  });
}

function words(...values: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values.map((v) => v >>> 0)).buffer);
}

async function readMemory(hands: Hands, fd: number, from: number, length: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < length; at += CHUNK) {
    const size = Math.min(CHUNK, length - at);
    const b = hands.batch();
    const out = b.out(size);
    const n = b.call(SYS.pread64, fd, out, size, from + at);
    const r = await b.run();
    pieces.push(r.bytes(out, check(r.value(n), 'reading a ring of io_uring')));
  }
  return concat(pieces);
}

/** Writes into memory of the hands, which may be a ring's. */
export async function writeMemory(hands: Hands, to: number, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; at += CHUNK) {
    const piece = bytes.subarray(at, Math.min(at + CHUNK, bytes.length));
    const b = hands.batch();
    const self = b.call(SYS.getpid);
    const n = b.call(SYS.process_vm_writev, self, b.iovec(b.bytes(piece)), 1, b.iovec([to + at, piece.length]), 1, 0);
    check((await b.run()).value(n), 'writing a ring of io_uring');
  }
}

/** Whether there is more than requests of the usual length take. */
const hasMore = (sqes: Uint8Array, sqEntries: number): boolean =>
  sqes.length > sqesBytes({ sqEntries, wideSqes: false }) || sqes.subarray(SQE * sqEntries).some((byte) => byte !== 0);

/** The shape of a ring that stands. */
export function shapeOf(info: RingInfo, { told, sqes }: Contents): RingShape {
  const [right = '', wrong = ''] = told ?? [];
  const { sqEntries, cqEntries } = info;
  const hasRequest = (text: string): boolean => /^ *\d+: opcode:/m.test(text);
  return {
    ...{ sqEntries, cqEntries },
    // A request that is none is not told of. Without an array Linux 6.12 tells of none, and 7.2 of any.
    array: hasRequest(right) && !hasRequest(wrong),
    wideSqes: / e0:0x/.test(`${right}${wrong}`) || hasMore(sqes, sqEntries),
    wideCqes: / extra1:/.test(right),
  };
}

/** What is likely the shape of a ring that is in use: where there is no array nothing is written; what is longer takes more room. */
export function likelyShape(info: RingInfo, { ring, sqes }: Contents): RingShape {
  const { sqEntries, cqEntries } = info;
  const at = arrayAt({ cqEntries, wideCqes: false });
  const array = ring.subarray(at, at + 4 * sqEntries).some((byte) => byte !== 0);
  const wideCqes = ring.length > ringBytes({ sqEntries, cqEntries, array: true, wideSqes: false, wideCqes: false });
  return { sqEntries, cqEntries, array, wideSqes: hasMore(sqes, sqEntries), wideCqes };
}
