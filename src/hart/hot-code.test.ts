/** What translated code must survive: code that is replaced under it, faults in its middle, interrupts everywhere. */
import { describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { assemble, compress, encode } from './isa/assembler.js';
import { SSTATUS_SIE } from './core/sstatus.js';
import { EXIT_SBI, EXIT_SIGNAL } from './exits.js';
import * as S from './state.js';
import { BareHart, bareMemory } from './testing/bare-hart.js';
import { CODE, DATA, HANDLER, li, Stage } from './testing/stage.js';
import { A, D, leaf, R, V, W, X } from './testing/sv39.js';

/** Where pages of functions are mapped. */
const FUNCTION = 0x5000_0000n;
/** A function that gives a number. */
const giving = (n: number): Uint8Array => assemble(`li a0, ${n}\n ret`, 0n).code;
/** Calls the function at a3 two hundred times, so that it is hot, and adds up in s0 what it gives. */
const CALLS = 'li s0, 0\n li t0, 200\n call: jalr ra, (a3)\n add s0, s0, a0\n addi t0, t0, -1\n bnez t0, call\n ecall';

/** Lets software interrupts in. */
function allowInterrupts(hart: BareHart): void {
  hart.set(S.SIE, S.SSIP);
  hart.set(S.SSTATUS, hart.get(S.SSTATUS) | BigInt(SSTATUS_SIE));
}

describe('a hot page of code', () => {
  it('is what is mapped there after sfence.vma', () => {
    const stage = new Stage();
    const { hart, tables } = stage;
    const frames = [0, 1, 2].map((i) => DATA + BigInt(i) * 0x1000n);
    frames.forEach((frame, i) => hart.load(frame, giving(i + 1)));
    const pte = tables.map(FUNCTION, frames[0], V | R | X | A | D);
    const [table, data] = [0x6000_0000n, DATA + 0x8000n];
    tables.map(table, pte & ~0xfffn, V | R | W | A | D);
    tables.map(data, data, V | R | W | A | D);
    tables.use();
    const order = [0, 1, 0, 2, 1, 0];
    order.forEach((frame, i) => hart.write64(data + 8n * BigInt(i), leaf(frames[frame], V | R | X | A | D)));
    hart.setX(11, table + (pte & 0xfffn));
    hart.setX(13, FUNCTION);
    hart.setX(14, data);
    hart.setX(15, data + 8n * BigInt(order.length));
    // What is mapped next is where its result goes.
    const end = stage.execute(`next: ld a2, (a4)\n sd a2, (a1)\n sfence.vma\n ${CALLS.replace('ecall', '')}
      sd s0, (a4)\n addi a4, a4, 8\n bne a4, a5, next\n ecall`);
    assert.ok('at' in end);
    const results = order.map((_, i) => hart.read64(data + 8n * BigInt(i)));
    assert.deepEqual(
      results,
      order.map((frame) => 200n * BigInt(frame + 1)),
    );
  });

  it('is not mixed up with what lies before it in another mapping', () => {
    const stage = new Stage();
    const { hart, tables } = stage;
    // Two first pages lead on to the same second one, which has a way that the first of them has never taken.
    const others = FUNCTION + 0x10_0000n;
    const second = assemble('beqz a1, rare\n addi a0, a0, 16\n ret\n rare: addi a0, a0, 32\n ret', 0n);
    const leads = `.word ${encode('jal', { rd: 0, imm: 0x1000 - 4 })}`;
    hart.load(DATA, assemble(`li a0, 1\n ${leads}`, 0n).code);
    hart.load(DATA + 0x1000n, assemble(`li a0, 2\n ${leads}`, 0n).code);
    hart.load(DATA + 0x2000n, second.code);
    [FUNCTION, others].forEach((at, i) => {
      tables.map(at, DATA + BigInt(i) * 0x1000n, V | R | X | A | D);
      tables.map(at + 0x1000n, DATA + 0x2000n, V | R | X | A | D);
    });
    tables.use();
    stage.code(CALLS);
    const sum = (at: bigint, a1: bigint): bigint => {
      hart.setX(10, 0n);
      hart.setX(11, a1);
      hart.setX(13, at);
      assert.ok('at' in stage.run(CODE));
      return hart.x(8);
    };
    const rare = second.labels.get('rare')!;
    assert.equal(sum(FUNCTION, 1n), 200n * 17n);
    // Each call adds 32 to what the one before has given.
    assert.equal(sum(others + 0x1000n + rare, 0n), (32n * (200n * 201n)) / 2n);
    assert.equal(sum(FUNCTION, 1n), 200n * 17n);
    assert.equal(sum(FUNCTION, 0n), 200n * 33n);
    assert.equal(sum(others, 1n), 200n * 18n);
    assert.equal(sum(others, 0n), 200n * 34n);
  });

  it('goes with its frame when the VMM maps it to another guest-physical page', () => {
    const stage = new Stage();
    const { hart } = stage;
    hart.load(DATA, giving(1));
    hart.load(DATA + 0x1000n, giving(2));
    stage.code(CALLS);
    const results: bigint[] = [];
    for (let turn = 0; turn < 4; turn++) {
      for (const page of [DATA, DATA + 0x1000n]) {
        hart.setX(13, page);
        assert.ok('at' in stage.run(CODE));
        results.push(hart.x(8) / 200n);
      }
      hart.swapPages(DATA, DATA + 0x1000n);
    }
    assert.deepEqual(results, [1n, 2n, 2n, 1n, 1n, 2n, 2n, 1n]);
  });

  it('is copied on write, and the original stays as it was', () => {
    const stage = new Stage();
    const { hart, tables } = stage;
    const [original, copy] = [DATA, DATA + 0x1000n];
    const other = FUNCTION + 0x10_0000n;
    hart.load(original, giving(1));
    tables.map(FUNCTION, original, V | R | X | A | D);
    tables.map(other, original, V | R | X | A | D);
    tables.use();
    hart.setX(13, FUNCTION);
    stage.code(CALLS);
    stage.run(CODE);
    assert.equal(hart.x(8), 200n);

    // A store faults; the kernel copies the page, maps the copy in its place and goes back.
    hart.setX(11, li(10, 2));
    const end = stage.execute(`sw a1, (a3)\n fence.i\n ${CALLS}`);
    assert.deepEqual(end, { cause: 15n, epc: CODE, tval: FUNCTION });
    hart.load(copy, hart.read(original, 4096));
    tables.map(FUNCTION, copy, V | R | W | X | A | D);
    hart.load(HANDLER + 4n, assemble('sfence.vma\n sret', 0n).code);
    hart.pc = HANDLER + 4n;
    assert.equal(hart.run(), EXIT_SBI);
    assert.equal(hart.x(8), 400n, 'the copy has changed');
    hart.setX(13, other);
    stage.code(CALLS);
    stage.run(CODE);
    assert.equal(hart.x(8), 200n, 'the original has not');
  });

  it('written to without fence.i is the old code or the new, and after it the new', () => {
    const stage = new Stage();
    const { hart } = stage;
    hart.load(DATA, giving(1));
    hart.setX(13, DATA);
    for (let n = 1; n < 20; n++) {
      hart.setX(11, li(10, n + 1));
      assert.ok('at' in stage.execute(`sw a1, (a3)\n ${CALLS}`));
      assert.ok([200n * BigInt(n), 200n * BigInt(n + 1)].includes(hart.x(8)), `${hart.x(8)} after ${n}`);
      assert.ok('at' in stage.execute(`fence.i\n ${CALLS}`));
      assert.equal(hart.x(8), 200n * BigInt(n + 1));
    }
  });

  it('is written by another hart, which has written to that page before', () => {
    const space = bareMemory({ harts: 2 });
    const [runner, writer] = [0, 1].map((i) => new BareHart(space, i));
    const [callsAt, storesAt] = [CODE, CODE + 0x1000n];
    runner.load(callsAt, assemble(`fence.i\n ${CALLS}`, callsAt).code);
    runner.load(storesAt, assemble('sw a1, (a3)\n ecall', storesAt).code);
    runner.load(DATA, giving(1));
    for (let n = 1; n < 20; n++) {
      writer.setX(11, li(10, n));
      writer.setX(13, DATA);
      writer.pc = storesAt;
      assert.equal(writer.run(), EXIT_SBI);
      runner.setX(13, DATA);
      runner.pc = callsAt;
      assert.equal(runner.run(), EXIT_SBI);
      assert.equal(runner.x(8), 200n * BigInt(n));
      // What the harts' threads do: who begins to execute a frame has the others forget that they may write to it.
      assert.ok(runner.shotDown.splice(0).includes(runner.host(DATA) >>> 12));
      writer.core.flush(writer.h);
    }
  });
});

describe('hot code', () => {
  it('that faults in its middle has done what comes before, and nothing of what comes after', () => {
    const stage = new Stage();
    const { hart, tables } = stage;
    const data = 0x6000_0000n;
    for (let page = 0n; page < 2n; page++) tables.map(data + page * 0x1000n, DATA + page * 0x1000n, V | R | W | A | D);
    tables.use();
    hart.load(HANDLER + 4n, assemble('sfence.vma\n sret', 0n).code);
    hart.setX(10, data);
    // Doubles its count into memory, word by word; what is behind each store counts what has been stored.
    const labels = stage.code(
      'li t0, 0\n li t1, 2048\n loop: addi t0, t0, 1\n slli t2, t0, 1\n store: sd t2, (a0)\n add s1, s1, t0\n addi a0, a0, 8\n bne t0, t1, loop\n done: ecall',
    );
    let end = stage.run(CODE);
    for (let page = 2n; page < 4n; page++) {
      const done = page * 512n;
      assert.deepEqual(end, { cause: 15n, epc: labels.get('store'), tval: data + page * 0x1000n });
      const state = [5, 7, 9, 10].map((r) => hart.x(r));
      assert.deepEqual(state, [done + 1n, 2n * (done + 1n), (done * (done + 1n)) / 2n, data + page * 0x1000n]);
      assert.equal(hart.read64(DATA + page * 0x1000n - 8n), 2n * done);
      tables.map(data + page * 0x1000n, DATA + page * 0x1000n, V | R | W | A | D);
      end = stage.run(HANDLER + 4n);
    }
    assert.deepEqual(end, { at: labels.get('done') });
    assert.equal(hart.x(9), (2048n * 2049n) / 2n);
    for (const at of [0n, 511n, 512n, 1024n, 2047n]) assert.equal(hart.read64(DATA + 8n * at), 2n * (at + 1n));
  });

  it('that fills or copies over the end of memory stops before the store that does not fit, whole', () => {
    const end = 0x8000_0000n + 1024n * 0x1000n;
    const loops: readonly (readonly [string, number])[] = [
      ['sd a1, (a0)\n addi a0, a0, 8', 8],
      ['sw a1, (a0)\n addi a0, a0, 4', 4],
      ['sd a1, (a0)\n sd a1, 8(a0)\n sd a1, 16(a0)\n sd a1, 24(a0)\n addi a0, a0, 32', 8],
      ['ld a1, (a2)\n sd a1, (a0)\n addi a2, a2, 8\n addi a0, a0, 8', 8],
      ['fsd fa1, (a0)\n addi a0, a0, 8', 8],
    ];
    for (const [loop, size] of loops) {
      for (let skew = 0; skew < size; skew++) {
        const stage = new Stage();
        const { hart } = stage;
        const start = end - 0x3000n + BigInt(skew);
        hart.bytes.fill(0xff, hart.host(DATA), hart.host(DATA) + 0x4000);
        hart.setX(10, start);
        hart.setX(11, -1n);
        hart.setX(12, DATA);
        hart.setX(13, start + 0x4000n * BigInt(size));
        hart.set(S.F + 8 * 11, -1n);
        const result = stage.execute(`loop: ${loop}\n bltu a0, a3, loop\n ecall`);
        const whole = Math.floor((0x3000 - skew) / size) * size;
        assert.ok('cause' in result);
        assert.deepEqual([result.cause, result.tval], [7n, end], `${loop}, ${skew}`);
        const bytes = hart.read(end - 0x3000n, 0x3000);
        const expected = new Uint8Array(0x3000).fill(0xff, skew, skew + whole);
        assert.deepEqual(bytes, expected, `${loop}, ${skew}`);
      }
    }
  });

  it('is interrupted anywhere, a thousand times and more, and does not notice', () => {
    const source = `li s0, 0\n li s1, 4000\n li s2, 0\n fcvt.d.l fa0, zero\n li t0, 3\n fcvt.d.l fa1, t0
      loop: sd s0, (a2)\n ld t1, (a2)\n add s2, s2, t1\n andi t2, s0, 3\n beqz t2, fourth\n xor s2, s2, s0
      fourth: fadd.d fa0, fa0, fa1\n jal ra, leaf\n addi s0, s0, 1\n blt s0, s1, loop\n fcvt.l.d s3, fa0\n ecall
      leaf: slli t3, s2, 1\n srli t4, s2, 63\n or s2, t3, t4\n ret`;
    const outcome = (interrupts: boolean): { results: bigint[]; taken: bigint } => {
      const stage = new Stage();
      const { hart } = stage;
      stage.code(source);
      hart.load(HANDLER, assemble('csrci sip, 2\n addi s11, s11, 1\n sret', HANDLER).code);
      hart.setX(12, DATA);
      hart.privilege = 'S';
      hart.pc = CODE;
      allowInterrupts(hart);
      let random = 1;
      for (let reason = EXIT_SIGNAL; reason === EXIT_SIGNAL;) {
        random = (Math.imul(random, 1_103_515_245) + 12_345) & 0x7fff_ffff;
        reason = hart.core.run(hart.h, 1 + ((random >>> 8) % 40));
        Atomics.store(hart.words, (hart.h + S.SIGNAL) >>> 2, 0);
        if (interrupts) hart.set(S.SIP, S.SSIP, 'i32');
      }
      return { results: [8, 18, 19].map((r) => hart.x(r)), taken: hart.x(27) };
    };
    const [quiet, storm] = [outcome(false), outcome(true)];
    assert.deepEqual(storm.results, quiet.results);
    assert.deepEqual([quiet.results[0], quiet.results[2]], [4000n, 12_000n]);
    assert.equal(quiet.taken, 0n);
    assert.ok(storm.taken > 1000n, `${storm.taken} interrupts`);
  });

  for (const loop of ['j self', 'beqz zero, self', 'bgeu s0, s0, self', 'jalr zero, (a2)', 'c.j']) {
    it(`of one instruction is left by its budget and by an interrupt: ${loop}`, () => {
      const stage = new Stage();
      const { hart } = stage;
      const instruction = loop === 'c.j' ? `.half ${compress('jal', { rd: 0, imm: 0 })}` : loop;
      const self = stage.code(`nop\n self: ${instruction}\n ecall`).get('self');
      assert.ok(self !== undefined);
      hart.setX(12, self);
      assert.deepEqual(stage.run(CODE), { reason: EXIT_SIGNAL, at: self });
      // The handler goes on behind it.
      const length = loop === 'c.j' ? 2 : 4;
      hart.load(
        HANDLER,
        assemble(`csrci sip, 2\n csrr t0, sepc\n addi t0, t0, ${length}\n csrw sepc, t0\n sret`, HANDLER).code,
      );
      allowInterrupts(hart);
      S.setPending(hart.words, hart.h, S.SSIP, true);
      assert.deepEqual(stage.run(self), { at: self + BigInt(length) });
    });
  }

  it('is jumped into the middle of an instruction of', () => {
    const stage = new Stage();
    const { hart } = stage;
    // addi s0, a0, 80: its second half is c.addi a0, 1.
    const whole = encode('addi', { rd: 8, rs1: 10, imm: 80 });
    assert.equal(whole >>> 16, compress('addi', { rd: 10, rs1: 10, imm: 1 }));
    stage.code(
      `li t0, 0\n li t1, 4000\n loop: andi t2, t0, 1\n bnez t2, middle\n .half ${whole & 0xffff}\n middle: .half ${whole >>> 16}
        addi t0, t0, 1\n blt t0, t1, loop\n ecall`,
    );
    assert.ok('at' in stage.run(CODE));
    assert.deepEqual([hart.x(10), hart.x(8)], [2000n, 1999n + 80n]);
  });
});
