/**
 * The PCI capabilities that tell a driver where a virtio device's registers are
 * (virtio 1.2, 4.1.4): vendor capabilities of
 * { 0x09, next, length, type, bar, id, 0, 0, offset 4, length 4 }, with a multiplier
 * behind the one for notifications and a data word behind the window.
 */
import { CAPABILITIES } from '../pci/config-space.js';
import { BAR_COMMON, BAR_CONFIG, BAR_ISR, BAR_NOTIFY, BAR_SIZE, COMMON_SIZE, NOTIFY_MULTIPLIER } from './registers.js';

const CAP_VENDOR = 0x09;
const COMMON_CFG = 1;
const NOTIFY_CFG = 2;
const ISR_CFG = 3;
const DEVICE_CFG = 4;
const PCI_CFG = 5;

/** Writes the list into a fresh configuration space. `configLength`: bytes of device configuration. */
export function writeCapabilities(config: DataView, configLength: number): void {
  const list = [
    { type: COMMON_CFG, size: 16, offset: BAR_COMMON, length: COMMON_SIZE },
    { type: NOTIFY_CFG, size: 20, offset: BAR_NOTIFY, length: BAR_SIZE - BAR_NOTIFY, extra: NOTIFY_MULTIPLIER },
    { type: ISR_CFG, size: 16, offset: BAR_ISR, length: 1 },
    // A device without configuration fields still has a place for them: a length of 0 is refused by drivers.
    { type: DEVICE_CFG, size: 16, offset: BAR_CONFIG, length: Math.max(4, (configLength + 3) & ~3) },
    { type: PCI_CFG, size: 20, offset: 0, length: 0 },
  ];
  let at = CAPABILITIES;
  list.forEach((cap, i) => {
    config.setUint8(at, CAP_VENDOR);
    config.setUint8(at + 1, i === list.length - 1 ? 0 : at + cap.size);
    config.setUint8(at + 2, cap.size);
    config.setUint8(at + 3, cap.type);
    config.setUint32(at + 8, cap.offset, true);
    config.setUint32(at + 12, cap.length, true);
    if (cap.extra !== undefined) config.setUint32(at + 16, cap.extra, true);
    at += cap.size;
  });
}
