import type { Batch, Buf, Ref } from '../../guest/hands/batch.js';
import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { Cgroup } from './cgroup.js';
import { DomainError } from '../errors.js';
import { AT_FDCWD, CATCHABLE, CLONE, O, PR, PTRACE, SIG } from '../linux/flags.js';
import { whileOpen } from '../linux/making.js';
import { MNT_DETACH, MS } from '../mounts/flags.js';
import { fileTime } from '../mounts/file-time.js';
import { watchMounts, type Written } from '../mounts/written.js';
import { parseMountinfo, type Mount } from '../mounts/mountinfo.js';
import { check, open, readText, writeText } from '../linux/os.js';
import { timespecOf } from '../linux/timespec.js';
import { loadDiagnosis } from './modules.js';
import type { HostEnd } from './host-ends.js';
import { giveNic, loopbackUp, type DomainNetwork } from './netlink.js';
import { isVdso, parseMaps, type Vma } from '../proc/maps.js';
import { namespacesOf, type Namespaces } from '../proc/namespaces.js';
import { cloneArgs } from '../trace/clone.js';
import { AT_ENDED, AT_REAP } from '../trace/runner.js';
import { plantRunner, roomForRunner } from '../trace/running.js';
import { only } from '../trace/stop-signal.js';
import { parseStatus, PC, REG, Tracee } from '../trace/tracee.js';
import type { Undo } from '../undo.js';
import type { Disturbed, Restarted } from '../freeze/wait.js';

/** What a domain is wherever it lives. */
export interface DomainSpec {
  /** Name of its cgroup; letters, digits, `-`, `_`. */
  readonly name: string;
  readonly hostname?: string;
  /**
   * Folder of the OS instance that is the domain's root, such as a tree's: with /dev, /proc and /sys of its own, and nothing
   * else of the instance. Absent: the instance's own. It must be there in every instance that the domain moves to.
   */
  readonly root?: string;
  /**
   * What the domain writes below its root lies in a layer of its own, in memory, that moves with it; the folder that is its
   * root is not changed, and the same in every instance. Its program's output is in the layer too.
   */
  readonly layer?: boolean;
  /** A folder of the domain's own, in memory, empty at first, that moves with it: where it is mounted. */
  readonly data?: string;
  /** When its last process has ended the domain stays, empty, until it is removed: how its program ended can be asked. */
  readonly lingers?: boolean;
  /** Absent: the domain has its own network namespace with the loopback interface alone. */
  readonly network?: DomainNetwork;
}

/** A connection that no process has any more: IPv4 addresses of four bytes, as in `struct sockaddr_in`. */
export interface LeftConnection {
  readonly local: { readonly address: Uint8Array; readonly port: number };
  readonly peer: { readonly address: Uint8Array; readonly port: number };
}

/** How a program came to its end. */
export type ProgramEnd =
  { readonly kind: 'exited'; readonly status: number } | { readonly kind: 'killed'; readonly signal: number };

/** Nanoseconds to add to the OS instance's clocks inside the domain (time_namespaces(7)). */
export interface ClockOffsets {
  readonly monotonic: bigint;
  readonly boottime: bigint;
}

/** Trace options of every process in its restoration state: whatever it begets is traced too, and all dies with the hands. */
export const RESTORATION_OPTIONS =
  PTRACE.O_TRACESYSGOOD |
  PTRACE.O_TRACECLONE |
  PTRACE.O_TRACEFORK |
  PTRACE.O_TRACEVFORK |
  PTRACE.O_TRACEEXEC |
  PTRACE.O_EXITKILL |
  PTRACE.O_SUSPEND_SECCOMP;

const SCHED_FIFO = 1;
const SCHED_RESET_ON_FORK = 0x40000000;
const MS_NOSUID = 2;
const MS_NOEXEC = 8;
const MS_BIND = 0x1000;
const MS_MOVE = 0x2000;
/** Where the hands' pidfd stands in every process in its restoration state. */
export const HANDS_FD = 3;

/**
 * The first process of a domain's PID namespace. It is no part of the domain's state: each OS instance
 * makes its own. It holds the namespaces, begets what has no parent left, and buries orphans.
 */
export class Anchor {
  constructor(
    readonly spec: DomainSpec,
    readonly cgroup: Cgroup,
    readonly tracee: Tracee,
    /** Descriptors of the hands: the domain's network namespace. */
    readonly netns: number,
    readonly clocks: ClockOffsets,
    /** What is mounted in its mount namespace before anybody in the domain mounts something. */
    public mounts: readonly Mount[],
    /** The namespaces that the domain was made with, as `/proc/PID/ns` shows them. */
    readonly namespaces: Namespaces,
    /** The real time as files are stamped with it, in nanoseconds, when nobody was in the domain yet. */
    readonly since: bigint,
    /** What the domain has written and closed on file systems of the OS instance. */
    readonly written: Written,
  ) {}

