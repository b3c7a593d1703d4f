/** What is done with requests on their way: they are counted and told of, or disturbed. */
import { BlockError, SECTOR_SIZE } from '../../computer/virtio/block-backend.js';
import type { DiskEar, DiskStage } from './disk-path.js';
import { DISK_REQUEST_KINDS, type DiskDisturbance, type DiskRecord, type DiskRequestKind } from './disk-types.js';
import { InterpositionError } from '../errors.js';
import { tell } from './listener.js';
import { delayOf, fraction, milliseconds, rangeOf, refuseIdle } from './options.js';

/** Counts requests and tells of them. */
export class DiskCounter {
  readonly counts: Record<DiskRequestKind | 'failed', number> = {
    read: 0,
    write: 0,
    flush: 0,
    discard: 0,
    zero: 0,
    failed: 0,
  };
  readonly bytes = { read: 0, written: 0 };
  broken: unknown;
  #tell: ((record: DiskRecord) => void) | undefined;

  constructor(listener: (record: DiskRecord) => void) {
    this.#tell = listener;
  }

  readonly ear: DiskEar = ({ kind, sector, sectors }, at, ok) => {
    this.counts[kind]++;
    if (!ok) this.counts.failed++;
    else if (kind === 'read') this.bytes.read += sectors * SECTOR_SIZE;
    else if (kind === 'write') this.bytes.written += sectors * SECTOR_SIZE;
    const record = { at, kind, sector, sectors, ms: performance.now() - at, ok };
    tell(
      () => this.#tell?.(record),
      (error) => {
        // Whoever looks on has no part in the request.
        this.#tell = undefined;
        this.broken = error;
      },
    );
  };
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * A rule as a stage; `total`: sectors of the disk. The second answer ends the waiting of all that it keeps back.
 * Throws InterpositionError `invalid`.
 */
export function diskDisturbance(rule: DiskDisturbance, total: number): { stage: DiskStage; end: () => void } {
  const latency = milliseconds('latency', rule.latency);
  const jitter = milliseconds('jitter', rule.jitter);
  const errors = fraction('errors', rule.errors);
  refuseIdle('a rule for a disk', latency, jitter, errors);
  const { requests = DISK_REQUEST_KINDS, random = Math.random } = rule;
  for (const kind of requests) {
    if (!DISK_REQUEST_KINDS.includes(kind)) {
      throw new InterpositionError(
        'invalid',
        `a disk knows no request ${kind as string}: ${DISK_REQUEST_KINDS.join(', ')}`,
      );
    }
  }
  const range = rangeOf(rule, total);
  const isAll = range.sectors === total;
  let end = (): void => undefined;
  const ended = new Promise<void>((resolve) => (end = resolve));
  const stage: DiskStage = async ({ kind, sector, sectors }) => {
    if (!requests.includes(kind)) return;
    const touches = sector < range.first + range.sectors && sector + sectors > range.first;
    if (kind === 'flush' ? !isAll : !touches) return;
    const delay = delayOf(latency, jitter, random);
    if (delay > 0) await Promise.race([sleep(delay), ended]);
    if (errors > 0 && random() < errors) {
      const where = kind === 'flush' ? 'a flush' : `${kind} of ${sectors} sectors from ${sector} on`;
      throw new BlockError('host', `${where}: refused by a rule that disturbs the disk`);
    }
  };
  return { stage, end };
}
