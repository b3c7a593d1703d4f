/**
 * Maintenance of a system that goes on serving: an understudy boots beside the OS instance in service, the work moves
 * there, and the old instance is taken out; or the work goes back, and the understudy is.
 *
 *                 bootUnderstudy        takeOver            retire
 *      serving ────────────────▶ ready ─────────▶ taken-over ───────▶ done
 *         ▲                        │ ▲                │
 *         └────────── abandon ─────┘ └─── goBack ─────┘
 *
 * Up to `retire` every step can be taken back. A step that fails leaves the state it began in. One that is done is done,
 * whoever does not want to hear of it: what could not be tidied is kept beside the result ({@link Maintenance.untidied}).
 */
import { Cgroup } from '../domain/tree/cgroup.js';
import type { RunningDomain } from '../domain/tree/launch.js';
import type { MigrationReport } from '../remapping/migrate.js';
import { reasonOf, Tidying, type Untidied } from '../remapping/tidying.js';
import type { SystemComputer } from '../system/index.js';
import { Carrier, type CarrierOptions } from './carrier.js';
import { goesOn, MaintenanceError } from './errors.js';
import type { MaintenanceEvent, OnMaintenance } from './events.js';
import { moveDomain } from './move.js';
import { refusePaused } from './paused.js';
import { rehearse } from './rehearsal.js';

/** How far maintenance is (docs/maintenance.md has the picture). */
export type MaintenanceState = 'serving' | 'ready' | 'taken-over' | 'done';

/** What maintenance is about. */
export interface MaintenanceOptions {
  readonly computer: SystemComputer;
  /** The OS instance in service. */
  readonly active: Carrier;
  /** The work in it that is to go on. */
  readonly domains: readonly RunningDomain[];
  /**
   * Told of everything. When it throws before a step of a move, up to `resume`, the move is taken back; whatever else it
   * throws changes nothing, and is noted as `untidied`.
   */
  readonly onEvent?: OnMaintenance;
}

/**
 * Maintenance of one OS instance in service: a second one boots, takes the work over, and the first is retired; or
 * the work goes back.
 */
export class Maintenance {
  readonly #computer: SystemComputer;
  readonly #onEvent: OnMaintenance;
  #active: Carrier;
  #understudy: Carrier | undefined;
  #domains: readonly RunningDomain[];
  #state: MaintenanceState = 'serving';
  #busy = false;
  readonly #tidying = new Tidying();

  constructor(options: MaintenanceOptions) {
    this.#computer = options.computer;
    this.#active = options.active;
    this.#domains = options.domains;
    this.#onEvent = options.onEvent ?? (() => undefined);
  }

  get state(): MaintenanceState {
    return this.#state;
  }

  /** The OS instance that does the work now. */
  get active(): Carrier {
    return this.#active;
  }

  /** The other one: before the take-over the understudy, after it the instance that was relieved. */
  get other(): Carrier | undefined {
    return this.#understudy;
  }

  /** What steps that were done left undone beside, since the beginning: usually nothing. */
  get untidied(): readonly Untidied[] {
    return this.#tidying.untidied;
  }

  /** The work, where it is now. What went down with its OS instance is not among it. */
  get domains(): readonly RunningDomain[] {
    return this.#domains;
  }

  /**
   * Boots the understudy beside the instance in service, in a partition of its own, and rehearses.
   * Throws MaintenanceError `boot-failed`, `rehearsal-failed`, `paused` or `state`, or what `Computer.boot` throws. Effect then: none.
   */
  bootUnderstudy(options: CarrierOptions): Promise<Carrier> {
    return this.#step('serving', async () => {
      refusePaused([this.#active], `${options.name} cannot rehearse`);
      await this.#tell({ type: 'booting', name: options.name, at: performance.now() });
      const understudy = await Carrier.boot(this.#computer, options);
      try {
        await this.#tell({ type: 'rehearsing', name: understudy.name, at: performance.now() });
        await rehearse(this.#active, understudy);
      } catch (error) {
        await understudy.instance.destroy();
        throw error;
      }
      this.#understudy = understudy;
      this.#state = 'ready';
      await this.#tell({ type: 'booted', understudy, at: performance.now() });
      return understudy;
    });
  }

  /**
   * Moves all domains into the understudy, which is the active instance then.
   * Throws MaintenanceError `move-failed`: everything goes on where it was; `paused`: nothing was begun, one of the two
   * is held; `split`, `lost`: see there. After `split` it
   * can be asked for again.
   */
  takeOver(): Promise<readonly MigrationReport[]> {
    return this.#step('ready', () => this.#exchange('taken-over'));
  }

  /** Moves all domains back into the instance that was relieved. Throws as `takeOver`. */
  goBack(): Promise<readonly MigrationReport[]> {
    return this.#step('taken-over', () => this.#exchange('ready'));
  }

  /**
   * Shuts the relieved instance down; its harts and frames go to the free pool. There is no way back from here.
   * Throws MaintenanceError `state` if some of the work lives in it, `paused` if somebody holds one of the two.
   */
  retire(): Promise<void> {
    return this.#step('taken-over', async () => {
      await this.#takeOut();
      this.#state = 'done';
    });
  }

