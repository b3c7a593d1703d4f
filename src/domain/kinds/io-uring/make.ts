import type { Ref } from '../../../guest/hands/batch.js';
import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { DomainError } from '../../errors.js';
import { EPERM, MAP, PROT } from '../../linux/flags.js';
import { closeAll } from '../../linux/making.js';
import { check } from '../../linux/os.js';
import {
  ahead,
  arrayAt,
  CQ_HEAD_AT,
  HEADER,
  IORING_OFF,
  ringBytes,
  SETUP,
  sqesBytes,
  SQ_TAIL_AT,
  type RingShape,
} from './ring.js';
import { writeMemory } from './contents.js';

/**
 * `struct io_uring_params` (io_uring_setup(2)):
 *
 *     +0 sq_entries   +4 cq_entries   +8 flags   +40 offsets of the ring's words, the array's at +64   +100 completions
 */
const PARAMS = 120;
const ENTERS = 200;
/** Requests in one batch at most, which take some twentieth of a second. */
const REQUESTS = 100_000;

/** A ring of the hands, mapped into them. */
export interface MadeRing {
  readonly fd: number;
  readonly shape: RingShape;
  readonly at: number;
  readonly sqesAt: number;
  /** Requests that it has had, and how many completions the kernel was told to be seen. */
  done: number;
  told: number;
}

/** Makes a ring of a shape. */
export async function makeRing(hands: Hands, shape: RingShape): Promise<MadeRing> {
  const b = hands.batch();
  const params = new Uint8Array(PARAMS);
  const view = new DataView(params.buffer);
  view.setUint32(4, shape.cqEntries, true);
  view.setUint32(
    8,
    // Who was made so relies on it; who was not loses nothing: a request that cannot be begun does not hold up those after it.
    SETUP.SUBMIT_ALL |
      SETUP.CQSIZE |
      (shape.array ? 0 : SETUP.NO_SQARRAY) |
      (shape.wideSqes ? SETUP.SQE128 : 0) |
      (shape.wideCqes ? SETUP.CQE32 : 0),
    true,
  );
  const made = b.inout(params);
  const fd = b.must(SYS.io_uring_setup, shape.sqEntries, made);
  const map = (bytes: number, offset: number): Ref =>
    b.call(SYS.mmap, 0, bytes, PROT.READ | PROT.WRITE, MAP.SHARED, fd, offset);
  const [ring, sqes] = [map(ringBytes(shape), IORING_OFF.SQ_RING), map(sqesBytes(shape), IORING_OFF.SQES)];
  const r = await b.run();
  if (r.value(fd) === -EPERM)
    throw new DomainError('mismatch', `io_uring is turned off in OS instance ${hands.name}`, { resource: 'io_uring' });
  check(r.value(fd), 'making a ring of io_uring');
  const said = r.view(made);
  const out = { fd: r.value(fd), shape, at: r.value(ring), sqesAt: r.value(sqes), done: 0, told: 0 };
  const isSame =
    said.getUint32(0, true) === shape.sqEntries &&
    said.getUint32(4, true) === shape.cqEntries &&
    said.getUint32(100, true) === HEADER &&
    said.getUint32(64, true) === (shape.array ? arrayAt(shape) : 0);
  if (out.at < 0 || out.sqesAt < 0 || !isSame) {
    await unmapRing(hands, out);
    await closeAll(hands, [out.fd]);
    check(out.at, 'mapping a ring of io_uring');
    check(out.sqesAt, 'mapping requests of io_uring');
    throw new DomainError('guest', 'a ring of io_uring is made otherwise by this kernel');
  }
  return out;
}

/** Takes a ring out of the hands' memory; its descriptor stays. */
export async function unmapRing(hands: Hands, { at, sqesAt, shape }: MadeRing): Promise<void> {
  const b = hands.batch();
  if (at >= 0) b.call(SYS.munmap, at, ringBytes(shape));
  if (sqesAt >= 0) b.call(SYS.munmap, sqesAt, sqesBytes(shape));
  await b.run();
}

/**
 * Brings the kernel's counts to `to`, by requests that do nothing: all is zeros in a ring that is new. Completions
 * beyond count `seen` are left to be seen: what was told to be free once the kernel may use without looking again.
 */
export async function advance(hands: Hands, ring: MadeRing, to: number, seen: number): Promise<void> {
  const { fd, shape, at } = ring;
  const { sqEntries, cqEntries } = shape;
  if (ring.done === to) return;
  const word = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);
  await writeMemory(hands, at + SQ_TAIL_AT, word(to));
  while (ring.done !== to) {
    const b = hands.batch();
    const self = b.call(SYS.getpid);
    const head = b.iovec([at + CQ_HEAD_AT, 4]);
    const steps: { readonly count: number; readonly ref: Ref }[] = [];
    let { done } = ring;
    for (let sum = 0; steps.length < ENTERS && sum < REQUESTS && done !== to;) {
      const count = Math.min((to - done) >>> 0, sqEntries);
      // What is free must be told before it is needed.
      if (((done - ring.told) >>> 0) + count > cqEntries) {
        ring.told = ahead(done, seen) >= 0 ? done : seen;
        b.call(SYS.process_vm_writev, self, b.iovec(b.bytes(word(ring.told))), 1, head, 1, 0);
      }
      steps.push({ count, ref: b.must(SYS.io_uring_enter, fd, count, 0, 0, 0, 8) });
      done = (done + count) >>> 0;
      sum += count;
    }
    const r = await b.run();
    for (const { count, ref } of steps) {
      if (check(r.value(ref), 'counting requests of io_uring') !== count)
        throw new DomainError('guest', 'a ring of io_uring takes too little');
      ring.done = (ring.done + count) >>> 0;
    }
  }
}
