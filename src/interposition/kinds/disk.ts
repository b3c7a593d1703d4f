import { VirtioBlock } from '../../computer/virtio/block.js';
import { BlockError, type BlockBackend } from '../../computer/virtio/block-backend.js';
import { BLOCK_DRIVER_BYTES, BlockDriver } from '../driver/block.js';
import { ComputerDevice, type DeviceGround, type Use } from '../device.js';
import { InterpositionError } from '../errors.js';
import type { Kind } from '../kind.js';
import { asBefore, checkTarget, DiskMove } from '../path/disk-move.js';
import { DiskPath } from '../path/disk-path.js';
import { checkClaim, guardClaims, makeView, planShare, type Claim } from '../path/disk-share.js';
import type * as d from '../path/disk-types.js';
import { DiskCounter, diskDisturbance } from '../path/disk-watch.js';
import { ratesOf, type RateLimit } from '../path/options.js';
import type { Route } from '../route.js';

/** How the monitor takes a disk's place. `through`: what it does with requests on their way to the driver. */
export function diskKind(through: (disk: BlockBackend) => BlockBackend): Kind<VirtioBlock, BlockDriver> {
  return {
    name: 'disk',
    driverBytes: BLOCK_DRIVER_BYTES,
    drive: (device, memory) => new BlockDriver(device, memory),
    emulate: (host, driver) => new VirtioBlock(host, through(driver)),
  };
}

/** A disk of the computer. What is done at it is done to all who use it, by the monitor, which steps in for it. */
export class DiskDevice extends ComputerDevice<VirtioBlock, BlockDriver> {
  readonly #path = new DiskPath();
  readonly #claims = new Set<Claim>();
  readonly #guard = (request: Parameters<typeof guardClaims>[1]): void => guardClaims(this.#claims, request);
  /** Lets go of what stands behind it, which the computer has opened. */
  #release: (() => Promise<void>) | undefined;
  #move: DiskMove | undefined;
  /** Where it has moved to. */
  #target: BlockBackend | undefined;
  #views = 0;

