/** Random loops that copy or fill memory, and some that only nearly do. Registers: see `randomLoop`. */
import type { Random } from './random.js';

const WIDTHS = [
  { size: 1, loads: ['lb', 'lbu'], store: 'sb' },
  { size: 2, loads: ['lh', 'lhu'], store: 'sh' },
  { size: 4, loads: ['lw', 'lwu'], store: 'sw' },
  { size: 8, loads: ['ld'], store: 'sd' },
] as const;

const VALUES = ['a4', 'a5', 'a6', 'a7', 't3', 't4', 't5', 't6'] as const;

export interface Loop {
  readonly source: string;
  /** Bytes of a turn. */
  readonly stride: number;
  /** Whether its end is counted in s0; else it is where the destination ends, s1. */
  readonly counts: boolean;
}

/**
 * A loop that begins at `loop` and ends in an ecall. It writes from a0 on and reads from a1 on; a2 holds what it
 * fills with; s0 counts turns down, s1 is where the destination ends. Unaligned words are
 * shifted by t5 and t6. Where loads run ahead, the first one is before the loop.
 */
export function randomLoop(random: Random): Loop {
  const shape = random.pick([simple, downwards, allLoadsFirst, ahead, joined, fill]);
  const { size, loads, store } = shape === joined ? WIDTHS[3] : random.pick(WIDTHS);
  const words = random.between(1, 8);
  const stride = size * words;
  const bias = random.oneIn(3) ? random.between(-64, 64) : 0;
  const counts = random.oneIn(2);
  const load = random.pick(loads);
  const body = shape({ size, words, load, store });
  const moves = [`addi a0, a0, ${stride}`, `addi a1, a1, ${stride}`];
  if (counts) moves.push('addi s0, s0, -1');
  const end = counts
    ? random.pick([
        'bnez s0, loop',
        'blt zero, s0, loop',
        'bge s0, zero, loop',
        'bltu zero, s0, loop',
        'beqz s0, done\n j loop',
      ])
    : random.pick(['bne a0, s1, loop', 'bltu a0, s1, loop', 'bgeu a0, s1, done\n j loop', 'blt a0, s1, loop']);
  const lines = [...body, ...shuffled(random, moves)];
  if (random.oneIn(2)) spoil(random, lines);
  if (random.oneIn(4)) lines.push('mv a3, a0');
  // Entered in the middle now and then.
  if (random.oneIn(4)) lines[random.below(lines.length)] = `enter: ${random.pick(lines)}`;
  const first = shape === ahead || shape === joined ? `${load} a4, 0(a1)\n` : '';
  const enter = lines.some((line) => line.startsWith('enter:')) ? 'j enter\n' : '';
  const before = bias === 0 ? '' : `addi a1, a1, ${bias}\n addi a0, a0, 0\n`;
  return { source: `${before}${first}${enter}loop: ${lines.join('\n')}\n ${end}\n done: ecall`, stride, counts };
}

interface Shape {
  readonly size: number;
  readonly words: number;
  readonly load: string;
  readonly store: string;
}

const each = (words: number, line: (i: number) => string[]): string[] =>
  Array.from({ length: words }, (_, i) => line(i)).flat();

const simple = ({ size, words, load, store }: Shape): string[] =>
  each(words, (i) => [`${load} a4, ${size * i}(a1)`, `${store} a4, ${size * i}(a0)`]);

/** The other way round within a turn. */
const downwards = ({ size, words, load, store }: Shape): string[] =>
  each(words, (i) => [`${load} a4, ${size * (words - 1 - i)}(a1)`, `${store} a4, ${size * (words - 1 - i)}(a0)`]);

const allLoadsFirst = ({ size, words, load, store }: Shape): string[] => [
  ...each(words, (i) => [`${load} ${VALUES[i]}, ${size * i}(a1)`]),
  ...each(words, (i) => [`${store} ${VALUES[i]}, ${size * i}(a0)`]),
];

/** Each word is loaded before the one before it is stored; the store goes through another register. */
const ahead = ({ size, words, load, store }: Shape): string[] =>
  each(words, (i) => [
    `${load} ${i % 2 === 0 ? 'a5' : 'a4'}, ${size * (i + 1)}(a1)`,
    `addi t1, a0, ${size * i - 8}`,
    `${store} ${i % 2 === 0 ? 'a4' : 'a5'}, 8(t1)`,
  ]).concat(words % 2 === 1 ? ['mv a4, a5'] : []);

/** Words put together from two, shifted by t5 and t6. */
const joined = ({ words }: Shape): string[] =>
  each(words, (i) => {
    const [low, high] = i % 2 === 0 ? ['a4', 'a5'] : ['a5', 'a4'];
    return [
      `ld ${high}, ${8 * i + 8}(a1)`,
      `srl ${low}, ${low}, t5`,
      `sll t1, ${high}, t6`,
      `or ${low}, t1, ${low}`,
      `sd ${low}, ${8 * i}(a0)`,
    ];
  }).concat(words % 2 === 1 ? ['ld a4, ' + String(8 * words) + '(a1)'] : []);

const fill = ({ size, words, store }: Shape): string[] => each(words, (i) => [`${store} a2, ${size * i}(a0)`]);

/** Changes something, so that it is most often no idiom any more. */
function spoil(random: Random, lines: string[]): void {
  const at = random.below(lines.length);
  switch (random.below(5)) {
    case 0:
      lines.splice(at, 1);
      break;
    case 1:
      lines.splice(
        at,
        0,
        random.pick(['xori a4, a4, 1', 'addi a1, a1, 1', 'add a1, a1, zero', 'sb a2, 5(a0)', 'lb t2, 9(a1)']),
      );
      break;
    case 2: {
      const other = random.below(lines.length);
      [lines[at], lines[other]] = [lines[other], lines[at]];
      break;
    }
    case 3:
      lines[at] = lines[at].replace(/(?<= )-?\d+(?=\(|$)/, (n) => String(Number(n) + random.pick([-8, -1, 1, 8])));
      break;
    case 4:
      lines[at] = lines[at].replace(/\ba1\b/g, 'a0');
      break;
  }
}

function shuffled<T>(random: Random, items: readonly T[]): T[] {
  const rest = [...items];
  const result: T[] = [];
  while (rest.length > 0) result.push(...rest.splice(random.below(rest.length), 1));
  return result;
}
