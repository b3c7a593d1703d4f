/** Traps, interrupts, privilege, CSRs, counters (privileged specification 12.1). */
import { describe, it } from 'node:test';
import assert from 'node:assert/strict';
import * as S from './state.js';
import { SSTATUS_MXR, SSTATUS_SIE, SSTATUS_SPIE, SSTATUS_SPP, SSTATUS_SUM } from './core/sstatus.js';
import { EXIT_HANDS, EXIT_SBI, EXIT_SIGNAL, EXIT_WFI } from './exits.js';
import { csrNumbers } from './isa/names.js';
import { CODE, DATA, HANDLER, Stage, USER_CODE } from './testing/stage.js';

const FS = 3n << 13n;
const ILLEGAL = 2n;
const INTERRUPT = -(1n << 63n);
const unsigned = (v: bigint): bigint => BigInt.asUintN(64, v);

function causeOf(stage: Stage, source: string, mode: 'U' | 'S'): bigint | undefined {
  if (mode === 'U') stage.tables.use();
  const end = stage.execute(source, mode);
  return 'cause' in end ? end.cause : undefined;
}

describe('traps', () => {
  it('ecall exits to the VMM from supervisor mode and traps from user mode', () => {
    const stage = new Stage();
    assert.deepEqual(stage.execute('nop\n ecall'), { at: CODE + 4n });
    stage.tables.use();
    assert.deepEqual(stage.execute('nop\n ecall', 'U'), { cause: 8n, epc: USER_CODE + 4n, tval: 0n });
  });

  it('ebreak traps with its own address', () => {
    const stage = new Stage();
    assert.deepEqual(stage.execute('nop\n ebreak'), { cause: 3n, epc: CODE + 4n, tval: CODE + 4n });
    assert.deepEqual(stage.execute('.half 0x9002'), { cause: 3n, epc: CODE, tval: CODE });
  });

  it('entry stacks SIE and the privilege, sret brings them back', () => {
    for (const mode of ['U', 'S'] as const) {
      for (const enabled of [0, SSTATUS_SIE]) {
        const stage = new Stage();
        stage.tables.use();
        stage.hart.set(S.SSTATUS, FS | BigInt(enabled));
        const source = 'ebreak\n ecall';
        stage.code(source, mode);
        stage.run(mode === 'S' ? CODE : USER_CODE, mode);
        const status = stage.hart.get32(S.SSTATUS);
        const what = `${mode}, SIE ${enabled}`;
        assert.equal(stage.hart.privilege, 'S', what);
        assert.equal(status & SSTATUS_SIE, 0, what);
        assert.equal((status & SSTATUS_SPIE) !== 0, enabled !== 0, what);
        assert.equal((status & SSTATUS_SPP) !== 0, mode === 'S', what);

        stage.code('sret');
        stage.hart.set(S.SEPC, USER_CODE);
        if (mode === 'U') {
          const end = stage.run(CODE);
          // Back in user mode, the same ebreak traps again.
          assert.deepEqual(end, { cause: 3n, epc: USER_CODE, tval: USER_CODE }, what);
        } else {
          stage.hart.set(S.SEPC, HANDLER);
          stage.run(CODE);
          const after = stage.hart.get32(S.SSTATUS);
          assert.equal((after & SSTATUS_SIE) !== 0, enabled !== 0, what);
          assert.notEqual(after & SSTATUS_SPIE, 0, what);
          assert.equal(after & SSTATUS_SPP, 0, what);
        }
      }
    }
  });

  it('illegal instructions, also compressed ones and all zeros and all ones', () => {
    for (const bits of [
      '.word 0xffffffff',
      '.word 0',
      '.half 0',
      '.half 0x9c41',
      '.word 0x0000200b',
      '.word 0x02c5f5d7',
    ]) {
      const end = new Stage().execute(bits);
      assert.ok('cause' in end && end.cause === ILLEGAL && end.epc === CODE, bits);
    }
    const end = new Stage().execute('.word 0x02c5f5d7');
    assert.ok('tval' in end && end.tval === 0x02c5f5d7n, 'stval is the instruction');
  });

  it('jumps to odd halfwords and executes two-byte aligned code', () => {
    const stage = new Stage();
    assert.deepEqual(stage.execute('la a0, there\n addi a0, a0, 1\n jr a0\n .half 0x9002\n there: li a1, 7\n ecall'), {
      at: CODE + 22n,
    });
    assert.equal(stage.hart.x(11), 7n);
  });

  it('fetch faults have the address of the fetch', () => {
    const stage = new Stage();
    stage.hart.setX(10, 0x1234n);
    assert.deepEqual(stage.execute('jr a0'), { cause: 1n, epc: 0x1234n, tval: 0x1234n });
    stage.tables.use();
    assert.deepEqual(stage.execute('jr a0'), { cause: 12n, epc: 0x1234n, tval: 0x1234n });
    stage.hart.setX(10, -2n);
    assert.deepEqual(stage.execute('jr a0'), { cause: 12n, epc: unsigned(-2n), tval: unsigned(-2n) });
  });

  it('a handler that cannot be fetched comes to an end by its budget and by a signal', () => {
    const stage = new Stage();
    stage.tables.use();
    stage.hart.set(S.STVEC, 0x6666_0000n);
    stage.code('ebreak');
    stage.hart.pc = CODE;
    assert.equal(stage.hart.run(1000), EXIT_SIGNAL);
    assert.equal(stage.hart.get(S.SCAUSE), 12n);
    assert.equal(stage.hart.get(S.SEPC), 0x6666_0000n);
  });

  it('a destination register stays as it was when its instruction traps', () => {
    const stage = new Stage();
    stage.tables.use();
    for (const source of ['ld a0, (a1)', 'lr.d a0, (a1)', 'amoadd.d a0, a0, (a1)', 'csrr a0, 0x7c0', 'lw a0, 1(a1)']) {
      stage.hart.setX(10, 77n);
      stage.hart.setX(11, 0x5555_0000n);
      const end = stage.execute(source);
      assert.ok('cause' in end, source);
      assert.equal(stage.hart.x(10), 77n, source);
    }
  });

  it('atomics must be aligned', () => {
    const stage = new Stage();
    stage.hart.setX(11, DATA + 2n);
    const tval = DATA + 2n;
    assert.deepEqual(stage.execute('lr.w a0, (a1)'), { cause: 4n, epc: CODE, tval });
    assert.deepEqual(stage.execute('sc.w a0, a0, (a1)'), { cause: 6n, epc: CODE, tval });
    assert.deepEqual(stage.execute('amoadd.w a0, a0, (a1)'), { cause: 6n, epc: CODE, tval });
    stage.hart.setX(11, DATA + 4n);
    assert.deepEqual(stage.execute('amoadd.d a0, a0, (a1)'), { cause: 6n, epc: CODE, tval: DATA + 4n });
  });

  it('atomics need permission to write, even those that fail', () => {
    const stage = new Stage();
    stage.tables.map(0x6000_0000n, DATA, 1 | 2 | 64);
    stage.tables.use();
    stage.hart.setX(11, 0x6000_0000n);
    const fault = { cause: 15n, epc: CODE, tval: 0x6000_0000n };
    assert.deepEqual(stage.execute('amoadd.w a0, a0, (a1)'), fault);
    assert.deepEqual(stage.execute('sc.w a0, a0, (a1)'), fault);
    assert.deepEqual(stage.execute('lr.w a0, (a1)\n ecall'), { at: CODE + 4n });
  });
});

