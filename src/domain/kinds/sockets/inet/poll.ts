import type { Batch, BatchResult } from '../../../../guest/hands/batch.js';
import { SYS } from '../../../../guest/hands/syscalls.js';
import { check } from '../../../linux/os.js';

export const POLL = { IN: 1, PRI: 2, OUT: 4, ERR: 8, HUP: 16, RDHUP: 0x2000 } as const;

/** Adds a look at a socket's state to a batch: what has happened, of data that is urgent, and of ends and errors. */
export function addPoll(b: Batch, fd: number): (r: BatchResult) => number {
  // struct pollfd: fd i32, events i16, revents i16; ERR and HUP come by themselves.
  const poll = new Uint8Array(8);
  const view = new DataView(poll.buffer);
  view.setInt32(0, fd, true);
  view.setInt16(4, POLL.RDHUP | POLL.PRI, true);
  const looked = b.inout(poll);
  const n = b.call(SYS.ppoll, looked, 1, b.bytes(new Uint8Array(16)), 0, 0);
  return (r) => {
    check(r.value(n), 'looking at a socket');
    return r.view(looked).getUint16(6, true);
  };
}
