import { DomainError, unsupported } from '../errors.js';
import type { ProcessView } from '../proc/survey.js';

/** One step in making a process tree anew. Ids are the domain's; the anchor is `ANCHOR`. */
export type Birth =
  /** `by` begets `pid`; as its child, or (`sibling`) as a child of its own parent. */
  | { readonly act: 'bear'; readonly pid: number; readonly by: number; readonly sibling: boolean }
  | { readonly act: 'setsid'; readonly pid: number }
  /** One that was made only to beget others ends, and its parent `by` buries it. Its children are the next reaper's. */
  | { readonly act: 'end'; readonly pid: number; readonly by: number }
  /** Whether `pid` is the next reaper of those below it (PR_SET_CHILD_SUBREAPER). */
  | { readonly act: 'reaper'; readonly pid: number; readonly on: boolean };

/** Id of the first process of the domain's PID namespace, in its own. */
export const ANCHOR = 1;

/** What of a process, living or dead, decides its place in the tree. */
export interface Place {
  readonly pid: number;
  /** Its parent; whoever is not in the tree is the anchor. */
  readonly parent: number;
  readonly session: number;
}

/** The places of processes, and of their children that have ended but still count; as a rule elder ones first. */
export function placesOf(views: readonly ProcessView[]): Place[] {
  const pids = new Map(views.map((v) => [v.hostPid, v.pid]));
  return views
    .flatMap(({ pid, status, dead }) => [
      { pid, parent: pids.get(status.ppid) ?? ANCHOR, session: status.nsSid.at(-1) ?? -1 },
      ...dead.map((d) => ({ pid: d.pid, parent: pid, session: d.session })),
    ])
    .sort((a, b) => a.pid - b.pid);
}

/** Ids that are in use for anything: nobody who is made for a moment may have one of them. */
export function idsOf(views: readonly ProcessView[]): Set<number> {
  return new Set(
    views.flatMap((v) => [
      ...v.threads.map((t) => t.tid),
      v.status.nsPgid.at(-1) ?? -1,
      v.status.nsSid.at(-1) ?? -1,
      ...v.dead.flatMap((d) => [d.pid, d.group, d.session]),
    ]),
  );
}

/**
 * The order in which a tree comes to life. A session is inherited at birth and can only be left for one's own:
 *
 * - A child that belongs to its parent's earlier session is born before the parent begins its own.
 * - Any other that does not belong to its parent's session is born by somebody in its own: as a sibling, by one who has
 *   the same parent; or as the child of one who then ends, so that it comes to its parent as orphans do.
 * - A session whose leader is gone has one for as long as it takes its first members to be born.
 *
 * Throws `unsupported` for a tree that cannot be made so.
 */
export function birthOrder(places: readonly Place[], used: ReadonlySet<number> = new Set()): Birth[] {
  try {
    return new Births(places, used, true).make();
  } catch (e) {
    if (!(e instanceof DomainError)) throw e;
    return new Births(places, used, false).make();
  }
}

class Births {
  readonly #byPid: ReadonlyMap<number, Place>;
  readonly #children = new Map<number, Place[]>();
  /** Sessions in which processes must be born that lead their own: that of a child whom they leave behind in it. */
  readonly #wants = new Map<number, number>();
  /** Those not born by their parent, by session. */
  readonly #foreign = new Map<number, Place[]>();
  readonly #adopted = new Set<Place>();
  /** Sessions without leader, by the process whose child their leader will be for a moment. */
  readonly #leaderless = new Map<number, number[]>();
  readonly #births: Birth[] = [];
  /** What is to be done, the next last. */
  readonly #work: (() => void)[] = [];
  #nextId = ANCHOR;
  #made = 0;

