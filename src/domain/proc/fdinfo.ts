/** `/proc/PID/fdinfo/FD` (proc_pid_fdinfo(5)): the common lines, and the raw rest for each kind to read. */
export interface FdInfo {
  readonly pos: number;
  /** Open flags, with O_CLOEXEC of this descriptor. */
  readonly flags: number;
  readonly mntId: number;
  readonly ino: number;
  /** Whether any lock is held through this description. */
  readonly locked: boolean;
  /** All lines as `key: value`, in order; keys repeat (`tfd`), and lines of lists have no value. */
  readonly lines: readonly (readonly [key: string, value: string])[];
}

export function parseFdInfo(text: string): FdInfo {
  const lines = text
    .split('\n')
    .filter((l) => l.trim() !== '')
    .map((l): [string, string] => {
      const colon = l.indexOf(':');
      return colon < 0 ? [l.trim(), ''] : [l.slice(0, colon).trim(), l.slice(colon + 1).trim()];
    });
  const get = (key: string): string => lines.find(([k]) => k === key)?.[1] ?? '';
  return {
    pos: Number(get('pos') || '0'),
    flags: parseInt(get('flags') || '0', 8),
    mntId: Number(get('mnt_id') || '0'),
    ino: Number(get('ino') || '0'),
    locked: lines.some(([k]) => k === 'lock'),
    lines,
  };
}

export function fdInfoValue(info: FdInfo, key: string): string {
  return info.lines.find(([k]) => k === key)?.[1] ?? '';
}

/** An epoll set's entry: `tfd: 5 events: 19 data: 5 pos:0 ino:1c sdev:8`. */
export interface EpollEntry {
  readonly tfd: number;
  readonly events: number;
  readonly data: bigint;
  /** Of the file that is watched. */
  readonly ino: number;
}

export function epollEntries(info: FdInfo): EpollEntry[] {
  const entries: EpollEntry[] = [];
  for (const [key, value] of info.lines) {
    if (key !== 'tfd') continue;
    const m = /^(\d+)\s+events:\s*([0-9a-f]+)\s+data:\s*([0-9a-f]+)\s+pos:\s*\d+\s+ino:\s*([0-9a-f]+)/.exec(value);
    if (m === null) continue;
    const [, tfd, events = '', data = '', ino = ''] = m;
    entries.push({ tfd: Number(tfd), events: parseInt(events, 16), data: BigInt(`0x${data}`), ino: parseInt(ino, 16) });
  }
  return entries;
}
