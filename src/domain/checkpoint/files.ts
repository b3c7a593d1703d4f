import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { unsupported, unsupportedNow } from '../errors.js';
import type { LookContext, OpenFile } from '../kinds/kind.js';
import { fileKinds } from '../kinds/registry.js';
import { KCMP, O } from '../linux/flags.js';
import { sameOnes } from '../linux/kcmp.js';
import { closeAll } from '../linux/making.js';
import { check, readLinks, readTexts } from '../linux/os.js';
import { holdHostEnds } from './host-ends.js';
import { isOrdinary } from '../memory/carried.js';
import { maybeDeleted } from '../proc/deleted.js';
import { parseFdInfo } from '../proc/fdinfo.js';
import type { DescriptorView, ProcessView } from '../proc/survey.js';
import { together } from '../together.js';

/** The kind that takes care of a descriptor. Throws `unsupported`. */
export function kindOf(view: DescriptorView, process: ProcessView): (typeof fileKinds)[number] {
  const kind = fileKinds.find((k) => k.matches(view));
  if (kind === undefined) throw unsupported(view.link, `descriptor ${view.fd} of process ${process.pid}`);
  return kind;
}

interface Entry {
  readonly process: Pick<ProcessView, 'hostPid' | 'pid'>;
  readonly view: DescriptorView;
}

/** Tells of open files in whose name each is looked at: its first user's, or anybody's where it has none. */
export function lookers(views: readonly ProcessView[]): (file: OpenFile) => ProcessView | undefined {
  const byPid = new Map(views.map((v) => [v.pid, v]));
  return (file) => byPid.get(file.users[0]?.pid ?? -1) ?? views[0];
}

/**
 * Holds every open file of the domain by a descriptor of the hands, and learns which descriptors share one
 * description (kcmp(2)): fills `context.files`. The caller closes {@link OpenFile.held} of each, also if this fails.
 */
export async function holdFiles(context: LookContext): Promise<void> {
  const { hands, views, files } = context;
  const entries = views.flatMap((process) => process.descriptors.map((view) => ({ process, view })));
  for (const file of await holdByDescriptors(hands, entries)) files.push(file);
  if (context.anchor.ends.size > 0) files.push(...(await holdHostEnds(context)));
  // Closed only in the end: what one number stood for, another would stand for.
  const spare: number[] = [];
  try {
    for (let fresh: readonly OpenFile[] = files.slice(); fresh.length > 0;)
      fresh = await holdInside(context, fresh, spare);
  } finally {
    await closeAll(hands, spare);
  }
}

/** More than the kernel lets wait in queues: each user has as many as the limit of descriptors (unix(7)). */
const MOST_INSIDE = 100_000;

/**
 * Holds open files that wait inside of others, as descriptors on their way do. Answers those that were not known.
 * `spare`: takes what is to be closed.
 */
async function holdInside(context: LookContext, carriers: readonly OpenFile[], spare: number[]): Promise<OpenFile[]> {
  const { hands, views, files, inside } = context;
  const fds: number[] = [];
  const lookerAt = lookers(views);
  try {
    await together(
      carriers.map(async (file) => {
        const process = lookerAt(file);
        if (process !== undefined) fds.push(...((await kindOf(file.view, process).carries?.(context, file)) ?? []));
      }),
    );
  } catch (e) {
    spare.push(...fds);
    throw e;
  }
  if (fds.length === 0) return [];
  const fresh: OpenFile[] = [];
  try {
    if (inside.size + fds.length > MOST_INSIDE) throw unsupported('too many descriptors on their way', 'the domain');
    const hostPid = check(await hands.syscall(SYS.getpid), 'getpid');
    const own = { hostPid, pid: -1 };
    const [links, infos] = await together([
      readLinks(
        hands,
        fds.map((fd) => `/proc/self/fd/${fd}`),
      ),
      readTexts(
        hands,
        fds.map((fd) => `/proc/self/fdinfo/${fd}`),
        1,
      ),
    ]);
    const waiting = fds.map((fd, i) => {
      const link = links[i] ?? '';
      return { fd, link, deleted: maybeDeleted(link), info: parseFdInfo(infos[i] ?? '') };
    });
    const known = new Map(files.map((f) => [f.held, f]));
    const entries = [...files.map((f) => ({ ...f.view, fd: f.held })), ...waiting].map((view) => ({
      process: own,
      view,
    }));
    for (const same of (await together(alike(entries).map((group) => sameDescriptions(hands, group)))).flat()) {
      const held = same.map((e) => e.view.fd);
      const there = held.map((fd) => known.get(fd)).find((f) => f !== undefined);
      const [first] = same;
      if (there === undefined && first !== undefined) {
        const id = `file ${files.length + fresh.length}`;
        fresh.push({ id, view: first.view, held: first.view.fd, users: [] });
      }
      const id = (there ?? fresh.at(-1))?.id ?? '';
      for (const fd of held) if (!known.has(fd)) inside.set(fd, id);
    }
  } finally {
    const kept = new Set(fresh.map((f) => f.held));
    files.push(...fresh);
    spare.push(...fds.filter((fd) => !kept.has(fd)));
  }
  const [process] = views;
  for (const { view } of fresh) {
    if (process === undefined) break;
    const kind = kindOf(view, process);
    // What is done in the name of a user has none here; and what is in files is carried for those who have them.
    if (kind.connect !== undefined || isOrdinary(view) || view.deleted)
      throw unsupportedNow(`${view.link} that only waits in a UNIX socket`, `process ${process.pid}`);
    kind.describe?.(view, process);
  }
  return fresh;
}