describe('privilege', () => {
  for (const source of ['sret', 'wfi', 'sfence.vma', 'csrr a0, sstatus', 'csrr a0, satp', 'csrw stvec, a0']) {
    it(`user mode may not ${source}`, () => assert.equal(causeOf(new Stage(), source, 'U'), ILLEGAL));
  }

  it('the ring of the hands exits in user mode and in supervisor mode', () => {
    for (const mode of ['U', 'S'] as const) {
      const stage = new Stage();
      stage.tables.use();
      const at = mode === 'S' ? CODE : USER_CODE;
      assert.deepEqual(stage.execute('ring', mode), { reason: EXIT_HANDS, at });
    }
  });

  it('wfi exits past itself', () => assert.deepEqual(new Stage().execute('wfi'), { reason: EXIT_WFI, at: CODE + 4n }));
});

describe('interrupts', () => {
  const bits = { software: S.SSIP, timer: S.STIP, external: S.SEIP };
  const codes = { software: 1n, timer: 5n, external: 9n };

  function run({ pending = 0, enabled = 0, sie = false, mode = 'S' as 'U' | 'S' }): ReturnType<Stage['run']> {
    const stage = new Stage();
    stage.tables.use();
    stage.code('li a0, 1\n ecall', mode);
    stage.hart.set(S.SIP, pending, 'i32');
    stage.hart.set(S.SIE, enabled);
    stage.hart.set(S.SSTATUS, FS | BigInt(sie ? SSTATUS_SIE : 0));
    return stage.run(mode === 'S' ? CODE : USER_CODE, mode);
  }

  for (const kind of ['software', 'timer', 'external'] as const) {
    it(`are taken when pending and enabled (${kind})`, () => {
      const taken = { cause: INTERRUPT | codes[kind], epc: CODE, tval: 0n };
      const ecall = { at: CODE + 4n };
      const all = bits.software | bits.timer | bits.external;
      assert.deepEqual(run({ pending: bits[kind], enabled: all, sie: true }), taken);
      assert.deepEqual(run({ pending: bits[kind], enabled: all, sie: false }), ecall);
      assert.deepEqual(run({ pending: bits[kind], enabled: all & ~bits[kind], sie: true }), ecall);
      assert.deepEqual(run({ pending: all & ~bits[kind], enabled: bits[kind], sie: true }), ecall);
      const user = { ...taken, epc: USER_CODE };
      assert.deepEqual(run({ pending: bits[kind], enabled: all, sie: false, mode: 'U' }), user);
    });
  }

  it('come in the order external, software, timer', () => {
    const all = bits.software | bits.timer | bits.external;
    const cause = (pending: number): bigint => {
      const end = run({ pending, enabled: all, sie: true });
      return 'cause' in end ? end.cause : -1n;
    };
    assert.equal(cause(all), INTERRUPT | 9n);
    assert.equal(cause(bits.software | bits.timer), INTERRUPT | 1n);
    assert.equal(cause(bits.timer), INTERRUPT | 5n);
  });

  it('are taken at once when a CSR write or sret unmasks them', () => {
    for (const unmask of ['csrsi sstatus, 2', 'csrs sie, s0', 'csrsi sip, 2', 'sret']) {
      const stage = new Stage();
      const { hart } = stage;
      const byEnable = unmask.startsWith('csrs sie');
      hart.set(S.SIP, unmask.includes('sip') ? 0 : S.SSIP, 'i32');
      hart.set(S.SIE, byEnable ? 0n : BigInt(S.SSIP));
      hart.setX(8, BigInt(S.SSIP));
      const on = byEnable || unmask.includes('sip');
      hart.set(S.SSTATUS, BigInt((on ? SSTATUS_SIE : 0) | SSTATUS_SPIE | SSTATUS_SPP));
      hart.set(S.SEPC, CODE + 4n);
      const end = stage.execute(`${unmask}\n ecall`);
      assert.deepEqual(end, { cause: INTERRUPT | 1n, epc: CODE + 4n, tval: 0n }, unmask);
    }
  });

  it('go to their own entry when stvec is vectored; exceptions do not', () => {
    const stage = new Stage();
    const { hart } = stage;
    stage.code('ebreak');
    hart.set(S.STVEC, HANDLER | 1n);
    hart.pc = CODE;
    assert.equal(hart.run(), EXIT_SBI);
    assert.equal(hart.pc, HANDLER);
    hart.set(S.SIP, S.SEIP, 'i32');
    hart.set(S.SIE, S.SEIP);
    hart.set(S.SSTATUS, SSTATUS_SIE);
    hart.load(HANDLER + 36n, hart.read(HANDLER, 4));
    hart.pc = CODE;
    assert.equal(hart.run(), EXIT_SBI);
    assert.equal(hart.pc, HANDLER + 36n);
  });

  it('the timer interrupt follows stimecmp and the clock', () => {
    let now = 100;
    const stage = new Stage({ time: () => now });
    const { hart } = stage;
    stage.execute('csrw stimecmp, a0\n csrr a1, sip\n rdtime: csrr a2, time\n ecall');
    hart.setX(10, 101n);
    stage.run(CODE);
    assert.equal(hart.x(11) & BigInt(S.STIP), 0n);
    assert.equal(hart.x(12), 100n);
    now = 101;
    stage.run(CODE);
    assert.equal(hart.x(11) & BigInt(S.STIP), BigInt(S.STIP));
    hart.setX(10, -1n);
    stage.run(CODE);
    assert.equal(hart.x(11) & BigInt(S.STIP), 0n, 'a later comparison value takes the interrupt back');
  });

  it('only the software interrupt is for the guest to set', () => {
    const stage = new Stage();
    stage.hart.setX(10, -1n);
    stage.execute('csrw sip, a0\n csrr a1, sip\n csrw sip, zero\n csrr a2, sip\n ecall');
    assert.equal(stage.hart.x(11), BigInt(S.SSIP));
    assert.equal(stage.hart.x(12), 0n);
    stage.hart.set(S.SIP, S.STIP | S.SEIP, 'i32');
    stage.execute('csrw sip, zero\n csrr a1, sip\n ecall');
    assert.equal(stage.hart.x(11), BigInt(S.STIP | S.SEIP));
  });

  it('a signal from outside ends the run', () => {
    const stage = new Stage();
    stage.code('loop: j loop');
    S.signal(stage.hart.words, stage.hart.h);
    stage.hart.pc = CODE;
    assert.equal(stage.hart.core.run(stage.hart.h, 1_000_000_000), EXIT_SIGNAL);
    assert.equal(stage.hart.pc, CODE);
  });
});

