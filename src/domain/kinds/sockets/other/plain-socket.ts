/** What sockets have in common that are bound to something of the kernel's, and lead to nobody: netlink and packet sockets. */
import type { Batch, BatchResult } from '../../../../guest/hands/batch.js';
import { SYS } from '../../../../guest/hands/syscalls.js';
import { unsupported } from '../../../errors.js';
import { EACCES, F, O } from '../../../linux/flags.js';
import { check, isFound, parseStat } from '../../../linux/os.js';
import type { OpenFile } from '../../kind.js';
import {
  addReadCommon,
  addSetCommon,
  int,
  SOL_SOCKET,
  type CommonOptions,
  type OptionName,
  type SocketFamily,
} from '../socket-options.js';

const SO_GET_FILTER = 26;

export interface PlainSocket extends CommonOptions, SocketFamily {
  readonly flags: number;
  readonly name: Uint8Array;
  /** What fstat(2) tells of the socket itself. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export const whereOf = (file: OpenFile): string => `descriptor ${file.view.fd} of process ${file.users[0]?.pid ?? -1}`;

/** Adds the reading of it. The answer throws `unsupported` for a socket with a filter. */
export function addReadPlain(
  b: Batch,
  file: OpenFile,
  family: SocketFamily,
  own: readonly OptionName[],
): (r: BatchResult) => PlainSocket {
  const fd = file.held;
  const common = addReadCommon(b, fd, own);
  const name = b.out(128);
  const length = b.inout(int(128));
  const named = b.call(SYS.getsockname, fd, name, length);
  const stat = b.out(128);
  const looked = b.call(SYS.fstat, fd, stat);
  const count = b.inout(int(0));
  const filter = b.call(SYS.getsockopt, fd, SOL_SOCKET, SO_GET_FILTER, 0, count);
  return (r) => {
    if (r.value(filter) === -EACCES || r.view(count).getUint32(0, true) > 0)
      throw unsupported('a filter on a socket that is not of the internet', whereOf(file));
    check(r.value(looked), 'looking at a socket');
    check(r.value(named), 'asking for the name of a socket');
    const { mode, uid, gid } = parseStat(r.view(stat));
    return {
      ...family,
      ...common(r),
      flags: file.view.info.flags & ~O.CLOEXEC,
      name: r.bytes(name, r.view(length).getUint32(0, true)),
      mode: mode & 0o7777,
      uid,
      gid,
    };
  };
}

/** Adds what makes a new socket like it, but for its name. The answer throws where a kernel does not take something. */
export function addSetPlain(b: Batch, fd: number, s: PlainSocket): (r: BatchResult) => void {
  const common = addSetCommon(b, fd, s);
  const owned = [b.call(SYS.fchown, fd, s.uid, s.gid), b.call(SYS.fchmod, fd, s.mode)];
  const flagged = b.call(SYS.fcntl, fd, F.SETFL, s.flags);
  return (r) => {
    common(r);
    for (const ref of owned) isFound(r.value(ref), 'giving a socket its owner');
    check(r.value(flagged), 'setting the flags of a socket');
  };
}
