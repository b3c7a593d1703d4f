import type { Batch } from '../../guest/hands/batch.js';
import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError } from '../errors.js';
import type { RestoreContext, SavedShare } from '../kinds/kind.js';
import { domainKinds, kindNamed } from '../kinds/registry.js';
import { __WALL, SIG, WNOHANG } from '../linux/flags.js';
import type { Advice } from '../memory/advice.js';
import { FlippedFiles } from '../memory/flipped-files.js';
import type { FrameMover } from '../memory/mover.js';
import type { Range } from '../memory/ranges.js';
import { createAnchor, type Anchor, type ClockOffsets, type DomainSpec } from '../tree/anchor.js';
import { forgetSignal } from '../trace/stop-job.js';
import { AREA_SIZE } from '../trace/runner.js';
import type { Undo } from '../undo.js';
import { Actors } from './actors.js';
import { Restoration } from './restore.js';

/** Waits in one batch, and batches, until the dead must be gone. */
const WAITS = 64;
const MOST_WAITS = 2000;
/** Nanoseconds between two of them. */
const MOMENT = 500_000n;

/** Where a domain comes from, and goes to. */
export interface Way {
  readonly from: Hands;
  readonly to: Hands;
  readonly mover: FrameMover;
}

/**
 * What a domain is in an OS instance before anybody lives in it: its first process, its mounts with their files, its
 * network. Processes are born on it, and again where the originals have become others meanwhile: what they are born on stays.
 */
export class Ground {
  readonly #context: Omit<RestoreContext, 'processes' | 'advice' | 'actors'>;

  private constructor(
    readonly anchor: Anchor,
    { from, to, mover }: Way,
    flipped: FlippedFiles,
    undo: Undo,
  ) {
    this.#context = {
      hands: to,
      flipped,
      source: from,
      prepared: new Map(),
      anchor,
      undo,
      mover,
      objectFds: new Map(),
      fileFds: new Map(),
      pipes: new Map(),
      counters: { bytesCopied: 0 },
    };
  }

  /**
   * `avoid`: memory of the processes to come. `foreseen`: what must be there before them, by the names of domain kinds.
   * `stands`: the domain stands still meanwhile.
   */
  static async prepare(
    way: Way,
    domain: { readonly spec: DomainSpec; readonly clocks: ClockOffsets; readonly avoid: readonly Range[] },
    foreseen: ReadonlyMap<string, unknown>,
    undo: Undo,
    stands = false,
  ): Promise<Ground> {
    const anchor = await createAnchor(way.to, domain.spec, domain.clocks, domain.avoid, undo);
    const flipped = new FlippedFiles(way.from, way.to);
    flipped.stands = stands;
    undo.add('taking files out of the hands', () => flipped.close());
    const ground = new Ground(anchor, way, flipped, undo);
    const context = { ...ground.#context, advice: new Map(), actors: new Actors(anchor), processes: new Map() };
    for (const kind of domainKinds) {
      if (!foreseen.has(kind.name)) continue;
      const data = foreseen.get(kind.name);
      context.prepared.set(kind.name, data);
      await kind.prepare?.(context, data);
    }
    return ground;
  }

  /** Whether what has been prepared can become what is shared now. */
  fits(shares: readonly SavedShare[]): boolean {
    const { prepared } = this.#context;
    return shares.every(({ kind: name, data }) => {
      const kind = kindNamed(domainKinds, name);
      return !prepared.has(name) || (kind.fits?.(prepared.get(name), data) ?? true);
    });
  }

  /** Whether whoever has memory there can be born here: all begin with the runner of the first process. */
  hasRoomFor(memory: readonly Range[]): boolean {
    const { area } = this.anchor.tracee;
    return !memory.some((r) => r.start < area + AREA_SIZE && r.end > area);
  }

  /** Begins to bring processes to life; `undo` takes back what is made for them. */
  restoration(advice: ReadonlyMap<number, readonly Advice[]>, undo: Undo): Restoration {
    return new Restoration({ ...this.#context, undo, advice, actors: new Actors(this.anchor) });
  }

  /** Ends whoever was born here: only the first process is left, and their ids are free again. */
  async clear(): Promise<void> {
    const { cgroup, tracee } = this.anchor;
    const { hands } = this.#context;
    const living = (await cgroup.processes()).filter((pid) => pid !== tracee.tid);
    for (let start = 0; start < living.length; start += WAITS) {
      const b = hands.batch();
      for (const pid of living.slice(start, start + WAITS)) b.call(SYS.kill, pid, SIG.KILL);
      await b.run();
    }
    for (let turn = 0; turn < MOST_WAITS; turn++) {
      // What the hands trace is theirs to bury; then it is its parent's, and in the end the first process's.
      if ((await buryDead(hands.batch())) > 0) continue;
      const last = await buryDead(tracee.batch());
      if (last < 0) {
        await forgetSignal(tracee, SIG.CHLD);
        return;
      }
      if (last > 0) continue;
      const rest = hands.batch();
      rest.call(SYS.nanosleep, rest.bytes(new Uint8Array(new BigInt64Array([0n, MOMENT]).buffer)), 0);
      await rest.run();
    }
    throw new DomainError('state', `processes in ${cgroup.path} do not die`);
  }
}

/** Buries some of the children that have ended; what the last wait answers: more may be left, living ones are, or none. */
async function buryDead(b: Batch): Promise<number> {
  const waits = Array.from({ length: WAITS }, () => b.call(SYS.wait4, -1, 0, WNOHANG | __WALL, 0));
  const r = await b.run();
  return waits.map((ref) => r.value(ref)).at(-1) ?? 0;
}