/** Descriptors in groups: only those that look alike can be of the same description, by what /proc says of that. */
function alike(entries: readonly Entry[]): Entry[][] {
  const groups = new Map<string, Entry[]>();
  for (const entry of entries) {
    const key = lookOf(entry.view);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [entry]);
    else group.push(entry);
  }
  return [...groups.values()];
}

async function holdByDescriptors(hands: Hands, all: readonly Entry[]): Promise<OpenFile[]> {
  const found = await together(alike(all).map((entries) => sameDescriptions(hands, entries)));
  const byProcess = new Map<number, Entry[][]>();
  for (const d of found.flat()) {
    const pid = d[0]?.process.hostPid ?? -1;
    const own = byProcess.get(pid);
    if (own === undefined) byProcess.set(pid, [d]);
    else own.push(d);
  }
  const held = (
    await together(
      [...byProcess].flatMap(([pid, descriptions]) => {
        const parts: Promise<Held[]>[] = [];
        for (let start = 0; start < descriptions.length; start += FILES_AT_ONCE)
          parts.push(holdSome(hands, pid, descriptions.slice(start, start + FILES_AT_ONCE)));
        return parts;
      }),
    )
  ).flat();
  const failed = held.find((h) => h.fd < 0);
  if (failed !== undefined) {
    await closeAll(
      hands,
      held.map((h) => h.fd),
    );
    const { fd, link } = failed.description.view;
    check(failed.fd, `holding descriptor ${fd} (${link})`);
  }
  return held.map(({ description, entries, fd }, i) => ({
    id: `file ${i}`,
    view: description.view,
    held: fd,
    users: entries.map((e) => ({
      pid: e.process.pid,
      fd: e.view.fd,
      cloexec: (e.view.info.flags & O.CLOEXEC) !== 0,
    })),
  }));
}

/** What is the same for all descriptors of one description. */
function lookOf({ link, info }: DescriptorView): string {
  // Locks of a process are told by its descriptors only.
  const said = info.lines
    .filter(([key]) => key !== 'lock')
    .map(([key, value]) => (key === 'flags' ? String(info.flags & ~O.CLOEXEC) : value));
  return `${link} ${said.join(' ')}`;
}

/** An open file and a descriptor of the hands for it, or `-errno`. */
interface Held {
  readonly description: Entry;
  readonly entries: readonly Entry[];
  readonly fd: number;
}

/** Open files that fit into one batch, of a few hundred calls. */
const FILES_AT_ONCE = 300;

/** Holds open files of one process. */
async function holdSome(hands: Hands, hostPid: number, descriptions: readonly Entry[][]): Promise<Held[]> {
  const b = hands.batch();
  const pidfd = b.call(SYS.pidfd_open, hostPid, 0);
  const refs = descriptions.flatMap((entries) => {
    const [description] = entries;
    return description === undefined
      ? []
      : [{ description, entries, ref: b.call(SYS.pidfd_getfd, pidfd, description.view.fd, 0) }];
  });
  b.call(SYS.close, pidfd);
  const r = await b.run();
  return refs.map(({ description, entries, ref }) => ({ description, entries, fd: r.value(ref) }));
}

/** The descriptors of `entries`, by the description that they share. */
function sameDescriptions(hands: Hands, entries: readonly Entry[]): Promise<Entry[][]> {
  return sameOnes(
    hands,
    entries,
    (b, e, one) => b.call(SYS.kcmp, e.process.hostPid, one.process.hostPid, KCMP.FILE, e.view.fd, one.view.fd),
    (result) => void check(result, 'comparing descriptors'),
  );
}