  /** Roots of mount namespaces beside the domain's own, as paths of the hands, by what `/proc/PID/ns` shows. */
  readonly roots = new Map<string, string>();
  /** Descriptors of the hands: what the host has of its program. */
  readonly ends = new Map<HostEnd, number>();
  /** A descriptor of the first process: the layer of a root of the domain's own; -1: there is none. */
  layer = -1;
  /** Threads that go on with a wait of before a move, by their ids in the hands' namespace. */
  readonly restarted = new Map<number, Restarted>();
  /**
   * Takes over TCP connections (IPv4, under the domain's own address) that no process has any more, where what is said in
   * them can still come here when the domain has gone; undefined: it cannot.
   */
  leave: ((connections: readonly LeftConnection[]) => void) | undefined;
  /** Waits that failed freezes have disturbed, by the ids of their threads. */
  readonly disturbed = new Map<number, Disturbed>();

  /** A path of the hands for one of the domain's: from its root, or from that of a namespace (mounts/places.ts). */
  way(path: string): string {
    const [root, rest] = this.parts(path);
    return root + rest;
  }

  /** The two parts of {@link way}: the root, and the path from there. */
  parts(path: string): readonly [root: string, path: string] {
    for (const [link, root] of this.roots) {
      const prefix = `/${link}/`;
      if (path.startsWith(prefix)) return [root, path.slice(prefix.length - 1)];
    }
    return [`/proc/${this.pid}/root`, path];
  }

  get hands(): Hands {
    return this.tracee.hands;
  }
  get pid(): number {
    return this.tracee.tid;
  }

  /**
   * How the domain's program ended; undefined while it runs. Throws `lost` if that is not known any more: only a domain
   * that lingers keeps it.
   */
  async programEnd(): Promise<ProgramEnd | undefined> {
    const { hands, pid, tracee } = this;
    const b = hands.batch();
    const out = b.out(16);
    const got = b.call(SYS.process_vm_readv, pid, b.iovec(out), 1, b.iovec([tracee.area + AT_ENDED, 16]), 1, 0);
    const r = await b.run();
    if (r.value(got) !== 16) throw new DomainError('lost', `domain ${this.spec.name} is gone`);
    const view = r.view(out);
    if (view.getBigUint64(8, true) === 0n) return undefined;
    const end = parseStatus(view.getInt32(0, true));
    return end.kind === 'exited' ? { kind: 'exited', status: end.value } : { kind: 'killed', signal: end.value };
  }

  /** From now on it only buries orphans. It must be let go (PTRACE_DETACH) by the caller. */
  async becomeReaper(): Promise<void> {
    const regs = new BigUint64Array(32);
    regs[PC] = BigInt(this.tracee.area + AT_REAP);
    regs[REG.s1] = this.spec.lingers === true ? 1n : 0n;
    await this.tracee.setRegisters(regs);
  }
}

/**
 * An `ecall` that stands in the vDSO of a process: every Linux puts `__vdso_rt_sigreturn` there. `vmas`: the process's
 * mappings.
 */
export async function ecallOf(tracee: Tracee, vmas: readonly Vma[]): Promise<number> {
  const vdso = vmas.find(isVdso);
  if (vdso === undefined)
    throw new DomainError('unsupported', `process ${tracee.tid} has no vDSO`, { resource: 'a process without a vDSO' });
  return vdso.start + ecallIn(await tracee.peek(vdso.start, vdso.end - vdso.start));
}

/** Bytes from the start of a vDSO image to an `ecall`. Throws `unsupported`. */
export function ecallIn(image: Uint8Array): number {
  const view = new DataView(image.buffer, image.byteOffset, image.length);
  // li a7, 139 (rt_sigreturn); ecall
  for (let at = 0; at + 8 <= image.length; at += 2)
    if (view.getUint32(at, true) === 0x08b00893 && view.getUint32(at + 4, true) === 0x73) return at + 4;
  throw new DomainError('unsupported', 'the vDSO has no rt_sigreturn', { resource: 'an unknown vDSO' });
}

/**
 * Makes the hands fit for tracing: SIGCHLD blocked, so that it can be waited for, a real-time priority, so that those
 * whom they wake do not keep them from going on, and room for descriptors of all files that a domain may have open. Can be
 * repeated. Answers the `struct rlimit64` of descriptors that they had at first.
 */
