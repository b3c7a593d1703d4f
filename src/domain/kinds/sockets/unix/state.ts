import type { Maker } from '../../../restore/actors.js';
import type { SocketFilter } from '../inet/filter.js';
import type { CommonOptions } from '../socket-options.js';
import type { UnixSocketInfo } from './diag.js';

/** ioctl(2) of a UNIX socket: a descriptor (O_PATH) for the file that it was bound to. */
export const SIOCUNIXFILE = 0x89e0;

/** Whom a message is from, as SCM_CREDENTIALS tells it. */
export interface Sender {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** A message, or a piece of a stream, that was sent and not received. */
export interface Message {
  readonly data: Uint8Array;
  /** `sockaddr_un` of a datagram's sender; two bytes where it has none. */
  readonly from: Uint8Array;
  readonly sender?: Sender;
  /** Open files on their way, by their ids. */
  readonly files: readonly string[];
}

/** The file of a socket with a path. */
export interface SocketFile {
  /** Nobody finds it any more: it was removed, or another took its place. */
  readonly gone: boolean;
  /** The folder that a relative path starts from. */
  readonly base?: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** What fstat(2) tells of the socket itself. */
export interface SocketStat {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface UnixState extends CommonOptions {
  readonly inode: number;
  readonly type: number;
  readonly info: UnixSocketInfo;
  readonly flags: number;
  /** `sockaddr_un` as bound, and as the other end is; two bytes where there is no name. */
  readonly local: Uint8Array;
  readonly peer: Uint8Array;
  readonly file?: SocketFile;
  readonly stat: SocketStat;
  /** Who connected it, or made it listen: SO_PEERCRED. */
  readonly maker?: Maker;
  /** Of a connection that waits to be accepted: who has it, who will be taken for whom it was made by. */
  readonly holder: Maker;
  /** What was sent to it and not received, in order. */
  readonly queue: readonly Message[];
  /** Bytes that reading without taking is ahead, or -1 (SO_PEEK_OFF). */
  readonly peekOffset: number;
  /** It has an error to tell, which is ECONNRESET: nothing else comes to a UNIX socket. */
  readonly reset: boolean;
  readonly filter?: SocketFilter;
}

/** Where there is no name. */
export const NO_NAME = new Uint8Array(2);

export const key = (name: Uint8Array): string => String(name);
export const isNamed = (name: Uint8Array): boolean => name.length > 2;

/** The path of a name in the file system, or undefined for one in the abstract space. */
export function pathOf(name: Uint8Array): string | undefined {
  if (!isNamed(name) || name[2] === 0) return undefined;
  const end = name.indexOf(0, 2);
  return new TextDecoder().decode(name.subarray(2, end < 0 ? name.length : end));
}
