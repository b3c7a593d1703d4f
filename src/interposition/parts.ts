/**
 * A device's state as it is handed from one who drives it to another: the page as it stands, ring indices included, which
 * virtio 1.4's device parts leave to the driver. It may come from a monitor or a device of another version, so it is
 * checked as a stranger's is, and against the device that is to go on with it.
 */
import { DEVICE_ID } from '../computer/pci/config-space.js';
import { putPage, STATE_PAGE_SIZE, StateError, takePage } from '../computer/state-page.js';
import { checkState } from '../computer/virtio/check-state.js';
import * as s from '../computer/virtio/state.js';
import { InterpositionError } from './errors.js';

/** What is the same for a device and whoever stands in for it, by its place in the page. */
const FIXED: readonly (readonly [name: string, at: number])[] = [
  ['device id', DEVICE_ID & ~3],
  ['offered features', s.DEVICE_FEATURES],
  ['offered features', s.DEVICE_FEATURES + 4],
  ['number of queues', s.NUM_QUEUES],
  ['length of the configuration', s.CONFIG_LENGTH],
  ['configuration that drivers write', s.CONFIG_WRITABLE],
  ...Array.from(
    { length: s.MAX_QUEUES },
    (_, q) => ['largest size of a queue', s.QUEUE + q * s.QUEUE_STRIDE + s.QUEUE_MAX_SIZE] as const,
  ),
];

/** The state in the page at byte offset `page`, whose device stands still. */
export function takeParts(buffer: SharedArrayBuffer, page: number): Uint8Array {
  const parts = takePage(buffer, page, s.LOCK);
  const view = new DataView(parts.buffer);
  // That it is held is between its device and the monitor.
  view.setInt32(s.HELD, 0, true);
  // What was asked for before a reset is nobody's any more.
  view.setInt32(s.UNDER_WAY, 0, true);
  return parts;
}

/** Throws InterpositionError `state` if `parts` cannot be what goes on where `of` stood. */
export function checkParts(parts: Uint8Array, of: Uint8Array): void {
  try {
    checkState(parts);
  } catch (cause) {
    if (!(cause instanceof StateError)) throw cause;
    throw new InterpositionError('state', cause.message, { cause });
  }
  const view = (page: Uint8Array): DataView => new DataView(page.buffer, page.byteOffset, STATE_PAGE_SIZE);
  for (const [name, at] of FIXED) {
    if (view(parts).getInt32(at, true) !== view(of).getInt32(at, true)) {
      throw new InterpositionError('state', `the state is of another device: its ${name} differs`);
    }
  }
}

/** Puts a state that was checked into a page. */
export function putParts(buffer: SharedArrayBuffer, page: number, parts: Uint8Array): void {
  putPage(buffer, page, parts);
}
