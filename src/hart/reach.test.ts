/** Several accesses through one base register, which translated code looks up once: exact all the same. */
import { describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { DATA, Stage } from './testing/stage.js';
import { A, D, R, V, W } from './testing/sv39.js';

const PAGE = 0x6000_0000n;

/** A stage whose supervisor code sees pages of data from PAGE on, with these flags. */
function withPages(...flags: readonly number[]): Stage {
  const stage = new Stage();
  flags.forEach((bits, i) => stage.tables.map(PAGE + BigInt(i) * 0x1000n, DATA + BigInt(i) * 0x1000n, bits));
  stage.tables.use();
  return stage;
}

const DATA_PAGE = V | R | W | A | D;

describe('accesses near each other', () => {
  it('reach their bytes wherever the frame lies, also over the end of a page', () => {
    const stage = withPages(DATA_PAGE, DATA_PAGE, DATA_PAGE);
    stage.hart.setX(10, PAGE);
    // Frames of 40 bytes, saved and restored, moved on by 24: some lie in two pages.
    stage.code(`li s0, 0\n li s1, 320\n mv a1, a0
      loop: addi t1, s0, 1\n addi t2, s0, 2\n slli t3, s0, 32\n not t4, s0
      sd t1, 8(a1)\n sw t2, 4(a1)\n sd t3, 32(a1)\n sb t4, 3(a1)\n sh s0, 24(a1)
      ld a2, 8(a1)\n lwu a3, 4(a1)\n ld a4, 32(a1)\n lbu a5, 3(a1)\n lhu a6, 24(a1)
      add s2, s2, a2\n add s2, s2, a3\n xor s3, s3, a4\n add s4, s4, a5\n add s5, s5, a6
      addi a1, a1, 24\n addi s0, s0, 1\n blt s0, s1, loop\n ecall`);
    assert.ok('at' in stage.run(0x8000_0000n));
    let [sum, mixed, bytes, halves] = [0n, 0n, 0n, 0n];
    for (let i = 0n; i < 320n; i++) {
      sum += i + 1n + i + 2n;
      mixed ^= i << 32n;
      bytes += ~i & 0xffn;
      halves += i;
    }
    assert.deepEqual(
      [18, 19, 20, 21].map((r) => stage.hart.x(r)),
      [sum, mixed, bytes, halves],
    );
  });

  it('fault one by one, each where it is', () => {
    const stage = withPages(DATA_PAGE);
    stage.hart.setX(10, PAGE + 0xff0n);
    stage.hart.setX(11, 0x1234n);
    const labels = stage.code('nop\n sd a1, 0(a0)\n sd a1, 8(a0)\n here: sd a1, 16(a0)\n sd a1, -8(a0)\n ecall');
    assert.deepEqual(stage.run(0x8000_0000n), { cause: 15n, epc: labels.get('here'), tval: PAGE + 0x1000n });
    const at = (offset: bigint): bigint => stage.hart.read64(DATA + offset);
    assert.deepEqual([at(0xff0n), at(0xff8n), at(0xfe8n)], [0x1234n, 0x1234n, 0n]);
  });

  it('load what may be read before a store is refused', () => {
    const stage = withPages(V | R | A);
    stage.hart.write64(DATA + 8n, 77n);
    stage.hart.setX(10, PAGE);
    const labels = stage.code('nop\n ld a1, 8(a0)\n here: sd a1, 16(a0)\n ld a2, 8(a0)\n ecall');
    assert.deepEqual(stage.run(0x8000_0000n), { cause: 15n, epc: labels.get('here'), tval: PAGE + 16n });
    assert.deepEqual([stage.hart.x(11), stage.hart.x(12)], [77n, 0n]);
  });

  it('leave a page clean until something is stored', () => {
    const stage = withPages(V | R | W);
    const pte = (): bigint => stage.hart.read64(stage.tables.entry(PAGE)) & 0xffn;
    stage.hart.setX(10, PAGE);
    stage.hart.setX(12, 0x7000_0000n);
    // The load of another, missing page comes before the store.
    stage.code('nop\n ld a1, 8(a0)\n ld a3, (a2)\n sd a1, 16(a0)\n ecall');
    const end = stage.run(0x8000_0000n);
    assert.ok('cause' in end && end.cause === 13n);
    assert.equal(pte(), BigInt(V | R | W | A));
    stage.hart.setX(12, PAGE + 32n);
    assert.ok('at' in stage.run(0x8000_0000n));
    assert.equal(pte(), BigInt(V | R | W | A | D));
  });

  it('go through a base that an access in between replaces', () => {
    const stage = withPages(DATA_PAGE, DATA_PAGE);
    const { hart } = stage;
    // A list of nodes in turn on two pages: next, value, value.
    for (let i = 0n; i < 100n; i++) {
      const at = (k: bigint): bigint => (k % 2n) * 0x1000n + (k / 2n) * 24n;
      hart.write64(DATA + at(i), i === 99n ? 0n : PAGE + at(i + 1n));
      hart.write64(DATA + at(i) + 8n, i);
      hart.write64(DATA + at(i) + 16n, 2n * i);
    }
    hart.setX(10, PAGE);
    stage.code(`li s0, 0\n loop: ld a1, 8(a0)\n ld a2, 16(a0)\n ld a0, 0(a0)
      add s0, s0, a1\n add s0, s0, a2\n bnez a0, loop\n ecall`);
    assert.ok('at' in stage.run(0x8000_0000n));
    assert.equal(hart.x(8), 3n * 4950n);
  });
});

describe('accesses near each other on several ways', () => {
  // The ways in either order: which one comes first must not matter.
  for (const order of [0, 1]) {
    it(`share what all ways here have looked up, and go elsewhere after one that replaces the base (${order})`, () => {
      const stage = withPages(DATA_PAGE, DATA_PAGE);
      const { hart } = stage;
      hart.setX(10, PAGE);
      const other = 'add a1, a1, s5\n sd s0, 16(a1)';
      const same = 'addi a1, a1, 8\n addi a1, a1, -8\n sd s0, 32(a1)';
      // Every third turn moves the base to another page.
      stage.code(`li s0, 0\n li s1, 300\n li s2, 0\n li s3, 3\n lui s5, 1
        loop: mv a1, a0\n sd s0, 16(a1)\n rem t0, s0, s3\n ${order === 0 ? 'bnez' : 'beqz'} t0, way
        ${order === 0 ? other : same}\n j here
        way: ${order === 0 ? same : other}
        here: ld a2, 16(a1)\n ld a3, 24(a1)\n sd s0, 24(a1)\n add s2, s2, a2\n slli a3, a3, 1\n add s2, s2, a3
        addi s0, s0, 1\n blt s0, s1, loop\n ecall`);
      assert.ok('at' in stage.run(0x8000_0000n));
      const last = [0, 0];
      let sum = 0;
      for (let i = 0; i < 300; i++) {
        const page = i % 3 === 0 ? 1 : 0;
        sum += i + 2 * last[page];
        last[page] = i;
      }
      assert.equal(hart.x(18), BigInt(sum));
    });
  }

  it('look up anew in a loop that replaces the base', () => {
    const stage = withPages(DATA_PAGE, DATA_PAGE, DATA_PAGE);
    const { hart } = stage;
    for (let page = 0n; page < 3n; page++) {
      for (let i = 0n; i < 4n; i++) hart.write64(DATA + page * 0x1000n + 8n * i, 10n * page + i);
    }
    hart.setX(10, PAGE);
    // Outside: the first page. In the inner loop: each page. Behind it: the first page again, through another register.
    stage.code(`li s0, 0\n li s1, 200\n li s2, 0\n lui s5, 1
      outer: mv a1, a0\n ld a2, 0(a1)\n ld a3, 8(a1)\n add s2, s2, a2\n add s2, s2, a3\n li t1, 3
      inner: ld a2, 16(a1)\n ld a3, 24(a1)\n add s2, s2, a2\n add s2, s2, a3\n add a1, a1, s5\n addi t1, t1, -1\n bnez t1, inner
      ld a2, 16(a0)\n ld a3, 8(a0)\n add s2, s2, a2\n add s2, s2, a3\n addi s0, s0, 1\n blt s0, s1, outer\n ecall`);
    assert.ok('at' in stage.run(0x8000_0000n));
    assert.equal(hart.x(18), 200n * (0n + 1n + (2n + 3n + 12n + 13n + 22n + 23n) + 2n + 1n));
  });
});

describe('jumps through a table', () => {
  it('lead to what the table says, seen before or not, and end where told', () => {
    const stage = withPages(DATA_PAGE);
    const { hart } = stage;
    // Each operation adds its own power of a small base; the program is in memory, a byte each.
    const operations = 12;
    const handlers = Array.from({ length: operations }, (_, i) => `h${i}: addi s1, s1, ${3 ** (i % 6)}\n j next`);
    const table = Array.from({ length: operations }, (_, i) => `j h${i}\n nop`);
    stage.code(`mv s2, a0\n li s1, 0\n la a3, table
      next: lbu a1, (s2)\n addi s2, s2, 1\n li a2, ${operations}\n bgeu a1, a2, done
      slli a1, a1, 3\n add a1, a1, a3\n jr a1\n .align 3\n table: ${table.join('\n')}\n ${handlers.join('\n')}\n done: ecall`);
    let expected = 0n;
    const steps = 2000;
    for (let i = 0; i < steps; i++) {
      // The last operation comes late: nothing has jumped there when the others are hot.
      const operation = i > 1900 && i % 7 === 0 ? operations - 1 : (i * i + (i >> 3)) % (operations - 1);
      hart.load(DATA + BigInt(i), Uint8Array.of(operation));
      expected += 3n ** BigInt(operation % 6);
    }
    hart.load(DATA + BigInt(steps), Uint8Array.of(255));
    hart.setX(10, PAGE);
    assert.ok('at' in stage.run(0x8000_0000n));
    assert.equal(hart.x(9), expected);
  });
});
