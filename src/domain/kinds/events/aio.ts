import { SYS } from '../../../guest/hands/syscalls.js';
import { DomainError, unsupported } from '../../errors.js';
import { MREMAP } from '../../linux/flags.js';
import { check, concat } from '../../linux/os.js';
import { isAioRing } from '../../memory/layout.js';
import { findHole } from '../../proc/maps.js';
import type { Tracee } from '../../trace/tracee.js';
import { processKind } from '../kind.js';

const PAGE = 4096;
/** What one look at a ring brings. */
const CHUNK = 0x40000;
/** Here rings lie before they are put into their places. */
const MEANWHILE = 0xa_0000_0000;

/**
 * `struct aio_ring` (fs/aio.c), then events of 32 bytes each:
 *
 *     +0 id u32   +4 number of events u32   +8 head u32   +12 tail u32   +16 magic   +28 bytes before the events
 */
const HEADER = 32;
const EVENT = 32;
const NUMBER_AT = 4;
const HEAD_AT = 8;
const TAIL_AT = 12;
const MAGIC_AT = 16;
const MAGIC = 0xa10a10a1;
/** Bytes of `struct iocb`. */
const IOCB = 64;
const IOCB_CMD_PWRITE = 1;
/** Requests made and asked about at once. */
const AT_ONCE = 30;

interface Ring {
  readonly start: number;
  readonly end: number;
  readonly contents: Uint8Array;
}

const word = (bytes: Uint8Array, at: number): number =>
  new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);

/**
 * Asynchronous I/O contexts (io_setup(2)): the address of its ring is a context's id, and what a program has been told
 * nothing of yet stands in it. The kernel counts for itself how far it has come: it is brought there by so many requests
 * of a new context.
 */
export const aio = processKind<readonly Ring[]>({
  name: 'asynchronous I/O',
  keeps: 'contexts of io_setup with their ids, and events that are done and were not asked about',
  stage: 'early',
  async checkpoint({ view, leader }) {
    const out: Ring[] = [];
    for (const { start, end, offset } of view.vmas.filter(isAioRing)) {
      const pieces: Uint8Array[] = [];
      for (let at = start; at < end; at += CHUNK) pieces.push(await leader.peek(at, Math.min(CHUNK, end - at)));
      const contents = concat(pieces);
      const number = contents.length === end - start ? word(contents, NUMBER_AT) : 0;
      const whole = offset === 0 && number === (end - start - HEADER) / EVENT && word(contents, MAGIC_AT) === MAGIC;
      if (!whole || word(contents, HEAD_AT) >= number || word(contents, TAIL_AT) >= number)
        throw unsupported('a part of a ring of asynchronous I/O', `process ${view.pid}`);
      out.push({ start, end, contents });
    }
    return out;
  },
  async restore({ leader }, rings) {
    if (rings.length === 0) return;
    const made: { readonly ring: Ring; readonly at: number }[] = [];
    for (const ring of rings) {
      const at = await makeRing(leader, ring);
      const length = ring.end - ring.start;
      const aside = findHole(
        [...rings, ...made.map((m) => ({ start: m.at, end: m.at + m.ring.end - m.ring.start }))],
        length,
        MEANWHILE,
      );
      await move(leader, at, length, aside);
      made.push({ ring, at: aside });
    }
    for (const { ring, at } of made) await move(leader, at, ring.end - ring.start, ring.start);
  },
});

/** The kernel moves a context with its ring. */
async function move(leader: Tracee, from: number, length: number, to: number): Promise<void> {
  const moved = await leader.syscall(SYS.mremap, from, length, length, MREMAP.MAYMOVE | MREMAP.FIXED, to);
  check(moved, 'placing a ring of asynchronous I/O');
}

/** Makes a context whose ring is as large, and stands where the other stood; answers where it lies. */
async function makeRing(leader: Tracee, { start, end, contents }: Ring): Promise<number> {
  // The kernel makes room for twice as many and two, and uses up the last page.
  const events = Math.max(1, ((end - start) / PAGE - 1) * (PAGE / EVENT / 2) - 1);
  const b = leader.batch();
  const id = b.inout(new Uint8Array(8));
  const set = b.call(SYS.io_setup, events, id);
  const memory = b.call(SYS.memfd_create, b.str('events'), 1);
  const r = await b.run();
  check(r.value(set), 'making an asynchronous I/O context');
  const at = Number(r.view(id).getBigUint64(0, true));
  const fd = check(r.value(memory), 'making memory to write to');

  const number = word(contents, NUMBER_AT);
  if (word(await leader.peek(at, HEADER), NUMBER_AT) !== number)
    throw new DomainError('guest', 'an asynchronous I/O context has another size');
  const [head, tail] = [word(contents, HEAD_AT), word(contents, TAIL_AT)];
  await advance(leader, at, fd, head, true);
  await advance(leader, at, fd, (tail - head + number) % number, false);
  await leader.syscall(SYS.close, fd);
  for (let from = HEADER; from < contents.length; from += CHUNK)
    await leader.poke(at + from, contents.subarray(from, Math.min(from + CHUNK, contents.length)));
  const now = await leader.peek(at, HEADER);
  if (word(now, HEAD_AT) !== head || word(now, TAIL_AT) !== tail)
    throw new DomainError('guest', 'an asynchronous I/O context does not come to where it was');
  return at;
}

/** Makes requests that are done at once, of which the program hears nothing. `asked`: takes their events out again. */
async function advance(leader: Tracee, context: number, fd: number, count: number, asked: boolean): Promise<void> {
  for (let left = count; left > 0;) {
    const b = leader.batch();
    const now = Math.min(left, AT_ONCE);
    const list = b.bytes(new Uint8Array(8 * now));
    const data = b.bytes(new Uint8Array(8));
    const requests = b.bytes(new Uint8Array(IOCB * now));
    const view = new DataView(requests.initial?.buffer ?? new ArrayBuffer(0));
    for (let i = 0; i < now; i++) {
      view.setUint16(IOCB * i + 16, IOCB_CMD_PWRITE, true);
      view.setUint32(IOCB * i + 20, fd, true);
      b.pointer(requests, IOCB * i + 24, data);
      view.setBigUint64(IOCB * i + 32, 1n, true);
      b.pointer(list, 8 * i, b.at(requests, IOCB * i));
    }
    const submitted = b.call(SYS.io_submit, context, now, list);
    const events = b.out(EVENT * now);
    const got = asked ? b.call(SYS.io_getevents, context, now, now, events, 0) : submitted;
    const r = await b.run();
    if (check(r.value(submitted), 'making requests') !== now || check(r.value(got), 'asking for events') !== now)
      throw new DomainError('guest', 'an asynchronous I/O context takes too little');
    left -= now;
  }
}
