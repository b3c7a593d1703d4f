/**
 * The way of a disk's requests while the monitor stands between: from whoever uses the disk to the driver.
 *
 *   the OS instance ──┐   watched      limited, in fair turns   disturbed       gate       what others   driver
 *   a shared view ────┼─▶ (disk-watch) ─▶ (turnstile) ────────▶ (latency, ──▶ (closed ──▶ still need ─▶ └─▶ what has
 *   a shared view ────┘                                          errors)      to switch)  is kept           changed
 *
 * A flush goes on when every write that came before it has been answered, by whatever stage: none overtakes one. A
 * request is answered once, with what its promise comes to; a stage that throws makes that an I/O error.
 */
import { BlockError, SECTOR_SIZE, type BlockBackend } from '../../computer/virtio/block-backend.js';
import type { DiskRequestKind } from './disk-types.js';
import type { Rates } from './options.js';
import { Flow, Turnstile } from './turnstile.js';

/** Requests that users of different weight have at the driver together: fewer are no faster, more are not in turns. */
const DEPTH = 8;

/** Who asks for something. */
export class DiskUser {
  readonly flow: Flow<() => void>;
  constructor(
    readonly name: string,
    weight: number,
    bandwidth?: number,
  ) {
    this.flow = new Flow(weight, bandwidth);
  }
}

/** A request on its way. */
export interface DiskRequest {
  readonly user: DiskUser;
  readonly kind: DiskRequestKind;
  readonly sector: number;
  readonly sectors: number;
  /** To write, or room for what is read. */
  readonly data: Uint8Array | undefined;
}

/** Something that happens to every request before its turn at the driver. A throw is an I/O error. */
export type DiskStage = (request: DiskRequest) => void | Promise<void>;

/** Who keeps account of what a disk holds. */
export interface DiskKeeper {
  /** A request that changes sectors is about to be made. */
  before?(request: DiskRequest): void | Promise<void>;
  /** It was made, or has failed on the way. */
  after?(request: DiskRequest): void;
}

/** Told of each request and how it ended. */
export type DiskEar = (request: DiskRequest, begin: number, ok: boolean) => void;

export const changes = (kind: DiskRequestKind): boolean => kind === 'write' || kind === 'discard' || kind === 'zero';

export class DiskPath {
  /** The OS instance that has the disk. */
  readonly owner = new DiskUser('the OS instance', 1);
  readonly ears = new Set<DiskEar>();
  readonly stages = new Set<DiskStage>();
  /** Refuse requests that their users may not make: at once, whatever else is done to requests. */
  readonly guards = new Set<(request: DiskRequest) => void>();
  readonly keepers = new Set<DiskKeeper>();
  readonly #turnstile = new Turnstile<() => void>((go) => go(), DEPTH);
  #driver: BlockBackend | undefined;
  /** Requests that change something and are not answered yet. */
  readonly #changing = new Set<Promise<unknown>>();
  /** At the driver. */
  #underWay = 0;
  #drained: (() => void)[] = [];
  /** While it is there nothing goes to the driver. */
  #gate: Promise<void> | undefined;
  #openGate: (() => void) | undefined;

  constructor() {
    this.#turnstile.join(this.owner.flow);
  }

  /** What the emulation has for a disk. */
  over(driver: BlockBackend): BlockBackend {
    this.#driver = driver;
    // While there is nothing to be done with requests the owner's need not come this way.
    return { ...this.view(this.owner, driver), lend: (recall) => driver.lend?.(recall) };
  }

