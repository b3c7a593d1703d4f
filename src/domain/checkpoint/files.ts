import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { unsupported } from '../errors.js';
import type { OpenFile } from '../kinds/kind.js';
import { fileKinds } from '../kinds/registry.js';
import { KCMP, O } from '../linux/flags.js';
import { closeAll } from '../linux/making.js';
import { check } from '../linux/os.js';
import type { DescriptorView, ProcessView } from '../proc/survey.js';
import { together } from '../together.js';

/** The kind that takes care of a descriptor. Throws `unsupported`. */
export function kindOf(view: DescriptorView, process: ProcessView): (typeof fileKinds)[number] {
  const kind = fileKinds.find((k) => k.matches(view));
  if (kind === undefined) throw unsupported(view.link, `descriptor ${view.fd} of process ${process.pid}`);
  return kind;
}

interface Entry {
  readonly process: ProcessView;
  readonly view: DescriptorView;
}

/**
 * Holds every open file of the domain by a descriptor of the hands, and learns which descriptors share one
 * description (kcmp(2)). The caller closes {@link OpenFile.held}.
 */
export async function holdFiles(hands: Hands, views: readonly ProcessView[]): Promise<OpenFile[]> {
  // Only descriptors that look alike can be the same description: what /proc says of it, but for what is of the descriptor.
  const groups = new Map<string, Entry[]>();
  for (const process of views) {
    for (const view of process.descriptors) {
      const key = lookOf(view);
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [{ process, view }]);
      else group.push({ process, view });
    }
  }
  const found = await together([...groups.values()].map((entries) => sameDescriptions(hands, entries)));
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
  const said = info.lines.map(([key, value]) => (key === 'flags' ? String(info.flags & ~O.CLOEXEC) : value));
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

/** Answers of kcmp(2): the kernel tells an order too, by which many can be sorted. */
const SAME = 0;
const BEFORE = 1;

/**
 * The descriptors of `entries`, by the description that they share: all are compared with one of them, and those before
 * and after it among themselves, which takes some n log n comparisons where each with each were n²/2.
 */
async function sameDescriptions(hands: Hands, entries: readonly Entry[]): Promise<Entry[][]> {
  const pivot = entries[entries.length >> 1];
  if (pivot === undefined) return [];
  if (entries.length === 1) return [[pivot]];
  const others = entries.filter((e) => e !== pivot);
  const order = await compareAll(hands, pivot, others);
  const answering = (answer: (o: number) => boolean): Entry[] => others.filter((_, i) => answer(order[i] ?? -1));
  const [before, after] = await together([
    sameDescriptions(
      hands,
      answering((o) => o === BEFORE),
    ),
    sameDescriptions(
      hands,
      answering((o) => o > BEFORE),
    ),
  ]);
  // In the order in which they came.
  const same = new Set([pivot, ...answering((o) => o === SAME)]);
  return [...before, entries.filter((e) => same.has(e)), ...after];
}

/** How `others` stand to one descriptor's description, each as kcmp(2) answers. */
async function compareAll(hands: Hands, one: Entry, others: readonly Entry[]): Promise<number[]> {
  const parts: Promise<number[]>[] = [];
  for (let start = 0; start < others.length; start += FILES_AT_ONCE) {
    const b = hands.batch();
    const refs = others
      .slice(start, start + FILES_AT_ONCE)
      .map((e) => b.call(SYS.kcmp, e.process.hostPid, one.process.hostPid, KCMP.FILE, e.view.fd, one.view.fd));
    parts.push(b.run().then((r) => refs.map((ref) => check(r.value(ref), 'comparing descriptors'))));
  }
  return (await together(parts)).flat();
}
