/** What a program finds when it begins to run: who it is, how much it may have, where its input and output lead. */
import { SYS } from '../../guest/hands/syscalls.js';
import type { Batch, BatchResult, Ref } from '../../guest/hands/batch.js';
import { DomainError } from '../errors.js';
import type { OwnFolder } from './folders.js';
import { HANDS_FD } from './anchor.js';
import { isWindowSize, type WindowSize } from './host-ends.js';
import { TTY } from '../kinds/terminals/ioctl.js';
import { AT_FDCWD, O } from '../linux/flags.js';
import { check } from '../linux/os.js';

/** A program to run in a new domain. */
export interface Program {
  /** Path of the executable, then its arguments. */
  readonly argv: readonly [string, ...string[]];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** File that it reads as its standard input; default `/dev/null`. */
  readonly input?: string;
  /** The host writes its standard input. */
  readonly stdin?: boolean;
  /** A terminal of this size is its standard input, output and error, and controls it; the host has the other side. */
  readonly tty?: WindowSize;
  /** File that takes standard output and error; default `/dev/null`. */
  readonly output?: string;
  /** File that takes standard error; default: the same as `output`. */
  readonly errors?: string;
  /** Whom it runs as; root unless told. */
  readonly user?: User;
  /** What it may have at most; what is not named is as in the OS instance. */
  readonly limits?: Limits;
  /** Permissions that files it makes do not get; 0o022 unless told. */
  readonly umask?: number;
  /** Folders of the domain's own, in memory, which go along. */
  readonly folders?: readonly OwnFolder[];
  /** Programs that run in the domain before it, one after the other, as root and with its environment. */
  readonly before?: readonly (readonly [string, ...string[]])[];
}

/** Whom a program runs as, in numbers. */
export interface User {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups; none unless told. */
  readonly groups?: readonly number[];
}

/** Numbers of resources, in the order of the kernel (include/uapi/asm-generic/resource.h). */
export const LIMITS = [
  ...(['cpu', 'fsize', 'data', 'stack', 'core', 'rss', 'nproc', 'nofile', 'memlock', 'as', 'locks'] as const),
  ...(['sigpending', 'msgqueue', 'nice', 'rtprio', 'rttime'] as const),
] as const;
/** A resource that a process can be limited in: `nofile` is RLIMIT_NOFILE (getrlimit(2)). */
export type LimitName = (typeof LIMITS)[number];

/** A limit: for both, or the one in force and the one up to which the program may raise it itself. */
export type Limit = number | { readonly soft: number; readonly hard: number };
/** By names as of prlimit(1): `nofile`, `nproc` … Infinity: none. */
export type Limits = Readonly<Partial<Record<LimitName, Limit>>>;

const UNLIMITED = 2n ** 64n - 1n;
const valueOf = (n: number): bigint => (n === Infinity ? UNLIMITED : BigInt(n));

/** Throws DomainError `state` for what no program can be given. */
export function checkProgram({ argv, limits = {}, user, umask = 0, env = {}, ...streams }: Program): void {
  const refuse = (what: string): never => {
    throw new DomainError('state', what);
  };
  const { input, stdin = false, tty } = streams;
  if (tty !== undefined && !isWindowSize(tty)) refuse('a terminal has so many columns and rows, at most 65535 each');
  if (input !== undefined && (stdin || tty !== undefined))
    refuse('standard input is either a file, or what the host writes');
  const texts = [...argv, ...Object.entries(env).flat()];
  if (argv[0] === '' || texts.some((t) => t.includes('\0')))
    refuse('a program, its arguments and its environment are texts without zeros');
  for (const [name, limit] of Object.entries(limits)) {
    if (!(LIMITS as readonly string[]).includes(name))
      refuse(`there is no limit "${name}"; there are ${LIMITS.join(', ')}`);
    const { soft, hard } = typeof limit === 'number' ? { soft: limit, hard: limit } : limit;
    const isValue = (n: number): boolean => n === Infinity || (Number.isSafeInteger(n) && n >= 0);
    if (!isValue(soft) || !isValue(hard) || soft > hard)
      refuse(`limit ${name}: whole numbers, the first no more than the second`);
  }
  const ids = user === undefined ? [] : [user.uid, user.gid, ...(user.groups ?? [])];
  if (!ids.every((id) => Number.isInteger(id) && id >= 0 && id < 0xffffffff)) refuse('a user and groups are numbers');
  if (!Number.isInteger(umask) || umask < 0 || umask > 0o777) refuse(`umask ${umask} is none`);
}

