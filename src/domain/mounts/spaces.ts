/** Mount namespaces beside the one that the domain was made with. */
import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { unsupported } from '../errors.js';
import type { ForesightContext } from '../kinds/kind.js';
import { AT_FDCWD, CLONE, O } from '../linux/flags.js';
import { INIT } from '../linux/inside.js';
import { closeAll, making } from '../linux/making.js';
import { check, concat } from '../linux/os.js';
import { findSpaces, holdSpaces } from '../spaces/find.js';
import { sortOf } from '../spaces/space.js';
import { together } from '../together.js';
import { parseMountinfo, type Mount } from './mountinfo.js';
import { placeOf } from './state.js';

const PAGE = 4096;
/** Reads in one batch, and batches, until what is mounted in one namespace must have come to its end. */
const READS = 16;
const MOST_BATCHES = 64;

/** A mount namespace with what is mounted in it. Plain data. */
export interface MountSpace {
  /** As `/proc/PID/ns` shows it. */
  readonly link: string;
  /** Descriptors of the source's hands: the namespace, and its root. */
  readonly held: number;
  readonly root: number;
  readonly mounts: readonly Mount[];
}

/** The mount namespaces that processes of the domain are in or have a descriptor of, beside the domain's own. */
export async function lookAtSpaces(
  context: Pick<ForesightContext, 'hands' | 'anchor' | 'views' | 'hold'>,
  known: readonly MountSpace[] = [],
): Promise<MountSpace[]> {
  const found = findSpaces(context).filter((f) => sortOf(f.link) === 'mnt');
  const { hands, hold, anchor } = context;
  anchor.roots.clear();
  if (found.length === 0) return [];
  anchor.roots.set(anchor.namespaces['mnt'] ?? '', `/proc/${anchor.pid}/root`);
  const old = new Map(known.map((s) => [s.link, s.held]));
  const fresh = found.filter((f) => !old.has(f.link));
  const fds = fresh.length === 0 ? [] : await holdSpaces(context, fresh);
  fresh.forEach(({ link }, i) => old.set(link, fds[i] ?? -1));
  return together(
    found.map(async ({ link, where }) => {
      const held = old.get(link) ?? -1;
      const { root, text } = await readSpace(hands, held, where);
      hold(root);
      anchor.roots.set(link, `/proc/self/fd/${root}`);
      return { link, held, root, mounts: parseMountinfo(text) };
    }),
  );
}

/** The hands enter a mount namespace for a moment, open its root, and have shown to them what is mounted there. */
async function readSpace(hands: Hands, held: number, where: string): Promise<{ root: number; text: string }> {
  return making(hands, async (note) => {
    const b = hands.batch();
    const back = b.must(SYS.pidfd_open, INIT, 0);
    const own = b.must(SYS.openat, AT_FDCWD, b.str('/proc/self'), O.PATH | O.DIRECTORY | O.CLOEXEC, 0);
    const entered = b.must(SYS.setns, held, CLONE.NEWNS);
    // From here on the batch must reach its end.
    const top = b.call(SYS.openat, AT_FDCWD, b.str('/'), O.PATH | O.DIRECTORY | O.CLOEXEC, 0);
    const file = b.call(SYS.openat, own, b.str('mountinfo'), O.RDONLY | O.CLOEXEC, 0);
    const home = b.call(SYS.setns, back, CLONE.NEWNS);
    const r = await b.run();
    const root = note(r.value(top));
    const info = r.value(file);
    try {
      check(r.value(back), 'finding the way back from a mount namespace');
      check(r.value(entered), `entering the mount namespace of ${where}`);
      check(r.value(home), 'coming back from a mount namespace');
      check(root, `opening the root of the mount namespace of ${where}`);
      check(info, `reading what is mounted for ${where}`);
      return { root, text: await readOut(hands, info, where) };
    } finally {
      await closeAll(hands, [r.value(back), r.value(own), info]);
    }
  });
}

/** What an open file of /proc says, to its end. */
async function readOut(hands: Hands, fd: number, where: string): Promise<string> {
  const pieces: Uint8Array[] = [];
  for (let turn = 0; turn < MOST_BATCHES; turn++) {
    const b = hands.batch();
    const reads = Array.from({ length: READS }, () => {
      const buf = b.out(PAGE);
      return { buf, n: b.call(SYS.read, fd, buf, PAGE) };
    });
    const r = await b.run();
    for (const { buf, n } of reads) {
      const length = check(r.value(n), `reading what is mounted for ${where}`);
      if (length === 0) return new TextDecoder().decode(concat(pieces));
      pieces.push(r.bytes(buf, length));
    }
  }
  throw unsupported('more mounts than can be read', where);
}

/**
 * Mounts of another namespace than the domain's own that are as those that the domain was made with: what they are copies of,
 * by their ids.
 */
export function copiesOf(mounts: readonly Mount[], before: readonly Mount[]): Map<number, Mount> {
  const byPlace = new Map(before.map((b) => [placeOf(b, before), b]));
  const byId = new Map(mounts.map((m) => [m.id, m]));
  const out = new Map<number, Mount>();
  const seen = new Set<number>();
  const visit = (m: Mount): void => {
    if (seen.has(m.id)) return;
    seen.add(m.id);
    const parent = m.parent === m.id ? undefined : byId.get(m.parent);
    if (parent !== undefined) visit(parent);
    const b = byPlace.get(placeOf(m, mounts));
    if (b?.dev !== m.dev || b.root !== m.root) return;
    const above = before.find((x) => x.id === b.parent && x !== b);
    if (parent === undefined ? above === undefined : out.get(parent.id) === above) out.set(m.id, b);
  };
  for (const m of mounts) visit(m);
  return out;
}
