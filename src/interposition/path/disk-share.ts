/** Views of a disk for a second OS instance: a range of it, or an overlay over what it was at a moment. */
import { BlockError, SECTOR_SIZE, type BlockBackend } from '../../computer/virtio/block-backend.js';
import { OverlayDisk } from '../../computer/virtio/overlay-disk.js';
import { InterpositionError } from '../errors.js';
import { changes, type DiskKeeper, type DiskPath, type DiskRequest, DiskUser } from './disk-path.js';
import type { DiskShareOptions } from './disk-types.js';
import { numberOf, positive, rangeOf, weightOf } from './options.js';

const GIB = 2 ** 30;
/** Sectors that are kept at a time when the first user overwrites one of them: 64 KiB. */
const BLOCK = 128;

/** What a share comes to. */
export interface SharePlan {
  readonly first: number;
  readonly sectors: number;
  readonly readOnly: boolean;
  /** Bytes that it may keep; undefined: no overlay. */
  readonly overlay: number | undefined;
  readonly weight: number;
  /** Bytes per second. */
  readonly bandwidth: number | undefined;
}

/** Throws InterpositionError `invalid`. */
export function planShare(
  options: DiskShareOptions,
  disk: { readonly sectors: number; readonly readOnly: boolean },
): SharePlan {
  const { readOnly = false, overlay = false } = options;
  const range = rangeOf(options, disk.sectors);
  const isRange = options.first !== undefined || options.sectors !== undefined;
  if (!readOnly && overlay === false && (!isRange || disk.readOnly)) {
    throw new InterpositionError(
      'invalid',
      disk.readOnly
        ? 'the disk cannot be written: share it readOnly, or with an overlay'
        : 'two cannot write one disk: share a range of it, or all of it readOnly, or with an overlay',
    );
  }
  const kept = overlay === false ? undefined : overlay === true ? GIB : numberOf('overlay', overlay, 0);
  return {
    ...range,
    readOnly,
    overlay: kept,
    weight: weightOf(options.weight),
    bandwidth: positive('bandwidth', options.bandwidth),
  };
}

/** Sectors of the disk that one user alone may write. */
export interface Claim {
  readonly user: DiskUser;
  readonly first: number;
  readonly sectors: number;
}

const overlap = (a: { first: number; sectors: number }, b: { first: number; sectors: number }): boolean =>
  a.first < b.first + b.sectors && b.first < a.first + a.sectors;

/** Throws InterpositionError `invalid` if sectors of `claim` are another's. */
export function checkClaim(claim: Claim, claims: Iterable<Claim>): void {
  for (const other of claims) {
    if (!overlap(claim, other)) continue;
    const there = `${other.first} to ${other.first + other.sectors}`;
    throw new InterpositionError('invalid', `sectors ${there} are shared already, to be written by another`);
  }
}

/** Throws BlockError `in-use` for a request that writes what is another's. */
export function guardClaims(claims: Iterable<Claim>, { user, kind, sector, sectors }: DiskRequest): void {
  if (!changes(kind)) return;
  for (const claim of claims) {
    if (claim.user !== user && overlap(claim, { first: sector, sectors })) {
      throw new BlockError('in-use', `sectors ${sector} to ${sector + sectors} are shared: another writes them`);
    }
  }
}

/**
 * The disk as it was when this was made: of what is overwritten later, the old contents are kept. If there is more of
 * that than may be kept, whoever writes goes on, and what is lost here cannot be read any more.
 */
class Moment implements DiskKeeper {
  readonly #kept = new Map<number, Promise<Uint8Array> | Uint8Array>();
  #lost = false;

  constructor(
    private readonly path: DiskPath,
    private readonly total: number,
    private readonly most: number,
  ) {}