  /** `release` lets go of what is behind the disk, when it is taken out of the computer or has moved. */
  constructor(id: string, ground: DeviceGround, make: (host: Route) => VirtioBlock, release?: () => Promise<void>) {
    super(
      id,
      ground,
      diskKind((driver) => this.#path.over(driver)),
      make,
    );
    this.#release = release;
  }

  /** Sectors of 512 bytes. */
  get sectors(): number {
    return this.device.backend.sectors;
  }

  get readOnly(): boolean {
    return this.device.backend.readOnly;
  }

  /**
   * Has `listener` told of each request when it has been answered, and counts them.
   * Throws InterpositionError as `interpose` does.
   *
   *     const watch = await disk.watch(({ kind, sector, ms }) => console.log(kind, sector, ms));
   *     await watch.end();
   */
  async watch(listener: (record: d.DiskRecord) => void): Promise<d.DiskWatch> {
    const { ears } = this.#path;
    const counter = new DiskCounter(listener);
    const { counts, bytes, ear } = counter;
    const begin = (): (() => void) => {
      ears.add(ear);
      return () => void ears.delete(ear);
    };
    return this.use('requests are watched', begin, {
      counts,
      bytes,
      get broken() {
        return counter.broken;
      },
    });
  }

  /**
   * Lets so many bytes and requests through in a second, of all who use the disk; what comes sooner waits, and goes on at
   * once when the limit ends. Of several limits each holds.
   * Throws InterpositionError `invalid`, or as `interpose` does.
   *
   *     const limit = await disk.limit({ bytesPerSecond: 10e6 });
   */
  async limit(limit: RateLimit): Promise<Use> {
    const rates = ratesOf(limit);
    return this.use('requests are limited', () => this.#path.limit(rates));
  }

  /**
   * Makes requests late, or fail, by rule. Of several rules each holds.
   * Throws InterpositionError `invalid`, or as `interpose` does.
   *
   *     const rule = await disk.disturb({ errors: 0.01, requests: ['write'], latency: 5, jitter: 2 });
   */
  async disturb(rule: d.DiskDisturbance): Promise<Use> {
    const { stages } = this.#path;
    const { stage, end } = diskDisturbance(rule, this.sectors);
    return this.use('requests are disturbed', () => {
      stages.add(stage);
      return () => {
        stages.delete(stage);
        end();
      };
    });
  }

  /**
   * A view of the disk for another OS instance. Throws InterpositionError `invalid`, or as `interpose` does.
   *
   *     const shared = await disk.share({ overlay: true });
   *     const second = await computer.boot({ image, disks: [shared] });
   */
  async share(options: d.DiskShareOptions): Promise<d.SharedDisk> {
    const path = this.#path;
    const { backend: disk } = this.device;
    const plan = planShare(options, disk);
    const view = makeView(path, disk, plan, `${disk.id.slice(0, 16)}-${++this.#views}`);
    const { user, claim, keeper } = view;
    if (claim !== undefined) checkClaim(claim, this.#claims);
    let isPluggedIn = false;
    let isOver = false;
    const begin = (): (() => void) => {
      // Again: another may have come while the monitor stepped in.
      if (claim !== undefined) {
        checkClaim(claim, this.#claims);
        this.#claims.add(claim);
        path.guards.add(this.#guard);
      }
      if (keeper !== undefined) path.keepers.add(keeper);
      path.join(user);
      return () => {
        isOver = true;
        view.close();
        path.leave(user);
        if (claim !== undefined) this.#claims.delete(claim);
        if (this.#claims.size === 0) path.guards.delete(this.#guard);
        if (keeper !== undefined) path.keepers.delete(keeper);
      };
    };
    const plug = (): (() => void) => {
      if (isOver) throw new InterpositionError('closed', `${this.id} is not shared any more`);
      if (isPluggedIn) throw new InterpositionError('in-use', `another OS instance has this share of ${this.id}`);
      isPluggedIn = true;
      return () => void (isPluggedIn = false);
    };
    // At a moment in which nothing is half written.
    return this.use('another OS instance uses it', () => path.still(begin), { ...view.backend, plug });
  }

  /**
   * Moves the disk to another place while it is used; resolves when it is there. The place has at least as many sectors,
   * and belongs to the disk from then on: whoever opened it closes it after the disk. Where the disk was has not been
   * touched; what `boot` or `addDisk` opened for it is closed.
   *
   * Throws InterpositionError `invalid`, `in-use` (it moves already), `busy` (the last step took too long), or as
   * `interpose` does; what the target throws; BlockError `host` if it does not read as it was written; the signal's
   * reason. The disk is where it was then, and what is at the target is of no use.
   *
   *     await disk.moveTo(await FileDisk.open('new.img'), { onProgress: ({ dirty }) => console.log(dirty) });
   */
  async moveTo(target: BlockBackend, options: d.MoveOptions = {}): Promise<d.MoveReport> {
    const { backend: old } = this.device;
    checkTarget(target, old);
    if (target === this.#target) throw new InterpositionError('invalid', `${this.id} is there already`);
    if (this.#move !== undefined) throw new InterpositionError('in-use', `${this.id} is being moved already`);
    const move = new DiskMove(this.#path, target, options, old.sectors);
    this.#move = move;
    try {
      options.signal?.throwIfAborted();
      const giveUp = (): void => move.giveUp(new InterpositionError('closed', 'the OS instance is gone'));
      const use = await this.use('it is being moved', () => giveUp);
      const report = await move
        .run(() => this.device.moveTo(asBefore(target, old)))
        .finally(() => use.end().catch(notYetAway));
      this.#target = target;
      const release = this.#release;
      this.#release = undefined;
      await release?.();
      return report;
    } finally {
      this.#move = undefined;
    }
  }

  /** Harts no longer do requests by themselves: they are to come this way. */
  protected override async beforeUse(): Promise<void> {
    const { emulation } = this;
    if (!(emulation instanceof VirtioBlock)) return;
    while (!emulation.lendToHarts(false)) await new Promise<void>((resolve) => setTimeout(resolve, 0));
  }

  protected override afterUses(): void {
    const { emulation } = this;
    if (emulation instanceof VirtioBlock) emulation.lendToHarts(true);
  }

  override async close(): Promise<void> {
    await super.close();
    const release = this.#release;
    this.#release = undefined;
    await release?.();
  }
}

/** The disk has moved, or not; that the monitor could not step away yet is said when it is told to. */
function notYetAway(error: unknown): void {
  if (!(error instanceof InterpositionError) && !(error instanceof BlockError)) throw error;
}
