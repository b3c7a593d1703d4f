import { SYS } from '../../guest/hands/syscalls.js';
import type { Batch } from '../../guest/hands/batch.js';
import { DomainError } from '../errors.js';
import type { Anchor } from '../tree/anchor.js';
import { HANDS_FD } from '../tree/anchor.js';
import { bury, end } from '../tree/dead.js';
import { ANCHOR } from '../tree/tree.js';
import type { Tracee } from '../trace/tracee.js';

/** A process of the domain that makes calls for a restoration. */
export interface Actor {
  readonly tracee: Tracee;
  /** Where, in the process, the pidfd of the hands is. */
  readonly handsFd: number;
}

/** Who the kernel remembers to have made something: the id of a process, and its effective ids and groups. */
export interface Maker {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}

/**
 * Those in whose name things are made of which the kernel remembers the maker (SO_PEERCRED): the domain's processes,
 * which are all there when files are opened, and for the time of the restoration one for each that is gone.
 */
export class Actors {
  readonly #processes = new Map<number, () => Actor>();
  readonly #ghosts = new Map<number, Promise<Tracee>>();
  #beget: (pid: number) => Promise<Tracee> = () => Promise.reject(new DomainError('state', 'nobody can be made yet'));

  constructor(readonly anchor: Anchor) {}

  /** How one that is gone is made. */
  begets(beget: (pid: number) => Promise<Tracee>): void {
    this.#beget = beget;
  }

  add(pid: number, actor: () => Actor): void {
    this.#processes.set(pid, actor);
  }

  /** `pid`: in the domain. */
  async get(pid: number): Promise<Actor> {
    if (pid === ANCHOR) return { tracee: this.anchor.tracee, handsFd: HANDS_FD };
    const known = this.#processes.get(pid);
    if (known !== undefined) return known();
    let ghost = this.#ghosts.get(pid);
    if (ghost === undefined) {
      // One after the other: who is born is announced to the one parent.
      const before = Promise.allSettled(this.#ghosts.values());
      ghost = before.then(() => this.#beget(pid));
      this.#ghosts.set(pid, ghost);
    }
    return { tracee: await ghost, handsFd: HANDS_FD };
  }

  /** Those who were made for the time of the restoration end. */
  async dismiss(): Promise<void> {
    const { tracee: parent } = this.anchor;
    for (const [pid, ghost] of this.#ghosts) {
      await end(await ghost, 0);
      await bury(parent, pid);
    }
    this.#ghosts.clear();
  }
}

const isRoot = (m: Maker): boolean => m.uid === 0 && m.gid === 0 && m.groups.length === 0;

/** Adds calls that are made with the effective ids of somebody; the process is root otherwise. */
export function asMaker<T>(b: Batch, maker: Maker, calls: () => T): T {
  if (isRoot(maker)) return calls();
  b.call(SYS.setgroups, maker.groups.length, b.bytes(new Uint8Array(new Uint32Array([...maker.groups, 0]).buffer)));
  b.call(SYS.setresgid, -1, maker.gid, -1);
  b.call(SYS.setresuid, -1, maker.uid, -1);
  const made = calls();
  b.call(SYS.setresuid, -1, 0, -1);
  b.call(SYS.setresgid, -1, 0, -1);
  b.call(SYS.setgroups, 0, 0);
  return made;
}
