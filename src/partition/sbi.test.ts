/** All functions of all extensions that are offered, as a guest calls them, with what the SBI 2.0 specification says of each. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { nodePlatform } from '../adapters/node/platform.js';
import { OsInstance } from '../guest/os-instance.js';
import { BARE_DATA, BARE_MEMORY, bareKernel } from '../guest/testing/bare-kernel.js';
import { RAM_START } from './address-space.js';
import { Vmm } from './vmm.js';

const SUCCESS = 0n;
const NOT_SUPPORTED = -2n;
const INVALID_PARAM = -3n;
const INVALID_ADDRESS = -5n;
const ALREADY_AVAILABLE = -6n;

const [BASE, TIME, IPI, RFENCE] = [0x10n, 0x54494d45n, 0x735049n, 0x52464e43n];
const [HSM, SRST, DBCN] = [0x48534dn, 0x53525354n, 0x4442434en];
const ALL = -1n;

const HARTS = 3;
const RAM = BigInt(RAM_START);
const END = RAM + BigInt(BARE_MEMORY);
const DATA = BigInt(BARE_DATA);

/**
 * Hart 0 makes the calls that the test writes down: a word that says go, then a7, a6, a0 … a5, then what came back in
 * a0 and a1. Others begin at `other`, and stop themselves when word 0x300 says so.
 */
const CALLING = `
  la s0, data
  la s2, other
  sd s2, 0x80(s0)
wait:
  ld t0, (s0)
  beqz t0, wait
  fence
  ld a7, 8(s0)
  ld a6, 16(s0)
  ld a0, 24(s0)
  ld a1, 32(s0)
  ld a2, 40(s0)
  ld a3, 48(s0)
  ld a4, 56(s0)
  ld a5, 64(s0)
  ecall
  sd a0, 72(s0)
  sd a1, 80(s0)
  csrr t0, sip
  sd t0, 88(s0)
  fence
  sd zero, (s0)
  j wait
other:
  csrci sip, 2
  la s0, data
  slli t0, a0, 3
  add t0, t0, s0
  sd a1, 0x100(t0)
  csrr t1, satp
  csrr t2, sstatus
  andi t2, t2, 2
  or t1, t1, t2
  sd t1, 0x140(t0)
stays:
  csrr t1, sip
  sd t1, 0x180(t0)
  ld t1, 0x300(s0)
  beqz t1, stays
  li a7, 0x48534d
  li a6, 1
  ecall
  j stays`;

let vmm: Vmm;
before(() => {
  vmm = new Vmm(nodePlatform, { memory: BARE_MEMORY, harts: HARTS });
});
after(() => vmm.close());

const moment = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));
async function until(condition: () => boolean, what: string): Promise<void> {
  for (const end = performance.now() + 60_000; !condition(); await moment()) {
    assert.ok(performance.now() < end, what);
  }
}

class Caller {
  readonly os: OsInstance;
  said = '';

  constructor(source = CALLING) {
    this.os = new OsInstance(vmm, { name: 'calls', kernel: bareKernel(source), memory: BARE_MEMORY, harts: HARTS });
    this.os.debugConsole.onData = (bytes) => (this.said += new TextDecoder().decode(bytes));
    this.os.start();
  }

  get(at: number): bigint {
    const { space } = this.os.partition;
    return space.view.getBigInt64(space.offsetOf(BARE_DATA + at), true);
  }
  set(at: number, value: bigint): void {
    const { space } = this.os.partition;
    space.view.setBigInt64(space.offsetOf(BARE_DATA + at), BigInt.asIntN(64, value), true);
  }

  begin(extension: bigint, fn: bigint, ...args: bigint[]): void {
    [extension, fn, ...args].forEach((value, i) => this.set(8 + 8 * i, value));
    for (let i = args.length; i < 6; i++) this.set(24 + 8 * i, 0n);
    const { words } = vmm.machine;
    Atomics.store(words, this.os.partition.space.offsetOf(BARE_DATA) >>> 2, 1);
  }

