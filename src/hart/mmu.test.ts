/** Address translation: Sv39 walks, permissions, A and D bits, faults (privileged specification 12.3, 12.4). */
import { describe, it } from 'node:test';
import assert from 'node:assert/strict';
import * as S from './state.js';
import { SSTATUS_MXR, SSTATUS_SUM } from './core/sstatus.js';
import { assemble } from './isa/assembler.js';
import { DATA, CODE, HANDLER, Stage, TABLES, USER_CODE, type End } from './testing/stage.js';
import { A, D, G, PageTables, R, U, V, W, X, leaf } from './testing/sv39.js';

type Access = 'load' | 'store' | 'fetch';
const accesses: readonly Access[] = ['load', 'store', 'fetch'];
const pageFault = { load: 13n, store: 15n, fetch: 12n };
const accessFault = { load: 5n, store: 7n, fetch: 1n };
const VA = 0x12_3456_7000n;

/** Tries accesses on a stage with translation on. */
class Prober {
  readonly stage = new Stage();
  private readonly addresses: Record<'U' | 'S', Record<'load' | 'store', bigint>>;

  constructor() {
    const source = 'load: lb a1, (a0)\n ecall\n store: sb a2, (a0)\n ecall';
    const [u, s] = (['U', 'S'] as const).map((mode) => this.stage.code(source, mode));
    const of = (labels: Map<string, bigint>): Record<'load' | 'store', bigint> => ({
      load: labels.get('load')!,
      store: labels.get('store')!,
    });
    this.addresses = { U: of(u), S: of(s) };
    this.stage.hart.load(DATA, assemble('ecall', DATA).code);
    this.stage.tables.use();
  }

  /** Without anything cached; what is stored is an `ecall`'s first byte. */
  access(access: Access, va: bigint, mode: 'U' | 'S', sstatus = 0): End {
    const { hart } = this.stage;
    hart.set(S.SSTATUS, sstatus);
    hart.core.flush(hart.h);
    hart.setX(10, va);
    hart.setX(12, 0x73n);
    const pc = access === 'fetch' ? va : this.addresses[mode][access];
    const end = this.stage.run(pc, mode);
    return end;
  }

  /** What a success looks like: the `ecall` after the access is reached. */
  success(access: Access, va: bigint, mode: 'U' | 'S'): End {
    const at = access === 'fetch' ? va : this.addresses[mode][access] + 4n;
    return mode === 'S' ? { at } : { cause: 8n, epc: at, tval: 0n };
  }

  fault(access: Access, va: bigint, mode: 'U' | 'S', causes = pageFault): End {
    const epc = access === 'fetch' ? va : this.addresses[mode][access];
    return { cause: causes[access], epc, tval: BigInt.asUintN(64, va) };
  }
}

/** The rules in the order of 12.3.2. */
function allowed(flags: number, access: Access, mode: 'U' | 'S', sum: boolean, mxr: boolean): boolean {
  if ((flags & V) === 0 || ((flags & R) === 0 && (flags & W) !== 0)) return false;
  if ((flags & (R | X)) === 0) return false;
  if (mode === 'U' && (flags & U) === 0) return false;
  if (mode === 'S' && (flags & U) !== 0 && (access === 'fetch' || !sum)) return false;
  if (access === 'fetch') return (flags & X) !== 0;
  if (access === 'store') return (flags & W) !== 0;
  return (flags & R) !== 0 || (mxr && (flags & X) !== 0);
}