/** What the host has the other side of. */
export interface HostStreams {
  /** A descriptor of the hands for the end that the program reads. */
  readonly input?: number;
  /** Number of its terminal. */
  readonly terminal?: number;
}

/** Adds what gives a new process its surroundings, by calls of its own; what is answered throws what failed of it. */
export function addSurroundings(c: Batch, program: Program, host: HostStreams): (r: BatchResult) => void {
  const asked: [string, Ref][] = [];
  const ask = (what: string, ref: Ref): Ref => {
    asked.push([what, ref]);
    return ref;
  };
  const {
    input = '/dev/null',
    output = '/dev/null',
    errors = output,
    cwd = '/',
    user,
    limits = {},
    umask = 0o022,
  } = program;
  const toWrite = O.WRONLY | O.CREAT | O.APPEND | O.NOCTTY;
  c.call(SYS.umask, umask);
  c.call(SYS.setsid);
  if (host.terminal !== undefined) {
    const path = `/dev/pts/${host.terminal}`;
    const terminal = ask(`opening ${path}`, c.call(SYS.openat, AT_FDCWD, c.str(path), O.RDWR | O.NOCTTY, 0));
    ask('taking the terminal', c.call(SYS.ioctl, terminal, TTY.TIOCSCTTY, 0));
    c.call(SYS.dup3, terminal, 0, 0);
    for (const fd of [1, 2]) c.call(SYS.dup3, 0, fd, 0);
  } else {
    const from =
      host.input === undefined
        ? ask(`opening ${input}`, c.call(SYS.openat, AT_FDCWD, c.str(input), O.RDONLY | O.NOCTTY, 0))
        : ask('taking the input', c.call(SYS.pidfd_getfd, HANDS_FD, host.input, 0));
    const to = ask(`opening ${output}`, c.call(SYS.openat, AT_FDCWD, c.str(output), toWrite, 0o644));
    c.call(SYS.dup3, from, 0, 0);
    c.call(SYS.dup3, to, 1, 0);
    if (errors === output) c.call(SYS.dup3, 1, 2, 0);
    else c.call(SYS.dup3, ask(`opening ${errors}`, c.call(SYS.openat, AT_FDCWD, c.str(errors), toWrite, 0o644)), 2, 0);
  }
  c.call(SYS.close_range, 3, 0xffffffff, 0);
  for (const [name, limit] of Object.entries(limits)) {
    const { soft, hard } = typeof limit === 'number' ? { soft: limit, hard: limit } : limit;
    const bytes = new Uint8Array(new BigUint64Array([valueOf(soft), valueOf(hard)]).buffer);
    const number = (LIMITS as readonly string[]).indexOf(name);
    ask(`limiting ${name}`, c.call(SYS.prlimit64, 0, number, c.bytes(bytes), 0));
  }
  // Before the folder: the user may not be allowed into it.
  if (user !== undefined) {
    const groups = user.groups ?? [];
    const list = c.bytes(new Uint8Array(new Uint32Array(groups.length > 0 ? groups : [0]).buffer));
    ask('setting groups', c.call(SYS.setgroups, groups.length, list));
    ask('setting the group', c.call(SYS.setresgid, user.gid, user.gid, user.gid));
    ask('setting the user', c.call(SYS.setresuid, user.uid, user.uid, user.uid));
  }
  ask(`going to ${cwd}`, c.call(SYS.chdir, c.str(cwd)));
  return (r) => {
    for (const [what, ref] of asked) check(r.value(ref), what);
  };
}
