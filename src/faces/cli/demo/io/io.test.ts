import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ComputerDevice, DeviceMode } from '../../../../interposition/device.js';
import { InterpositionError } from '../../../../interposition/errors.js';
import { UsageError } from '../../usage.js';
import { parseDemoIoOptions } from './options.js';
import { emptyResult, spreadOf } from './result.js';
import { switchAtRandom, type SwitchEvent } from './switcher.js';
import { drawIoResult } from './table.js';
import { parseReport, REPORT_SIZE } from './workload.js';

test('options', () => {
  assert.deepEqual(parseDemoIoOptions([]), { switches: 100, seconds: 10, kernel: 'trixie', json: false });
  assert.deepEqual(parseDemoIoOptions(['--switches', '20', '--seconds', '3', '--kernel', 'backports', '--json']), {
    switches: 20,
    seconds: 3,
    kernel: 'backports',
    json: true,
  });
  assert.equal(parseDemoIoOptions(['--help']), 'help');
  for (const args of [['--switches', '0'], ['--seconds', 'x'], ['--kernel', '12'], ['--warp'], ['more']]) {
    assert.throws(() => parseDemoIoOptions(args), UsageError, args.join(' '));
  }
});

test('a spread is by nearest rank', () => {
  assert.deepEqual(spreadOf([]), { p50: 0, p99: 0, max: 0 });
  assert.deepEqual(spreadOf([3, 1, 2]), { p50: 2, p99: 3, max: 3 });
  assert.deepEqual(spreadOf(Array.from({ length: 200 }, (_, i) => 200 - i)), { p50: 100, p99: 198, max: 200 });
});

test('what is no report is none', () => {
  assert.equal(parseReport(new Uint8Array(REPORT_SIZE)), undefined);
  assert.equal(parseReport(new Uint8Array(REPORT_SIZE - 1)), undefined);
});

/** Devices that change their mode, as far as the switcher looks at them. */
function modes(count: number, refuse: () => boolean = () => false) {
  return Array.from({ length: count }, (_, i) => {
    let mode: DeviceMode = 'direct';
    const change = (to: DeviceMode) => () => {
      if (refuse()) return Promise.reject(new InterpositionError('busy', 'something goes on'));
      mode = to;
      return Promise.resolve({ waitMs: 1, switchMs: 2 });
    };
    const device = {
      id: `device${i}`,
      get mode() {
        return mode;
      },
      interpose: change('interposed'),
      stepAway: change('direct'),
    };
    return device as unknown as ComputerDevice;
  });
}

const never = new AbortController().signal;

for (const switches of [1, 2, 7, 40]) {
  test(`${switches} switches are ${switches}, and leave ${switches % 2} device interposed`, async () => {
    const devices = modes(3);
    const events: SwitchEvent[] = [];
    await switchAtRandom(devices, { switches, milliseconds: 0, signal: never, onSwitch: (e) => void events.push(e) });
    assert.equal(events.length, switches);
    assert.equal(devices.filter(({ mode }) => mode === 'interposed').length, switches % 2);
  });
}

test('a switch that is refused is asked for again, but not for ever', async () => {
  let calls = 0;
  let made = 0;
  const onSwitch = (): void => {
    made++;
  };
  const refused = await switchAtRandom(
    modes(2, () => ++calls % 2 === 1),
    { switches: 6, milliseconds: 0, signal: never, onSwitch },
  );
  assert.deepEqual([made, refused], [6, 6]);
  await assert.rejects(
    switchAtRandom(
      modes(1, () => true),
      { switches: 1, milliseconds: 0, signal: never, onSwitch },
    ),
    { code: 'busy' },
  );
});

test('a signal ends the switching', async () => {
  const controller = new AbortController();
  const options = { switches: 5, milliseconds: 60_000, signal: controller.signal, onSwitch: () => undefined };
  const switching = switchAtRandom(modes(1), options);
  controller.abort(new Error('enough'));
  await assert.rejects(switching, /enough/);
});

test('the table says what was wrong', () => {
  const good = drawIoResult({ ...emptyResult(), ok: true, kernel: '6.12', requests: 5, transfers: 1 }, {});
  assert.match(good, /✓ lost +0/);
  assert.match(good, /did not notice/);
  const bad = drawIoResult({ ...emptyResult(), lost: 3, kernelMessages: ['I/O error'] }, {});
  assert.match(bad, /✗ lost +3/);
  assert.match(bad, /✗ +I\/O error/);
  assert.match(bad, /did not go as it should/);
});