describe('Sv39', () => {
  it('allows and refuses by every combination of PTE flags, privilege, SUM and MXR, and updates A and D', () => {
    const prober = new Prober();
    const { hart, tables } = prober.stage;
    const at = tables.entry(VA);
    for (let flags = 0; flags < 256; flags++) {
      for (const mode of ['U', 'S'] as const) {
        for (const [sum, mxr] of [
          [false, false],
          [true, false],
          [false, true],
          [true, true],
        ]) {
          // prettier-ignore
          for (const access of accesses) {
            hart.write64(at, leaf(DATA, flags));
            const what = `flags ${flags}, ${mode}, ${access}, SUM ${sum}, MXR ${mxr}`;
            const end = prober.access(access, VA, mode, (sum ? SSTATUS_SUM : 0) | (mxr ? SSTATUS_MXR : 0));
            const ok = allowed(flags, access, mode, sum, mxr);
            assert.deepEqual(end, prober[ok ? 'success' : 'fault'](access, VA, mode), what);
            const after = ok ? flags | A | (access === 'store' ? D : 0) : flags;
            assert.equal(hart.read64(at), leaf(DATA, after), `PTE after ${what}`);
          }
        }
      }
    }
  });

  it('sees what a cached translation does not allow: a store after a load sets D', () => {
    const { stage } = new Prober();
    const at = stage.tables.map(VA, DATA, V | R | W | A);
    stage.code('lb a1, (a0)\n ld a3, (a4)\n sb a1, (a0)\n ld a5, (a4)\n ecall', 'S');
    stage.tables.map(0x5000_0000n, at & ~0xfffn, V | R | A);
    stage.hart.setX(10, VA);
    stage.hart.setX(14, 0x5000_0000n + (at & 0xfffn));
    stage.run(CODE);
    assert.equal(BigInt.asUintN(64, stage.hart.x(13)), leaf(DATA, V | R | W | A));
    assert.equal(BigInt.asUintN(64, stage.hart.x(15)), leaf(DATA, V | R | W | A | D));
  });

  for (const level of [1, 2]) {
    const size = 1n << BigInt(12 + 9 * level);
    it(`maps superpages of ${size >> 20n} MiB, and refuses misaligned ones`, () => {
      const prober = new Prober();
      const { hart, tables } = prober.stage;
      const base = 0x20_0000_0000n;
      const at = tables.map(base, 0x8000_0000n, V | R | W | X, level);
      const va = base + (DATA - 0x8000_0000n);
      // Larger than a 2 MiB page maps at level 1: the data lies in the second one.
      if (level === 1) hart.write64(tables.entry(base + size, 1), leaf(DATA, V | R | W | X));
      for (const access of accesses) {
        assert.deepEqual(prober.access(access, va, 'S'), prober.success(access, va, 'S'));
      }
      for (let bit = 12; bit < 12 + 9 * level; bit++) {
        hart.write64(at, leaf(0x8000_0000n | (1n << BigInt(bit)), V | R | W | X));
        for (const access of accesses) {
          assert.deepEqual(prober.access(access, base + 0x123n * 2n, 'S'), prober.fault(access, base + 0x246n, 'S'));
        }
      }
    });
  }

  it('refuses reserved bits in leaves and in pointers', () => {
    const prober = new Prober();
    const { hart, tables } = prober.stage;
    for (const level of [0, 1, 2]) {
      const at = tables.entry(VA);
      hart.write64(at, leaf(DATA, V | R | W | X | A | D));
      const entry = level === 0 ? at : tables.entry(VA, level);
      const good = hart.read64(entry);
      for (let bit = 54n; bit < 64n; bit++) {
        hart.write64(entry, good | (1n << bit));
        for (const access of accesses) {
          assert.deepEqual(prober.access(access, VA, 'S'), prober.fault(access, VA, 'S'), `level ${level} bit ${bit}`);
        }
      }
      hart.write64(entry, good);
      assert.deepEqual(prober.access('load', VA, 'S'), prober.success('load', VA, 'S'));
    }
  });

  it('refuses A, D and U in pointers, invalid pointers, and a pointer at the last level', () => {
    const prober = new Prober();
    const { hart, tables } = prober.stage;
    tables.map(VA, DATA, V | R | W | X | A | D);
    for (const level of [1, 2]) {
      const entry = tables.entry(VA, level);
      const good = hart.read64(entry);
      for (const flag of [A, D, U]) {
        hart.write64(entry, good | BigInt(flag));
        for (const access of accesses) {
          assert.deepEqual(prober.access(access, VA, 'S'), prober.fault(access, VA, 'S'));
        }
      }
      hart.write64(entry, good & ~1n);
      assert.deepEqual(prober.access('load', VA, 'S'), prober.fault('load', VA, 'S'));
      hart.write64(entry, good);
    }
    hart.write64(tables.entry(VA), leaf(DATA, V));
    assert.deepEqual(prober.access('load', VA, 'S'), prober.fault('load', VA, 'S'));
  });

  it('refuses addresses whose upper bits are not copies of bit 38', () => {
    const prober = new Prober();
    prober.stage.tables.map(VA, DATA, V | R | W | X | A | D);
    for (let bit = 39n; bit < 64n; bit++) {
      const va = VA ^ (1n << bit);
      for (const access of accesses) assert.deepEqual(prober.access(access, va, 'S'), prober.fault(access, va, 'S'));
    }
    const high = 0xffff_ffc0_0000_0000n;
    prober.stage.tables.map(high, DATA, V | R | W | X | A | D);
    assert.deepEqual(prober.access('load', high, 'S'), prober.success('load', high, 'S'));
    assert.deepEqual(
      prober.access('load', high & 0x7f_ffff_ffffn, 'S'),
      prober.fault('load', high & 0x7f_ffff_ffffn, 'S'),
    );
  });

  it('faults on access to what is not there: leaves and tables outside memory', () => {
    const prober = new Prober();
    const { hart, tables } = prober.stage;
    const end = 0x8000_0000n + BigInt(hart.space.ramPages) * 0x1000n;
    for (const physical of [0n, 0x7fff_f000n, end, 0xff_ffff_ffff_f000n]) {
      tables.map(VA, physical, V | R | W | X | A | D);
      for (const access of accesses) {
        assert.deepEqual(prober.access(access, VA, 'S'), prober.fault(access, VA, 'S', accessFault));
      }
    }
    tables.map(VA, end - 0x1000n, V | R | W | X | A | D);
    hart.load(end - 0x1000n, assemble('ecall', VA).code);
    for (const access of accesses) assert.deepEqual(prober.access(access, VA, 'S'), prober.success(access, VA, 'S'));
    hart.write64(tables.entry(VA, 1), leaf(end, V));
    for (const access of accesses) {
      assert.deepEqual(prober.access(access, VA, 'S'), prober.fault(access, VA, 'S', accessFault));
    }
  });

  it('faults on access when the page map below has no page, or none to write', () => {
    const prober = new Prober();
    const { hart, tables } = prober.stage;
    tables.map(VA, DATA, V | R | W | X | A | D);
    hart.mapPage(DATA, 0);
    for (const access of accesses) {
      assert.deepEqual(prober.access(access, VA, 'S'), prober.fault(access, VA, 'S', accessFault));
    }
    hart.mapPage(DATA, S.PAGE_PRESENT);
    assert.deepEqual(prober.access('load', VA, 'S'), prober.success('load', VA, 'S'));
    assert.deepEqual(prober.access('store', VA, 'S'), prober.fault('store', VA, 'S', accessFault));
    hart.mapPage(DATA, S.PAGE_PRESENT | S.PAGE_WRITABLE);
    assert.deepEqual(prober.access('store', VA, 'S'), prober.success('store', VA, 'S'));
  });

  it('takes satp writes with modes Bare and Sv39 and ignores the others whole', () => {
    const stage = new Stage();
    for (let mode = 0n; mode < 16n; mode++) {
      const value = (mode << 60n) | (TABLES >> 12n);
      stage.code(`csrw satp, zero\n csrw satp, a0\n csrr a1, satp\n ecall`);
      stage.hart.setX(10, value);
      stage.run(CODE);
      const expected = mode === 0n || mode === 8n ? value : 0n;
      assert.equal(BigInt.asUintN(64, stage.hart.x(11)), expected, `mode ${mode}`);
    }
  });

  it('has ASIDs of 16 bits', () => {
    const stage = new Stage();
    const value = (8n << 60n) | (0xffffn << 44n) | (TABLES >> 12n);
    stage.code('csrw satp, a0\n csrr a1, satp\n ecall');
    stage.hart.setX(10, value);
    stage.run(CODE);
    assert.equal(BigInt.asUintN(64, stage.hart.x(11)), value);
  });
});

