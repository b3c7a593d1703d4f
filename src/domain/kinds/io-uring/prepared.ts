import { SYS } from '../../../guest/hands/syscalls.js';
import { unsupported } from '../../errors.js';
import { closeAll, whileOpen } from '../../linux/making.js';
import { check } from '../../linux/os.js';
import { isIoUring } from '../../memory/layout.js';
import type { DescriptorView, ProcessView } from '../../proc/survey.js';
import { together } from '../../together.js';
import { domainKind, type ForesightContext, type RestoreContext } from '../kind.js';
import { likelyShape, readContents } from './contents.js';
import { advance, makeRing, unmapRing, type MadeRing } from './make.js';
import { ahead, isRingLink, type RingShape } from './ring.js';
import { toldOf } from './told.js';

/** A ring as it was seen in use. */
interface Foreseen {
  readonly ino: number;
  readonly shape: RingShape;
  /** Completions that the program had seen. */
  readonly seen: number;
}

/** Rings that are ready in the destination, and those that are made, by inode of the original. */
interface Rings {
  readonly ready: Map<number, MadeRing>;
  /** Descriptors of the hands. */
  readonly made: Map<number, number>;
}

/** By what a preparation and all that comes of it have in common. */
const all = new WeakMap<RestoreContext['prepared'], Rings>();

export function ringsOf({ prepared }: Pick<RestoreContext, 'prepared'>): Rings {
  const known = all.get(prepared) ?? { ready: new Map(), made: new Map() };
  all.set(prepared, known);
  return known;
}

/** Takes the ring that was made ready for one, if it can become it. */
export function takeReady(context: RestoreContext, ino: number, shape: RingShape, seen: number): MadeRing | undefined {
  const { ready } = ringsOf(context);
  const ring = ready.get(ino);
  if (ring === undefined || JSON.stringify(ring.shape) !== JSON.stringify(shape)) return undefined;
  // It cannot go back.
  if (ahead(ring.done, seen) < 0) return undefined;
  ready.delete(ino);
  return ring;
}

async function letGo(context: RestoreContext): Promise<void> {
  const { ready } = ringsOf(context);
  const left = [...ready.values()];
  ready.clear();
  await together(left.map((ring) => unmapRing(context.hands, ring)));
  await closeAll(
    context.hands,
    left.map((ring) => ring.fd),
  );
}

/**
 * Refuses mappings of rings that no descriptor leads to. Throws `unsupported`.
 */
function refuseClosed(views: readonly ProcessView[]): void {
  const open = new Set(views.flatMap((v) => v.descriptors.filter(isRing).map((d) => d.info.ino)));
  for (const { pid, vmas } of views)
    if (vmas.some((v) => isIoUring(v) && !open.has(v.ino)))
      throw unsupported('a ring of io_uring whose descriptor is closed', `a mapping of process ${pid}`);
}

const isRing = (d: DescriptorView): boolean => isRingLink(d.link);

/** What a ring has counted is counted before the freeze. */
export const ringsReady = domainKind<readonly Foreseen[]>({
  name: 'rings of io_uring, made ready',
  keeps: 'how many requests they have had: a new ring has as many that do nothing',
  refuses: 'a ring of io_uring whose descriptor is closed and that is mapped still',
  describe({ views }) {
    refuseClosed(views);
    return Promise.resolve();
  },
  async foresee(context) {
    const rings = new Map<number, { readonly hostPid: number; readonly d: DescriptorView }>();
    for (const { hostPid, descriptors } of context.views)
      for (const d of descriptors.filter(isRing)) rings.set(d.info.ino, { hostPid, d });
    return together([...rings.values()].map(({ hostPid, d }) => foreseeRing(context, hostPid, d)));
  },
  async prepare(context, foreseen) {
    const { hands, undo } = context;
    if (foreseen.length > 0) undo.add('closing rings of io_uring', () => letGo(context));
    for (const { ino, shape, seen } of foreseen) {
      const ring = await makeRing(hands, shape);
      ringsOf(context).ready.set(ino, ring);
      await advance(hands, ring, seen, seen);
    }
  },
  checkpoint({ views }) {
    refuseClosed(views);
    return Promise.resolve([]);
  },
  restore: () => Promise.resolve(),
  finish: letGo,
});

async function foreseeRing({ hands }: ForesightContext, hostPid: number, d: DescriptorView): Promise<Foreseen> {
  const b = hands.batch();
  const pidfd = b.call(SYS.pidfd_open, hostPid, 0);
  const got = b.call(SYS.pidfd_getfd, pidfd, d.fd, 0);
  b.call(SYS.close, pidfd);
  const fd = check((await b.run()).value(got), 'holding a ring of io_uring');
  return whileOpen(hands, fd, async () => {
    const info = await toldOf(hands, fd, d.info, 'a process');
    const contents = await readContents(hands, fd, info, `a process`, false);
    return { ino: d.info.ino, shape: likelyShape(info, contents), seen: info.seen };
  });
}
