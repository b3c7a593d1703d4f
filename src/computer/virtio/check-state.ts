import { STATE_PAGE_SIZE, StateError } from '../state-page.js';
import { ALL_SEQUENCES } from './sequences.js';
import * as s from './state.js';

/**
 * Checks that `page` can be the state of a virtio device, as far as anything relies on
 * it. What a driver may set to anything (addresses, sizes, indices) is checked when it
 * is used, whether a guest or a file said it. Throws StateError.
 */
export function checkState(page: Uint8Array): void {
  if (page.length !== STATE_PAGE_SIZE) {
    throw new StateError('size', `a device state has ${STATE_PAGE_SIZE} bytes, this one has ${page.length}`);
  }
  const view = new DataView(page.buffer, page.byteOffset, page.length);
  const word = (at: number): number => view.getInt32(at, true);
  if (view.getUint16(0, true) !== 0x1af4) throw new StateError('kind', 'the state is not of a virtio device');
  for (const [name, at, most] of [
    ['lock', s.LOCK, 0],
    ['busy', s.BUSY, 0],
    ['reset pending', s.RESET_PENDING, 1],
    ['ISR status', s.ISR, 3],
    ['device status', s.DEVICE_STATUS, 255],
    ['sequences', s.SEQUENCES, ALL_SEQUENCES],
    ['held', s.HELD, 0],
    ['number of queues', s.NUM_QUEUES, s.MAX_QUEUES],
    ['length of the configuration', s.CONFIG_LENGTH, s.MAX_CONFIG],
    ['requests under way', s.UNDER_WAY, 0],
  ] as const) {
    if (word(at) < 0 || word(at) > most) throw new StateError('value', `device state: ${name} is ${word(at)}`);
  }
  for (let q = 0; q < s.MAX_QUEUES; q++) {
    const largest = word(s.QUEUE + q * s.QUEUE_STRIDE + s.QUEUE_MAX_SIZE);
    if (largest < 0 || largest > s.MAX_QUEUE_SIZE) {
      throw new StateError('value', `device state: the largest size of queue ${q} is ${largest}`);
    }
  }
}