describe('CSRs', () => {
  /** Writes all ones, reads; writes zero, reads. */
  const writable: readonly [string, bigint, bigint][] = [
    ['sscratch', -1n, 0n],
    ['sepc', -2n, 0n],
    ['scause', -1n, 0n],
    ['stval', -1n, 0n],
    ['stvec', -3n, 0n],
    ['sie', BigInt(S.SSIP | S.STIP | S.SEIP), 0n],
    ['scounteren', 7n, 0n],
    ['senvcfg', 0x81n, 0n],
    ['stimecmp', -1n, 0n],
    ['fcsr', 0xffn, 0n],
    ['frm', 7n, 0n],
    ['fflags', 31n, 0n],
    [
      'sstatus',
      -(1n << 63n) | (2n << 32n) | FS | BigInt(SSTATUS_SIE | SSTATUS_SPIE | SSTATUS_SPP | SSTATUS_SUM | SSTATUS_MXR),
      2n << 32n,
    ],
  ];
  for (const [name, ones, zeros] of writable) {
    it(`${name} keeps what it has bits for`, () => {
      const stage = new Stage();
      const { hart } = stage;
      hart.setX(10, -1n);
      // sstatus goes last: writing zero switches floating point off.
      stage.execute(`csrrw a1, ${name}, a0\n csrrw a2, ${name}, zero\n csrr a3, ${name}\n ecall`);
      assert.equal(hart.x(12), ones);
      assert.equal(hart.x(13), zeros);
    });
  }

  it('set and clear change the bits named, and immediates are five bits without sign', () => {
    const stage = new Stage();
    const { hart } = stage;
    hart.set(S.SSCRATCH, 0xf0f0n);
    hart.setX(10, 0xff00n);
    stage.execute(
      'csrrs a1, sscratch, a0\n csrrc a2, sscratch, a0\n csrrwi a3, sscratch, 31\n csrrci a4, sscratch, 1\n csrrsi a5, sscratch, 1\n csrr a6, sscratch\n ecall',
    );
    assert.deepEqual([11, 12, 13, 14, 15, 16].map((n) => hart.x(n)), [0xf0f0n, 0xfff0n, 0xf0n, 31n, 30n, 31n]); // prettier-ignore
  });

  it('swap even when source and destination are one register', () => {
    const stage = new Stage();
    stage.hart.set(S.SSCRATCH, 5n);
    stage.hart.setX(10, 9n);
    stage.execute('csrrw a0, sscratch, a0\n ecall');
    assert.equal(stage.hart.x(10), 5n);
    assert.equal(stage.hart.get(S.SSCRATCH), 9n);
  });

  it('unknown ones, machine-mode ones and writes to read-only ones trap', () => {
    for (const csr of ['0x7c0', '0x300', '0xf14', '0x180 + 0x1', '0x600', '0x015', '0xc03', '0xc20']) {
      assert.equal(causeOf(new Stage(), `csrr a0, ${csr.includes('+') ? '0x181' : csr}`, 'S'), ILLEGAL, csr);
    }
    for (const source of ['csrw cycle, a0', 'csrrs a0, time, a1', 'csrrwi a0, instret, 0', 'csrrci a0, cycle, 1']) {
      assert.equal(causeOf(new Stage(), source, 'S'), ILLEGAL, source);
    }
    for (const source of ['csrrs a0, time, zero', 'csrrci a0, cycle, 0']) {
      assert.equal(causeOf(new Stage(), `${source}\n ecall`, 'S'), undefined, source);
    }
  });

  it('every address answers with a value or an illegal instruction, in both privileges', () => {
    const stage = new Stage();
    stage.tables.use();
    const known = new Set(Object.values(csrNumbers));
    const forUser = new Set([1, 2, 3]);
    for (let csr = 0; csr < 4096; csr++) {
      for (const mode of ['U', 'S'] as const) {
        stage.hart.set(S.SSTATUS, FS);
        const end = stage.execute(`csrrs a0, ${csr}, zero\n ecall`, mode);
        const ok = 'at' in end || end.cause === 8n;
        assert.equal(ok, mode === 'S' ? known.has(csr) : forUser.has(csr), `0x${csr.toString(16)} in ${mode}`);
      }
    }
  });

  it('counters are hidden from user mode unless scounteren shows them', () => {
    for (const [bit, name] of ['cycle', 'time', 'instret'].entries()) {
      const stage = new Stage({ time: () => 5 });
      stage.hart.set(S.SCOUNTEREN, BigInt(7 & ~(1 << bit)));
      assert.equal(causeOf(stage, `csrr a0, ${name}\n ecall`, 'U'), ILLEGAL, name);
      stage.hart.set(S.SCOUNTEREN, BigInt(1 << bit));
      assert.equal(causeOf(stage, `csrr a0, ${name}\n ecall`, 'U'), 8n, name);
    }
  });

  it('instret does not count what the hart does behind the scenes: page ends, straddling, first executions', () => {
    const stage = new Stage();
    stage.hart.set(S.STVEC, 0x8000_3000n);
    // Four bytes before the page end, then two: the instruction in the middle straddles.
    stage.code('.space 4086\n nop\n nop\n nop\n nop\n ecall');
    for (let time = 0; time < 2; time++) {
      const before = stage.hart.get(S.INSTRET);
      assert.deepEqual(stage.run(CODE + 4086n), { at: CODE + 4102n });
      // The ecall does not retire.
      assert.equal(stage.hart.get(S.INSTRET) - before, 4n);
    }
  });
});

