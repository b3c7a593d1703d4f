import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import type { MemorySize } from '../guest/memory-size.js';
import type { Holder } from '../guest/pressure.js';
import { MemoryPressure, type PressureTeller } from './memory-pressure.js';

/** Memory of a guest that has given back what it was asked for as soon as it is looked at. */
class Obedient {
  resident: number;
  ceiling: number;
  constructor(
    readonly size: number,
    readonly guaranteed: number,
    private readonly computer: { loose: number },
  ) {
    this.resident = this.ceiling = size;
  }
  get holder(): Holder {
    const { resident, guaranteed, size, ceiling } = this;
    return { resident, guaranteed, size, ceiling, reclaimable: resident };
  }
  ask(): void {
    this.asked++;
  }
  asked = 0;
  lend(ceiling: number): void {
    this.ceiling = ceiling;
    const gives = Math.max(0, this.resident - ceiling);
    this.resident -= gives;
    this.computer.loose += gives;
  }
}

void test('who has more than the guarantee gives under pressure, and has it again when there is enough, not before', () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  const computer: PressureTeller = { onPressure: () => assert.fail('nobody listens') };
  const frames = { total: 100_000, loose: 0 };
  const rich = new Obedient(50_000, 10_000, frames);
  const poor = new Obedient(40_000, 40_000, frames);
  const pressure = new MemoryPressure(computer, frames, () => [rich, poor] as unknown as MemorySize[]);
  try {
    for (let i = 0; i < 3; i++) computer.onPressure(8_000);
    assert.deepEqual([poor.ceiling, rich.size - rich.ceiling, frames.loose], [40_000, 3 * 4096, 3 * 4096]);
    assert.equal(rich.asked, 3, 'how it stands is asked for each time');
    // Less than an eighth is free: that may be wanted any moment.
    mock.timers.tick(1000);
    assert.equal(rich.size - rich.ceiling, 3 * 4096);
    frames.loose = 20_000;
    mock.timers.tick(250);
    assert.equal(rich.ceiling, 50_000 - 3 * 4096 + 3_750, 'half of what is beyond it');
    frames.loose = 100_000;
    mock.timers.tick(250);
    assert.equal(rich.ceiling, 50_000);
    for (let i = 0; i < 100; i++) computer.onPressure(1_000_000);
    assert.deepEqual([rich.ceiling, poor.ceiling], [10_000, 40_000], 'nobody below the guarantee');
    pressure.close();
    mock.timers.tick(10_000);
    computer.onPressure(1000);
    assert.equal(rich.ceiling, 10_000, 'a computer that is switched off lends nothing any more');
  } finally {
    mock.timers.reset();
  }
});
