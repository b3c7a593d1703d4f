import type { Hands } from '../../../guest/hands/hands.js';
import { SYS } from '../../../guest/hands/syscalls.js';
import { unsupported } from '../../errors.js';
import { AT_FDCWD } from '../../linux/flags.js';
import { askAll } from '../../linux/ask-all.js';
import { check, parseStat, readTexts, writeText } from '../../linux/os.js';
import { pathBelow, pathInHierarchy } from '../../tree/cgroup-below.js';
import type { Anchor } from '../../tree/anchor.js';
import { domainKind, type LookContext } from '../kind.js';

/**
 * Files of a cgroup that hold what was written into them (cgroup-v2.rst), with what they say at first. Those of `cgroup` come
 * first: they say which others there are below.
 */
const SETTINGS: readonly (readonly [file: string, atFirst: string])[] = [
  ['cgroup.subtree_control', ''],
  ['cgroup.max.descendants', 'max'],
  ['cgroup.max.depth', 'max'],
  ['cgroup.pressure', '1'],
  ['memory.min', '0'],
  ['memory.low', '0'],
  ['memory.high', 'max'],
  ['memory.max', 'max'],
  ['memory.oom.group', '0'],
  ['memory.swap.high', 'max'],
  ['memory.swap.max', 'max'],
  ['memory.zswap.max', 'max'],
  ['memory.zswap.writeback', '1'],
  ['pids.max', 'max'],
  ['cpu.weight', '100'],
  ['cpu.max', 'max 100000'],
  ['cpu.max.burst', '0'],
  ['cpu.idle', '0'],
  ['cpu.uclamp.min', '0.00'],
  ['cpu.uclamp.max', 'max'],
  ['cpuset.cpus', ''],
  ['cpuset.cpus.exclusive', ''],
  ['cpuset.mems', ''],
  ['cpuset.cpus.partition', 'member'],
  ['io.weight', 'default 100'],
  ['io.prio.class', 'no-change'],
];
/** Settings that name devices of this OS instance, beside what holds for all of them. */
const OF_DEVICES = ['io.max', 'io.latency', 'io.weight'] as const;
/** Files whose owner says who may move processes and make cgroups below. */
const OWNED = ['', '/cgroup.procs', '/cgroup.threads', '/cgroup.subtree_control'] as const;