  constructor(
    readonly places: readonly Place[],
    readonly used: ReadonlySet<number>,
    /** Whether who has a child in a session without leader is taken to have been in it, where others were too. */
    readonly stayed: boolean,
  ) {
    this.#byPid = new Map(places.map((p) => [p.pid, p]));
    // Their ids are those of a namespace below the domain's.
    const alien = places.find((p) => p.pid <= ANCHOR || this.#byPid.get(p.pid) !== p);
    if (alien !== undefined) throw unsupported('a PID namespace of its own', `process ${alien.pid}`);
    for (const p of places) add(this.#children, p.parent, p);
  }

  make(): Birth[] {
    const top = this.#children.get(ANCHOR) ?? [];
    this.#findWants(top);
    for (const p of top) this.#findForeign(p, ANCHOR, ANCHOR);
    for (const [session, members] of this.#foreign) {
      if (this.#byPid.has(session) || session === ANCHOR) continue;
      add(this.#leaderless, this.#deepestParent(members), session);
    }
    this.#next([
      () => this.#bearForeign(ANCHOR, ANCHOR),
      ...top.filter((p) => !this.#adopted.has(p)).map((p) => () => this.#visit(p, ANCHOR, false, ANCHOR)),
      () => this.#bearLeaderless(ANCHOR),
    ]);
    for (let work = this.#work.pop(); work !== undefined; work = this.#work.pop()) work();
    if (this.#made !== this.places.length) throw unsupported('a process tree with a cycle', 'the domain');
    return this.#births;
  }

  /** The session in which a process is to be born; undefined: any. */
  #wanted(p: Place): number | undefined {
    return p.session === p.pid ? this.#wants.get(p.pid) : p.session;
  }

  /** Finds who was in another's session before it began its own: whose members are not all below it. */
  #findWants(top: readonly Place[]): void {
    // Parents before children; each with what is below it in one piece.
    const order: Place[] = [];
    const waiting = [...top].reverse();
    for (let p = waiting.pop(); p !== undefined; p = waiting.pop()) {
      order.push(p);
      for (const c of this.#children.get(p.pid) ?? []) waiting.push(c);
    }
    const members = new Map<number, { first: number; last: number }>([[ANCHOR, { first: -1, last: -1 }]]);
    order.forEach(({ session }, at) => {
      const seen = members.get(session);
      if (seen === undefined) members.set(session, { first: at, last: at });
      else seen.last = at;
    });
    const below = new Map<number, number>();
    for (let at = order.length - 1; at >= 0; at--) {
      const p = order[at];
      const own = this.#children.get(p.pid) ?? [];
      const count = own.reduce((n, c) => n + (below.get(c.pid) ?? 0), 1);
      below.set(p.pid, count);
      if (p.session !== p.pid) continue;
      const isBelow = (session: number): boolean => {
        if (!this.stayed && session !== ANCHOR && !this.#byPid.has(session)) return true;
        const { first, last } = members.get(session) ?? { first: -1, last: -1 };
        return first > at && last < at + count;
      };
      const left = own.map((c) => this.#wanted(c));
      const want = left.find((s) => s !== undefined && s !== p.pid && !isBelow(s));
      if (want !== undefined) this.#wants.set(p.pid, want);
    }
  }

  /** `born`: the session that its parent was born in; `now`: the one that it is in. */
  #findForeign(top: Place, born: number, now: number): void {
    const work = [{ p: top, born, now }];
    for (const { p, born: early, now: late } of work) {
      const want = this.#wanted(p);
      const direct = want === undefined || want === late || want === early;
      if (!direct) {
        add(this.#foreign, want, p);
        this.#adopted.add(p);
      }
      const own = want ?? late;
      for (const c of this.#children.get(p.pid) ?? []) work.push({ p: c, born: own, now: p.session });
    }
  }

  /** Of the parents of a session's first members the one that is below all the others. */
  #deepestParent(members: readonly Place[]): number {
    const parents = [...new Set(members.map((m) => m.parent))];
    const deepest = parents.find((p) => parents.every((other) => other === p || this.#isAbove(other, p)));
    if (deepest === undefined)
      throw unsupported('a session whose leader has ended', `process ${members[0]?.pid ?? -1}`);
    return deepest;
  }

  #isAbove(ancestor: number, pid: number): boolean {
    if (ancestor === ANCHOR) return true;
    let at = this.#byPid.get(pid)?.parent;
    for (let turn = 0; at !== undefined && at !== ANCHOR && turn < this.places.length; turn++) {
      if (at === ancestor) return true;
      at = this.#byPid.get(at)?.parent;
    }
    return false;
  }

  /** What is to be done now, in this order, before all that was to be done next. A tree may be too deep to be gone through by calls in calls. */
  #next(steps: readonly (() => void)[]): void {
    for (let i = steps.length - 1; i >= 0; i--) this.#work.push(steps[i]);
  }

  /** Bears it, and then what is below it. `born`: the session that it is born in. */
  #visit(p: Place, by: number, sibling: boolean, born: number): void {
    this.#made++;
    this.#births.push({ act: 'bear', pid: p.pid, by, sibling });
    const leads = p.session === p.pid;
    const own = (this.#children.get(p.pid) ?? []).filter((c) => !this.#adopted.has(c));
    const isEarly = (c: Place): boolean => leads && this.#wanted(c) === born;
    const visits = (some: readonly Place[], session: number) =>
      some.map((c) => () => this.#visit(c, p.pid, false, session));
    this.#next([
      ...visits(own.filter(isEarly), born),
      ...(leads ? [() => void this.#births.push({ act: 'setsid', pid: p.pid })] : []),
      ...visits(
        own.filter((c) => !isEarly(c)),
        p.session,
      ),
      ...(leads ? [() => this.#bearForeign(p.pid, p.parent)] : []),
      () => this.#bearLeaderless(p.pid),
    ]);
  }

  /** Those whose session is led by `leader`, whose parent is `above`, and who are not born by their own. */
  #bearForeign(leader: number, above: number): void {
    this.#next((this.#foreign.get(leader) ?? []).map((p) => () => this.#bearElsewhere(p, leader, above)));
  }

  #bearElsewhere(p: Place, leader: number, above: number): void {
    if (leader !== ANCHOR && p.parent === above) return this.#visit(p, leader, true, leader);
    // It is born to one who ends, and comes to its parent as to the next reaper above.
    if (p.parent !== ANCHOR && (leader === ANCHOR || !this.#isAbove(p.parent, above)))
      throw unsupported("an orphan in another process's session", `process ${p.pid}`);
    const between = this.#freeId();
    if (p.parent !== ANCHOR) this.#births.push({ act: 'reaper', pid: p.parent, on: true });
    this.#births.push({ act: 'bear', pid: between, by: leader, sibling: false });
    this.#visit(p, between, false, leader);
    // It is its parent's at once, before it has children of its own that look for a reaper.
    this.#births.push({ act: 'end', pid: between, by: leader });
    if (p.parent !== ANCHOR) this.#births.push({ act: 'reaper', pid: p.parent, on: false });
  }

  /** Sessions whose leaders are gone, and were children of `parent` or of who ended below it. */
  #bearLeaderless(parent: number): void {
    this.#next(
      (this.#leaderless.get(parent) ?? []).flatMap((session) => [
        () => {
          this.#births.push({ act: 'bear', pid: session, by: parent, sibling: false }, { act: 'setsid', pid: session });
          this.#bearForeign(session, parent);
        },
        () => void this.#births.push({ act: 'end', pid: session, by: parent }),
      ]),
    );
  }

  /** An id that nobody has. */
  #freeId(): number {
    for (this.#nextId++; this.used.has(this.#nextId) || this.#byPid.has(this.#nextId);) this.#nextId++;
    return this.#nextId;
  }
}

function add<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}
