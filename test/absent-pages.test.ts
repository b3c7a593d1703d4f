/** OS instances with more memory than the computer has: what is promised holds, and who goes too far hurts nobody else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { Computer, type Instance } from '../src/index.js';
import { LogicalAddressSpace, RAM_START } from '../src/partition/address-space.js';
import { BareGuest, enable, F_WRITE, fill, FREE, honest, SBI, sbi, start, TICK } from './hostile/bare-guest.js';
import { MIB } from './testing/images.js';

const print = (text: string): string => sbi(SBI.console, 2, text.charCodeAt(0));

/**
 * Writes to `pages` pages one after the other, in user mode or in supervisor mode, prints D and ends well. Meanwhile it
 * prints a dot at each tick, and `atOnce` pages at each tick if it is not to go as fast as it can. An access fault it tells
 * by its cause, and touches no more.
 */
const eater = (pages: number, mode: 'U' | 'S' = 'S', atOnce = 0): Uint8Array =>
  new BareGuest().image(`
  la t0, trap
  csrw stvec, t0
  li t0, 32
  csrs sie, t0
  csrr t0, time
  csrw stimecmp, t0
  li s2, ${FREE}
  li s3, ${pages}
  li s4, ${atOnce}
  li s5, ${atOnce}
  lui s6, 1
  la t0, eat
  csrw sepc, t0
  li t0, 0x122
  csrc sstatus, t0
  li t0, ${mode === 'S' ? 0x120 : 0x20}
  csrs sstatus, t0
  sret
eat:
  sd s2, (s2)
  ld t3, (s2)
  bne t3, s2, eat
  add s2, s2, s6
  addi s3, s3, -1
  beqz s3, done
  beqz s4, eat
  addi s5, s5, -1
  bnez s5, eat
pause:
  beqz s5, pause
  j eat
done:
  ${mode === 'S' ? print('D') : 'ecall'}
idle:
  wfi
  j idle
.align 2
trap:
  csrr t0, scause
  blt t0, zero, tick
  addi a0, t0, 48
  li a7, ${SBI.console}; li a6, 2; ecall
  la t0, over
  csrw sepc, t0
  li t0, 0x120
  csrs sstatus, t0
  sret
over:
  wfi
  j over
tick:
  csrr t0, time
  li t1, ${TICK * 10_000}
  add t0, t0, t1
  csrw stimecmp, t0
  ${print('.')}
  mv s5, s4
  sret
`);

const bare = { console: 'ttyS0', network: false } as const;

async function withComputer(memory: number, use: (computer: Computer) => Promise<void>): Promise<void> {
  const computer = await Computer.create({ memory: memory * MIB, harts: 2, network: false });
  try {
    await use(computer);
  } finally {
    await computer.close();
  }
}

const resident = (instance: Instance): number => instance.os.partition.space.resident;

/** Resolves when the instance waits for frames, of which the computer has none for it. */
async function starving(instance: Instance): Promise<void> {
  const { space } = instance.os.partition;
  for (const end = performance.now() + 20_000; !space.starving; await wait(2))
    assert.ok(performance.now() < end, 'it eats');
  await wait(50);
}

test('a kernel that touches more than there is ends, with a reason; its neighbour has all that it was promised', () =>
  withComputer(48, async (computer) => {
    const free = computer.freeMemory;
    const pressure: number[] = [];
    computer.vmm.onPressure = (frames) => {
      assert.ok(computer.freeMemory > 0 || pressure.length > 0, 'told before the last frame is gone');
      pressure.push(frames);
    };
    const promised = 16 * MIB;
    const modest = await computer.boot({
      ...bare,
      name: 'modest',
      kernel: eater(3000, 'S', 20),
      memory: 40 * MIB,
      guaranteed: promised,
    });
    await modest.console.waitFor('...');
    const greedy = await computer.boot({
      ...bare,
      name: 'greedy',
      kernel: eater(30_000),
      memory: 160 * MIB,
      guaranteed: 0,
    });
    await starving(greedy);
    const starved = performance.now();
    await greedy.console.waitFor('.....');
    // Who waits for a frame can be made to stand still as anybody can.
    await greedy.pause();
    greedy.resume();
    const end = await greedy.ended;
    assert.ok(performance.now() - starved < 15_000);
    assert.equal(end.kind, 'out-of-frames');
    assert.match(
      'message' in end ? end.message : '',
      /greedy has \d+ MiB of its 160 MiB, of which 0 MiB are guaranteed/,
    );
    assert.ok(pressure.length > 0 && pressure.every((frames) => frames > 0), pressure.join());

    await modest.console.waitFor('D', { timeout: 30_000 });
    assert.ok(resident(modest) >= 3000);
    await modest.destroy();
    assert.equal(computer.freeMemory, free);
  }));

