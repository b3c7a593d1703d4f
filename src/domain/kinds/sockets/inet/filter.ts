import type { Batch, BatchResult } from '../../../../guest/hands/batch.js';
import type { Hands } from '../../../../guest/hands/hands.js';
import { SYS } from '../../../../guest/hands/syscalls.js';
import { EACCES } from '../../../linux/flags.js';
import { unsupported } from '../../../errors.js';
import { check } from '../../../linux/os.js';
import { int, SOL_SOCKET } from '../socket-options.js';

const SO_ATTACH_FILTER = 26; // to be read: SO_GET_FILTER
const SO_LOCK_FILTER = 44;
/** `struct sock_filter`: code u16, jt u8, jf u8, k u32. */
const INSTRUCTION = 8;
const MOST_INSTRUCTIONS = 4096;

/** A classic BPF program that says which packets a socket takes. */
export interface SocketFilter {
  readonly program: Uint8Array;
  readonly locked: boolean;
}

/** Looks for a filter in a batch; the answer throws `unsupported` for one that the kernel does not show. */
export function addFilterLook(b: Batch, fd: number, where: string): (r: BatchResult) => FilterLook {
  const count = b.inout(int(0));
  const asked = b.call(SYS.getsockopt, fd, SOL_SOCKET, SO_ATTACH_FILTER, 0, count);
  const locked = b.out(4);
  b.call(SYS.getsockopt, fd, SOL_SOCKET, SO_LOCK_FILTER, locked, b.bytes(int(4)));
  return (r) => {
    if (r.value(asked) === -EACCES) throw unsupported('an eBPF socket filter', where);
    check(r.value(asked), 'looking for a socket filter');
    return { count: r.view(count).getUint32(0, true), locked: r.view(locked).getInt32(0, true) !== 0 };
  };
}

export interface FilterLook {
  readonly count: number;
  readonly locked: boolean;
}

/** Reads a filter of a socket that stands still; undefined if it has none. */
export async function readFilter(
  hands: Hands,
  fd: number,
  { count, locked }: FilterLook,
  where: string,
): Promise<SocketFilter | undefined> {
  if (count === 0) return locked ? { program: new Uint8Array(0), locked } : undefined;
  if (count > MOST_INSTRUCTIONS) throw unsupported('a very long socket filter', where);
  const b = hands.batch();
  const program = b.out(count * INSTRUCTION);
  const read = b.call(SYS.getsockopt, fd, SOL_SOCKET, SO_ATTACH_FILTER, program, b.bytes(int(count)));
  const r = await b.run();
  check(r.value(read), 'reading a socket filter');
  return { program: r.bytes(program), locked };
}

export async function setFilter(hands: Hands, fd: number, filter: SocketFilter): Promise<void> {
  const b = hands.batch();
  const refs = [];
  if (filter.program.length > 0) {
    // struct sock_fprog: len u16, filter pointer at 8.
    const header = new Uint8Array(16);
    new DataView(header.buffer).setUint16(0, filter.program.length / INSTRUCTION, true);
    const fprog = b.bytes(header);
    b.pointer(fprog, 8, b.bytes(filter.program));
    refs.push(b.call(SYS.setsockopt, fd, SOL_SOCKET, SO_ATTACH_FILTER, fprog, 16));
  }
  if (filter.locked) refs.push(b.call(SYS.setsockopt, fd, SOL_SOCKET, SO_LOCK_FILTER, b.bytes(int(1)), 4));
  const r = await b.run();
  for (const ref of refs) check(r.value(ref), 'attaching a socket filter');
}