  /** The driver of now. Throws BlockError `host` if there is none. */
  get driver(): BlockBackend {
    if (this.#driver === undefined) throw new BlockError('host', 'the disk is not with the monitor');
    return this.#driver;
  }

  /** The disk as somebody uses it. */
  view(user: DiskUser, { sectors, readOnly, id, discard, zero }: BlockBackend): BlockBackend {
    const ask = (kind: DiskRequestKind, sector: number, count: number, data?: Uint8Array): Promise<void> =>
      this.#ask({ user, kind, sector, sectors: count, data });
    return {
      sectors,
      readOnly,
      id,
      read: (sector, into) => ask('read', sector, into.length / SECTOR_SIZE, into),
      write: (sector, from) => ask('write', sector, from.length / SECTOR_SIZE, from),
      flush: () => ask('flush', 0, 0),
      ...(discard && { discard: (sector: number, count: number) => ask('discard', sector, count) }),
      ...(zero && { zero: (sector: number, count: number) => ask('zero', sector, count) }),
    };
  }

  join(user: DiskUser): void {
    this.#turnstile.join(user.flow);
  }

  /** What waits for its turn goes on, to find that it is refused. */
  leave(user: DiskUser): void {
    for (const go of this.#turnstile.leave(user.flow)) go();
  }

  limit(rates: Rates): () => void {
    return this.#turnstile.limit(rates);
  }

  /**
   * Does something while nothing is under way at the driver and what comes waits: the disk pauses as long. What it
   * answers, or throws, is passed on.
   */
  async still<R>(work: () => Promise<R> | R): Promise<R> {
    while (this.#gate !== undefined) await this.#gate;
    this.#gate = new Promise((resolve) => (this.#openGate = resolve));
    try {
      if (this.#underWay > 0) await new Promise<void>((resolve) => this.#drained.push(resolve));
      return await work();
    } finally {
      const open = this.#openGate;
      this.#gate = this.#openGate = undefined;
      open?.();
    }
  }

  /** Nothing is to be done with requests but to pass them on: whoever interposes only pays for no more. */
  get #isPlain(): boolean {
    const { ears, stages, guards, keepers } = this;
    return ears.size + stages.size + guards.size + keepers.size === 0 && this.#turnstile.isOpen;
  }

  #ask(request: DiskRequest): Promise<void> {
    if (this.#isPlain && this.#changing.size === 0) return this.#do(request);
    const answered = this.ears.size === 0 ? this.#go(request) : this.#heard(request);
    if (changes(request.kind)) {
      const over = answered.then(none, none).then(() => void this.#changing.delete(over));
      this.#changing.add(over);
    }
    return answered;
  }

  async #heard(request: DiskRequest): Promise<void> {
    const begin = performance.now();
    let ok = false;
    try {
      await this.#go(request);
      ok = true;
    } finally {
      for (const ear of this.ears) ear(request, begin, ok);
    }
  }

  async #go(request: DiskRequest): Promise<void> {
    for (const guard of this.guards) guard(request);
    if (request.kind === 'flush' && this.#changing.size > 0) await Promise.all(this.#changing);
    if (this.#turnstile.isOpen) return this.#do(request);
    const { flow } = request.user;
    const bytes = request.data?.length ?? 0;
    await new Promise<void>((resolve) => this.#turnstile.push(flow, bytes, resolve));
    try {
      // While it waited something may have changed.
      for (const guard of this.guards) guard(request);
      await this.#do(request);
    } finally {
      this.#turnstile.done();
    }
  }

  async #do(request: DiskRequest): Promise<void> {
    for (const stage of this.stages) await stage(request);
    while (this.#gate !== undefined) await this.#gate;
    this.#underWay++;
    try {
      const isChange = changes(request.kind);
      if (isChange) for (const keeper of this.keepers) await keeper.before?.(request);
      try {
        await this.#atDriver(request);
      } finally {
        if (isChange) for (const keeper of this.keepers) keeper.after?.(request);
      }
    } finally {
      if (--this.#underWay === 0) for (const resolve of this.#drained.splice(0)) resolve();
    }
  }

  #atDriver({ kind, sector, sectors, data }: DiskRequest): Promise<void> {
    const { driver } = this;
    switch (kind) {
      case 'read':
        return driver.read(sector, data ?? new Uint8Array(0));
      case 'write':
        return driver.write(sector, data ?? new Uint8Array(0));
      case 'flush':
        return driver.flush();
      case 'discard':
        return driver.discard?.(sector, sectors) ?? Promise.resolve();
      case 'zero':
        return driver.zero?.(sector, sectors) ?? this.#zeroes(driver, sector, sectors);
    }
  }

  async #zeroes(driver: BlockBackend, sector: number, sectors: number): Promise<void> {
    await driver.write(sector, new Uint8Array(sectors * SECTOR_SIZE));
  }
}

const none = (): void => undefined;
