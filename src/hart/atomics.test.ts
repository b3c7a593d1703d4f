/** LR/SC and AMOs from two harts on two threads (unprivileged specification 13). */
import { describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { assemble } from './isa/assembler.js';
import { EXIT_SBI } from './exits.js';
import { SIP } from './state.js';
import { bareMemory, mapHartState, type BareMemory } from './testing/bare-hart.js';
import { runParallel } from './testing/parallel.js';

const CODE = 0x8000_0000n;
const DATA = 0x8010_0000n;
const A0 = 10;
const A1 = 11;

interface Outcome {
  readonly space: BareMemory;
  read(offset: number): bigint;
}

/** Both harts run `source` with a0 = DATA and a1 = their number, in a memory that `prepare` has had. */
async function both(
  source: string,
  harts = 2,
  prepare: (space: BareMemory) => void = () => undefined,
): Promise<Outcome> {
  const space = bareMemory({ harts });
  prepare(space);
  const bytes = new Uint8Array(space.memory.buffer);
  bytes.set(assemble(source, CODE).code, space.ram);
  const at = space.ram + Number(DATA - CODE);
  const work = Array.from({ length: harts }, (_, i) => ({
    pc: CODE,
    registers: [[A0, DATA], [A1, BigInt(i)]] as const, // prettier-ignore
  }));
  const reasons = await runParallel(space, work);
  assert.deepEqual(reasons, work.map(() => EXIT_SBI)); // prettier-ignore
  return { space, read: (offset) => new DataView(space.memory.buffer).getBigUint64(at + offset, true) };
}

const N = 200_000n;

describe('two harts at once', () => {
  for (const width of ['w', 'd']) {
    it(`count with amoadd.${width} and lose nothing`, async () => {
      const { read } = await both(
        `li t0, ${N}\n li t1, 1\n loop: amoadd.${width} zero, t1, (a0)\n addi t0, t0, -1\n bnez t0, loop\n ecall`,
      );
      assert.equal(read(0), 2n * N);
    });

    it(`count with lr.${width} and sc.${width} and lose nothing`, async () => {
      const { read } = await both(
        `li t0, ${N}\n loop: lr.${width} t1, (a0)\n addi t1, t1, 1\n sc.${width} t2, t1, (a0)\n bnez t2, loop\n addi t0, t0, -1\n bnez t0, loop\n ecall`,
      );
      assert.equal(read(0), 2n * N);
    });

    it(`find the largest and smallest with amomax.${width} and amomin.${width}`, async () => {
      // Hart 0 counts up through even numbers, hart 1 through odd ones; both also go down below zero.
      const { read } = await both(
        `li t0, ${N}\n mv t1, a1\n loop: amomax.${width} zero, t1, (a0)\n neg t2, t1\n amomin.${width} zero, t2, 8(a0)
        addi t1, t1, 2\n addi t0, t0, -1\n bnez t0, loop\n ecall`
          .replace('8(a0)', '(a3)')
          .replace('mv t1', 'addi a3, a0, 8\n mv t1'),
      );
      assert.equal(read(0), 2n * N - 1n);
      const bits = width === 'w' ? 32 : 64;
      assert.equal(BigInt.asIntN(bits, read(8)), -(2n * N - 1n));
    });
  }

  it('hold a spin lock made of amoswap, and what it guards stays whole', async () => {
    const { read } = await both(`addi a2, a0, 64\n li t0, 50000\n li t1, 1
      loop: take: amoswap.w.aq t2, t1, (a0)\n bnez t2, take
      ld t3, (a2)\n addi t3, t3, 1\n sd t3, (a2)\n ld t4, 8(a2)\n addi t4, t4, 3\n sd t4, 8(a2)
      amoswap.w.rl zero, zero, (a0)\n addi t0, t0, -1\n bnez t0, loop\n ecall`);
    assert.deepEqual([read(64), read(72)], [100_000n, 300_000n]);
  });

  it('hand a message over with fences: what was written before is seen after', async () => {
    // Hart 0 writes data, then the flag; hart 1 waits for the flag, checks the data, and answers.
    const { read } = await both(`li t0, 20000\n addi a2, a0, 128\n li s0, 0\n bnez a1, reader
      writer: sd t0, (a2)\n fence rw, w\n sd t0, (a0)
      wait: ld t1, (a0)\n bnez t1, wait\n fence r, rw\n addi t0, t0, -1\n bnez t0, writer\n ecall
      reader: ld t1, (a0)\n beqz t1, reader\n fence r, rw\n ld t2, (a2)\n beq t1, t2, same\n addi s0, s0, 1
      same: fence rw, w\n sd zero, (a0)\n addi t0, t0, -1\n bnez t0, reader\n sd s0, 256(a0)\n ecall`);
    assert.equal(read(256), 0n);
  });
});

describe('interrupt bits that another hart sets', () => {
  const STATE = DATA + 0x1_0000n;

  it('are neither lost nor made by CSR instructions, whatever those set and clear', async () => {
    // Hart 1 sets SSIP of hart 0, as an IPI does, and counts how often it was clear. Hart 0 changes sip in all ways, counts
    // what it has cleared, and takes away what it has set itself.
    const { read } = await both(
      `li s0, 0\n li t3, 2\n li t4, 0x220\n bnez a1, other
      loop: csrs sip, t4\n csrc sip, t4\n csrsi sip, 1\n csrci sip, 1
      csrrci t0, sip, 2\n andi t0, t0, 2\n add s0, s0, t0
      csrs sip, t4\n csrrc t0, sip, t3\n andi t0, t0, 2\n add s0, s0, t0
      csrc sip, t4\n csrrw t0, sip, zero\n andi t0, t0, 2\n add s0, s0, t0
      csrrs t0, sip, t3\n andi t0, t0, 2\n add s0, s0, t0\n addi s0, s0, -2
      csrrwi t0, sip, 0\n andi t0, t0, 2\n add s0, s0, t0
      csrrw t0, sip, t3\n andi t0, t0, 2\n add s0, s0, t0\n addi s0, s0, -2
      ld t5, (a0)\n beqz t5, loop
      csrrci t0, sip, 2\n andi t0, t0, 2\n add s0, s0, t0\n sd s0, 128(a0)\n ecall
      other: li t0, ${100n * N}\n li t2, 20000\n li a2, ${STATE + BigInt(SIP)}
      more: amoor.w t1, t3, (a2)\n not t1, t1\n andi t1, t1, 2\n add s0, s0, t1\n bgeu s0, t2, done\n addi t0, t0, -1\n bnez t0, more
      done: sd s0, 136(a0)\n fence\n sd t3, (a0)\n ecall`,
      2,
      (space) => mapHartState(space, 0, STATE),
    );
    assert.equal(read(128), read(136));
    assert.ok(read(136) > 20n, `${read(136) / 2n} times`);
  });
});

describe('one hart', () => {
  const run = (source: string): Promise<Outcome> => both(source, 1);

  it('a store-conditional without a reservation, or for another place, fails and stores nothing', async () => {
    const { read } =
      await run(`li t0, 7\n addi a2, a0, 8\n sc.d s0, t0, (a0)\n lr.d t1, (a0)\n sc.d s1, t0, (a2)\n sc.d s2, t0, (a0)
      sd s0, 64(a0)\n sd s1, 72(a0)\n sd s2, 80(a0)\n ecall`);
    assert.deepEqual([0, 8, 64, 72, 80].map(read), [0n, 0n, 1n, 1n, 1n]);
  });

  it('a store-conditional of another size than its reservation fails and stores nothing', async () => {
    const { read } = await run(
      `li t0, 7\n lr.d t1, (a0)\n sc.w s0, t0, (a0)\n lr.w t1, (a0)\n sc.d s1, t0, (a0)\n ld t2, (a0)
      sd s0, 64(a0)\n sd s1, 72(a0)\n sd t2, 80(a0)\n ecall`,
    );
    assert.deepEqual([64, 72, 80].map(read), [1n, 1n, 0n]);
  });

  it('a store-conditional uses its reservation up', async () => {
    const { read } = await run(
      `li t0, 7\n lr.d t1, (a0)\n sc.d s0, t0, (a0)\n sc.d s1, t1, (a0)\n sd s0, 64(a0)\n sd s1, 72(a0)\n ecall`,
    );
    assert.deepEqual([0, 64, 72].map(read), [7n, 0n, 1n]);
  });
});
