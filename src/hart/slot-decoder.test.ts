/** Slots are what decoding and packing give, whatever has been decoded before. */
import { describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { decode } from './isa/decoder.js';
import { SlotDecoder } from './slot-decoder.js';
import { firstOf, operationNumber } from './isa/operations.js';
import { OP_ILLEGAL, OP_STRADDLE, OP_UNDECODED, packSlot } from './slots.js';
import { formats } from './isa/table/format.js';
import { instructions } from './isa/table/index.js';
import { Random } from './testing/random.js';

const CODE = 0x10000;
const buffer = new SharedArrayBuffer(0x20000);
const words = new Int32Array(buffer);
const halfwords = new Uint16Array(buffer);

/** The two words of a slot, and whether decoding ahead stops behind it. */
function expected(bits: number): [first: number, immediate: number, stops: boolean] {
  const { index, operands, length } = decode(bits);
  const { rd, rs1, rs2, imm, rm } = operands;
  if (index < 0) return [packSlot(OP_ILLEGAL, rd, rs1, rs2, true, 0), imm, true];
  const { format, flow } = instructions[index];
  const { files, syntax } = formats[format];
  const rounding = syntax.includes('rm') ? rm : 0;
  const operation = operationNumber(index, length === 4 ? 2 : 1);
  return [packSlot(operation, rd, rs1, rs2, files.rd === 'x', rounding), imm, flow !== 'next'];
}

/** The word as it is, but a slot's first one of a slot that is not fused with the next one. */
const unfused = (word: number, i: number): number =>
  i % 2 === 1 || firstOf[word & 0xff] === 0 ? word : (word & ~0xff) | firstOf[word & 0xff];

function put(at: number, bits: number): number {
  halfwords[at >> 1] = bits;
  if ((bits & 3) !== 3) return 2;
  halfwords[(at >> 1) + 1] = bits >>> 16;
  return 4;
}

/** Random bits, and more often than by chance those of an instruction of the table. */
function sample(random: Random): number {
  const bits = random.bits();
  if (random.oneIn(3)) return bits;
  const { match, mask } = random.pick(instructions);
  return (bits & ~mask) | match;
}

describe('SlotDecoder', () => {
  it('gives every compressed instruction its slot, the first time and again', () => {
    const decoder = new SlotDecoder(buffer);
    for (const round of [1, 2]) {
      for (let low = 0; low < 0x10000; low++) {
        if ((low & 3) === 3) continue;
        const [first, immediate] = expected(low);
        put(CODE, low);
        words[0] = OP_UNDECODED;
        decoder.decode(0, CODE, 1);
        assert.deepEqual([words[0], words[1]], [first, immediate], `0x${low.toString(16)}, round ${round}`);
      }
    }
  });

  it('gives random bits their slots, also where they straddle two pages', () => {
    const decoder = new SlotDecoder(buffer);
    const random = new Random(1);
    let legal = 0;
    for (let i = 0; i < 100_000; i++) {
      const bits = sample(random);
      const [first, immediate] = expected(bits);
      const size = put(CODE, bits);
      words.fill(0, 0, 4);
      decoder.decode(0, CODE, size / 2);
      const what = `0x${(bits >>> 0).toString(16)}`;
      assert.deepEqual([words[0], words[1]], [first, immediate], what);
      if ((first & 0xff) !== OP_ILLEGAL) legal++;
      if (size !== 4) continue;
      words.fill(0, 0, 2);
      decoder.decodeStraddle(0, CODE, CODE + 2);
      assert.deepEqual([words[0], words[1]], [first, immediate], what);
    }
    assert.ok(legal > 50_000, `${legal} were legal`);
  });

  it('decodes ahead until control flow must leave, a decoded slot comes or the page ends', () => {
    const decoder = new SlotDecoder(buffer);
    const random = new Random(2);
    const COUNT = 64;
    const ends = { left: 0, met: 0, straddled: 0, ended: 0 };
    for (let i = 0; i < 10_000; i++) {
      // Mostly what control flow does not leave, that the other ends are met, too.
      for (let at = 0; at < 2 * COUNT;) {
        let bits = sample(random);
        while (expected(bits)[2] && !random.oneIn(40)) bits = sample(random);
        at += put(CODE + at, bits);
      }
      const met = random.below(4 * COUNT);
      words.fill(0, 0, 2 * COUNT + 2);
      if (met < COUNT) words[2 * met] = OP_ILLEGAL;
      const wanted = words.slice(0, 2 * COUNT + 2);
      let end: keyof typeof ends = 'ended';
      for (let slot = 0; slot < COUNT;) {
        const low = halfwords[(CODE >> 1) + slot];
        const isFull = (low & 3) === 3;
        if (slot > 0 && wanted[2 * slot] !== OP_UNDECODED) {
          end = 'met';
          break;
        }
        if (isFull && slot === COUNT - 1) {
          wanted[2 * slot] = OP_STRADDLE;
          end = 'straddled';
          break;
        }
        const [first, immediate, stops] = expected(low | (isFull ? halfwords[(CODE >> 1) + slot + 1] << 16 : 0));
        wanted[2 * slot] = first;
        wanted[2 * slot + 1] = immediate;
        if (stops) {
          end = 'left';
          break;
        }
        slot += isFull ? 2 : 1;
      }
      ends[end]++;
      decoder.decode(0, CODE, COUNT);
      assert.deepEqual(words.slice(0, 2 * COUNT + 2).map(unfused), wanted);
    }
    for (const [end, times] of Object.entries(ends)) assert.ok(times > 500, `${end}: ${times}`);
  });

  it('reaches memory beyond 2 GiB', () => {
    const far = new SharedArrayBuffer(2 ** 31 + 0x2000);
    const decoder = new SlotDecoder(far);
    const slots = (2 ** 31) | 0;
    const host = (2 ** 31 + 0x1000) | 0;
    new Uint16Array(far)[host >>> 1] = 0x4501; // li a0, 0
    decoder.decode(slots, host, 1);
    const [first, immediate] = expected(0x4501);
    assert.deepEqual([...new Int32Array(far, 2 ** 31, 2)], [first, immediate]);
  });
});
