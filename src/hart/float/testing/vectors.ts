import { ANSWER_SIZE, RECORD_SIZE } from './reference.js';
import type { Operation, OperandKind } from './operations.js';

export { ANSWER_SIZE, RECORD_SIZE };

/** A seeded generator of 32-bit numbers (Marsaglia's xorshift128). */
export class Random {
  private x = 123456789;
  private y = 362436069;
  private z = 521288629;
  constructor(private w: number) {
    for (let i = 0; i < 20; i++) this.next();
  }
  /** Unsigned 32 bits. */
  next(): number {
    const t = this.x ^ (this.x << 11);
    this.x = this.y;
    this.y = this.z;
    this.z = this.w;
    this.w = this.w ^ (this.w >>> 19) ^ t ^ (t >>> 8);
    return this.w >>> 0;
  }
  below(n: number): number {
    return this.next() % n;
  }
}

/** 64 bits as two unsigned halves: [low, high]. */
type Words = [number, number];

const cornerDoubles: readonly Words[] = [
  [0, 0],
  [1, 0],
  [0xffffffff, 0x000fffff],
  [0, 0x00100000],
  [1, 0x00100000],
  [0, 0x00200000],
  [0, 0x3fe00000],
  [0xffffffff, 0x3fefffff],
  [0, 0x3ff00000],
  [1, 0x3ff00000],
  [0, 0x40000000],
  [0xffffffff, 0x7fefffff],
  [0, 0x7ff00000],
  [1, 0x7ff00000],
  [0, 0x7ff80000],
  [0xffffffff, 0x7fffffff],
  [0, 0x7fe00000],
  [0, 0x3ca00000],
  [0, 0x3cb00000],
  [0, 0x43e00000],
  [0xffffffff, 0x43dfffff],
  [0, 0x43f00000],
  [0xffffffff, 0x43efffff],
  [0xffc00000, 0x41dfffff],
  [0, 0x41e00000],
  [0x00200000, 0x41e00000],
  [0, 0x41f00000],
  [0xffe00000, 0x41efffff],
  [0, 0x380fffff],
  [0xe0000000, 0x380fffff],
  [0xffffffff, 0x380fffff],
  [0xf0000000, 0x380fffff],
  [0xe8000000, 0x380fffff],
  [0xe0000000, 0x47efffff],
  [0xf0000000, 0x47efffff],
  [0, 0x36a00000],
  [0, 0x36900000],
];
const cornerSingles: readonly number[] = [
  0, 1, 2, 0x007fffff, 0x00800000, 0x00800001, 0x01000000, 0x3f000000, 0x3f7fffff, 0x3f800000, 0x3f800001, 0x40000000,
  0x7f7fffff, 0x7f800000, 0x7f800001, 0x7fbfffff, 0x7fc00000, 0x7fffffff, 0x7f000000, 0x33800000, 0x34000000,
  0x4f000000, 0x4effffff, 0x4f800000, 0x4f7fffff, 0x5f000000, 0x5effffff, 0x5f800000, 0x5f7fffff, 0x4b000000,
  0x4b800000,
];

/** Makes operands that are likely to meet an operation's corners. */
export class Vectors {
  private readonly view = new DataView(new ArrayBuffer(8));
  constructor(private readonly random: Random) {}

  /** Writes `count` records of one operation. */
  write(records: DataView, at: number, count: number, index: number, operation: Operation): void {
    const modes = operation.rm ? 5 : 1;
    for (let i = 0; i < count; i++, at += RECORD_SIZE) {
      records.setUint8(at, index);
      records.setUint8(at + 1, i % modes);
      // Often nothing, often what a program that has computed for a while has: NX.
      const before = this.random.below(4);
      records.setUint8(at + 2, before === 0 ? this.random.below(32) : before & 1);
      const operands = operation.operands.map((kind) => this.value(kind));
      this.relate(operation, operands);
      operands.forEach(([low, high], n) => {
        records.setUint32(at + 8 + 8 * n, low, true);
        records.setUint32(at + 12 + 8 * n, high, true);
      });
    }
  }

  private value(kind: OperandKind): Words {
    if (kind === 'd') return this.double();
    if (kind === 's') return [this.single(), 0];
    return this.integer();
  }

  /** A fraction of `bits` ≤ 32 bits: random, sparse, or a run of ones or zeros at the lower end. */
  private fraction(bits: number): number {
    const mask = bits === 32 ? 0xffffffff : 2 ** bits - 1;
    switch (this.random.below(5)) {
      case 0:
        return 0;
      case 1:
        return ((1 << this.random.below(bits)) | (1 << this.random.below(bits))) & mask;
      case 2:
        return (mask - ((1 << this.random.below(bits)) & mask)) >>> 0;
      case 3:
        return (((this.random.next() & mask) >>> this.random.below(bits)) << this.random.below(4)) & mask;
      default:
        return (this.random.next() & mask) >>> 0;
    }
  }

  private exponent(maximum: number, bias: number): number {
    switch (this.random.below(6)) {
      case 0:
        return this.random.below(4);
      case 1:
        return maximum - this.random.below(4);
      case 2:
        return this.random.below(maximum + 1);
      case 3:
        return bias + this.random.below(68) - 2;
      default:
        return bias + this.random.below(9) - 4;
    }
  }

