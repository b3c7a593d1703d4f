import type { Batch, Ref } from '../../../guest/hands/batch.js';
import { SYS } from '../../../guest/hands/syscalls.js';

/** `struct sembuf`: index u16, operation i16, flags i16. */
const SEMBUF = 6;

export interface Operation {
  readonly index: number;
  readonly op: number;
  readonly flags: number;
}

/** Adds semop(2): all of the operations are done, or none. */
export function operations(b: Batch, id: number, all: readonly Operation[]): Ref {
  const view = new DataView(new ArrayBuffer(SEMBUF * all.length));
  all.forEach(({ index, op, flags }, i) => {
    view.setUint16(SEMBUF * i, index, true);
    view.setInt16(SEMBUF * i + 2, op, true);
    view.setInt16(SEMBUF * i + 4, flags, true);
  });
  return b.call(SYS.semop, id, b.bytes(new Uint8Array(view.buffer)), all.length);
}
