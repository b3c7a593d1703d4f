import { unsupported } from '../errors.js';
import type { ProcessView } from '../proc/survey.js';

/** One step in making a process tree anew. Ids are the domain's; the anchor is `ANCHOR`. */
export type Birth =
  /** `by` begets `pid`; as its child, or (`sibling`) as a child of its own parent. */
  | { readonly act: 'bear'; readonly pid: number; readonly by: number; readonly sibling: boolean }
  | { readonly act: 'setsid'; readonly pid: number };

/** Id of the first process of the domain's PID namespace, in its own. */
export const ANCHOR = 1;

/** What of a process decides its place in the tree. */
export type Place = Pick<ProcessView, 'hostPid' | 'pid'> & {
  readonly status: Pick<ProcessView['status'], 'ppid' | 'nsSid'>;
};

const sessionOf = (p: Place): number => p.status.nsSid.at(-1) ?? -1;

/**
 * The order in which a tree comes to life. A session is inherited at birth and can only be left for one's own,
 * so a child that belongs to its parent's earlier session is born before the parent begins its own. A process
 * whose parent has died belongs to the anchor; it is born by the leader of its session as a sibling, if that
 * one is the anchor's child too. Throws `unsupported` for a tree that cannot be made so.
 */
export function birthOrder(places: readonly Place[]): Birth[] {
  const byHost = new Map(places.map((p) => [p.hostPid, p]));
  const byPid = new Map(places.map((p) => [p.pid, p]));
  const children = new Map<number, Place[]>();
  const adopted = new Map<number, Place[]>();
  const add = (map: Map<number, Place[]>, key: number, p: Place): void =>
    void map.set(key, [...(map.get(key) ?? []), p]);
  for (const p of places) {
    const parent = byHost.get(p.status.ppid);
    const session = sessionOf(p);
    if (parent !== undefined) add(children, parent.pid, p);
    else if (session === p.pid || session === ANCHOR) add(children, ANCHOR, p);
    else {
      const leader = byPid.get(session);
      if (leader === undefined) throw unsupported('a session whose leader has ended', `process ${p.pid}`);
      if (byHost.has(leader.status.ppid))
        throw unsupported("an orphan in another process's session", `process ${p.pid}`);
      add(adopted, session, p);
    }
  }

  const births: Birth[] = [];
  const visit = (p: Place, by: number, sibling: boolean, born: number): void => {
    births.push({ act: 'bear', pid: p.pid, by, sibling });
    const own = children.get(p.pid) ?? [];
    let session = born;
    let late = own;
    if (sessionOf(p) === p.pid) {
      const early = own.filter((c) => sessionOf(c) === born && born !== p.pid);
      for (const c of early) visit(c, p.pid, false, born);
      births.push({ act: 'setsid', pid: p.pid });
      session = p.pid;
      late = own.filter((c) => !early.includes(c));
    } else if (sessionOf(p) !== born) {
      throw unsupported('a session that its members did not inherit', `process ${p.pid}`);
    }
    for (const c of late) visit(c, p.pid, false, session);
    for (const c of adopted.get(p.pid) ?? []) visit(c, p.pid, true, session);
  };
  for (const p of children.get(ANCHOR) ?? []) visit(p, ANCHOR, false, ANCHOR);
  if (births.filter((b) => b.act === 'bear').length !== places.length)
    throw unsupported('a process tree with a cycle', 'the domain');
  return births;
}
