/** What `/proc/PID/status` says that a domain must keep (proc_pid_status(5)). */
export interface Status {
  readonly name: string;
  readonly umask: number;
  /** `R`, `S`, `Z`, … */
  readonly state: string;
  readonly tgid: number;
  /** This task's id in each PID namespace, outermost first. */
  readonly nsPid: readonly number[];
  readonly nsTgid: readonly number[];
  readonly nsPgid: readonly number[];
  readonly nsSid: readonly number[];
  readonly ppid: number;
  readonly tracer: number;
  /** Real, effective, saved, file-system. */
  readonly uids: readonly number[];
  readonly gids: readonly number[];
  readonly groups: readonly number[];
  readonly caps: Capabilities;
  readonly noNewPrivs: boolean;
  /** Signals that are pending for this thread, and for the whole process. */
  readonly pending: { readonly thread: bigint; readonly process: bigint };
  readonly seccomp: number;
  readonly seccompFilters: number;
  readonly threads: number;
  /** How often it has gone to sleep. */
  readonly switches: number;
  readonly vmRssKiB: number;
  readonly rssAnonKiB: number;
  readonly rssShmemKiB: number;
}

export interface Capabilities {
  readonly inheritable: bigint;
  readonly permitted: bigint;
  readonly effective: bigint;
  readonly bounding: bigint;
  readonly ambient: bigint;
}

export function parseStatus(text: string): Status {
  const fields = new Map<string, string>();
  for (const line of text.split('\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  const word = (key: string): string => fields.get(key) ?? '';
  const numbers = (key: string): number[] =>
    word(key)
      .split(/\s+/)
      .filter((w) => w !== '')
      .map(Number);
  const number = (key: string): number => numbers(key)[0] ?? 0;
  const mask = (key: string): bigint => BigInt(`0x${word(key) === '' ? '0' : word(key)}`);
  return {
    name: word('Name'),
    umask: parseInt(word('Umask') || '0', 8),
    state: word('State').slice(0, 1),
    tgid: number('Tgid'),
    nsPid: numbers('NSpid'),
    nsTgid: numbers('NStgid'),
    nsPgid: numbers('NSpgid'),
    nsSid: numbers('NSsid'),
    ppid: number('PPid'),
    tracer: number('TracerPid'),
    uids: numbers('Uid'),
    gids: numbers('Gid'),
    groups: numbers('Groups'),
    caps: {
      inheritable: mask('CapInh'),
      permitted: mask('CapPrm'),
      effective: mask('CapEff'),
      bounding: mask('CapBnd'),
      ambient: mask('CapAmb'),
    },
    noNewPrivs: number('NoNewPrivs') !== 0,
    pending: { thread: mask('SigPnd'), process: mask('ShdPnd') },
    seccomp: number('Seccomp'),
    seccompFilters: number('Seccomp_filters'),
    threads: number('Threads'),
    switches: number('voluntary_ctxt_switches'),
    vmRssKiB: number('VmRSS'),
    rssAnonKiB: number('RssAnon'),
    rssShmemKiB: number('RssShmem'),
  };
}

/** Fields of `/proc/PID/stat` that only a tracer may see. */
export interface MmLayout {
  readonly startCode: number;
  readonly endCode: number;
  readonly startStack: number;
  readonly startData: number;
  readonly endData: number;
  readonly startBrk: number;
  readonly argStart: number;
  readonly argEnd: number;
  readonly envStart: number;
  readonly envEnd: number;
}

/** In the flags of a task. */
const PF_EXITING = 0x4;
const PF_IO_WORKER = 0x10;

export interface ProcStat {
  readonly ttyNr: number;
  /** It is on its way out of the kernel, and lets go of what it has. */
  readonly isEnding: boolean;
  /** A thread of the kernel's: see kernel-threads.ts. */
  readonly isWorker: boolean;
  /** The process group in the foreground of its terminal, in the hands' namespace. */
  readonly foreground: number;
  readonly nice: number;
  /** wait status a zombie keeps for its parent. */
  readonly exitCode: number;
  readonly policy: number;
  /** What its parent is sent when it ends: SIGCHLD, unless clone(2) was asked for another. */
  readonly exitSignal: number;
  readonly rtPriority: number;
  readonly mm: MmLayout;
}

/** Field numbers as in proc_pid_stat(5). */
export function parseProcStat(text: string): ProcStat {
  const rest = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const field = (n: number): number => Number(rest[n - 3] ?? '0');
  return {
    ttyNr: field(7),
    foreground: field(8),
    isEnding: (field(9) & PF_EXITING) !== 0,
    isWorker: (field(9) & PF_IO_WORKER) !== 0,
    nice: field(19),
    rtPriority: field(40),
    policy: field(41),
    exitSignal: field(38),
    exitCode: field(52),
    mm: {
      startCode: field(26),
      endCode: field(27),
      startStack: field(28),
      startData: field(45),
      endData: field(46),
      startBrk: field(47),
      argStart: field(48),
      argEnd: field(49),
      envStart: field(50),
      envEnd: field(51),
    },
  };
}
