import { SYS } from '../../guest/hands/syscalls.js';
import { AT_EMPTY_PATH } from '../linux/flags.js';
import type { Standing } from './build.js';
import { ask, cloneOf, moveTo } from './calls.js';
import { MOVE_MOUNT, MS, propagation } from './flags.js';
import { below, type Mount } from './mountinfo.js';
import { allMounts, type MountsState } from './state.js';

/**
 * How mounts that are made later spread: groups of peers, and those that follow a group. When everything is mounted,
 * for what is mounted below a shared mount would spread itself. `systems`: whole file systems in the yard, by device.
 */
export async function spread(
  standing: Standing,
  state: MountsState,
  systems: ReadonlyMap<string, number>,
  yard: number,
  keep: (fd: number) => number,
): Promise<void> {
  const { anchor, fds, enter } = standing;
  const fdOf = (m: Mount): number => fds.get(m.id) ?? -1;
  // `of`: the mount that the descriptor leads to, or one beside it.
  const set = async (fd: number, kind: number, of: Mount): Promise<void> => {
    await enter(of);
    await ask(anchor, `setting how ${of.point} spreads`, (b) =>
      b.call(SYS.mount_setattr, fd, b.str(''), AT_EMPTY_PATH, b.bytes(propagation(kind)), 32),
    );
  };
  const join = (from: number, to: number, where: string): Promise<number> =>
    ask(anchor, `joining ${where} to its peers`, (b) =>
      b.call(
        SYS.move_mount,
        from,
        b.str(''),
        to,
        b.str(''),
        MOVE_MOUNT.SET_GROUP | MOVE_MOUNT.F_EMPTY_PATH | MOVE_MOUNT.T_EMPTY_PATH,
      ),
    );
  // Some mount of each group that has been made: the first of its peers, or one in the yard that is wider than all of them.
  const leaders = new Map<number, number>();
  let places = 0;
  const present = allMounts(state).filter((m) => fds.has(m.id));
  const groups = [...new Set(present.map((m) => m.shared).filter((g) => g !== 0))];
  const membersOf = (g: number): Mount[] =>
    present.filter((m) => m.shared === g).sort((a, b) => a.root.length - b.root.length);
  const make = async (g: number): Promise<void> => {
    if (leaders.has(g)) return;
    const [first, ...others] = membersOf(g);
    if (first === undefined) return;
    leaders.set(g, -1);
    if (first.master !== 0) await make(first.master);
    const widest = others.every((m) => below(m.root, first.root) !== undefined);
    const followers = present.filter((m) => m.master === g);
    const wide = widest && followers.every((m) => below(m.root, first.root) !== undefined);
    const system = systems.get(first.dev);
    let leader = fdOf(first);
    let beside = first;
    const [own] = state.mounts;
    if (!wide && system !== undefined && own !== undefined) {
      beside = own;
      await enter(own);
      leader = keep(await cloneOf(anchor, system, '', first.point));
      const name = `group ${places++}`;
      await ask(anchor, 'making a place for a mount', (b) => b.call(SYS.mkdirat, yard, b.str(name), 0o700));
      await moveTo(anchor, leader, yard, name);
    }
    const master = first.master === 0 ? undefined : leaders.get(first.master);
    if (master !== undefined) {
      await join(master, leader, first.point);
      await set(leader, MS.SLAVE, beside);
    }
    await set(leader, MS.SHARED, beside);
    leaders.set(g, leader);
    for (const m of [first, ...others]) if (fdOf(m) !== leader) await join(leader, fdOf(m), m.point);
  };
  for (const g of groups) await make(g);
  for (const m of present) {
    if (m.shared !== 0) continue;
    const master = leaders.get(m.master);
    if (m.master !== 0 && master !== undefined) {
      await join(master, fdOf(m), m.point);
      await set(fdOf(m), MS.SLAVE, m);
    } else if (m.unbindable) await set(fdOf(m), MS.UNBINDABLE, m);
  }
}