describe('address spaces', () => {
  const va = 0x7000_0000n;
  const global = 0x7100_0000n;
  const other = 0x7123_4000n;
  const SECOND_TABLES = TABLES + 0x8_0000n;

  /**
   * Two address spaces, ASIDs 1 and 2, with user pages of their own at `va` (10 and 20 in them) and a global one of
   * supervisor mode; `other` is where the first one's PTE of `va` can be written. The first one is in use.
   */
  function two(flags: number): Stage {
    const stage = new Stage();
    const { hart } = stage;
    const first = stage.tables;
    const second = new PageTables(hart, SECOND_TABLES);
    for (const at of [CODE, HANDLER]) {
      first.map(at, at, V | R | X | G | A | D);
      second.map(at, at, V | R | X | G | A | D);
    }
    const pte = first.map(va, DATA, V | R | W | A | D | flags);
    second.map(va, DATA + 0x1000n, V | R | W | A | D | flags);
    for (const tables of [first, second]) {
      tables.map(global, DATA + 0x2000n, V | R | W | A | D | G);
      tables.map(other, pte & ~0xfffn, V | R | W | A | D | G);
    }
    hart.write64(DATA, 10n);
    hart.write64(DATA + 0x1000n, 20n);
    hart.write64(DATA + 0x2000n, 30n);
    hart.write64(DATA + 0x3000n, 40n);
    const satp = (tables: PageTables, asid: bigint): bigint => (8n << 60n) | (asid << 44n) | (tables.root >> 12n);
    hart.set(S.SATP, satp(first, 1n));
    hart.core.flush(hart.h);
    hart.set(S.SSTATUS, hart.get(S.SSTATUS) | (1n << 18n));
    hart.core.selectMode(hart.h);
    hart.setX(10, va);
    hart.setX(11, other + (pte & 0xfffn));
    hart.setX(12, leaf(DATA + 0x3000n, V | R | W | A | D | flags));
    hart.setX(13, global);
    hart.setX(14, satp(first, 1n));
    hart.setX(15, satp(second, 2n));
    hart.setX(16, 1n);
    hart.setX(17, 2n);
    return stage;
  }

  for (const [name, flags] of [
    ['user', U],
    ['supervisor', 0],
  ] as const) {
    it(`see their own pages when they take turns (${name} mappings)`, () => {
      const stage = two(flags);
      const { hart } = stage;
      const turn = 'ld t0, (a0)\n add s0, s0, t0\n ld t1, (a3)\n add s0, s0, t1';
      const source = `li s1, 40\n loop: ${turn}\n csrw satp, a5\n ${turn}\n csrw satp, a4\n addi s1, s1, -1\n bnez s1, loop\n ecall`;
      assert.ok('at' in stage.execute(source));
      assert.equal(hart.x(8), 40n * (10n + 30n + 20n + 30n));
    });
  }

  const change = 'ld s2, (a0)\n sd a2, (a1)';
  const cases: readonly (readonly [name: string, fence: string, expected: bigint])[] = [
    ['its ASID', 'sfence.vma zero, a6', 40n],
    ['another ASID, which leaves it cached', 'sfence.vma zero, a7', 10n],
    ['an address and its ASID', 'sfence.vma a0, a6', 40n],
    ['its ASID from another address space', 'csrw satp, a5\n ld s3, (a0)\n sfence.vma zero, a6\n csrw satp, a4', 40n],
    ['an address from another address space', 'csrw satp, a5\n ld s3, (a0)\n sfence.vma a0, a6\n csrw satp, a4', 40n],
    ['everything from another address space', 'csrw satp, a5\n sfence.vma\n csrw satp, a4', 40n],
  ];
  for (const [name, fence, expected] of cases) {
    it(`are fenced by ${name}`, () => {
      const stage = two(U);
      assert.ok('at' in stage.execute(`${change}\n ${fence}\n ld s4, (a0)\n ecall`));
      assert.deepEqual([stage.hart.x(18), stage.hart.x(20)], [10n, expected]);
    });
  }

  it('stay apart after more changes than there are generations', () => {
    const stage = two(U);
    const { hart } = stage;
    // Each round gives the second address space another ASID.
    const source = `li s1, 3000\n li s5, 1\n slli s5, s5, 44
      loop: ld t0, (a0)\n add s0, s0, t0\n csrw satp, a5\n ld t0, (a0)\n add s0, s0, t0\n csrw satp, a4
      add a5, a5, s5\n addi s1, s1, -1\n bnez s1, loop\n ecall`;
    stage.code(source);
    assert.ok('at' in stage.run(CODE, 'S', 1_000_000));
    assert.equal(hart.x(8), 3000n * 30n);
  });
});

