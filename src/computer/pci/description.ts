import { ECAM_BASE, ECAM_SIZE, interruptOf, PCI_MEMORY_BASE, PCI_MEMORY_SIZE, PCI_SLOTS } from './host.js';

/** What the device tree says of the host bridge. All arrays are cells of 32 bits. */
export interface PciDescription {
  name: string;
  compatible: string;
  busRange: [number, number];
  /** #address-cells 2, #size-cells 2 of the parent. */
  reg: number[];
  /** #address-cells 3, #size-cells 2: a 32-bit memory window, PCI address = physical address. */
  ranges: number[];
  interruptMapMask: number[];
  /** Per slot: device, 0, 0, pin 1, phandle of the interrupt controller, source. */
  interruptMap: number[];
}

/** Bits 25…24 of a PCI address in the device tree: 32-bit memory space (IEEE 1275 PCI binding, 2.2.1.1). */
const MEMORY_32 = 0x0200_0000;
/** Device number bits of a PCI address in the device tree. */
const DEVICE_BITS = 0xf800;

/** Describes the host bridge. `plic` is the interrupt controller's phandle (#interrupt-cells 1, #address-cells 0). */
export function describePci(plic: number): PciDescription {
  const slots = Array.from({ length: PCI_SLOTS }, (_, slot) => slot);
  return {
    name: `pci@${ECAM_BASE.toString(16)}`,
    compatible: 'pci-host-ecam-generic',
    busRange: [0, 0],
    reg: [0, ECAM_BASE, 0, ECAM_SIZE],
    ranges: [MEMORY_32, 0, PCI_MEMORY_BASE, 0, PCI_MEMORY_BASE, 0, PCI_MEMORY_SIZE],
    interruptMapMask: [DEVICE_BITS, 0, 0, 7],
    interruptMap: slots.flatMap((slot) => [slot << 11, 0, 0, 1, plic, interruptOf(slot)]),
  };
}
