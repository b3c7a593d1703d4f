/** What both threads do to a virtio device's state page, each under its lock. `page` is the page's word index. */
import type { InterruptLine } from '../dma.js';
import { COMMAND, COMMAND_INTX_DISABLE } from '../pci/config-space.js';
import * as s from './state.js';

/** Lets the interrupt line follow the ISR status (INTx, virtio 1.2, 4.1.5.1). */
export function updateLine(words: Int32Array, page: number, line: InterruptLine): void {
  const disabled = (Atomics.load(words, page + (COMMAND >>> 2)) & COMMAND_INTX_DISABLE) !== 0;
  line.set(!disabled && Atomics.load(words, page + (s.ISR >>> 2)) !== 0);
}

const CLEARED_BY_RESET = [
  s.KICKED,
  s.RESET_PENDING,
  s.ISR,
  s.DEVICE_STATUS,
  s.DEVICE_FEATURE_SELECT,
  s.DRIVER_FEATURE_SELECT,
  s.QUEUE_SELECT,
  s.DRIVER_FEATURES,
  s.DRIVER_FEATURES + 4,
];

/** A device reset (virtio 1.2, 2.4): the PCI configuration, offered features and what the driver cannot write of the device configuration stay. */
export function resetState(words: Int32Array, page: number, line: InterruptLine): void {
  for (const at of CLEARED_BY_RESET) Atomics.store(words, page + (at >>> 2), 0);
  for (let q = 0; q < s.MAX_QUEUES; q++) {
    const queue = page + ((s.QUEUE + q * s.QUEUE_STRIDE) >>> 2);
    const size = Atomics.load(words, queue + (s.QUEUE_MAX_SIZE >>> 2));
    for (let i = 0; i < s.QUEUE_STRIDE >>> 2; i++) Atomics.store(words, queue + i, 0);
    Atomics.store(words, queue + (s.QUEUE_SIZE >>> 2), size);
    Atomics.store(words, queue + (s.QUEUE_MAX_SIZE >>> 2), size);
  }
  for (let i = 0; i < s.OWN_SIZE >>> 2; i++) Atomics.store(words, page + (s.OWN >>> 2) + i, 0);
  const written = Atomics.load(words, page + (s.CONFIG_WRITABLE >>> 2));
  for (let i = 0; i < 32; i++) if ((written & (1 << i)) !== 0) Atomics.store(words, page + (s.CONFIG >>> 2) + i, 0);
  Atomics.add(words, page + (s.GENERATION >>> 2), 1);
  updateLine(words, page, line);
}