interface Owner {
  /** Within the cgroup; empty: its folder. */
  readonly file: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

interface SavedCgroup {
  /** From the domain's own cgroup; empty: that one. */
  readonly path: string;
  readonly threaded: boolean;
  readonly frozen: boolean;
  readonly settings: readonly (readonly [file: string, text: string])[];
  readonly owners: readonly Owner[];
}

interface CgroupState {
  /** Where the first process of the domain is; as {@link SavedCgroup.path}. */
  readonly first: string;
  readonly cgroups: readonly SavedCgroup[];
}

/** Cgroups that the domain made below its own, with what they limit. Who is in them: cgroup-members.ts. */
export const cgroups = domainKind<CgroupState>({
  name: 'cgroups',
  keeps:
    'cgroups of version 2 below the domain’s own, threaded and frozen ones, their limits and owners, and who is in them',
  refuses: 'cgroups of version 1, a process outside of the domain’s cgroup, limits of a device',
  async describe(context) {
    await refuseVersion1(context);
    const { hands, anchor } = context;
    const all = [anchor.cgroup.path, ...(await anchor.cgroup.below())].flatMap((path) =>
      OF_DEVICES.map((file) => ({ path, file })),
    );
    const texts = await readTexts(
      hands,
      all.map(({ path, file }) => `${path}/${file}`),
      1,
    );
    all.forEach(({ path, file }, i) => {
      if (/^(?!default )./m.test(texts[i] ?? '')) throw unsupported(`${file} of a cgroup`, path);
    });
  },
  foresee: async ({ hands, anchor }) => lookAtCgroups(hands, anchor, await anchor.cgroup.below()),
  async checkpoint({ hands, anchor, foreseen }) {
    const before = foreseen.get('cgroups') as CgroupState | undefined;
    // There is none below, nor was: the settings of the domain's own are those of just before.
    if (!anchor.cgroup.isNested && before?.cgroups.length === 1) return before;
    return lookAtCgroups(hands, anchor, anchor.cgroup.isNested ? await anchor.cgroup.below() : []);
  },
  async restore({ hands, anchor: { cgroup } }, state) {
    for (const { path, threaded, owners } of state.cgroups) {
      const at = `${cgroup.path}${path}`;
      if (path !== '') {
        const b = hands.batch();
        const made = b.call(SYS.mkdirat, AT_FDCWD, b.str(at), 0o755);
        check((await b.run()).value(made), `making the cgroup ${path}`);
      }
      if (threaded) check(await writeText(hands, `${at}/cgroup.type`, 'threaded'), `making ${path} threaded`);
      await own(hands, at, owners);
    }
  },
  async activate({ hands, anchor: { cgroup, pid } }, state) {
    if (state.first !== '') {
      const moved = await writeText(hands, `${cgroup.path}${state.first}/cgroup.procs`, String(pid));
      check(moved, 'moving the first process of the domain into its cgroup');
    }
    for (const { path, settings } of state.cgroups)
      for (const [file, text] of settings) await set(hands, `${cgroup.path}${path}`, file, text);
    for (const { path, frozen } of state.cgroups)
      if (frozen) check(await writeText(hands, `${cgroup.path}${path}/cgroup.freeze`, '1'), `freezing ${path}`);
  },
});

/** `below`: paths of the cgroups below the domain's own. */
async function lookAtCgroups(hands: Hands, anchor: Anchor, below: readonly string[]): Promise<CgroupState> {
  const { cgroup } = anchor;
  const frozen = new Set(cgroup.frozenBelow);
  const all = [cgroup.path, ...below];
  const texts = await readTexts(
    hands,
    all.flatMap((path) => ['cgroup.type', ...SETTINGS.map(([file]) => file)].map((file) => `${path}/${file}`)),
    1,
  );
  const first = below.length === 0 ? '' : pathBelow((await ownCgroups(hands, [anchor.pid]))[0], cgroup);
  const owners = below.length === 0 ? [] : await ownersOf(hands, all);
  const each = SETTINGS.length + 1;
  return {
    first,
    cgroups: all.map((path, i) => ({
      path: path.slice(cgroup.path.length),
      threaded: texts[each * i]?.trim() === 'threaded',
      frozen: frozen.has(path),
      settings: SETTINGS.flatMap(([file, atFirst], k) => {
        const text = texts[each * i + 1 + k]?.trim();
        return text === undefined || text === atFirst ? [] : [[file, text] as const];
      }),
      owners: owners[i] ?? [],
    })),
  };
}

/** Writes one setting, as the file shows it. */
async function set(hands: Hands, at: string, file: string, text: string): Promise<void> {
  // cgroup.subtree_control is told what to add; the rest is written as it is read.
  const value =
    file === 'cgroup.subtree_control'
      ? text
          .split(' ')
          .filter((name) => name !== '')
          .map((name) => `+${name}`)
          .join(' ')
      : text.replace(/^default /, '');
  const written = await writeText(hands, `${at}/${file}`, value === '' ? '\n' : value);
  check(written, `writing ${value} into ${at}/${file}`);
}

const ownCgroups = (hands: Hands, hostPids: readonly number[]): Promise<(string | undefined)[]> =>
  readTexts(
    hands,
    hostPids.map((pid) => `/proc/${pid}/cgroup`),
    1,
  );

async function refuseVersion1({ hands, anchor, views }: LookContext): Promise<void> {
  const [first] = await ownCgroups(hands, [anchor.pid]);
  // Every hierarchy that there is has a line for every process.
  if ((first ?? '').trim().split('\n').length <= 1) return;
  const texts = await ownCgroups(
    hands,
    views.map((v) => v.hostPid),
  );
  texts.forEach((text, i) => {
    if (text !== undefined && text !== '') pathInHierarchy(text, `process ${views[i]?.pid ?? -1}`);
  });
}

/** Owners and modes, where they are not as the kernel makes them for root. */
async function ownersOf(hands: Hands, paths: readonly string[]): Promise<Owner[][]> {
  const all = paths.flatMap((path) => OWNED.map((file) => `${path}${file}`));
  const stats = await askAll(hands, all, 1, (b, path) => {
    const out = b.out(128);
    const n = b.call(SYS.newfstatat, AT_FDCWD, b.str(path), out, 0);
    return (r) => (r.value(n) < 0 ? undefined : parseStat(r.view(out)));
  });
  return paths.map((_, i) =>
    OWNED.flatMap((file, k) => {
      const stat = stats[OWNED.length * i + k];
      if (stat === undefined) return [];
      const owner = { file, mode: stat.mode & 0o7777, uid: stat.uid, gid: stat.gid };
      const usual = owner.uid === 0 && owner.gid === 0 && owner.mode === (file === '' ? 0o755 : 0o644);
      return usual ? [] : [owner];
    }),
  );
}

async function own(hands: Hands, path: string, owners: readonly Owner[]): Promise<void> {
  if (owners.length === 0) return;
  const b = hands.batch();
  const refs = owners.flatMap(({ file, mode, uid, gid }) => [
    b.call(SYS.fchownat, AT_FDCWD, b.str(`${path}${file}`), uid, gid, 0),
    b.call(SYS.fchmodat, AT_FDCWD, b.str(`${path}${file}`), mode),
  ]);
  const r = await b.run();
  for (const ref of refs) check(r.value(ref), `giving ${path} its owner`);
}