describe('accesses across pages', () => {
  const FIRST = 0x6000_0000n;
  const SECOND = FIRST + 0x1000n;
  const wide = [['h', 2], ['w', 4], ['d', 8]] as const; // prettier-ignore

  it('read and write both pages, wherever they lie', () => {
    const stage = new Stage();
    stage.tables.map(FIRST, DATA + 0x3000n, V | R | W | A | D);
    stage.tables.map(SECOND, DATA, V | R | W | A | D);
    stage.tables.use();
    for (const [suffix, size] of wide) {
      for (let before = 1; before < size; before++) {
        const va = SECOND - BigInt(before);
        stage.hart.setX(10, va);
        stage.hart.setX(11, 0x8192_a3b4_c5d6_e7f8n);
        stage.execute(`s${suffix} a1, (a0)\n l${suffix} a2, (a0)\n lbu a3, -1(a0)\n ecall`);
        const value = BigInt.asIntN(8 * size, 0x8192_a3b4_c5d6_e7f8n);
        assert.equal(stage.hart.x(12), value, `${size} bytes, ${before} before the boundary`);
        const low = BigInt.asUintN(8 * before, value);
        const bytes = stage.hart.read(DATA + 0x4000n - BigInt(before), before);
        assert.equal(
          bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n),
          low,
        );
      }
    }
  });

  for (const [name, cause] of [
    ['l', 13n],
    ['s', 15n],
  ] as const) {
    // prettier-ignore
    it(`name the part that is missing when one page faults (${name === 'l' ? 'loads' : 'stores'})`, () => {
      for (const [suffix, size] of wide) {
        for (const missing of [FIRST, SECOND]) {
          const stage = new Stage();
          stage.tables.map(missing === FIRST ? SECOND : FIRST, DATA, V | R | W | A | D);
          stage.tables.use();
          const va = SECOND - 1n;
          stage.hart.setX(10, va);
          stage.hart.setX(11, -1n);
          const end = stage.execute(`${name}${suffix} a1, (a0)\n ecall`);
          assert.deepEqual(end, { cause, epc: CODE, tval: missing === FIRST ? va : SECOND });
          assert.equal(stage.hart.x(11), -1n);
          assert.ok(stage.hart.read(DATA, 0x1000).every((byte) => byte === 0), `${size} bytes: nothing was written`);
        }
      }
    });
  }

  const NOWHERE = 0xf000_0000n;
  const END = 0x8000_0000n + 1024n * 0x1000n;
  const stores = [...wide.map(([suffix, size]) => [`s${suffix} a1`, size] as const), ['fsw fa1', 4], ['fsd fa1', 8]] as const; // prettier-ignore
  for (const [store, size] of stores) {
    it(`write nothing where a part is not in memory: ${store}`, () => {
      for (const [first, second, translated] of [
        ['memory', 'nothing', false],
        ['memory', 'nothing', true],
        ['nothing', 'memory', true],
        ['memory', 'not writable', true],
        ['not writable', 'memory', true],
        ['nothing', 'nothing', true],
      ] as const) {
        const stage = new Stage();
        const { hart, tables } = stage;
        const boundary = translated ? SECOND : END;
        const places = { memory: DATA, nothing: NOWHERE, 'not writable': DATA + 0x4000n };
        hart.mapPage(places['not writable'], S.PAGE_PRESENT);
        tables.map(FIRST, places[first], V | R | W | A | D);
        tables.map(SECOND, places[second], V | R | W | A | D);
        if (translated) tables.use();
        hart.setX(11, -1n);
        hart.set(S.F + 8 * 11, -1n);
        // Hot, beside stores that do what they should: each round stores inside the page, then over its end.
        stage.code(
          `li t0, 300\n loop: ${store}, (a2)\n addi t0, t0, -1\n bnez t0, loop\n over: ${store}, (a0)\n ecall`,
        );
        hart.setX(12, DATA + 0x100n);
        if (translated) tables.map(DATA, DATA, V | R | W | A | D);
        for (let before = 1n; before < BigInt(size); before++) {
          const va = boundary - before;
          hart.setX(10, va);
          const end = stage.run(CODE);
          const tval = first === 'memory' ? boundary : va;
          assert.ok('cause' in end);
          assert.deepEqual([end.cause, end.tval], [7n, tval], `${first}, ${second}, ${before} before`);
          for (const page of [DATA, DATA + 0x4000n, END - 0x1000n]) {
            const bytes = hart.read(page, 0x1000);
            if (page === DATA) bytes.fill(0, 0x100, 0x108);
            assert.ok(bytes.every((byte) => byte === 0), `${first}, ${second}, ${before} before`); // prettier-ignore
          }
        }
      }
    });
  }

  it('write to a device and to memory beside it, and to no memory if the device refuses', () => {
    for (const takes of [true, false]) {
      const written: [number, bigint][] = [];
      const store = (address: number, _width: number, value: bigint): boolean => {
        written.push([address, value]);
        return takes;
      };
      const stage = new Stage({ store });
      stage.tables.map(FIRST, DATA, V | R | W | A | D);
      stage.tables.map(SECOND, NOWHERE, V | R | W | A | D);
      stage.tables.use();
      stage.hart.setX(10, SECOND - 2n);
      stage.hart.setX(11, 0x4433_2211n);
      const end = stage.execute('sw a1, (a0)\n end: ecall');
      const memory = stage.hart.read(DATA + 0xffen, 2);
      if (takes) {
        assert.ok('at' in end);
        assert.deepEqual(written, [[Number(NOWHERE), 0x33n], [Number(NOWHERE) + 1, 0x44n]]); // prettier-ignore
        assert.deepEqual([...memory], [0x11, 0x22]);
      } else {
        assert.deepEqual(end, { cause: 7n, epc: CODE, tval: SECOND });
        assert.deepEqual([...memory], [0, 0]);
      }
    }
  });

  it('work misaligned inside a page', () => {
    const stage = new Stage();
    for (const [suffix, size] of wide) {
      for (let offset = 0n; offset < 8n; offset++) {
        stage.hart.setX(10, DATA + offset);
        stage.hart.setX(11, 0x8192_a3b4_c5d6_e7f8n);
        stage.execute(`s${suffix} a1, (a0)\n l${suffix} a2, (a0)\n ecall`);
        assert.equal(stage.hart.x(12), BigInt.asIntN(8 * size, 0x8192_a3b4_c5d6_e7f8n));
      }
    }
  });

  it('wrap around the end of the address space without a host error', () => {
    const stage = new Stage();
    stage.hart.setX(10, -1n);
    const end = stage.execute('ld a1, (a0)\n ecall');
    assert.deepEqual(end, { cause: 5n, epc: CODE, tval: 0xffff_ffff_ffff_ffffn });
  });
});

