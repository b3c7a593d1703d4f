import { O } from '../linux/flags.js';
import { DELETED, throughVma } from '../proc/deleted.js';
import { nameOf, type ProcessView } from '../proc/survey.js';
import { isFilePath, isObject } from '../memory/layout.js';
import { NAMELESS } from './ghost.js';

/** What a domain has of a file whose name is gone. */
export interface GhostPlace {
  /** The name it had. */
  readonly path: string;
  /** Leads to the file itself. */
  readonly through: string;
  /** Flags of a description that made it without a name (O_TMPFILE). */
  readonly nameless: number | undefined;
  /** It is a program that a process executes. */
  readonly executed: boolean;
}

/** Everywhere in a domain where a file or folder is whose name is gone. */
export function ghostPlaces(views: readonly ProcessView[]): GhostPlace[] {
  return views.flatMap((view) => {
    const at = `/proc/${view.hostPid}`;
    const place = (path: string, through: string, more: Partial<GhostPlace> = {}): GhostPlace => ({
      path,
      through,
      nameless: undefined,
      executed: false,
      ...more,
    });
    const cut = (shown: string): string => shown.slice(0, -DELETED.length);
    return [
      ...view.descriptors
        // The name of a terminal is gone when its master is: that is no file.
        .filter((d) => d.deleted && !d.link.startsWith('/dev/pts/'))
        .map((d) => {
          const { flags } = d.info;
          const nameless = (flags & NAMELESS) === 0 ? undefined : flags & ~O.CLOEXEC;
          return place(nameOf(d), `${at}/fd/${d.fd}`, { nameless });
        }),
      ...view.vmas
        .filter((v) => isObject(v) && isFilePath(v.path))
        .map((v) => place(v.path, throughVma(view, v), { executed: view.gone.exe && v.path === cut(view.exe) })),
      ...(view.gone.cwd ? [place(cut(view.cwd), `${at}/cwd`)] : []),
      ...(view.gone.exe ? [place(cut(view.exe), `${at}/exe`, { executed: true })] : []),
    ];
  });
}