async function prepareHands(hands: Hands): Promise<Uint8Array> {
  const b = hands.batch();
  const set = b.bytes(only(SIG.CHLD));
  const done = b.call(SYS.rt_sigprocmask, 0, set, 0, 8);
  // struct sched_param: priority i32. Whatever they beget is ordinary.
  const first = b.call(
    SYS.sched_setscheduler,
    0,
    SCHED_FIFO | SCHED_RESET_ON_FORK,
    b.bytes(new Uint8Array([1, 0, 0, 0])),
  );
  const old = b.out(16);
  const limited = addManyFiles(b, old);
  const r = await b.run();
  check(r.value(done), 'blocking SIGCHLD');
  check(r.value(first), 'giving the hands a priority');
  check(r.value(limited), 'giving the hands room for descriptors');
  const limit = fileLimits.get(hands) ?? r.bytes(old);
  fileLimits.set(hands, limit);
  return limit;
}

const RLIMIT_NOFILE = 7;
/** As many as the kernel allows to ask for (fs.nr_open). */
const MANY_FILES = 1n << 20n;

/** Lets whoever makes the calls of a batch have as many descriptors as there may be. `old`: takes the limit that was. */
export const addManyFiles = (b: Batch, old: Buf | 0 = 0): Ref =>
  b.call(
    SYS.prlimit64,
    0,
    RLIMIT_NOFILE,
    b.bytes(new Uint8Array(new BigUint64Array([MANY_FILES, MANY_FILES]).buffer)),
    old,
  );

/** How many descriptors hands could have before they were given more: what they beget keeps that. */
const fileLimits = new WeakMap<Hands, Uint8Array>();

/**
 * Makes the namespaces of a domain and its first process, stopped, with a runner. `avoid`: mappings that
 * the domain's processes will have, which the runner must keep clear of.
 */
export async function createAnchor(
  hands: Hands,
  spec: DomainSpec,
  clocks: ClockOffsets,
  avoid: readonly { start: number; end: number }[],
  undo: Undo,
): Promise<Anchor> {
  const fileLimit = await prepareHands(hands);
  await loadDiagnosis(hands);
  const cgroup = new Cgroup(hands, spec.name);
  await cgroup.create();
  undo.add('removing the cgroup', () => cgroup.remove());

  const self = check(await hands.syscall(SYS.pidfd_open, await hands.syscall(SYS.getpid), 0), 'pidfd_open');
  undo.add('closing a descriptor of the hands themselves', () => closeOnce());
  let isOpen = true;
  const closeOnce = async (): Promise<void> => {
    if (isOpen) await hands.syscall(SYS.close, self);
    isOpen = false;
  };
  const pid = await begetFirst(hands, cgroup, clocks);
  undo.add('killing the domain', () => cgroup.kill());
  const limits = hands.batch();
  const limited = limits.call(SYS.prlimit64, pid, RLIMIT_NOFILE, limits.bytes(fileLimit), 0);
  check((await limits.run()).value(limited), 'limiting the descriptors of the domain');

  // The kernel spares the hands when memory runs out, not what they begot.
  check(await writeText(hands, `/proc/${pid}/oom_score_adj`, '0'), 'making the domain like others');
  const tracee = await Tracee.seize(hands, pid, RESTORATION_OPTIONS);
  await tracee.blockSignals();
  const vmas = parseMaps((await readText(hands, `/proc/${pid}/maps`)) ?? '');
  const area = roomForRunner([...avoid, ...vmas]);
  await plantRunner(tracee, await ecallOf(tracee, vmas), area);

  // Whatever the hands' own parent ignored, the domain shall not.
  const defaults = tracee.batch();
  const action = defaults.bytes(new Uint8Array(24));
  for (const signal of CATCHABLE) defaults.call(SYS.rt_sigaction, signal, action, 0, 8);
  await defaults.run();

  const t = tracee.batch();
  const steps = [
    ['setsid', t.call(SYS.setsid)],
    ['dup3', t.call(SYS.dup3, self, 900, O.CLOEXEC)],
    ['mount', t.call(SYS.mount, t.str('none'), t.str('/'), 0, MS.REC | MS.PRIVATE, 0)],
    ...(spec.root === undefined || spec.layer === true ? [] : addRoot(t, spec.root)),
    ['mount', t.call(SYS.mount, t.str('proc'), t.str('/proc'), t.str('proc'), 0, 0)],
    ['unshare', t.call(SYS.unshare, CLONE.NEWCGROUP)],
    ['mount', addMount(t, 'cgroup2', '/sys/fs/cgroup', '')],
    ['mount', addMount(t, 'devpts', '/dev/pts', 'mode=620,ptmxmode=666,gid=5')],
    ['prctl', t.call(SYS.prctl, PR.SET_NAME, t.str('domain'))],
    // From the hands it has none, as they have a real-time priority: its children shall have what others have.
    ['prctl', t.call(SYS.prctl, PR.SET_TIMERSLACK, 50_000, 0, 0, 0)],
  ] as const;
  if (spec.hostname !== undefined) t.call(SYS.sethostname, t.str(spec.hostname), spec.hostname.length);
  t.call(SYS.close_range, 0, 899, 0);
  t.call(SYS.close_range, 901, 0xffffffff, 0);
  t.call(SYS.openat, AT_FDCWD, t.str('/dev/null'), O.RDWR, 0);
  t.call(SYS.dup3, 0, 1, 0);
  t.call(SYS.dup3, 0, 2, 0);
  t.call(SYS.dup3, 900, HANDS_FD, O.CLOEXEC);
  t.call(SYS.close, 900);
  const r = await t.run();
  for (const [what, ref] of steps) check(r.value(ref), `${what} in the first process of the domain`);
  await closeOnce();

  const netns = await open(hands, `/proc/${pid}/ns/net`, O.RDONLY);
  undo.add('closing the network namespace', async () => {
    await hands.syscall(SYS.close, netns);
  });
  if (spec.network === undefined) await loopbackUp(hands, netns);
  else await giveNic(hands, netns, spec.network);
  const mounts = parseMountinfo((await readText(hands, `/proc/${pid}/mountinfo`)) ?? '');
  const written = await watchMounts(tracee, mounts);
  const namespaces = await namespacesOf(hands, pid);
  return new Anchor(spec, cgroup, tracee, netns, clocks, mounts, namespaces, await fileTime(hands), written);
}