describe('floating point off', () => {
  const sources = ['fadd.s ft0, ft0, ft0', 'fld ft0, (a0)', 'fsw ft0, (a0)', 'fmv.x.d a1, ft0', 'csrr a1, fcsr', 'csrwi frm, 0', 'csrwi fflags, 1', 'fclass.d a1, ft0', 'fmadd.s ft0, ft0, ft0, ft0']; // prettier-ignore
  for (const source of sources) {
    it(`${source} is illegal`, () => {
      const stage = new Stage();
      stage.hart.set(S.SSTATUS, 0n);
      stage.hart.setX(10, DATA);
      assert.equal(causeOf(stage, `${source}\n ecall`, 'S'), ILLEGAL);
      stage.hart.set(S.SSTATUS, 1n << 13n);
      assert.equal(causeOf(stage, `${source}\n ecall`, 'S'), undefined, 'initial');
    });
  }

  it('reserved rounding modes are illegal, in the instruction and in frm', () => {
    for (const rm of [5, 6]) {
      const bits = 0x00000053 | (rm << 12);
      assert.equal(causeOf(new Stage(), `.word ${bits}`, 'S'), ILLEGAL);
    }
    for (const rm of [5, 6, 7]) {
      assert.equal(causeOf(new Stage(), `csrwi frm, ${rm}\n fadd.s ft0, ft0, ft0\n ecall`, 'S'), ILLEGAL);
      assert.equal(causeOf(new Stage(), `csrwi frm, ${rm}\n fadd.s ft0, ft0, ft0, rtz\n ecall`, 'S'), undefined);
    }
  });
});

