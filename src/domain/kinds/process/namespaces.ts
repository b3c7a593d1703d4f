import { unsupported } from '../../errors.js';
import { O } from '../../linux/flags.js';
import { open } from '../../linux/os.js';
import { isSegment } from '../../memory/layout.js';
import type { Namespaces } from '../../proc/namespaces.js';
import type { ProcessView } from '../../proc/survey.js';
import { findSpaces, holdSpaces } from '../../spaces/find.js';
import { keepSpace, makeSpace } from '../../spaces/make.js';
import { SORTS } from '../../spaces/sorts.js';
import { sortOf, spaceKey, type Space, type SpaceSort } from '../../spaces/space.js';
import { together } from '../../together.js';
import { domainKind, type ForesightContext, type RestoreContext } from '../kind.js';

interface SpacesState {
  /** Those that the domain was made with, as the source names them. */
  readonly own: Namespaces;
  readonly spaces: readonly Space[];
}

const NAME = 'namespaces';

/** Namespaces beside those that the domain was made with; null: there are none. Who is in them: spaces/enter.ts. */
export const namespaces = domainKind<SpacesState | null>({
  name: NAME,
  keeps:
    'UTS, IPC, network, cgroup and mount namespaces beside the domain’s own: who is in them, what they hold, descriptors of them',
  refuses:
    'PID, time and user namespaces of a process’s own, and what belongs to one; in such an IPC namespace anything but its settings, in such a network namespace sockets; a cgroup namespace with another root',
  describe({ anchor, views }) {
    refuseMixed(anchor.namespaces, views);
    return Promise.resolve();
  },
  foresee: (context) => look(context),
  fits: (before, now) =>
    linksOf(before) === linksOf(now) &&
    (now?.spaces ?? []).every(({ link, data }) => {
      const known = before?.spaces.find((s) => s.link === link);
      return known !== undefined && sortNamed(link)?.fits(known.data, data) === true;
    }),
  async prepare(context, state) {
    if (state !== null) await make(context, state);
  },
  checkpoint: (context) => look(context, context.foreseen.get(NAME) as SpacesState | null | undefined),
  async restore(context, state) {
    const before = context.prepared.get(NAME) as SpacesState | null | undefined;
    if (state === null || before === state) return;
    const old = new Map(before?.spaces.map((s) => [s.link, s.data]));
    const changed = state.spaces.filter((s) => JSON.stringify(old.get(s.link)) !== JSON.stringify(s.data));
    await together(
      changed.map((s) => sortNamed(s.link)?.give(context, pathOf(context, s.link), s.data, old.get(s.link))),
    );
  },
});

/** The namespaces of the domain's first process, as the source names them; undefined: all of the domain is in them. */
export const ownSpaces = ({ prepared }: RestoreContext): Namespaces | undefined =>
  (prepared.get(NAME) as SpacesState | null | undefined)?.own;

const sortNamed = (link: string): SpaceSort | undefined => SORTS.find((s) => s.name === sortOf(link));
const linksOf = (state: SpacesState | null): string => JSON.stringify(state?.spaces.map((s) => s.link).sort());
const pathOf = ({ objectFds }: RestoreContext, link: string): string =>
  `/proc/self/fd/${objectFds.get(spaceKey(link)) ?? -1}`;

/** Settings and tables that show the namespace of who opened them. */
const SETTINGS = { ipc: /^\/proc\/(sys\/(kernel|fs\/mqueue)|sysvipc)\//, net: /^\/proc\/sys\/net\// } as const;

/** Refuses what a process has of one namespace while it is in another, where that is made in its name. Throws `unsupported`. */
function refuseMixed(own: Namespaces, views: readonly ProcessView[]): void {
  for (const { pid, namespaces: within, descriptors, vmas } of views) {
    const where = `process ${pid}`;
    for (const name of ['ipc', 'net'] as const)
      if (within[name] !== own[name] && descriptors.some((d) => SETTINGS[name].test(d.link)))
        throw unsupported(`an open setting of ${name === 'ipc' ? 'an IPC' : 'a network'} namespace of its own`, where);
    if (within['ipc'] !== own['ipc'] && vmas.some(isSegment))
      throw unsupported('a segment of another IPC namespace', where);
    if (within['net'] !== own['net'] && descriptors.some((d) => d.link.startsWith('socket:[')))
      throw unsupported('a socket in a network namespace of its own', where);
  }
}

async function look(context: ForesightContext, known?: SpacesState | null): Promise<SpacesState | null> {
  refuseMixed(context.anchor.namespaces, context.views);
  const found = findSpaces(context);
  if (found.length === 0) return null;
  const before = new Map(known?.spaces.map((s) => [s.link, s.data]));
  const held = new Map(known?.spaces.map((s) => [s.link, s.held]));
  const fresh = found.filter((f) => !held.has(f.link));
  if (fresh.length > 0) {
    const fds = await holdSpaces(context, fresh);
    fresh.forEach(({ link }, i) => held.set(link, fds[i] ?? -1));
  }
  const spaces = await together(
    found.map(async ({ link }): Promise<Space> => {
      const fd = held.get(link) ?? -1;
      return { link, held: fd, data: await sortNamed(link)?.look(context, `/proc/self/fd/${fd}`, before.get(link)) };
    }),
  );
  return { own: context.anchor.namespaces, spaces };
}

async function make(context: RestoreContext, { own, spaces }: SpacesState): Promise<void> {
  const { hands, anchor } = context;
  for (const sort of SORTS) {
    const some = spaces.filter((s) => sortOf(s.link) === sort.name);
    if (some.length === 0) continue;
    const at = `/proc/${anchor.pid}/ns/${sort.name}`;
    // Whose parent is elsewhere comes back to it.
    keepSpace(context, spaceKey(own[sort.name] ?? ''), await open(hands, at, O.RDONLY));
    if (sort.madeElsewhere === true) continue;
    for (const { link, data } of some) {
      keepSpace(context, spaceKey(link), await (sort.make?.(context) ?? makeSpace(hands, sort)));
      await sort.give(context, pathOf(context, link), data);
    }
  }
}