  private double(): Words {
    const sign = (this.random.next() & 0x80000000) >>> 0;
    const kind = this.random.below(8);
    if (kind === 0) {
      const [low, high] = cornerDoubles[this.random.below(cornerDoubles.length)];
      return [low, (high | sign) >>> 0];
    }
    if (kind === 1) return [this.random.next(), this.random.next()];
    const high = (this.exponent(0x7ff, 1023) << 20) | this.fraction(20);
    return [this.fraction(32) >>> 0, (high | sign) >>> 0];
  }

  private single(): number {
    const sign = this.random.next() & 0x80000000;
    const kind = this.random.below(8);
    if (kind === 0) return (cornerSingles[this.random.below(cornerSingles.length)] | sign) >>> 0;
    if (kind === 1) return this.random.next();
    return ((this.exponent(0xff, 127) << 23) | this.fraction(23) | sign) >>> 0;
  }

  private integer(): Words {
    const bits = this.random.below(65);
    const choice = this.random.below(4);
    let value = BigInt.asUintN(64, (BigInt(this.random.next()) << 32n) | BigInt(this.random.next()));
    if (choice === 0) value = (1n << BigInt(bits)) - 1n + BigInt(this.random.below(3));
    else if (choice === 1) value = (1n << BigInt(bits)) + (1n << BigInt(this.random.below(64)));
    else value >>= BigInt(Math.min(bits, 63));
    if (this.random.below(2) === 0) value = -value;
    return [Number(value & 0xffffffffn), Number((value >> 32n) & 0xffffffffn)];
  }

  /** Often makes the last operand one that nearly cancels or ties with the others. */
  private relate({ name, operands }: Operation, values: Words[]): void {
    const kind = operands[0];
    if (kind === 'x') return;
    if (values.length === 1) {
      if (name === 'fcvt.s.d' && this.random.below(8) === 0) values[0] = this.encode('d', this.edge('s'));
      return;
    }
    const choice = this.random.below(6);
    if (choice <= 1) return;
    if (choice === 2 && operands.length === 3) return this.nearTie(kind, values);
    if (choice === 2 && name.startsWith('fmul')) return this.shortFactors(kind, values);
    const numbers = values.map((value) => this.decode(kind, value));
    const last = values.length - 1;
    let near: number;
    const edge = this.random.below(4) === 0;
    if (edge && name.startsWith('fmul')) near = this.edge(kind) / numbers[0];
    else if (edge && name.startsWith('fdiv')) near = numbers[0] / this.edge(kind);
    else if (edge && last === 2) {
      near = this.edge(kind);
      values[1] = this.encode(kind, (near * 2 ** -(this.random.below(60) + 1)) / numbers[0]);
    } else if (last === 2) near = numbers[0] * numbers[1];
    else if (name.startsWith('fdiv')) near = numbers[0] / (this.random.below(1000) + 1);
    else near = numbers[0];
    if (this.random.below(2) === 0) near = -near;
    if (!edge && this.random.below(2) === 0) near *= 2 ** (this.random.below(120) - 60);
    const word = this.encode(kind, near);
    const nudge = this.random.below(5) - 2;
    values[last] = [(word[0] + nudge) >>> 0, word[1]];
  }

  /** a × b is half a unit in the last place of c, a little more or a little less. */
  private nearTie(kind: 's' | 'd', values: Words[]): void {
    const precision = kind === 's' ? 24 : 53;
    const unit = 2 ** (1 - precision);
    const nearOne = (): number => (1 + (this.random.below(9) - 4) * unit) * (this.random.below(2) === 0 ? 1 : -1);
    const scale = 2 ** (this.random.below(40) - 20);
    const fraction = (this.random.below(2 ** 20) * 2 ** 32 + this.random.next()) * 2 ** -52;
    const addend = (1 + fraction) * 2 ** (precision - (this.random.below(4) === 0 ? 1 : 0));
    values[0] = this.encode(kind, nearOne() * scale);
    values[1] = this.encode(kind, nearOne() / scale);
    values[2] = this.encode(kind, this.random.below(2) === 0 ? addend : -addend);
  }

  /** Factors of about half the precision, whose product just fits or just does not. */
  private shortFactors(kind: 's' | 'd', values: Words[]): void {
    const [most, least] = kind === 's' ? [2 ** 12, 2 ** 10] : [2 ** 27, 2 ** 25];
    const short = (): number => least + this.random.below(most - least);
    values[0] = this.encode(kind, short() * 2 ** (this.random.below(20) - 30));
    values[1] = this.encode(kind, -short() * 2 ** (this.random.below(20) - 30));
  }

  /** A number about where results begin to underflow or overflow. */
  private edge(kind: 's' | 'd'): number {
    const [smallest, largest] = kind === 's' ? [2 ** -126, 2 ** 127 * (2 - 2 ** -23)] : [2 ** -1022, Number.MAX_VALUE];
    const sign = this.random.below(2) === 0 ? 1 : -1;
    const near = 1 - (this.random.below(5) - 2) * 2 ** -(this.random.below(30) + 23);
    return sign * near * (this.random.below(4) === 0 ? largest : smallest);
  }

  private decode(kind: 's' | 'd', [low, high]: Words): number {
    this.view.setUint32(0, low, true);
    this.view.setUint32(4, high, true);
    return kind === 's' ? this.view.getFloat32(0, true) : this.view.getFloat64(0, true);
  }

  private encode(kind: 's' | 'd', value: number): Words {
    this.view.setUint32(4, 0, true);
    if (kind === 's') this.view.setFloat32(0, value, true);
    else this.view.setFloat64(0, value, true);
    return [this.view.getUint32(0, true), this.view.getUint32(4, true)];
  }
}