describe('Zicboz', () => {
  it('clears the 64 bytes around the address', () => {
    const stage = new Stage();
    stage.hart.load(DATA, new Uint8Array(256).fill(0xee));
    stage.hart.setX(10, DATA + 64n + 37n);
    assert.deepEqual(stage.execute('cbo.zero (a0)\n ecall'), { at: CODE + 4n });
    const bytes = stage.hart.read(DATA, 256);
    assert.ok(bytes.every((byte, i) => byte === (i >= 64 && i < 128 ? 0 : 0xee)));
  });

  it('needs senvcfg.CBZE in user mode', () => {
    const stage = new Stage();
    stage.tables.map(0x6000_0000n, DATA, 1 | 2 | 4 | 16);
    stage.hart.setX(10, 0x6000_0000n);
    assert.equal(causeOf(stage, 'cbo.zero (a0)\n ecall', 'U'), ILLEGAL);
    stage.hart.set(S.SENVCFG, 1n << 7n);
    assert.equal(causeOf(stage, 'cbo.zero (a0)\n ecall', 'U'), 8n);
  });

  it('faults as a store at the address given', () => {
    const stage = new Stage();
    stage.tables.use();
    stage.hart.setX(10, 0x6000_0021n);
    assert.deepEqual(stage.execute('cbo.zero (a0)'), { cause: 15n, epc: CODE, tval: 0x6000_0021n });
  });
});

