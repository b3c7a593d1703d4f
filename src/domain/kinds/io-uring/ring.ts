import { DomainError, unsupportedNow } from '../../errors.js';
import { fdInfoValue, type FdInfo } from '../../proc/fdinfo.js';

/** Bytes before the first completion, in `struct io_rings` (io_uring/io_uring.c). All words are u32. */
export const HEADER = 64;
export const SQ_HEAD_AT = 0;
export const SQ_TAIL_AT = 4;
export const CQ_HEAD_AT = 8;
/** The four of them, one after the other. */
export const HEADS = 16;
const ALIGNMENT = 64;
const CQE = 16;
export const SQE = 64;
const PAGE = 4096;
/** IORING_MAX_ENTRIES, IORING_MAX_CQ_ENTRIES */
const MOST_ENTRIES = 32768;
const MOST_CQ_ENTRIES = 2 * MOST_ENTRIES;

/** Where the parts of a ring are mapped from (mmap(2)'s offset). Completions and requests are one since Linux 5.4. */
export const IORING_OFF = { SQ_RING: 0, CQ_RING: 0x8000000, SQES: 0x10000000 } as const;
export const ENTER = { GETEVENTS: 1, EXT_ARG: 8, REGISTERED_RING: 16 } as const;
export const SETUP = { CQSIZE: 8, SUBMIT_ALL: 0x80, SQE128: 0x400, CQE32: 0x800, NO_SQARRAY: 0x10000 } as const;

/** How a ring was made, as far as it is kept. */
export interface RingShape {
  readonly sqEntries: number;
  readonly cqEntries: number;
  /** Requests are taken in the order that an array tells; else one after the other (IORING_SETUP_NO_SQARRAY). */
  readonly array: boolean;
  /** Requests and completions twice as long (IORING_SETUP_SQE128, IORING_SETUP_CQE32). */
  readonly wideSqes: boolean;
  readonly wideCqes: boolean;
}

const pages = (bytes: number): number => Math.ceil(bytes / PAGE) * PAGE;

export const cqeBytes = ({ wideCqes }: Pick<RingShape, 'wideCqes'>): number => (wideCqes ? 2 * CQE : CQE);

/** Where the array lies that tells which requests are taken. */
export function arrayAt({ cqEntries, wideCqes }: Pick<RingShape, 'cqEntries' | 'wideCqes'>): number {
  // Where completions are twice as long, the kernel takes the header twice too.
  return Math.ceil(((HEADER + cqEntries * CQE) * (wideCqes ? 2 : 1)) / ALIGNMENT) * ALIGNMENT;
}

/** Bytes that can be mapped of a ring's completions, and of its requests. */
export const ringBytes = (shape: RingShape): number => pages(arrayAt(shape) + (shape.array ? 4 * shape.sqEntries : 0));
export const sqesBytes = (shape: Pick<RingShape, 'sqEntries' | 'wideSqes'>): number =>
  pages(shape.sqEntries * (shape.wideSqes ? 2 * SQE : SQE));

/** What `/proc/PID/fdinfo/FD` says of a ring. Counts go on for ever, and begin anew after 2^32. */
export interface RingInfo {
  readonly sqEntries: number;
  readonly cqEntries: number;
  /** Requests that the kernel has taken. */
  readonly taken: number;
  /** Completions that there have been, and that the program has seen. */
  readonly completed: number;
  readonly seen: number;
  /** Of requests, as the program is told. */
  readonly head: number;
  readonly sqThread: boolean;
  readonly files: number;
  readonly buffers: number;
  readonly personalities: boolean;
  /** Requests that wait until something can be done. */
  readonly waiting: number;
  /** Completions that there was no room for. */
  readonly overflown: number;
}

/** Whether `/proc` tells of a ring at all: while a thread is in a call of it, it does not. */
export const isTold = (info: FdInfo): boolean => info.lines.some(([key]) => key === 'SqMask');

/** A refusal of a ring that `/proc` does not tell of. */
export const untold = (where: string): DomainError =>
  unsupportedNow('a ring of io_uring that is in use whenever it is looked at', where);

/** Throws `guest` if it makes no sense, and a passing `unsupported` if it is not told. */
export function ringInfo(info: FdInfo): RingInfo {
  if (!isTold(info)) throw untold('the domain');
  const number = (key: string): number => {
    const value = Number(fdInfoValue(info, key) || NaN);
    if (!Number.isInteger(value)) throw new DomainError('guest', `a ring of io_uring whose ${key} is not told`);
    return value;
  };
  const [sqEntries, cqEntries] = [number('SqMask') + 1, number('CqMask') + 1];
  const isSize = (n: number, most: number): boolean => Number.isInteger(Math.log2(n)) && n >= 1 && n <= most;
  if (!isSize(sqEntries, MOST_ENTRIES) || !isSize(cqEntries, MOST_CQ_ENTRIES) || cqEntries < sqEntries)
    throw new DomainError('guest', `a ring of io_uring of ${sqEntries} and ${cqEntries} entries`);
  const at = (key: string): number => info.lines.findIndex(([k]) => k === key);
  const list = (from: string, to: string): number => {
    const end = at(to);
    return Math.max(0, (end < 0 ? info.lines.length : end) - at(from) - 1);
  };
  return {
    sqEntries,
    cqEntries,
    taken: number('CachedSqHead'),
    completed: number('CachedCqTail'),
    seen: number('CqHead'),
    head: number('SqHead'),
    sqThread: number('SqThread') !== -1,
    files: number('UserFiles'),
    buffers: number('UserBufs'),
    personalities: at('Personalities') >= 0,
    waiting: list('PollList', 'CqOverflowList'),
    overflown: list('CqOverflowList', 'NAPI'),
  };
}

/** How far count `b` is ahead of count `a`, both of 32 bits. */
export const ahead = (a: number, b: number): number => (b - a) | 0;

export const isRingLink = (link: string): boolean => link === 'anon_inode:[io_uring]';
