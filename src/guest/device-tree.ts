/** What an OS instance is told of its computer: its own partition, nothing else. */
import { TIMEBASE_FREQUENCY } from '../computer/clock.js';
import { describePci } from '../computer/pci/description.js';
import { PLIC_BASE, PLIC_SIZE } from '../computer/plic/plic.js';
import { PLIC_SOURCES } from '../computer/plic/state.js';
import { RTC_BASE, RTC_INTERRUPT, RTC_SIZE } from '../computer/rtc.js';
import { UART_BASE, UART_CLOCK, UART_INTERRUPT, UART_SIZE } from '../computer/uart.js';
import { RAM_START } from '../partition/address-space.js';
import { buildFdt, type FdtNode } from './fdt.js';

export interface Hardware {
  readonly harts: number;
  /** Bytes. */
  readonly memory: number;
  readonly bootArguments: string;
  /** Guest-physical range of the initramfs. */
  readonly initrd?: { readonly start: number; readonly end: number };
  /** 64 random bytes for the kernel's generator; it wipes them. */
  readonly seed: Uint8Array;
}

/** What the hart has beyond the base, by the names of the kernel's `riscv,isa-extensions` binding. */
const EXTENSIONS = ['i', 'm', 'a', 'f', 'd', 'c', 'zicboz', 'zicntr', 'zicsr', 'zifencei', 'zba', 'zbb', 'zbs', 'sstc'];
const ISA = 'rv64imafdc_zicboz_zicntr_zicsr_zifencei_zba_zbb_zbs_sstc';

const PLIC_PHANDLE = 1;
const HART_PHANDLE = 16;
const SUPERVISOR_EXTERNAL = 9;

const cells64 = (value: number): [number, number] => [Math.floor(value / 2 ** 32), value >>> 0];

export function buildDeviceTree(hardware: Hardware): Uint8Array {
  const { harts, initrd } = hardware;
  const ids = Array.from({ length: harts }, (_, id) => id);
  const pci = describePci(PLIC_PHANDLE);
  const cpu = (id: number): FdtNode => ({
    properties: {
      device_type: 'cpu',
      reg: id,
      status: 'okay',
      compatible: 'riscv',
      'riscv,isa': ISA,
      'riscv,isa-base': 'rv64i',
      'riscv,isa-extensions': EXTENSIONS,
      'riscv,cboz-block-size': 64,
      'mmu-type': 'riscv,sv39',
    },
    children: {
      'interrupt-controller': {
        properties: {
          '#interrupt-cells': 1,
          'interrupt-controller': true,
          compatible: 'riscv,cpu-intc',
          phandle: HART_PHANDLE + id,
        },
      },
    },
  });
  return buildFdt({
    properties: { '#address-cells': 2, '#size-cells': 2, compatible: 'riscv-virtio', model: 'understudy' },
    children: {
      chosen: {
        properties: {
          bootargs: hardware.bootArguments,
          'stdout-path': `/soc/serial@${UART_BASE.toString(16)}`,
          'rng-seed': hardware.seed,
          ...(initrd && { 'linux,initrd-start': cells64(initrd.start), 'linux,initrd-end': cells64(initrd.end) }),
        },
      },
      cpus: {
        properties: { '#address-cells': 1, '#size-cells': 0, 'timebase-frequency': TIMEBASE_FREQUENCY },
        children: Object.fromEntries(ids.map((id) => [`cpu@${id}`, cpu(id)])),
      },
      [`memory@${RAM_START.toString(16)}`]: {
        properties: { device_type: 'memory', reg: [...cells64(RAM_START), ...cells64(hardware.memory)] },
      },
      soc: {
        properties: { '#address-cells': 2, '#size-cells': 2, compatible: 'simple-bus', ranges: true },
        children: {
          [`plic@${PLIC_BASE.toString(16)}`]: {
            properties: {
              compatible: ['sifive,plic-1.0.0', 'riscv,plic0'],
              '#address-cells': 0,
              '#interrupt-cells': 1,
              'interrupt-controller': true,
              'interrupts-extended': ids.flatMap((id) => [HART_PHANDLE + id, SUPERVISOR_EXTERNAL]),
              reg: [...cells64(PLIC_BASE), ...cells64(PLIC_SIZE)],
              'riscv,ndev': PLIC_SOURCES,
              phandle: PLIC_PHANDLE,
            },
          },
          [`serial@${UART_BASE.toString(16)}`]: {
            properties: {
              compatible: 'ns16550a',
              'clock-frequency': UART_CLOCK,
              'interrupt-parent': PLIC_PHANDLE,
              interrupts: UART_INTERRUPT,
              reg: [...cells64(UART_BASE), ...cells64(UART_SIZE)],
            },
          },
          [`rtc@${RTC_BASE.toString(16)}`]: {
            properties: {
              compatible: 'google,goldfish-rtc',
              'interrupt-parent': PLIC_PHANDLE,
              interrupts: RTC_INTERRUPT,
              reg: [...cells64(RTC_BASE), ...cells64(RTC_SIZE)],
            },
          },
          [pci.name]: {
            properties: {
              compatible: pci.compatible,
              device_type: 'pci',
              '#address-cells': 3,
              '#size-cells': 2,
              '#interrupt-cells': 1,
              'bus-range': pci.busRange,
              reg: pci.reg,
              ranges: pci.ranges,
              'dma-coherent': true,
              'interrupt-map-mask': pci.interruptMapMask,
              'interrupt-map': pci.interruptMap,
            },
          },
        },
      },
    },
  });
}
