import type { Batch, Ref } from '../../guest/hands/batch.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { unsupportedNow } from '../errors.js';
import { EAGAIN } from '../linux/flags.js';
import { check } from '../linux/os.js';
import type { Lock } from '../proc/locks.js';

const F_SETLK = 6;
const F_OFD_SETLK = 37;
const F_SETLEASE = 1024;
const F_RDLCK = 0;
const F_WRLCK = 1;
const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;

/** Adds the taking of a lock by a descriptor of whoever makes the calls of the batch. */
export function addLock(b: Batch, fd: number | Ref, lock: Lock): Ref {
  const type = lock.type === 'read' ? F_RDLCK : F_WRLCK;
  switch (lock.kind) {
    case 'flock':
      return b.call(SYS.flock, fd, (lock.type === 'read' ? LOCK_SH : LOCK_EX) | LOCK_NB);
    case 'lease':
      return b.call(SYS.fcntl, fd, F_SETLEASE, type);
    case 'ofd':
      return b.call(SYS.fcntl, fd, F_OFD_SETLK, b.bytes(structFlock(type, lock)));
    case 'posix':
      return b.call(SYS.fcntl, fd, F_SETLK, b.bytes(structFlock(type, lock)));
  }
}

/** Throws where a lock was not got: somebody outside of the domain has it. */
export function checkLock(result: number, what: string): void {
  if (result === -EAGAIN) throw unsupportedNow('a lock that somebody else has in the destination', what);
  check(result, `locking ${what}`);
}

/** `struct flock`: type i16, whence i16 (from the start), start i64 at 8, length i64, pid i32. */
function structFlock(type: number, { start, length }: Lock): Uint8Array {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  view.setInt16(0, type, true);
  view.setBigInt64(8, BigInt(start), true);
  view.setBigInt64(16, BigInt(length), true);
  return bytes;
}
