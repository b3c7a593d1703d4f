import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { unsupported, unsupportedNow } from '../../errors.js';
import { EACCES, EEXIST, EFAULT, ENOENT } from '../../linux/flags.js';
import { ahead, cqeBytes, ENTER, HEADER, type RingInfo, type RingShape } from './ring.js';

/**
 * Requests that a ring may have had: a new one is brought to the same counts by as many that do nothing, some two
 * million in a second.
 */
export const MOST_REQUESTS = 2 ** 26;

const REGISTER = { EVENTFD: 4, PBUF_STATUS: 26 } as const;
const EBUSY = 16;
const EBADFD = 77;
/** `struct io_uring_getevents_arg`, with a time where nobody has memory. */
const BAD_TIME = new Uint8Array(new BigUint64Array([0n, 0n, 8n]).buffer);
/** `struct io_uring_buf_status`: group u32, head u32, 32 bytes. */
const BUF_STATUS = 40;
/** Groups of provided buffers that are asked for: programs begin with 0. */
const GROUPS = 64;
const CQE_FLAGS_AT = 12;
/** IORING_CQE_F_BUFFER; IORING_CQE_F_MORE and IORING_CQE_F_NOTIF: there is more than one completion of a request. */
const F_BUFFER = 1;
const F_SEVERAL = 2 | 8;

/** Refuses what `/proc` tells of a ring and will not be over soon. Throws `unsupported`. */
export function refuseInfo(info: RingInfo, where: string): void {
  if (info.sqThread) throw unsupported('a ring of io_uring with a thread of the kernel (IORING_SETUP_SQPOLL)', where);
  if (info.files > 0) throw unsupported('files registered with a ring of io_uring', where);
  if (info.buffers > 0) throw unsupported('buffers registered with a ring of io_uring', where);
  if (info.personalities) throw unsupported('personalities registered with a ring of io_uring', where);
  if (info.completed > MOST_REQUESTS)
    throw unsupported(`a ring of io_uring that has had more than ${MOST_REQUESTS} requests`, where);
}

/** Whether nothing is under way: each request has one completion, unless it is of those that are refused. */
export const isCalm = ({ waiting, overflown, completed, taken }: RingInfo): boolean =>
  waiting === 0 && overflown === 0 && ahead(completed, taken) === 0;

/** Refuses what is under way at this moment. Throws a passing `unsupported`. */
export function refuseUnderWay(info: RingInfo, where: string): void {
  if (info.overflown > 0) throw unsupportedNow('completions that a ring of io_uring has no room for', where);
  if (!isCalm(info)) throw unsupportedNow('a request to io_uring that is under way', where);
}

/** Refuses what only calls tell of a ring, which change nothing. `fd`: a descriptor of the hands. Throws `unsupported`. */
export async function refuseByCalls(hands: Hands, fd: number, where: string): Promise<void> {
  const b = hands.batch();
  const registered = b.call(SYS.io_uring_register, fd, REGISTER.EVENTFD, 0, 1);
  const entered = b.call(SYS.io_uring_enter, fd, 0, 0, ENTER.GETEVENTS, 0, 8);
  const time = b.bytes(BAD_TIME);
  const flags = ENTER.GETEVENTS | ENTER.EXT_ARG;
  const waited = b.call(SYS.io_uring_enter, fd, 0, 0xffffffff, flags, time, BAD_TIME.length);
  const groups = Array.from({ length: GROUPS }, (_, group) => {
    const status = new Uint8Array(BUF_STATUS);
    status[0] = group;
    return b.call(SYS.io_uring_register, fd, REGISTER.PBUF_STATUS, b.bytes(status), 1);
  });
  const r = await b.run();
  const answers = [registered, entered].map((ref) => -r.value(ref));
  if (answers.includes(EEXIST))
    throw unsupported('a ring of io_uring for one thread only (IORING_SETUP_SINGLE_ISSUER)', where);
  if (answers.includes(EBADFD))
    throw unsupported('a ring of io_uring that is not enabled yet (IORING_SETUP_R_DISABLED)', where);
  if (answers.includes(EACCES)) throw unsupported('a ring of io_uring with restrictions', where);
  if (answers.includes(EBUSY)) throw unsupported('an eventfd registered with a ring of io_uring', where);
  if (answers[0] !== EFAULT || answers[1] !== 0) throw unsupported('a ring of io_uring that cannot be asked', where);
  // Who polls devices does not look at the time. Nor does who has no room for a completion more.
  if (r.value(waited) !== -EFAULT)
    throw unsupported('a ring of io_uring that is full, or polls devices (IORING_SETUP_IOPOLL)', where);
  if (groups.some((ref) => r.value(ref) !== -ENOENT))
    throw unsupported('buffers provided to a ring of io_uring', where);
}

/** Refuses what a ring's last completions tell of requests that may be under way, though as many are done as were made. */
export function refuseSeveral(ring: Uint8Array, shape: RingShape, where: string): void {
  const view = new DataView(ring.buffer, ring.byteOffset, ring.byteLength);
  const size = cqeBytes(shape);
  for (let i = 0, at = HEADER; i < shape.cqEntries && at + size <= ring.length; i++, at += size) {
    const flags = view.getUint32(at + CQE_FLAGS_AT, true);
    if ((flags & F_BUFFER) !== 0) throw unsupported('buffers provided to a ring of io_uring', where);
    if ((flags & F_SEVERAL) !== 0) throw unsupported('requests to io_uring that have several completions each', where);
  }
}
