/** The whole physical address space, by every kind of access. */
import { ECAM_BASE, ECAM_SIZE } from '../../computer/pci/host.js';
import { PLIC_BASE, PLIC_SIZE } from '../../computer/plic/plic.js';
import { RTC_BASE } from '../../computer/rtc.js';
import { UART_BASE } from '../../computer/uart.js';
import { RAM_START } from '../../partition/address-space.js';
import { attempt, each, label, record, routine } from './assembly.js';
import { ANSWERS, ASK, BEFORE, CONTROL, IMAGE_SIZE, TREE } from './layout.js';

const PATTERN = 0x5ac3_960f;
const PAGE = 4096;
/** Steps of the coarse and the fine look at the first 4 GiB. */
const COARSE = 0x20_0000;
const FINE = 0x1_0000;

/**
 * `probe` looks at the address in s0 with everything, `glance` with a load and a store. What memory holds does not matter, but
 * that it holds what was stored: s1 is 1 there, 2 at a clock, where values are not looked at, and 0 elsewhere. Answers
 * that are those of the address before are not told.
 */
const answer = (cause = 's9'): string => `mv t1, ${cause}; jal ra, answer`;
/** A value that is not looked at where s1 is not 0. */
const masked = (): string => {
  const on = label('plain');
  return `beqz s1, ${on}; mv a0, s1\n${on}:`;
};

const load = (width: number, distance = 0): string => `
  addi a1, s0, ${distance}; ${attempt(`op.load${width}`)}
  ${masked()}
  ${answer()}`;

/** Stores and reads back: 1 if that is what was stored. What memory held is put back. */
const store = (width: number, distance = 0): string => {
  const [same, moment, told] = ['same', 'moment', 'told'].map((name) => label(name));
  return `
  addi a1, s0, ${distance}; li a0, ${PATTERN}; ${attempt(`op.store${width}`)}
  li t0, -1; bne s9, t0, ${told}
  jal ra, op.load${width}
  li t0, 2; beq s1, t0, ${moment}
  li t0, ${width === 0 ? PATTERN & 0xff : width === 1 ? PATTERN & 0xffff : PATTERN}; beq a0, t0, ${same}
${moment}:
  ${masked()}
  j ${told}
${same}:
  li a0, 1
${told}:
  ${answer()}
  jal ra, restore`;
};

/** An atomic: what it answers is that it answered, where it is memory. */
const atomic = (name: string, distance = 0): string => `
  addi a1, s0, ${distance}; li a6, ${PATTERN}; ${attempt(name)}
  ${masked()}
  ${answer()}
  jal ra, restore`;

/** A hart that was made to stand still meanwhile has lost its reservation: it is tried again. */
const conditional = (width: 2 | 3): string => {
  const [again, done] = [label('again'), label('done')];
  return `
  mv a1, s0; ${attempt(`op.lr${width}`)}
  ${masked()}
  ${answer()}
  li s6, 100
${again}:
  mv a1, s0; mv a6, s2; jal ra, op.lr${width}
  ${attempt(`op.sc${width}`)}
  li t0, -1; bne s9, t0, ${done}
  beqz a0, ${done}
  addi s6, s6, -1; bgtz s6, ${again}
${done}:
  ${answer()}`;
};

/** An instruction that returns is put there, if that can be. */
const fetch = (): string => {
  const jump = label('jump');
  return `
  li t0, 1; bne s1, t0, ${jump}
  li t0, 0x8067; sw t0, (s0); fence.i
${jump}:
  mv a1, s0; li a0, 1; ${attempt('op.jump')}
  ${answer()}
  jal ra, restore
  li t0, 1; bne s1, t0, ${jump}.out
  fence.i
${jump}.out:`;
};

/** 64 bytes around the address become zero: they are kept, looked at, and put back. */
const zero = (): string => {
  const [move, told, back, out] = ['move', 'told', 'back', 'out'].map((name) => label(name));
  const block = 'andi t2, s0, -64';
  const copy = (name: string, from: string, to: string): string => `
  li t1, 8
${name}:
  ld t3, (${from}); sd t3, (${to}); addi ${from}, ${from}, 8; addi ${to}, ${to}, 8
  addi t1, t1, -1; bgtz t1, ${name}`;
  return `
  li t0, 1; bne s1, t0, ${told}
  ${block}; addi t4, sp, -64
  ${copy(move, 't2', 't4')}
${told}:
  mv a1, s0; ${attempt('op.zero')}
  li a0, 0
  li t0, -1; bne s9, t0, ${back}
  beqz s1, ${back}
  ${block}; li t1, 8; li a0, 0
${told}.next:
  ld t3, (t2); or a0, a0, t3; addi t2, t2, 8; addi t1, t1, -1; bgtz t1, ${told}.next
  seqz a0, a0
${back}:
  ${answer()}
  li t0, 1; bne s1, t0, ${out}
  ${block}; addi t4, sp, -64
  ${copy(`${back}.next`, 't4', 't2')}
${out}:`;
};

