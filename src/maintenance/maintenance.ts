/**
 * Maintenance of a system that goes on serving: an understudy boots beside the OS instance in service, the work moves
 * there, and the old instance is taken out; or the work goes back, and the understudy is.
 *
 *                 bootUnderstudy        takeOver            retire
 *      serving ────────────────▶ ready ─────────▶ taken-over ───────▶ done
 *         ▲                        │ ▲                │
 *         └────────── abandon ─────┘ └─── goBack ─────┘
 *
 * Up to `retire` every step can be taken back. A step that fails leaves the state it began in.
 */
import { DomainError } from '../domain/errors.js';
import type { RunningDomain } from '../domain/tree/launch.js';
import type { MigrationReport } from '../remapping/migrate.js';
import type { SystemComputer } from '../system/index.js';
import { Carrier, type CarrierOptions } from './carrier.js';
import { MaintenanceError } from './errors.js';
import type { OnMaintenance } from './events.js';
import { moveDomain } from './move.js';
import { rehearse } from './rehearsal.js';

export type MaintenanceState = 'serving' | 'ready' | 'taken-over' | 'done';

export interface MaintenanceOptions {
  readonly computer: SystemComputer;
  /** The OS instance in service. */
  readonly active: Carrier;
  /** The work in it that is to go on. */
  readonly domains: readonly RunningDomain[];
  /** Told of everything; when it throws before a step of a move, the move is taken back. */
  readonly onEvent?: OnMaintenance;
}

export class Maintenance {
  readonly #computer: SystemComputer;
  readonly #onEvent: OnMaintenance;
  #active: Carrier;
  #understudy: Carrier | undefined;
  #domains: readonly RunningDomain[];
  #state: MaintenanceState = 'serving';
  #busy = false;

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

  /** The work, where it is now. */
  get domains(): readonly RunningDomain[] {
    return this.#domains;
  }

  /**
   * Boots the understudy beside the instance in service, in a partition of its own, and rehearses.
   * Throws MaintenanceError `boot-failed`, `rehearsal-failed` or `state`, or what `Computer.boot` throws. Effect then: none.
   */
  bootUnderstudy(options: CarrierOptions): Promise<Carrier> {
    return this.#step('serving', async () => {
      await this.#onEvent({ type: 'booting', name: options.name, at: performance.now() });
      const understudy = await Carrier.boot(this.#computer, options);
      try {
        await this.#onEvent({ type: 'rehearsing', name: understudy.name, at: performance.now() });
        await rehearse(this.#active, understudy);
      } catch (error) {
        await understudy.instance.destroy();
        throw error;
      }
      this.#understudy = understudy;
      this.#state = 'ready';
      await this.#onEvent({ type: 'booted', understudy, at: performance.now() });
      return understudy;
    });
  }

  /**
   * Moves all domains into the understudy, which is the active instance then.
   * Throws MaintenanceError `move-failed`: everything goes on where it was; `lost`: see there.
   */
  takeOver(): Promise<readonly MigrationReport[]> {
    return this.#step('ready', () => this.#exchange('taken-over'));
  }

  /** Moves all domains back into the instance that was relieved. Throws as `takeOver`. */
  goBack(): Promise<readonly MigrationReport[]> {
    return this.#step('taken-over', () => this.#exchange('ready'));
  }

  /** Shuts the relieved instance down; its harts and frames go to the free pool. There is no way back from here. */
  retire(): Promise<void> {
    return this.#step('taken-over', async () => {
      await this.#takeOut();
      this.#state = 'done';
    });
  }

  /** Shuts the understudy down without having used it. */
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

  /** Moves everything to the other instance, or nothing. */
  async #exchange(next: MaintenanceState): Promise<readonly MigrationReport[]> {
    const from = this.#active;
    const to = this.#partner();
    const moved: RunningDomain[] = [];
    const reports: MigrationReport[] = [];
    for (const domain of this.#domains) {
      try {
        const { domain: there, report } = await moveDomain(domain, from, to, { onEvent: this.#onEvent });
        moved.push(there);
        reports.push(report);
      } catch (cause) {
        throw await this.#failure(cause, domain, moved, from, to);
      }
    }
    this.#domains = moved;
    this.#active = to;
    this.#understudy = from;
    this.#state = next;
    return reports;
  }

  /** Brings back what had been moved before `failed` could not be, and says what happened. */
  async #failure(
    cause: unknown,
    failed: RunningDomain,
    moved: readonly RunningDomain[],
    from: Carrier,
    to: Carrier,
  ): Promise<MaintenanceError> {
    const { name } = failed.spec;
    const why = cause instanceof Error ? cause.message : String(cause);
    const back: RunningDomain[] = [];
    for (const domain of moved) {
      try {
        back.push((await moveDomain(domain, to, from)).domain);
      } catch (error) {
        const left = error instanceof Error ? error.message : String(error);
        return new MaintenanceError(
          'lost',
          `domain ${name} cannot be moved to ${to.name}: ${why}; and ${domain.spec.name} cannot be brought back from there: ${left}`,
          { cause },
        );
      }
    }
    this.#domains = [...back, ...this.#domains.slice(moved.length)];
    if (cause instanceof DomainError && cause.code === 'undo-failed') {
      return new MaintenanceError('lost', `domain ${name} cannot be moved to ${to.name}: ${why}`, { cause });
    }
    return new MaintenanceError(
      'move-failed',
      `domain ${name} cannot be moved to ${to.name}: ${why}; it goes on in ${from.name}`,
      { cause },
    );
  }

  async #takeOut(): Promise<void> {
    const carrier = this.#partner();
    await this.#onEvent({ type: 'retiring', name: carrier.name, at: performance.now() });
    await carrier.shutdown();
    this.#understudy = undefined;
    const { freeHarts, freeMemory } = this.#computer;
    await this.#onEvent({ type: 'retired', name: carrier.name, freeHarts, freeMemory, at: performance.now() });
  }
}