  /** What a0 and a1 are after the call. */
  async call(extension: bigint, fn: bigint, ...args: bigint[]): Promise<[bigint, bigint]> {
    this.begin(extension, fn, ...args);
    await until(() => this.get(0) === 0n, 'the call returns');
    return [this.get(72), this.get(80)];
  }

  async error(extension: bigint, fn: bigint, ...args: bigint[]): Promise<bigint> {
    return (await this.call(extension, fn, ...args))[0];
  }

  /** Starts hart `id` at `other` and waits until it is there. */
  async started(id: bigint, opaque: bigint): Promise<void> {
    this.set(0x300, 0n);
    assert.equal(await this.error(HSM, 0n, id, this.get(0x80), opaque), SUCCESS);
    await until(() => this.get(0x100 + 8 * Number(id)) === opaque, `hart ${id} starts`);
  }
}

/** Calls that give an error code, each with its reason. */
type Case = readonly [what: string, call: readonly [bigint, bigint, ...bigint[]], error: bigint];

describe('the calls of a guest', () => {
  let guest: Caller;
  before(async () => {
    guest = new Caller();
    await until(() => guest.get(0x80) !== 0n, 'the guest begins');
  });
  after(() => guest.os.destroy());

  test('base: version, implementation, extensions, machine', async () => {
    assert.deepEqual(await guest.call(BASE, 0n), [SUCCESS, 2n << 24n]);
    assert.equal(await guest.error(BASE, 1n), SUCCESS);
    assert.equal(await guest.error(BASE, 2n), SUCCESS);
    for (const extension of [BASE, TIME, IPI, RFENCE, HSM, SRST, DBCN]) {
      assert.deepEqual(await guest.call(BASE, 3n, extension), [SUCCESS, 1n]);
    }
    // Legacy, PMU, one that nobody has, and one that differs in the high half only.
    for (const extension of [0n, 1n, 0x504d55n, 0x123456n, (1n << 32n) | BASE]) {
      assert.deepEqual(await guest.call(BASE, 3n, extension), [SUCCESS, 0n]);
    }
    for (const fn of [4n, 5n, 6n]) assert.deepEqual(await guest.call(BASE, fn), [SUCCESS, 0n]);
  });

  const unknown: Case[] = [
    ['base', [BASE, 7n], NOT_SUPPORTED],
    ['time', [TIME, 1n], NOT_SUPPORTED],
    ['IPI', [IPI, 1n], NOT_SUPPORTED],
    ...[3n, 4n, 5n, 6n, 7n].map((fn): Case => [`remote fence ${fn}`, [RFENCE, fn, 1n], NOT_SUPPORTED]),
    ['hart state: suspend', [HSM, 3n], NOT_SUPPORTED],
    ['hart state', [HSM, 4n], NOT_SUPPORTED],
    ['reset', [SRST, 1n], NOT_SUPPORTED],
    ['debug console', [DBCN, 3n], NOT_SUPPORTED],
    ['a negative one', [BASE, -1n], NOT_SUPPORTED],
    ['one that differs in the high half', [BASE, 1n << 32n], NOT_SUPPORTED],
    ['an extension nobody has', [0x123456n, 0n], NOT_SUPPORTED],
    ['a legacy extension', [1n, 0n, 65n], NOT_SUPPORTED],
    ['an extension that differs in the high half', [(1n << 32n) | BASE, 0n], NOT_SUPPORTED],
  ];
  const masks = [
    [IPI, 0n],
    [RFENCE, 0n],
    [RFENCE, 1n],
    [RFENCE, 2n],
  ].flatMap(([extension, fn]): Case[] => {
    const name = extension === IPI ? 'IPI' : `remote fence ${fn}`;
    return [
      [`${name}: all harts, whatever the mask`, [extension, fn, -1n, ALL], SUCCESS],
      [`${name}: all harts, no mask`, [extension, fn, 0n, ALL], SUCCESS],
      [`${name}: none`, [extension, fn, 0n, 0n], SUCCESS],
      [`${name}: the last hart`, [extension, fn, 4n, 0n], SUCCESS],
      [`${name}: the last hart by the base`, [extension, fn, 1n, 2n], SUCCESS],
      [`${name}: beyond the last`, [extension, fn, 8n, 0n], INVALID_PARAM],
      [`${name}: bit 63`, [extension, fn, 1n << 63n, 0n], INVALID_PARAM],
      [`${name}: one of two does not exist`, [extension, fn, 3n, 2n], INVALID_PARAM],
      [`${name}: a base beyond the last`, [extension, fn, 1n, 3n], INVALID_PARAM],
      [`${name}: a base beyond the last, no mask`, [extension, fn, 0n, 3n], INVALID_PARAM],
      [`${name}: -2 is no base`, [extension, fn, 1n, -2n], INVALID_PARAM],
      [`${name}: nor is 2^64 - 1024`, [extension, fn, 1n, -1024n], INVALID_PARAM],
      [`${name}: nor is 2^32 - 1`, [extension, fn, 1n, 0xffff_ffffn], INVALID_PARAM],
    ];
  });
  const fences = [1n, 2n].flatMap((fn): Case[] => {
    const range = (what: string, start: bigint, size: bigint, error: bigint): Case => [
      `remote fence ${fn}: ${what}`,
      [RFENCE, fn, 0n, ALL, start, size, 1n],
      error,
    ];
    return [
      range('everything', 0n, 0n, SUCCESS),
      range('everything by its size', 0x1000n, -1n, SUCCESS),
      range('a page', 0x1000n, 0x1000n, SUCCESS),
      range('nothing', 0x1000n, 0n, SUCCESS),
      range('the last page there is', -0x1000n, 0x1000n, SUCCESS),
      range('beyond the last page', -0x1000n, 0x1001n, INVALID_ADDRESS),
      range('beyond it by far', 1n << 63n, (1n << 63n) + 1n, INVALID_ADDRESS),
      range('all but one address, from the second', 2n, -2n, SUCCESS),
      range('all but one address, from the third', 3n, -2n, INVALID_ADDRESS),
    ];
  });
  const text: Case[] = [0n, 1n].flatMap((fn): Case[] => {
    const memory = (what: string, length: bigint, low: bigint, high: bigint, error: bigint): Case => [
      `debug console ${fn === 0n ? 'write' : 'read'}: ${what}`,
      [DBCN, fn, length, low, high],
      error,
    ];
    return [
      memory('nothing', 0n, DATA, 0n, SUCCESS),
      memory('the last bytes of memory', 8n, END - 8n, 0n, SUCCESS),
      memory('beyond the last', 9n, END - 8n, 0n, INVALID_PARAM),
      memory('far beyond the last', 1n << 62n, DATA, 0n, INVALID_PARAM),
      memory('as many as there can be', -1n, DATA, 0n, INVALID_PARAM),
      memory('before the first', 8n, RAM - 4n, 0n, INVALID_PARAM),
      memory('device registers', 8n, 0x1000_0000n, 0n, INVALID_PARAM),
      memory('address 0', 8n, 0n, 0n, INVALID_PARAM),
      memory('a high address word', 8n, DATA, 1n, INVALID_PARAM),
      memory('a high address word of which the low half is 0', 8n, DATA, 1n << 32n, INVALID_PARAM),
      memory('an address above the low 32 bits', 8n, DATA | (1n << 40n), 0n, INVALID_PARAM),
      memory('the highest address', 8n, -8n, 0n, INVALID_PARAM),
    ];
  });
  const resets: Case[] = [
    ['a reserved type', [SRST, 0n, 3n, 0n], INVALID_PARAM],
    ['the last reserved type', [SRST, 0n, 0xefff_ffffn, 0n], INVALID_PARAM],
    ['a type of a vendor', [SRST, 0n, 0xf000_0000n, 0n], INVALID_PARAM],
    ['the last type, extended by its sign', [SRST, 0n, -1n, 0n], INVALID_PARAM],
    ['a reserved reason', [SRST, 0n, 0n, 2n], INVALID_PARAM],
    ['the last reserved reason', [SRST, 0n, 0n, 0xdfff_ffffn], INVALID_PARAM],
    ['a reason of an implementation', [SRST, 0n, 0n, 0xe000_0000n], INVALID_PARAM],
    ['a reason of a vendor', [SRST, 0n, 1n, 0xf000_0000n], INVALID_PARAM],
    ['the last reason, extended by its sign', [SRST, 0n, 1n, -1n], INVALID_PARAM],
  ];
  const harts: Case[] = [
    ['start a hart that does not exist', [HSM, 0n, 3n, DATA], INVALID_PARAM],
    ['start hart -1', [HSM, 0n, -1n, DATA], INVALID_PARAM],
    ['start hart 2^32 + 1', [HSM, 0n, (1n << 32n) | 1n, DATA], INVALID_PARAM],
    ['start oneself', [HSM, 0n, 0n, DATA], ALREADY_AVAILABLE],
    ['start at address 0', [HSM, 0n, 1n, 0n], INVALID_ADDRESS],
    ['start before memory', [HSM, 0n, 1n, RAM - 4n], INVALID_ADDRESS],
    ['start behind memory', [HSM, 0n, 1n, END], INVALID_ADDRESS],
    ['start at device registers', [HSM, 0n, 1n, 0x1000_0000n], INVALID_ADDRESS],
    ['start at an address above the low 32 bits', [HSM, 0n, 1n, DATA | (1n << 40n)], INVALID_ADDRESS],
    ['start at -2', [HSM, 0n, 1n, -2n], INVALID_ADDRESS],
    ['start between two instructions', [HSM, 0n, 1n, DATA + 1n], INVALID_ADDRESS],
    ['the state of a hart that does not exist', [HSM, 2n, 3n], INVALID_PARAM],
    ['the state of hart -1', [HSM, 2n, -1n], INVALID_PARAM],
  ];
  for (const [group, cases] of Object.entries({ unknown, masks, fences, text, resets, harts })) {
    test(`errors: ${group}`, async () => {
      for (const [what, call, error] of cases) assert.equal(await guest.error(...call), error, what);
      // Whatever was refused has had no effect.
      for (const id of [1n, 2n])
        assert.deepEqual(await guest.call(HSM, 2n, id), [SUCCESS, 1n], `hart ${id} is stopped`);
    });
  }

  test('time: the timer interrupt is pending once its time has come, and not before', async () => {
    const pending = async (time: bigint): Promise<boolean> => {
      assert.equal(await guest.error(TIME, 0n, time), SUCCESS);
      return (guest.get(88) & 0x20n) !== 0n;
    };
    assert.equal(await pending(0n), true);
    assert.equal(await pending(-1n), false);
    assert.equal(await pending(1n), true);
    assert.equal(await pending(1n << 62n), false);
  });

  test('debug console: what is written is said, a byte by itself too; what there is to read is nothing', async () => {
    guest.said = '';
    new TextEncoder().encode('hello').forEach((byte, i) => {
      const { space } = guest.os.partition;
      space.bytes[space.offsetOf(BARE_DATA + 0x400 + i)] = byte;
    });
    assert.deepEqual(await guest.call(DBCN, 0n, 5n, DATA + 0x400n, 0n), [SUCCESS, 5n]);
    // Eight bits count.
    assert.deepEqual(await guest.call(DBCN, 2n, 0xffff_ff21n), [SUCCESS, 0n]);
    assert.deepEqual(await guest.call(DBCN, 1n, 5n, DATA + 0x400n, 0n), [SUCCESS, 0n]);
    await until(() => guest.said === 'hello!', `it said ${guest.said}`);
    // As much as is taken at once, from the middle of a page.
    const [error, written] = await guest.call(DBCN, 0n, 100_000n, DATA + 0x10_0800n, 0n);
    assert.equal(error, SUCCESS);
    assert.ok(written > 0n && written <= 100_000n);
  });

  test('harts: started with their argument, seen as started, interrupted, fenced, stopped, started again', async () => {
    await guest.started(1n, 0x1234_5678_9abc_def0n);
    assert.equal(guest.get(0x148), 0n, 'no translation, interrupts off');
    assert.deepEqual(await guest.call(HSM, 2n, 1n), [SUCCESS, 0n]);
    assert.deepEqual(await guest.call(HSM, 2n, 0n), [SUCCESS, 0n]);
    assert.equal(await guest.error(HSM, 0n, 1n, guest.get(0x80)), ALREADY_AVAILABLE);
    assert.equal(await guest.error(HSM, 0n, 1n, 0n), ALREADY_AVAILABLE);

    assert.equal(guest.get(0x188) & 2n, 0n);
    assert.equal(await guest.error(IPI, 0n, 1n, 1n), SUCCESS);
    await until(() => (guest.get(0x188) & 2n) !== 0n, 'the interrupt arrives');
    for (const fn of [0n, 1n, 2n]) assert.equal(await guest.error(RFENCE, fn, 3n, 0n, 0n, 0n, 0n), SUCCESS);

    guest.set(0x300, 1n);
    for (;;) {
      const [error, state] = await guest.call(HSM, 2n, 1n);
      assert.equal(error, SUCCESS);
      if (state === 1n) break;
      assert.equal(state, 0n);
    }
    await guest.started(1n, 7n);
  });
});