test('who waits for memory goes on when somebody gives some', () =>
  withComputer(48, async (computer) => {
    const other = await computer.boot({ ...bare, kernel: honest(), memory: 32 * MIB });
    const hungry = await computer.boot({ ...bare, kernel: eater(7000), memory: 80 * MIB, guaranteed: MIB });
    await starving(hungry);
    await other.destroy();
    await hungry.console.waitFor('D', { timeout: 20_000 });
    assert.ok(resident(hungry) >= 7000);

    // And who waits is switched off at once.
    const more = await computer.boot({ ...bare, kernel: eater(20_000), memory: 90 * MIB, guaranteed: 0 });
    await starving(more);
    const start = performance.now();
    await more.destroy();
    assert.ok(performance.now() - start < 2000);
    assert.deepEqual(await more.ended, { kind: 'stopped' });
  }));

test('a process that touches more than there is gets an access fault, and its kernel goes on', () =>
  withComputer(48, async (computer) => {
    const guest = await computer.boot({ ...bare, kernel: eater(30_000, 'U'), memory: 160 * MIB, guaranteed: 0 });
    // 7: a store to memory that may not be accessed (privileged specification, 12.1.8).
    await guest.console.waitFor('7', { timeout: 20_000 });
    await guest.console.waitFor('.....');
    assert.ok(!/[D58]/.test(guest.console.text));
  }));

/** Takes all frames that are promised to nobody, as many as devices would have too, until it is released. */
function hog(computer: Computer, ...from: readonly Instance[]): LogicalAddressSpace {
  for (const { os } of from) os.partition.space.giveBackReserve();
  const space = new LogicalAddressSpace(computer.vmm.machine, 2 ** 16, 0);
  for (let page = 0; space.fill(page); page++);
  return space;
}

test('a device that is to write where there is no frame, nor will be, ends the instance with the same reason', () =>
  withComputer(48, async (computer) => {
    const guest = new BareGuest();
    const entropy = guest.queue(2, 0, 4, [{ address: FREE, length: 4096, flags: F_WRITE }]);
    const kernel = guest.image(`
      ${enable(2)}
      ${start(2, [entropy])}
      ${print('R')}
      li s0, 0x10000000
    wait:
      lbu t0, 5(s0)
      andi t0, t0, 1
      beqz t0, wait
      lbu t0, (s0)
      ${fill(entropy)}
      li t2, ${FREE}
    look:
      ld t0, (t2)
      beqz t0, look
      ${print('D')}
    idle:
      wfi
      j idle`);
    const boot = (): Promise<Instance> => computer.boot({ ...bare, kernel, memory: 32 * MIB, guaranteed: 2 * MIB });
    const lucky = await boot();
    await lucky.console.waitFor('R');
    const all = hog(computer, lucky);
    await lucky.console.write('x');
    await lucky.console.waitFor('D');
    await lucky.destroy();
    all.release();

    const unlucky = await computer.boot({ ...bare, kernel, memory: 32 * MIB, guaranteed: 0 });
    await unlucky.console.waitFor('R');
    const nothing = hog(computer, unlucky);
    await unlucky.console.write('x');
    assert.equal((await unlucky.ended).kind, 'out-of-frames');
    nothing.release();
  }));