/** Looks at the address in s0 after s1 … s4 are set up, and tells what has changed. */
const look = (name: string, body: string): string =>
  routine(
    name,
    `
  li s4, ${ANSWERS}
  jal ra, whatIsThere
  ${body}
  jal ra, tellChanges`,
  );

const LOOKS = `
# Is it memory? What it holds, in s2 and s3, is put back after each access; s10 is -1 if there is more behind it.
${routine(
  'whatIsThere',
  `
  li s1, 0; li s2, 0; li s3, 0
  srli t0, s0, 12; li t1, ${RTC_BASE / PAGE}; bne t0, t1, whatIsThere.noClock
  li s1, 2
  j whatIsThere.out
whatIsThere.noClock:
  mv a1, s0; ${attempt('op.load3')}
  li t0, -1; bne s9, t0, whatIsThere.out
  mv s2, a0
  li t0, ${PATTERN}; not a0, t0; mv a1, s0; ${attempt('op.store3')}
  li t0, -1; bne s9, t0, whatIsThere.out
  jal ra, op.load3
  li t0, ${PATTERN}; not t0, t0; bne a0, t0, whatIsThere.out
  li s1, 1
  mv a0, s2; mv a1, s0; jal ra, op.store3
  addi a1, s0, 8; ${attempt('op.load3')}
  mv s3, a0
  mv s10, s9
whatIsThere.out:`,
)}

restore:
  li t0, 1; li t1, -1; bne s1, t0, restore.out
  sd s2, (s0)
  bne s10, t1, restore.out
  sd s3, 8(s0)
restore.out:
  ret

# t1 is the cause. Of an exception stval counts, as seen from the address.
answer:
  li t0, -1; beq t1, t0, answer.value
  sub a0, s8, s0
answer.value:
  sd t1, (s4); sd a0, 8(s4); addi s4, s4, 16
  ret

${routine(
  'tellChanges',
  `
  jal ra, changed
  beqz a0, tellChanges.out
  li s5, ${ANSWERS}; li t2, ${BEFORE}; li s6, 0
tellChanges.next:
  ld t0, (s5); ld t1, 8(s5); sd t0, (t2); sd t1, 8(t2)
  addi sp, sp, -16; sd t2, (sp)
  ${record(ASK.access, 's6', 's0', 't0', 't1')}
  ld t2, (sp); addi sp, sp, 16
  addi s5, s5, 16; addi t2, t2, 16; addi s6, s6, 1
  blt s5, s4, tellChanges.next
tellChanges.out:`,
)}

# Whether the answers are others than those before.
changed:
  li t2, ${ANSWERS}; li t3, ${BEFORE}
changed.next:
  ld t0, (t2); ld t1, (t3); addi t2, t2, 8; addi t3, t3, 8
  bne t0, t1, changed.yes
  blt t2, s4, changed.next
  li a0, 0
  ret
changed.yes:
  li a0, 1
  ret

# Nothing is like what comes next.
startAnew:
  li t0, ${BEFORE}; li t1, 99; sd t1, (t0)
  ret
`;

/** A coarse look at everything, a fine one; where that changes, page by page. */
const SWEEP = routine(
  'sweep',
  `
  ${[0, -8].map((edge) => `jal ra, startAnew\n${each('s0', edge, 2 ** 32, COARSE, 'jal ra, probe')}`).join('\n')}
  jal ra, startAnew
  ${each('s0', 0, 2 ** 32, FINE, 'jal ra, pages')}
  ${[
    [PLIC_BASE - PAGE, PLIC_BASE + PLIC_SIZE + PAGE],
    [ECAM_BASE - PAGE, ECAM_BASE + ECAM_SIZE + PAGE],
    [UART_BASE - PAGE, UART_BASE + 2 * PAGE],
    [RTC_BASE - PAGE, RTC_BASE + 2 * PAGE],
  ]
    .map(([from, to]) => `jal ra, startAnew\n${each('s0', from, to, PAGE, 'jal ra, probe')}`)
    .join('\n')}
  jal ra, startAnew
  li s0, 1; slli s0, s0, 32
sweep.up:
  jal ra, probe
  addi s0, s0, -8; jal ra, probe
  ${[RAM_START, UART_BASE, PLIC_BASE, ECAM_BASE].map((at) => `li t0, ${at + 8}; add s0, s0, t0; jal ra, probe; li t0, ${at}; sub s0, s0, t0; addi s0, s0, -8`).join('\n')}
  addi s0, s0, 8; slli s0, s0, 1; bnez s0, sweep.up
  li s0, -8; jal ra, probe`,
);

