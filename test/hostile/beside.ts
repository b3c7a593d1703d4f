/** Boots hostile guests beside an honest one and tells what the honest one, and the host, had to wait. */
import assert from 'node:assert/strict';
import { Computer, type Instance, type KernelBoot } from '../../src/index.js';
import { MIB } from '../testing/images.js';
import { honest, ROUNDS } from './bare-guest.js';

const MEMORY = 32 * MIB;
/** How long each is watched (ms). */
const WATCHED = 1000;
/**
 * What one may have to wait on a busy machine of two cores that the hostile guests' harts share (ms). The faults
 * this is for were seconds long; a turn of the main thread is 12 ms.
 */
const LONGEST = 250;
/** A machine that others keep busy may be late by chance, the faults were there each time: so many attempts. */
const ATTEMPTS = 3;
/** What the process may grow by meanwhile (bytes). */
const GROWTH = 96 * MIB;

export interface Observation {
  /** Milliseconds between ticks of the honest guest, between turns of the event loop, and for an echo: the longest. */
  readonly tick: number;
  readonly loop: number;
  readonly echo: number;
  readonly growth: number;
  /** Rounds that the hostile guests have counted. */
  readonly rounds: readonly number[];
  readonly guests: readonly Instance[];
}

export interface Hostile extends Omit<KernelBoot, 'memory' | 'kernel'> {
  readonly kernel: Uint8Array;
}

/** Watches an honest guest beside hostile ones; `watch` may look at them before they are switched off. */
export async function beside(
  hostile: readonly Hostile[],
  watch: (seen: Observation) => void | Promise<void> = () => undefined,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const seen = await observe(hostile, watch);
    const late = (['tick', 'loop', 'echo'] as const).filter((what) => seen[what] >= LONGEST);
    if (late.length === 0) return;
    const waits = late.map((what) => `for a ${what} ${seen[what].toFixed()} ms`);
    assert.ok(attempt < ATTEMPTS, `the longest wait was ${waits.join(', ')}`);
  }
}

async function observe(
  hostile: readonly Hostile[],
  watch: (seen: Observation) => void | Promise<void>,
): Promise<Observation> {
  const harts = hostile.reduce((sum, h) => sum + (h.harts ?? 1), 1);
  const computer = await Computer.create({ memory: (hostile.length + 1) * (MEMORY + 4 * MIB) + 16 * MIB, harts });
  try {
    const good = await computer.boot({ kernel: honest(), console: 'ttyS0', memory: MEMORY, network: false });
    const ticks = new Waits();
    const echoes = new Waits();
    let sent = 0;
    let echoed = 0;
    good.console.listen((bytes) => {
      for (const byte of bytes) {
        if (byte === 46) ticks.mark();
        else echoed++;
      }
    });
    await until(() => ticks.count > 3, 'the honest guest ticks');

    const guests: Instance[] = [];
    const before = process.memoryUsage().rss;
    let most = before;
    for (const options of hostile) {
      guests.push(await computer.boot({ console: 'hvc0', network: false, ...options, memory: MEMORY }));
    }
    const loop = new Waits();
    ticks.forget();
    loop.mark();
    echoes.mark();
    const end = performance.now() + WATCHED;
    while (performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      loop.mark();
      most = Math.max(most, process.memoryUsage.rss());
      if (echoed < sent) continue;
      echoes.mark();
      sent++;
      await good.console.write('x');
    }
    ticks.mark();
    echoes.mark();
    const rounds = guests.map((guest) => roundsOf(guest));
    const seen = {
      ...{ tick: ticks.longest, loop: loop.longest, echo: echoes.longest },
      ...{ growth: most - before, rounds, guests },
    };
    if (process.env['HOSTILE_SHOW'] !== undefined) {
      const { tick, echo, growth } = seen;
      console.log(
        `tick ${tick.toFixed()} loop ${seen.loop.toFixed()} echo ${echo.toFixed()} ms, ${(growth / MIB).toFixed()} MiB, ${rounds.join(' and ')} rounds`,
      );
    }
    await watch(seen);
    assert.ok(echoed > 3, `${echoed} echoes`);
    assert.ok(seen.growth < GROWTH, `the process grew by ${(seen.growth / MIB).toFixed()} MiB`);
    const started = performance.now();
    await Promise.all(guests.map((guest) => guest.destroy()));
    assert.ok(performance.now() - started < 2000, 'they are switched off when they are told to');
    return seen;
  } finally {
    await computer.close();
  }
}

/** What a hostile guest has counted; 0 when it is gone already. */
function roundsOf({ os }: Instance): number {
  const at = os.partition.space.offsetOf(ROUNDS);
  if (at < 0) return 0;
  return Number(new DataView(os.partition.space.bytes.buffer).getBigUint64(at, true));
}

/** The longest time between two marks. */
class Waits {
  count = 0;
  longest = 0;
  #last: number | undefined;

  mark(): void {
    const now = performance.now();
    if (this.#last !== undefined) this.longest = Math.max(this.longest, now - this.#last);
    this.#last = now;
    this.count++;
  }
  forget(): void {
    this.longest = 0;
  }
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (const end = performance.now() + 20_000; !condition();) {
    assert.ok(performance.now() < end, what);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
