/** Guests that call the SBI for ever, each beside one that does no harm. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BareGuest, forever, FREE, SBI, sbi } from './bare-guest.js';
import { beside, type Observation } from './beside.js';

const busy =
  (least = 100) =>
  ({ rounds }: Observation): void => {
    for (const count of rounds) assert.ok(count >= least, `${count} rounds`);
  };

/** Two harts: what the first does for ever, and what the second does. */
const two = (first: string, second: string): Uint8Array =>
  new BareGuest().image(`
    li t0, 1; beq a0, t0, second
    li a0, 1; la a1, second; li a7, ${SBI.hsm}; li a6, 0; ecall
    ${forever(first)}
    second: ${second}`);

const startSecond = `li a0, 1; la a1, second; li a7, ${SBI.hsm}; li a6, 0; ecall`;

describe('SBI calls without end', () => {
  test('text for the debug console', () =>
    beside([{ kernel: new BareGuest().image(forever(sbi(SBI.console, 0, 4096, FREE, 0))) }], busy()));
  test('bytes for the debug console', () =>
    beside([{ kernel: new BareGuest().image(forever(sbi(SBI.console, 2, 65))) }], busy()));
  test('text for the debug console from two harts', () => {
    const print = sbi(SBI.console, 0, 4096, FREE, 0);
    return beside([{ kernel: two(print, forever(print, 'other')), harts: 2 }], busy());
  });
  test('interrupts between harts', () => {
    const both = sbi(SBI.ipi, 0, 3, 0);
    return beside([{ kernel: two(both, forever(both, 'other')), harts: 2 }], busy());
  });
  test('remote fences', () => {
    const both = sbi(SBI.rfence, 1, 3, 0, 0, -1);
    return beside([{ kernel: two(both, forever(both, 'other')), harts: 2 }], busy(20));
  });
  test('harts that start and stop', () => beside([{ kernel: two(startSecond, sbi(SBI.hsm, 1)), harts: 2 }], busy()));
  test('calls that do not exist', () =>
    beside([{ kernel: new BareGuest().image(forever('addi a7, a7, 1; ecall')) }], busy()));
  test('resets of a kind that does not exist', () =>
    beside([{ kernel: new BareGuest().image(forever(sbi(SBI.reset, 0, 0x1234, 0))) }], busy()));
  test('resets of two harts that start each other again: one is enough', () => {
    const again = `li a0, 1; la a1, second; li a7, ${SBI.hsm}; li a6, 0; ecall\n${sbi(SBI.reset, 0, 1, 0)}`;
    const second = forever(
      `li a0, 0; la a1, second; li a7, ${SBI.hsm}; li a6, 0; ecall\n${sbi(SBI.reset, 0, 1, 0)}`,
      'other',
    );
    return beside([{ kernel: two(again, second), harts: 2 }], async ({ guests }) => {
      assert.equal((await guests[0].ended).kind, 'reboot');
    });
  });
});
