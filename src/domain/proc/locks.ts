import { unsupported } from '../errors.js';
import type { FdInfo } from './fdinfo.js';

/** A lock that is held, as a line `lock:` of fdinfo tells it. Plain data. */
export interface Lock {
  /** Of whom it is: of an open file (flock(2), or open file description locks), or of a process (POSIX), or a lease. */
  readonly kind: 'flock' | 'ofd' | 'posix' | 'lease';
  readonly type: 'read' | 'write';
  readonly start: number;
  /** 0: to the end, wherever that is. */
  readonly length: number;
}

const KINDS: Readonly<Record<string, Lock['kind']>> = { FLOCK: 'flock', OFDLCK: 'ofd', POSIX: 'posix', LEASE: 'lease' };

/** `1: POSIX  ADVISORY  WRITE 12 00:02:77 0 EOF`: number, kind, how it stands, type, id of a process, file, first and last byte. */
const LINE = /^\d+: (\S+) +(\S+) +(\S+) +-?\d+ +\S+ +(\d+) +(\d+|EOF)/;

/** Locks that are held by a descriptor. Throws `unsupported` for what is none of these, or is about to be given up. */
export function locksOf(info: FdInfo, where: string): Lock[] {
  const out: Lock[] = [];
  for (const [key, value] of info.lines) {
    if (key !== 'lock') continue;
    const [, name = '', how = '', type = '', first = '', last = ''] = LINE.exec(value) ?? [];
    const kind = KINDS[name];
    if (kind === undefined || (type !== 'READ' && type !== 'WRITE')) throw unsupported(`a lock (${value})`, where);
    if (kind === 'lease' && how !== 'ACTIVE') throw unsupported('a lease that is being broken', where);
    const start = Number(first);
    const length = last === 'EOF' ? 0 : Number(last) - start + 1;
    out.push({ kind, type: type === 'READ' ? 'read' : 'write', start, length });
  }
  return out;
}
