/**
 * The configuration space of a PCI function (PCI local bus specification 3.0,
 * chapter 6): the first 256 bytes of the function's state page, as plain bytes.
 * A function has one memory region, BAR 0, 32 bits wide, not prefetchable.
 */
import { lock, unlock } from '../state-page.js';

export const CONFIG_SIZE = 0x100;

// Type 0 header (section 6.1).
export const VENDOR_ID = 0x00;
export const DEVICE_ID = 0x02;
export const COMMAND = 0x04;
export const STATUS = 0x06;
export const REVISION_ID = 0x08;
export const CLASS_CODE = 0x09;
export const BAR0 = 0x10;
export const SUBSYSTEM_VENDOR_ID = 0x2c;
export const SUBSYSTEM_ID = 0x2e;
export const CAPABILITIES_POINTER = 0x34;
export const INTERRUPT_LINE = 0x3c;
export const INTERRUPT_PIN = 0x3d;
/** Where the first capability may lie. */
export const CAPABILITIES = 0x40;

export const COMMAND_MEMORY = 1 << 1;
export const COMMAND_BUS_MASTER = 1 << 2;
export const COMMAND_INTX_DISABLE = 1 << 10;
export const STATUS_INTERRUPT = 1 << 3;
export const STATUS_CAPABILITIES = 1 << 4;
const INTERRUPT_PIN_A = 1;

export interface Identity {
  vendor: number;
  device: number;
  subsystemVendor: number;
  subsystem: number;
  revision: number;
  /** Base class, subclass and interface: 24 bits. */
  classCode: number;
}

/** Fills in the header of a fresh function. `config` views its configuration space. */
export function writeHeader(config: DataView, identity: Identity): void {
  config.setUint16(VENDOR_ID, identity.vendor, true);
  config.setUint16(DEVICE_ID, identity.device, true);
  config.setUint16(STATUS, STATUS_CAPABILITIES, true);
  config.setUint32(REVISION_ID, (identity.classCode << 8) | identity.revision, true);
  config.setUint16(SUBSYSTEM_VENDOR_ID, identity.subsystemVendor, true);
  config.setUint16(SUBSYSTEM_ID, identity.subsystem, true);
  config.setUint8(CAPABILITIES_POINTER, CAPABILITIES);
  config.setUint8(INTERRUPT_PIN, INTERRUPT_PIN_A);
}

/** Which bits of the header's word at `at` (a multiple of 4) the guest may write. */
export function writableBits(at: number, barSize: number): number {
  switch (at) {
    case COMMAND:
      return COMMAND_MEMORY | COMMAND_BUS_MASTER | COMMAND_INTX_DISABLE;
    case 0x0c:
      return 0xff; // cache line size: no effect, but readable back
    case BAR0:
      return -barSize;
    case INTERRUPT_LINE:
      return 0xff; // interrupt line: a note from software to itself
    default:
      return 0;
  }
}

/** The `size` bytes at `offset` within a word. */
export function extract(word: number, offset: number, size: number): number {
  const shifted = word >>> ((offset & 3) * 8);
  return size === 4 ? shifted : shifted & ((1 << (8 * size)) - 1);
}

/** Writes the lanes of `value` that fall into `writable` into word `index`, under the lock: another thread may write its neighbours. */
export function merge(
  words: Int32Array,
  lockIndex: number,
  index: number,
  writable: number,
  offset: number,
  size: number,
  value: number,
): void {
  const shift = (offset & 3) * 8;
  const lanes = (size === 4 ? -1 : (1 << (8 * size)) - 1) << shift;
  const mask = writable & lanes;
  lock(words, lockIndex);
  Atomics.store(words, index, (Atomics.load(words, index) & ~mask) | ((value << shift) & mask));
  unlock(words, lockIndex);
}

/** Whether an access is one that PCI knows: naturally aligned, 1, 2 or 4 bytes. */
export function natural(offset: number, size: number): boolean {
  return (size === 1 || size === 2 || size === 4) && (offset & (size - 1)) === 0;
}
