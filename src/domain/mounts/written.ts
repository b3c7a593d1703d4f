/**
 * Files that the domain has written and closed on file systems that it shares with its OS instance. fanotify tells of them,
 * by the domain's own mounts, so that what others write there is not taken for the domain's. To compare times instead
 * would take all files of the instance to be looked at, and could not tell who wrote.
 */
import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { unsupported } from '../errors.js';
import { AT_FDCWD, ENOSYS, O } from '../linux/flags.js';
import { askAll } from '../linux/ask-all.js';
import { closeAll } from '../linux/making.js';
import { check, readLinks } from '../linux/os.js';
import { DELETED } from '../proc/deleted.js';
import type { Tracee } from '../trace/tracee.js';
import { together } from '../together.js';
import { withFiles } from './contents.js';
import type { Mount } from './mountinfo.js';
import { addMark, addWatch, FAN_MARK_MOUNT, readWatch, type FileHandle } from './watch.js';

const ESTALE = 116;

/** What is known of files that the domain has written and closed. */
export class Written {
  readonly handles = new Map<string, FileHandle>();
  /** Names that they had when they were last looked at. */
  readonly names = new Set<string>();
  /** Mount namespaces beside the domain's own that are watched too. */
  readonly spaces = new Set<string>();

  constructor(
    /** A descriptor of the domain's first process. */
    readonly watch: number,
    /** The first mount that is watched of each file system, by its `fsid`. */
    readonly mounts: ReadonlyMap<string, string>,
  ) {}
}

/** Begins to watch what is written through these mounts, in the name of the domain's first process. */
export async function watchMounts(anchor: Tracee, mounts: readonly Mount[]): Promise<Written> {
  const b = anchor.batch();
  const made = addWatch(b);
  const watch = (await b.run()).value(made);
  // A kernel without it: nothing is known then.
  if (watch === -ENOSYS) return new Written(-1, new Map());
  check(watch, 'watching what is written');
  const places = withFiles(mounts);
  const systems = await together(
    places.map(async ({ point }) => {
      const c = anchor.batch();
      const out = c.out(120);
      const marked = addMark(c, watch, FAN_MARK_MOUNT, point);
      c.call(SYS.statfs, c.str(point), out);
      const r = await c.run();
      const v = r.view(out);
      // Some file systems have no handles for their files: they are not kept by such a name.
      return r.value(marked) < 0 ? undefined : `${v.getUint32(56, true)} ${v.getUint32(60, true)}`;
    }),
  );
  const bySystem = new Map<string, string>();
  for (const [i, { point }] of places.entries()) {
    const fsid = systems[i];
    if (fsid !== undefined && !bySystem.has(fsid)) bySystem.set(fsid, point);
  }
  return new Written(watch, bySystem);
}

/** A descriptor of the hands for what the domain's first process watches; -1: it does not. */
export async function holdWatch(hands: Hands, anchor: number, written: Written): Promise<number> {
  if (written.watch < 0) return -1;
  const b = hands.batch();
  const process = b.call(SYS.pidfd_open, anchor, 0);
  const fd = b.call(SYS.pidfd_getfd, process, written.watch, 0);
  b.call(SYS.close, process);
  return check((await b.run()).value(fd), 'asking what has been written');
}

/**
 * Names of what the domain has written and closed and that is there. `fresh`: those that were written since it was last
 * asked. Throws `unsupported` if there is more than the kernel can note.
 */
export async function readWritten(
  hands: Hands,
  anchor: number,
  written: Written,
  watch: number,
): Promise<{ names: string[]; fresh: Set<string> }> {
  if (watch < 0) return { names: [], fresh: new Set() };
  const events = await readWatch(hands, watch);
  if (events === undefined) throw unsupported('more written files than can be followed', 'the domain');
  const keyOf = (h: FileHandle): string => `${h.fsid} ${h.handle.join()}`;
  for (const h of events) written.handles.set(keyOf(h), h);
  const news = new Set(events.map(keyOf));
  const all = [...written.handles];
  if (all.length === 0) return { names: [], fresh: new Set() };
  const opened = await openMounts(hands, anchor, written);
  const fds = await askAll(hands, all, 1, (q, [, { fsid, handle }]) => {
    const fd = q.call(SYS.open_by_handle_at, opened.get(fsid) ?? -1, q.bytes(handle), O.PATH | O.CLOEXEC);
    return (r) => r.value(fd);
  });
  try {
    const links = await readLinks(
      hands,
      fds.map((fd) => `/proc/self/fd/${fd}`),
    );
    const names: string[] = [];
    const fresh = new Set<string>();
    all.forEach(([key], i) => {
      const name = links[i];
      // Its last name is gone, and nobody has it open: it is no more.
      if ((fds[i] ?? -1) === -ESTALE) written.handles.delete(key);
      if ((fds[i] ?? -1) < 0 || name === undefined || name.endsWith(DELETED)) return;
      names.push(name);
      written.names.add(name);
      if (news.has(key)) fresh.add(name);
    });
    return { names, fresh };
  } finally {
    await closeAll(hands, [...opened.values(), ...fds]);
  }
}

async function openMounts(hands: Hands, anchor: number, written: Written): Promise<Map<string, number>> {
  const fds = await askAll(hands, [...written.mounts.values()], 1, (b, point) => {
    const fd = b.call(SYS.openat, AT_FDCWD, b.str(`/proc/${anchor}/root${point}`), O.RDONLY | O.CLOEXEC, 0);
    return (r) => r.value(fd);
  });
  return new Map([...written.mounts.keys()].map((fsid, i) => [fsid, fds[i] ?? -1]));
}
