/** What sockets have in common that are bound to something of the kernel's, and lead to nobody: netlink and packet sockets. */
import type { Batch, BatchResult, Ref } from '../../../../guest/hands/batch.js';
import { SYS } from '../../../../guest/hands/syscalls.js';
import { unsupported } from '../../../errors.js';
import { EACCES, F, O } from '../../../linux/flags.js';
import { check, isFound, parseStat } from '../../../linux/os.js';
import type { OpenFile } from '../../kind.js';
import {
  addReadOptions,
  addReadSeldom,
  COMMON_OPTIONS,
  int,
  SO,
  SOL_SOCKET,
  type OptionName,
  type SocketOption,
} from '../socket-options.js';

const SO_GET_FILTER = 26;

export interface PlainSocket {
  readonly type: number;
  readonly protocol: number;
  readonly flags: number;
  readonly name: Uint8Array;
  readonly options: readonly SocketOption[];
  readonly sendBuffer: number;
  readonly receiveBuffer: number;
  /** What fstat(2) tells of the socket itself. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export const whereOf = (file: OpenFile): string => `descriptor ${file.view.fd} of process ${file.users[0]?.pid ?? -1}`;

/** Adds the reading of it. The answer throws `unsupported` for a socket with a filter. */
export function addReadPlain(b: Batch, file: OpenFile, own: readonly OptionName[]): (r: BatchResult) => PlainSocket {
  const fd = file.held;
  const options = addReadOptions(b, fd, [...COMMON_OPTIONS, [SOL_SOCKET, SO.BUF_LOCK, 4], ...own]);
  const seldom = addReadSeldom(b, fd);
  const numbers = addReadOptions(
    b,
    fd,
    [SO.TYPE, SO.PROTOCOL, SO.SNDBUF, SO.RCVBUF].map((n): OptionName => [SOL_SOCKET, n, 4]),
  );
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
    const [type = 0, protocol = 0, sendBuffer = 0, receiveBuffer = 0] = numbers(r).map((o) =>
      new DataView(o.value.buffer, o.value.byteOffset).getInt32(0, true),
    );
    const { mode, uid, gid } = parseStat(r.view(stat));
    return {
      type,
      protocol,
      flags: file.view.info.flags & ~O.CLOEXEC,
      name: r.bytes(name, r.view(length).getUint32(0, true)),
      options: [...options(r), ...seldom(r)],
      sendBuffer,
      receiveBuffer,
      mode: mode & 0o7777,
      uid,
      gid,
    };
  };
}

/** Adds what makes a new socket like it, but for its name. The answer throws where a kernel does not take something. */
export function addSetPlain(b: Batch, fd: number, s: PlainSocket): (r: BatchResult) => void {
  const asked: Ref[] = [];
  const set = (name: number, value: number): void => {
    asked.push(b.call(SYS.setsockopt, fd, SOL_SOCKET, name, b.bytes(int(value)), 4));
  };
  set(SO.SNDBUFFORCE, s.sendBuffer >> 1);
  set(SO.RCVBUFFORCE, s.receiveBuffer >> 1);
  for (const { level, name, value } of s.options)
    asked.push(b.call(SYS.setsockopt, fd, level, name, b.bytes(value), value.length));
  asked.push(b.call(SYS.fchown, fd, s.uid, s.gid), b.call(SYS.fchmod, fd, s.mode));
  const flagged = b.call(SYS.fcntl, fd, F.SETFL, s.flags);
  return (r) => {
    // A kernel may refuse an option that this kind of socket has by itself.
    for (const ref of asked) isFound(r.value(ref), 'setting an option of a socket');
    check(r.value(flagged), 'setting the flags of a socket');
  };
}