describe('sfence.vma', () => {
  const va = 0x7000_0000n;
  // Not where the direct-mapped TLB would put the page under test.
  const other = 0x7123_4000n;

  /** Maps `va`, reads it, changes the PTE, executes `fence`, reads it again: which page was seen. */
  function seen(fence: string, level = 0, at = va): bigint[] {
    const stage = new Stage();
    const { hart, tables } = stage;
    const [one, two] = level === 0 ? [DATA, DATA + 0x1000n] : [0x8000_0000n, 0x8020_0000n];
    const pte = tables.map(va, one, V | R | W | A | D, level);
    // The page with the PTE itself, so that the guest can change it.
    tables.map(other, pte & ~0xfffn, V | R | W | A | D);
    const inside = level === 0 ? 0n : 0x5000n;
    hart.write64(one + inside, 1n);
    hart.write64(two + inside, 2n);
    tables.use();
    hart.setX(10, va + inside);
    hart.setX(11, other + (pte & 0xfffn));
    hart.setX(12, leaf(two, V | R | W | A | D));
    hart.setX(13, at + inside);
    const end = stage.execute(`ld a4, (a0)\n sd a2, (a1)\n ${fence}\n ld a5, (a0)\n end: ecall`);
    assert.ok('at' in end, 'no trap');
    return [hart.x(14), hart.x(15)];
  }

  it('forgets all with no operand', () => assert.deepEqual(seen('sfence.vma zero, zero'), [1n, 2n]));
  it('forgets an address', () => assert.deepEqual(seen('sfence.vma a3, zero'), [1n, 2n]));
  it('forgets an address in any address space', () => assert.deepEqual(seen('sfence.vma a3, a4'), [1n, 2n]));
  it('forgets a superpage by any address in it', () =>
    assert.deepEqual(seen('sfence.vma a3, zero', 1, va + 0x10_0000n), [1n, 2n]));
  it('forgets a superpage when all is forgotten', () => assert.deepEqual(seen('sfence.vma', 1), [1n, 2n]));
  it('forgets on a change of satp', () => assert.deepEqual(seen('csrr a6, satp; csrw satp, a6'), [1n, 2n]));

  it('is needed: translations are cached', () => assert.deepEqual(seen('nop'), [1n, 1n]));

  it('forgets what fetches use too', () => {
    const stage = new Stage();
    const { hart, tables } = stage;
    const pte = tables.map(va, DATA, V | R | X | A | D);
    tables.map(other, pte & ~0xfffn, V | R | W | A | D);
    hart.load(DATA, assemble('li a5, 1\n ret', va).code);
    hart.load(DATA + 0x1000n, assemble('li a5, 2\n ret', va).code);
    tables.use();
    hart.setX(10, va);
    hart.setX(11, other + (pte & 0xfffn));
    hart.setX(12, leaf(DATA + 0x1000n, V | R | X | A | D));
    stage.execute('jalr ra, (a0)\n mv s0, a5\n sd a2, (a1)\n sfence.vma a0, zero\n jalr ra, (a0)\n mv s1, a5\n ecall');
    assert.deepEqual([hart.x(8), hart.x(9)], [1n, 2n]);
  });

  it('is refused in user mode', () => {
    const stage = new Stage();
    stage.tables.use();
    const end = stage.execute('sfence.vma', 'U');
    assert.ok('cause' in end && end.cause === 2n && end.epc === USER_CODE);
    assert.equal(stage.hart.pc, HANDLER);
  });
});