  /** Shuts the understudy down without having used it. Throws as `retire`. */
  abandon(): Promise<void> {
    return this.#step('ready', async () => {
      await this.#takeOut();
      this.#state = 'serving';
    });
  }

  async #step<T>(state: MaintenanceState, work: () => Promise<T>): Promise<T> {
    if (this.#busy) throw new MaintenanceError('state', 'another step is going on');
    if (this.#state !== state) {
      throw new MaintenanceError('state', `this step follows on "${state}"; the state is "${this.#state}"`);
    }
    this.#busy = true;
    try {
      return await work();
    } finally {
      this.#busy = false;
    }
  }

  #partner(): Carrier {
    if (this.#understudy === undefined) throw new MaintenanceError('state', 'there is no understudy');
    return this.#understudy;
  }

  /** Tells of what is done. */
  async #tell(event: MaintenanceEvent): Promise<void> {
    await this.#tidying.do(`telling of "${event.type}"`, () => this.#onEvent(event));
  }

  /** Moves everything to the other instance, or nothing. */
  async #exchange(next: MaintenanceState): Promise<readonly MigrationReport[]> {
    const from = this.#active;
    const to = this.#partner();
    refusePaused([from, to], `the work cannot move from ${from.name} to ${to.name}`);
    const moved: RunningDomain[] = [];
    const reports: MigrationReport[] = [];
    // Those that could not be brought back from there before are there.
    for (const domain of this.#domains.filter((d) => d.hands !== to.hands)) {
      try {
        const { domain: there, report } = await moveDomain(domain, from, to, { onEvent: this.#onEvent });
        this.#replace(domain, there);
        moved.push(there);
        reports.push(report);
        this.#tidying.untidied.push(...report.untidied);
      } catch (cause) {
        throw await this.#failure(cause, domain, moved, { from, to, next });
      }
    }
    this.#turn(from, to, next);
    return reports;
  }

  /** A domain is elsewhere now, or (`now` undefined) nowhere. */
  #replace(domain: RunningDomain, now: RunningDomain | undefined): void {
    this.#domains = this.#domains.flatMap((d) => (d === domain ? (now ?? []) : d));
  }

  #turn(from: Carrier, to: Carrier, state: MaintenanceState): void {
    this.#active = to;
    this.#understudy = from;
    this.#state = state;
  }

  /** Brings back what had been moved before `failed` could not be, and says what happened. */
  async #failure(
    cause: unknown,
    failed: RunningDomain,
    moved: readonly RunningDomain[],
    { from, to, next }: { from: Carrier; to: Carrier; next: MaintenanceState },
  ): Promise<MaintenanceError> {
    const lost = new Set<RunningDomain>();
    const stayed: string[] = [];
    if (!goesOn(cause)) lost.add(failed);
    for (const domain of moved) {
      try {
        this.#replace(domain, (await moveDomain(domain, to, from)).domain);
      } catch (error) {
        if (goesOn(error)) stayed.push(`${domain.spec.name} (${reasonOf(error)})`);
        else lost.add(domain);
      }
    }
    for (const carrier of [from, to]) {
      if (!(await carrier.hands.hasEnded())) continue;
      for (const domain of this.#domains) if (domain.hands === carrier.hands) lost.add(domain);
    }
    for (const domain of lost) this.#replace(domain, undefined);
    // Where the work is, there is the instance in service.
    if (await from.hands.hasEnded()) this.#turn(from, to, next);

    const why = `domain ${failed.spec.name} cannot be moved to ${to.name}: ${reasonOf(cause)}`;
    if (lost.size > 0) {
      const names = [...lost].map((d) => d.spec.name);
      const message = `${why}; nowhere any more: ${names.join(', ')}`;
      return new MaintenanceError('lost', message, { cause }, names);
    }
    if (stayed.length > 0) {
      const message = `${why}; it goes on in ${from.name}, but these cannot be brought back from ${to.name}: ${stayed.join(', ')}`;
      return new MaintenanceError('split', message, { cause });
    }
    return new MaintenanceError('move-failed', `${why}; it goes on in ${from.name}`, { cause });
  }

  async #takeOut(): Promise<void> {
    const carrier = this.#partner();
    refusePaused([carrier, this.#active], `${carrier.name} cannot be shut down`);
    for (const domain of this.#domains) {
      if (!(await livesIn(domain, carrier))) continue;
      throw new MaintenanceError(
        'state',
        `domain ${domain.spec.name} lives in ${carrier.name}, which was to be shut down: move it away first`,
      );
    }
    await this.#tell({ type: 'retiring', name: carrier.name, at: performance.now() });
    await carrier.shutdown();
    this.#understudy = undefined;
    const { freeHarts, freeMemory } = this.#computer;
    await this.#tell({ type: 'retired', name: carrier.name, freeHarts, freeMemory, at: performance.now() });
  }
}

/**
 * Whether a domain lives in an OS instance: by its handle, or because it is not where its handle says and its like is
 * there. An original that could not be ended does not count.
 */
async function livesIn({ spec, hands }: RunningDomain, carrier: Carrier): Promise<boolean> {
  const there = await Cgroup.isPopulated(carrier.hands, spec.name);
  return there && (hands === carrier.hands || !(await Cgroup.isPopulated(hands, spec.name)));
}
