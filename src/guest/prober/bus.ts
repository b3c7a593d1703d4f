/** The PCI bus: every function of every bus, what each says of itself, its BARs' sizes, and the registers behind them. */
import { ECAM_BASE, PCI_MEMORY_BASE } from '../../computer/pci/host.js';
import { attempt, each, label, recordChange, record, routine } from './assembly.js';
import { ASK } from './layout.js';

/** 256 buses of 32 devices of 8 functions, 4 KiB each. */
const ALL_FUNCTIONS = 2 ** 16;
const FUNCTION_SIZE = 4096;
/** Where a function's BAR is put: by the number of its device. */
export const barOf = (device: string, into: string): string =>
  `slli ${into}, ${device}, 16; li t0, ${PCI_MEMORY_BASE}; add ${into}, ${into}, t0`;
export const configOf = (device: string, into: string): string =>
  `slli ${into}, ${device}, 15; li t0, ${ECAM_BASE}; add ${into}, ${into}, t0`;
const SLOTS = 32;
const COMMAND = 4;
const BAR0 = 0x10;

const read = (width: number): string => {
  const on = label('read');
  return `mv a1, s0; ${attempt(`op.load${width}`)}; li t0, -1; beq s9, t0, ${on}; sub a0, s8, s0\n${on}: mv s2, a0`;
};

/** Each register of a function's configuration as it is, and with all ones written to it: that is how large a BAR is. */
const CONFIGURATION = `
  ${configOf('s5', 's0')}
  li s6, 0
bus.register:
  ${read(2)}
  mv s7, s2
  li s1, 1
  ${record(ASK.pci, 's1', 's0', 's9', 's2')}
  li t0, -1; sw t0, (s0)
  ${read(2)}
  li s1, 2
  ${record(ASK.pci, 's1', 's0', 's9', 's2')}
  sw s7, (s0)
  ${[0, 1, 3].map((width) => `${read(width)}\nli s1, ${16 + width}\n${record(ASK.pci, 's1', 's0', 's9', 's2')}`).join('\n')}
  addi s0, s0, 4; addi s6, s6, 4; li t0, 256; blt s6, t0, bus.register
  jal ra, forget
bus.extended:
  ${read(2)}
  li s1, 3
  ${recordChange(ASK.pci, 's1', 's0', 's9', 's2')}
  addi s0, s0, 4; addi s6, s6, 4; li t0, ${FUNCTION_SIZE}; blt s6, t0, bus.extended`;

/** What the function answers behind its BAR, in every width, and just beyond it. */
const BEHIND_BAR = `
  ${configOf('s5', 's6')}
  ${barOf('s5', 's0')}
  sw s0, ${BAR0}(s6)
  li t0, 2; sh t0, ${COMMAND}(s6)
  ${[2, 0, 1, 3]
    .map(
      (width) =>
        `jal ra, forget\n${each('s6', 0, 0x1010, 4, `${barOf('s5', 's0')}\nadd s0, s0, s6\n${read(width)}\nli s1, ${width}\n${recordChange(ASK.bar, 's1', 's6', 's9', 's2')}`)}`,
    )
    .join('\n')}
  ${barOf('s5', 's4')}
  ${each('s6', 0, 5, 1, `sw s6, (s4); lwu s2, 4(s4); li s1, 16; li s3, -1\n${record(ASK.bar, 's1', 's6', 's3', 's2')}`)}
  ${each('s6', 0, 40, 1, `sh s6, 0x16(s4); lhu s2, 0x18(s4); lhu t0, 0x1e(s4); slli t0, t0, 32; or s2, s2, t0; li s1, 17; li s3, -1\n${record(ASK.bar, 's1', 's6', 's3', 's2')}`)}
  sw x0, (s4); sh x0, 0x16(s4)
  ${configOf('s5', 's6')}
  sh x0, ${COMMAND}(s6); sw x0, ${BAR0}(s6)`;

export const bus = (): string =>
  [
    routine('bus.function', CONFIGURATION + BEHIND_BAR),
    routine(
      'bus',
      `
  jal ra, forget
  li s5, 0; li s0, ${ECAM_BASE}
bus.next:
  ${read(2)}
  li s1, 0
  ${recordChange(ASK.pci, 's1', 's0', 's9', 's2')}
  li t0, ${FUNCTION_SIZE}; add s0, s0, t0; addi s5, s5, 1; li t0, ${ALL_FUNCTIONS}; blt s5, t0, bus.next
  ${each('s5', 0, SLOTS, 1, `${configOf('s5', 's0')}\nlhu t1, (s0); li t0, 0xffff; beq t1, t0, bus.empty\njal ra, bus.function\nbus.empty:`)}`,
    ),
  ].join('\n');