test('a boot for which there is not even memory for what is loaded is refused, and nothing is taken', () =>
  withComputer(48, async (computer) => {
    const { freeMemory } = computer;
    const options = { ...bare, kernel: honest(), initramfs: new Uint8Array(64 * MIB), memory: 256 * MIB };
    await assert.rejects(computer.boot({ ...options, guaranteed: 0 }), { code: 'no-frames' });
    await assert.rejects(computer.boot({ ...options, guaranteed: 80 * MIB }), { code: 'no-frames' });
    await assert.rejects(computer.boot({ ...options, guaranteed: 257 * MIB }), { code: 'invalid' });
    assert.deepEqual([computer.freeMemory, computer.freeHarts], [freeMemory, 2]);
  }));

test('code that lay in a page which was given back is executed no more, hot as it may be', () =>
  withComputer(48, async (computer) => {
    const kernel = new BareGuest().image(`
      la t0, trap
      csrw stvec, t0
      li s0, ${FREE}
      la t0, code
      ld t1, (t0)
      sd t1, (s0)
      fence.i
      ${print('R')}
    loop:
      jalr ra, 0(s0)
      j loop
    .align 3
    code:
      addi s1, s1, 1
      jalr zero, 0(ra)
    .align 2
    trap:
      csrr t0, scause
      csrr s2, sepc
      addi a0, t0, 48
      li a7, ${SBI.console}; li a6, 2; ecall
    idle:
      wfi
      j idle`);
    const guest = await computer.boot({ ...bare, kernel, memory: 32 * MIB, guaranteed: 0 });
    await guest.console.waitFor('R');
    await wait(200);
    const { space, blocks } = guest.os.partition;
    const count = (): bigint => computer.vmm.machine.view.getBigUint64(blocks[0] + 8 * 9, true);
    assert.ok(space.giveBack((FREE - RAM_START) / 4096));
    await space.settled();
    // 2: zeros are no instruction (privileged specification, 12.1.8).
    await guest.console.waitFor('2');
    const after = count();
    assert.ok(after > 10_000n, `${after} calls`);
    await wait(50);
    assert.equal(count(), after);
  }));

test('a frame that was given back is out of reach for who had it, before anybody else has it', () =>
  withComputer(48, async (computer) => {
    const pages = 64;
    const code = (hart: number): string => `
    again${hart}:
      li s2, ${FREE + 8 * hart}
      li s3, ${pages}
      lui s6, 1
    write${hart}:
      ${hart === 0 ? 'sd s2, 16(s2)' : 'amoadd.d zero, s3, (s2)'}
      add s2, s2, s6
      addi s3, s3, -1
      bnez s3, write${hart}
      j again${hart}`;
    const kernel = new BareGuest().image(`
      la t0, second
      mv a1, t0
      li a0, 1
      li a2, 0
      li a7, ${SBI.hsm}
      li a6, 0
      ecall
      ${print('R')}
      ${code(0)}
    second:
      ${code(1)}`);
    const attacker = await computer.boot({ ...bare, kernel, memory: 32 * MIB, guaranteed: 0, harts: 2 });
    await attacker.console.waitFor('R');
    const { space } = attacker.os.partition;
    const { bytes } = computer.vmm.machine;
    const first = (FREE - RAM_START) / 4096;
    const victim = new LogicalAddressSpace(computer.vmm.machine, pages, 0);
    const mine = (page: number): Uint8Array => bytes.subarray(victim.frameOf(page) * 4096).subarray(0, 4096);
    let given = 0;
    for (let round = 0; round < 25; round++) {
      for (let page = 0; page < pages; page++) if (space.giveBack(first + page)) given++;
      await space.settled();
      for (let page = 0; page < pages; page++) {
        assert.ok(victim.fill(page));
        assert.ok(
          mine(page).every((byte) => byte === 0),
          'it is clean',
        );
        mine(page).fill(round + 1);
      }
      await wait(round % 10 === 0 ? 2 : 0);
      for (let page = 0; page < pages; page++) {
        assert.ok(
          mine(page).every((byte) => byte === ((round + 1) & 0xff)),
          `round ${round}: somebody has written`,
        );
        victim.giveBack(page);
      }
      await victim.settled();
    }
    assert.ok(given > pages * 5, `${given} frames were given back`);
    victim.release();
  }));
