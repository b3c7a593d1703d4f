/** A line of `/proc/PID/mountinfo` (proc_pid_mountinfo(5)). */
export interface Mount {
  readonly id: number;
  readonly parent: number;
  /** `major:minor` of the file system. */
  readonly dev: string;
  /** What of the file system is its top. */
  readonly root: string;
  readonly point: string;
  /** Of the mount: `rw`, `nosuid`, … */
  readonly flags: readonly string[];
  /** Groups of mounts that follow each other: of its peers, of its master; 0: none. */
  readonly shared: number;
  readonly master: number;
  readonly unbindable: boolean;
  readonly type: string;
  readonly source: string;
  /** Of the file system. */
  readonly options: readonly string[];
}

/** Names in it have spaces and the like as `\040`. */
function plain(text: string): string {
  if (!text.includes('\\')) return text;
  const bytes: number[] = [];
  for (const byte of new TextEncoder().encode(text)) bytes.push(byte);
  const out: number[] = [];
  for (let i = 0; i < bytes.length; i++) {
    const digits = String.fromCharCode(...bytes.slice(i + 1, i + 4));
    if (bytes[i] === 0x5c && /^[0-3][0-7]{2}$/.test(digits)) {
      out.push(parseInt(digits, 8));
      i += 3;
    } else out.push(bytes[i] ?? 0);
  }
  return new TextDecoder().decode(new Uint8Array(out));
}

export function parseMountinfo(text: string): Mount[] {
  const mounts: Mount[] = [];
  for (const line of text.split('\n')) {
    const words = line.split(' ');
    const dash = words.indexOf('-', 6);
    if (dash < 0) continue;
    const fields = words.slice(6, dash);
    const group = (name: string): number =>
      Number(fields.find((f) => f.startsWith(`${name}:`))?.slice(name.length + 1) ?? 0);
    mounts.push({
      id: Number(words[0]),
      parent: Number(words[1]),
      dev: words[2] ?? '',
      root: plain(words[3] ?? ''),
      point: plain(words[4] ?? ''),
      flags: (words[5] ?? '').split(','),
      shared: group('shared'),
      master: group('master'),
      unbindable: fields.includes('unbindable'),
      type: words[dash + 1] ?? '',
      source: plain(words[dash + 2] ?? ''),
      options: (words[dash + 3] ?? '').split(','),
    });
  }
  return mounts;
}

/** A device as mountinfo shows it, in decimal, of one as a process's maps do. */
export const deviceOf = (shown: string): string =>
  shown
    .split(':')
    .map((hex) => parseInt(hex, 16))
    .join(':');

/** A path below a folder, both as mountinfo and `/proc` show them: what comes after the folder, without a slash; undefined: it is not below. */
export function below(path: string, folder: string): string | undefined {
  if (path === folder) return '';
  const prefix = folder === '/' ? '/' : `${folder}/`;
  return path.startsWith(prefix) ? path.slice(prefix.length) : undefined;
}