const PAGES = routine(
  'pages',
  `
  li s4, ${ANSWERS}; jal ra, whatIsThere
  ${load(3)}
  jal ra, changed
  beqz a0, pages.out
  li t0, ${FINE - PAGE}; sub s0, s0, t0
  li s7, 16
  bge s0, x0, pages.next
  li s0, 0; li s7, 1
pages.next:
  jal ra, glance
  li t0, ${PAGE}; add s0, s0, t0; addi s7, s7, -1; bgtz s7, pages.next
  li t0, ${PAGE}; sub s0, s0, t0
pages.out:`,
);

/** Memory is clean: but for the image and the device tree, whose seed is not looked at. */
const AT_BOOT = routine(
  'atBoot',
  `
  li a1, ${RAM_START + IMAGE_SIZE}
  li s0, 0
  li t2, ${CONTROL + TREE}; ld s1, (t2)
  lw s2, 4(s1); rev8 s2, s2; srli s2, s2, 32; addi s2, s2, 7; andi s2, s2, -8
  add s2, s1, s2
atBoot.next:
  ${attempt('op.scan')}
  li t0, -1; bne s9, t0, atBoot.end
  addi a1, a1, -8
  bltu a1, s1, atBoot.count
  bgeu a1, s2, atBoot.count
  mv a1, s2
  j atBoot.next
atBoot.count:
  addi s0, s0, 1; addi a1, a1, 8
  j atBoot.next
atBoot.end:
  li t0, 0
  ${record(ASK.memoryAtBoot, 't0', 's8', 's9', 's0')}
  jal ra, tree`,
);

const TREE_HASH = routine(
  'tree',
  `
  li t2, ${CONTROL + TREE}; ld s1, (t2)
  lw s2, 8(s1); rev8 s2, s2; srli s2, s2, 32; add s2, s1, s2
  lw s3, 12(s1); rev8 s3, s3; srli s3, s3, 32; add s3, s1, s3
tree.token:
  lw t0, (s2); rev8 t0, t0; srli t0, t0, 32; addi s2, s2, 4
  li t1, 9; beq t0, t1, tree.hash
  li t1, 1; beq t0, t1, tree.name
  li t1, 3; bne t0, t1, tree.token
  lw t0, (s2); rev8 t0, t0; srli t0, t0, 32
  lw t1, 4(s2); rev8 t1, t1; srli t1, t1, 32; add t1, s3, t1
  addi s2, s2, 8
  li t2, ${new DataView(new TextEncoder().encode('rng-seed').buffer).getBigInt64(0, true)}
  ld t3, (t1); beq t3, t2, tree.seed
  addi t0, t0, 3; andi t0, t0, -4; add s2, s2, t0
  j tree.token
tree.seed:
  add t0, s2, t0
tree.wipe:
  sb x0, (s2); addi s2, s2, 1; bltu s2, t0, tree.wipe
  addi s2, s2, 3; andi s2, s2, -4
  j tree.token
tree.name:
  lbu t0, (s2); addi s2, s2, 1; bnez t0, tree.name
  addi s2, s2, 3; andi s2, s2, -4
  j tree.token
tree.hash:
  lw s2, 4(s1); rev8 s2, s2; srli s2, s2, 32; add s2, s1, s2
  li t0, 0; mv t1, s1; li t3, 0x100000001b3
tree.byte:
  lbu t2, (t1); mul t0, t0, t3; xor t0, t0, t2; addi t1, t1, 1; bltu t1, s2, tree.byte
  li t1, 0; li t2, -1; mv t3, t0
  ${record(ASK.deviceTree, 't1', 's1', 't2', 't3')}`,
);

export const memory = (): string =>
  [
    LOOKS,
    look(
      'probe',
      [
        ...[0, 1, 2, 3].map((width) => load(width)),
        ...[0, 1, 2, 3].map((width) => store(width)),
        fetch(),
        conditional(2),
        conditional(3),
        atomic('op.swap2'),
        atomic('op.add3'),
        atomic('op.max3'),
        zero(),
        load(3, 1),
        store(3, 1),
        atomic('op.add3', 4),
      ].join('\n'),
    ),
    look('glance', load(3) + store(3)),
    PAGES,
    SWEEP,
    AT_BOOT,
    TREE_HASH,
  ].join('\n');