describe('device registers', () => {
  it('loads and stores of every width reach them, with sign extension, and misses trap', () => {
    const seen: [number, number, bigint?][] = [];
    const stage = new Stage({
      load: (address, width) => {
        seen.push([address, width]);
        return address < 0x2000 ? BigInt.asUintN(8 << width, 0xf1f2_f3f4_f5f6_f7f8n) : undefined;
      },
      store: (address, width, value) => {
        seen.push([address, width, value]);
        return address < 0x2000;
      },
    });
    stage.hart.setX(10, 0x1000n);
    stage.hart.setX(11, -2n);
    stage.execute(
      'lb a2, (a0)\n lhu a3, 8(a0)\n lw a4, 16(a0)\n ld a5, 24(a0)\n sb a11, (a0)\n ecall'.replace('a11', 'a1'),
    );
    assert.deepEqual([12, 13, 14, 15].map((n) => unsigned(stage.hart.x(n))), [0xffff_ffff_ffff_fff8n, 0xf7f8n, 0xffff_ffff_f5f6_f7f8n, 0xf1f2_f3f4_f5f6_f7f8n]); // prettier-ignore
    assert.deepEqual(seen, [[0x1000, 0], [0x1008, 1], [0x1010, 2], [0x1018, 3], [0x1000, 0, 0xfen]]); // prettier-ignore
    stage.hart.setX(10, 0x2000n);
    assert.deepEqual(stage.execute('lw a2, (a0)'), { cause: 5n, epc: CODE, tval: 0x2000n });
    assert.deepEqual(stage.execute('sw a2, (a0)'), { cause: 7n, epc: CODE, tval: 0x2000n });
    assert.deepEqual(stage.execute('amoadd.w a2, a2, (a0)'), { cause: 7n, epc: CODE, tval: 0x2000n });
    assert.deepEqual(stage.execute('lr.w a2, (a0)'), { cause: 5n, epc: CODE, tval: 0x2000n });
  });
});