/**
 * Adds taking a folder as the root. Where Linux began with an initramfs, the root itself cannot be exchanged: the folder is
 * moved over it, and what was there is out of reach.
 */
function addRoot(t: Batch, root: string): (readonly [string, Ref])[] {
  const mount = (from: string, to: string, type: string, flags: number): readonly [string, Ref] => [
    `mount ${from}`,
    t.call(SYS.mount, t.str(from), t.str(to), t.str(type), flags, 0),
  ];
  return [
    mount(root, root, 'none', MS_BIND),
    mount('/dev', `${root}/dev`, 'none', MS_BIND),
    mount('sysfs', `${root}/sys`, 'sysfs', MS_NOSUID | MS_NOEXEC),
    ['chdir', t.call(SYS.chdir, t.str(root))],
    mount('.', '/', 'none', MS_MOVE),
    ['chroot', t.call(SYS.chroot, t.str('.'))],
    ['chdir', t.call(SYS.chdir, t.str('/'))],
  ];
}

/**
 * Adds mounting a file system of the domain's own in the place of the instance's: its cgroup is the root of the cgroups
 * that it sees, and its terminals are numbered from 0.
 */
function addMount(t: Batch, type: string, path: string, options: string): Ref {
  t.call(SYS.umount2, t.str(path), MNT_DETACH);
  t.call(SYS.mkdirat, AT_FDCWD, t.str(path), 0o755);
  return t.call(SYS.mount, t.str(type), t.str(path), t.str(type), MS_NOSUID | MS_NOEXEC, t.str(options));
}

/** Makes the first process of a domain, with its namespaces, in its cgroup; answers its id. */
async function begetFirst(hands: Hands, cgroup: Cgroup, clocks: ClockOffsets): Promise<number> {
  const cgroupFd = await open(hands, cgroup.path, O.RDONLY | O.DIRECTORY);
  return whileOpen(hands, cgroupFd, async () => {
    const timeNs = await open(hands, '/proc/self/ns/time', O.RDONLY);
    return whileOpen(hands, timeNs, () => begetInTime(hands, cgroupFd, timeNs, clocks));
  });
}

/** `timeNs`: where the hands come back to. */
async function begetInTime(hands: Hands, cgroupFd: number, timeNs: number, clocks: ClockOffsets): Promise<number> {
  try {
    check(await hands.syscall(SYS.unshare, CLONE.NEWTIME), 'making a time namespace');
    const lines = [
      ['monotonic', clocks.monotonic],
      ['boottime', clocks.boottime],
    ] as const;
    const text = lines.map(([name, ns]) => `${name} ${timespecOf(ns).join(' ')}\n`).join('');
    check(await writeText(hands, '/proc/self/timens_offsets', text), 'setting the clocks of the domain');

    const b = hands.batch();
    const args = cloneArgs(b, {
      flags: BigInt(CLONE.NEWPID | CLONE.NEWNS | CLONE.NEWUTS | CLONE.NEWIPC | CLONE.NEWNET) | CLONE.INTO_CGROUP,
      exitSignal: SIG.CHLD,
      cgroup: cgroupFd,
    });
    const child = b.call(SYS.clone3, args, args.length);
    return check((await b.run()).value(child), 'making the first process of the domain');
  } finally {
    await hands.syscall(SYS.setns, timeNs, CLONE.NEWTIME);
  }
}