  async before({ sector, sectors }: DiskRequest): Promise<void> {
    const last = Math.floor((sector + sectors - 1) / BLOCK);
    for (let block = Math.floor(sector / BLOCK); block <= last && !this.#lost; block++) {
      if (!this.#kept.has(block)) this.#keep(block);
      await this.#keptOf(block);
    }
  }

  /** `sector` of the disk. `read` asks for what is there now. */
  async read(sector: number, into: Uint8Array, read: () => Promise<void>): Promise<void> {
    await read();
    // What has been changed since, or while it was read, was kept before that.
    const last = sector + into.length / SECTOR_SIZE;
    for (let block = Math.floor(sector / BLOCK); block * BLOCK < last; block++) {
      const kept = await this.#keptOf(block);
      if (kept === undefined) continue;
      const from = Math.max(sector, block * BLOCK);
      const to = Math.min(last, (block + 1) * BLOCK);
      const part = kept.subarray((from - block * BLOCK) * SECTOR_SIZE, (to - block * BLOCK) * SECTOR_SIZE);
      into.set(part, (from - sector) * SECTOR_SIZE);
    }
    if (this.#lost) throw new BlockError('full', 'more of what the first user overwrote was to be kept than may be');
  }

  async #keptOf(block: number): Promise<Uint8Array | undefined> {
    return this.#kept.get(block);
  }

  #keep(block: number): void {
    if ((this.#kept.size + 1) * BLOCK * SECTOR_SIZE > this.most) return this.#lose();
    const bytes = new Uint8Array(Math.min(BLOCK, this.total - block * BLOCK) * SECTOR_SIZE);
    const keeping = this.path.driver.read(block * BLOCK, bytes).then(
      () => {
        this.#kept.set(block, bytes);
        return bytes;
      },
      () => {
        this.#lose();
        return bytes;
      },
    );
    this.#kept.set(block, keeping);
  }

  #lose(): void {
    this.#lost = true;
    this.#kept.clear();
  }
}

/** A view that was made. */
export interface View {
  readonly backend: BlockBackend;
  readonly user: DiskUser;
  readonly claim: Claim | undefined;
  readonly keeper: DiskKeeper | undefined;
  /** From now on whatever is asked for fails. */
  close(): void;
}

/** A view of the disk; `id` is what it says of itself. */
export function makeView(path: DiskPath, disk: BlockBackend, plan: SharePlan, id: string): View {
  const { first, sectors, readOnly, overlay } = plan;
  const user = new DiskUser(id, plan.weight, plan.bandwidth);
  const all = path.view(user, disk);
  const moment = overlay === undefined ? undefined : new Moment(path, disk.sectors, overlay);
  const { discard, zero } = all;
  let isClosed = false;
  const check = (): void => {
    if (isClosed) throw new BlockError('host', 'the disk is not shared any more');
  };
  const refuseWrite = (): Promise<never> =>
    Promise.reject(new BlockError('read-only', 'the disk is shared to be read only'));
  const plain: BlockBackend = {
    sectors,
    readOnly: readOnly || overlay !== undefined,
    id,
    read: async (sector, into) => {
      check();
      const read = (): Promise<void> => all.read(first + sector, into);
      await (moment === undefined ? read() : moment.read(first + sector, into, read));
      check();
    },
    write:
      readOnly || moment !== undefined
        ? refuseWrite
        : async (sector, from) => (check(), all.write(first + sector, from)),
    flush: async () => {
      check();
      if (!readOnly) await all.flush();
    },
    ...(discard &&
      !readOnly && { discard: async (sector: number, n: number) => (check(), discard(first + sector, n)) }),
    ...(zero && !readOnly && { zero: async (sector: number, n: number) => (check(), zero(first + sector, n)) }),
  };
  const backend =
    moment === undefined || readOnly ? plain : guarded(new OverlayDisk(plain, { most: overlay ?? 0 }), check);
  const claim = readOnly || moment !== undefined ? undefined : { user, first, sectors };
  return { backend, user, claim, keeper: moment, close: () => void (isClosed = true) };
}

/** What an overlay keeps in memory ends with the share as well. */
function guarded(disk: OverlayDisk, check: () => void): BlockBackend {
  return {
    sectors: disk.sectors,
    readOnly: false,
    id: disk.id,
    read: async (sector, into) => (check(), disk.read(sector, into)),
    write: async (sector, from) => (check(), disk.write(sector, from)),
    flush: async () => (check(), disk.flush()),
    discard: async (sector, count) => (check(), disk.discard(sector, count)),
    zero: async (sector, count) => (check(), disk.zero(sector, count)),
  };
}