describe('reset', () => {
  const cases: [string, bigint, bigint, string][] = [
    ['shutdown', 0n, 0n, 'shutdown'],
    ['shutdown after a failure', 0n, 1n, 'failure'],
    ['cold reboot', 1n, 0n, 'reboot'],
    ['warm reboot', 2n, 1n, 'reboot'],
    ['shutdown: 32 bits count', 1n << 32n, 1n << 32n, 'shutdown'],
  ];
  for (const [name, type, reason, kind] of cases) {
    test(name, async () => {
      const guest = new Caller();
      guest.begin(SRST, 0n, type, reason);
      assert.equal((await guest.os.ended).kind, kind);
      await guest.os.destroy();
    });
  }
});

/**
 * Harts 0 and 1 start hart 2 over and over, each at an address of its own with an argument of its own; hart 2 looks
 * whether the two belong together, counts, and stops itself. At data: successes of 0 and 1, starts seen from each,
 * mismatches, calls that gave what they must not, and rounds left of each.
 */
const RACING = `
  bnez a0, race
  la s0, data
  li a0, 1
  la a1, race
  li a2, 0
  li a6, 0
  li a7, 0x48534d
  ecall
  li a0, 0
race:
  la s0, data
  mv s1, a0
  slli s2, s1, 3
  add s2, s2, s0
  la s3, first
  beqz s1, round
  la s3, second
round:
  li a0, 2
  mv a1, s3
  addi a2, s1, 1
  li a6, 0
  li a7, 0x48534d
  ecall
  beqz a0, won
  li t0, -6
  beq a0, t0, lost
  li t0, 1
  sd t0, 40(s0)
  j lost
won:
  ld t0, (s2)
  addi t0, t0, 1
  sd t0, (s2)
lost:
  ld t0, 48(s2)
  addi t0, t0, 1
  sd t0, 48(s2)
  li t1, 2000000
  bltu t0, t1, round
done:
  wfi
  j done
first:
  li t1, 1
  j started
second:
  li t1, 2
started:
  la s0, data
  beq a1, t1, agree
  ld t0, 32(s0)
  addi t0, t0, 1
  sd t0, 32(s0)
agree:
  slli t1, t1, 3
  add t1, t1, s0
  ld t0, 8(t1)
  addi t0, t0, 1
  sd t0, 8(t1)
  li a6, 1
  li a7, 0x48534d
  ecall`;

test('two harts that start a third: one is told so, and what it asked for is what happens', async () => {
  const guest = new Caller(RACING);
  const [wins, starts] = [(): bigint[] => [guest.get(0), guest.get(8)], (): bigint[] => [guest.get(16), guest.get(24)]];
  await until(() => guest.get(48) === 2_000_000n && guest.get(56) === 2_000_000n, 'all rounds are over');
  await until(() => starts()[0] + starts()[1] === wins()[0] + wins()[1], 'each success is a start');
  assert.deepEqual(starts(), wins());
  assert.ok(wins()[0] + wins()[1] > 2n, `${wins().join(' and ')} starts`);
  assert.equal(guest.get(32), 0n, 'address and argument belong together');
  assert.equal(guest.get(40), 0n, 'the others are told that it is started already');
  await guest.os.destroy();
});
