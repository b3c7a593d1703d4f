/** The prober as something to boot. */
import { assemble } from '../../hart/isa/assembler.js';
import { RAM_START } from '../../partition/address-space.js';
import { BareImage } from '../bare-image.js';
import { routine, RUNTIME } from './assembly.js';
import { bus } from './bus.js';
import { callTable, sbiCalls } from './calls.js';
import { dma, targetTable } from './dma.js';
import { interrupts } from './interrupts.js';
import {
  ASKED,
  CODE,
  CODE_SIZE,
  CONTROL,
  DONE,
  IMAGE_SIZE,
  LENGTH,
  STACK,
  TABLES,
  TABLES_SIZE,
  TRANSCRIPT,
  TREE,
} from './layout.js';
import { memory } from './memory.js';
import { registers } from './registers.js';
import { serialAndClock } from './serial-and-clock.js';

/** How long it sleeps between looks at what the host wants (ticks of 100 ns). */
const NAP = 20_000;

const ROUND = routine(
  'round',
  ['sweep', 'serial', 'registers', 'calls', 'interrupts', 'bus', 'dma', 'claims', 'clock']
    .map((part) => `jal ra, ${part}`)
    .join('\n'),
);

const MAIN = `
  la t0, trap; csrw stvec, t0
  li sp, ${STACK}
  li s11, ${TRANSCRIPT}
  li t0, ${CONTROL}; sd a1, ${TREE}(t0)
  # A store that begins before memory changes the first byte of it: it is what it will be.
  li t0, ${RAM_START}; sd x0, (t0)
  jal ra, atBoot
  jal ra, clockAtBoot
  j ask
again:
  li s11, ${TRANSCRIPT}
ask:
  li t0, ${CONTROL}; ld t1, ${ASKED}(t0); ld t2, ${DONE}(t0); bltu t2, t1, begin
  li t1, 32; csrw sie, t1
  csrr t1, time; li t2, ${NAP}; add t1, t1, t2; csrw stimecmp, t1
  wfi
  li t1, -1; csrw stimecmp, t1; csrw sie, x0
  j ask
begin:
  jal ra, round
  fence
  li t0, ${CONTROL}; li t1, ${TRANSCRIPT}; sub t1, s11, t1; sd t1, ${LENGTH}(t0)
  fence
  ld t1, ${DONE}(t0); addi t1, t1, 1; sd t1, ${DONE}(t0)
  j again
`;

let made: Uint8Array | undefined;

/** A kernel `Image` that probes whatever it is booted on, round by round, as `Prober` asks it to. */
export function proberKernel(): Uint8Array {
  return (made ??= build()).slice();
}

function build(): Uint8Array {
  const image = new BareImage({ size: IMAGE_SIZE, entry: CODE - RAM_START });
  const targets = targetTable();
  const table = callTable();
  if (targets.length + table.length > TABLES_SIZE) throw new RangeError('the tables of the prober are too long');
  image.put(TABLES, targets);
  image.put(TABLES + targets.length, table);
  const source = [
    MAIN,
    RUNTIME,
    ROUND,
    memory(),
    registers(),
    sbiCalls(TABLES + targets.length),
    interrupts(),
    bus(),
    dma(TABLES),
    serialAndClock(),
  ].join('\n');
  const { code } = assemble(source, BigInt(CODE));
  if (code.length > CODE_SIZE) throw new RangeError(`${code.length} bytes of the prober's code`);
  image.put(CODE, code);
  return image.bytes;
}
