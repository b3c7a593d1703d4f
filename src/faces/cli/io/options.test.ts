import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { UsageError } from '../usage.js';
import { parseIoOptions, type IoOptions } from './options.js';
import { showCounts, showDevices, showRecord, showSwitch } from './show.js';

const parse = (line: string): IoOptions => {
  const options = parseIoOptions(line.split(' '));
  assert.notEqual(options, 'help');
  return options as IoOptions;
};

test('what is typed becomes a request', () => {
  assert.deepEqual(parse('list --json'), { request: { do: 'list' }, json: true });
  assert.deepEqual(parse('step-away nic0 --machine web --timeout 500ms'), {
    request: { do: 'step-away', device: 'nic0', timeout: 500 },
    machine: 'web',
    json: false,
  });
  assert.deepEqual(parse('watch nic0 --pcap - --for 30s'), {
    request: { do: 'watch', device: 'nic0', what: 'all' },
    pcap: '-',
    lasts: 30_000,
    json: false,
  });
  assert.deepEqual(parse('watch disk0 --count').request, { do: 'watch', device: 'disk0', what: 'count' });
  assert.deepEqual(parse('limit disk0 --bytes 10M/s --operations 500/s').request, {
    do: 'limit',
    device: 'disk0',
    rule: { bytesPerSecond: 10 * 2 ** 20, operationsPerSecond: 500 },
  });
  assert.deepEqual(parse('disturb disk0 --errors 1% --latency 5ms --requests read,write --first 8').request, {
    do: 'disturb',
    device: 'disk0',
    rule: { errors: 0.01, latency: 5, requests: ['read', 'write'], first: 8 },
  });
  assert.deepEqual(parse('disturb nic0 --loss 0.1 --direction in').request, {
    do: 'disturb',
    device: 'nic0',
    rule: { loss: 0.1, direction: 'in' },
  });
  assert.deepEqual(parse('move disk0 --to other.img').request, {
    do: 'move',
    device: 'disk0',
    path: resolve('other.img'),
    overwrite: false,
  });
  assert.deepEqual(parse('share disk0 --read-only --command true').request, {
    do: 'share',
    device: 'disk0',
    rule: { readOnly: true },
    script: 'true',
  });
  assert.equal(parseIoOptions(['--help']), 'help');
});

for (const [line, complaint] of [
  ['fly disk0', /there is no "io fly"/],
  ['constructor disk0', /there is no/],
  ['interpose', /needs a device/],
  ['interpose ../x', /no device/],
  ['interpose nic0 nic1', /takes no nic1/],
  ['list nic0', /takes no nic0/],
  ['list --for 3s', /takes no --for/],
  ['watch disk0 --bytes 3', /takes no --bytes/],
  ['watch nic0 --pcap x --count', /either/],
  ['watch nic0 --pcap - --json', /either/],
  ['limit disk0', /--bytes, --operations/],
  ['limit disk0 --bytes much', /10M\/s/],
  ['limit disk0 --bytes 0', /at least one/],
  ['disturb disk0 --errors 2', /from 0 to 1/],
  ['disturb disk0 --latency 5', /30s or 500ms/],
  ['disturb disk0 --requests seek', /read, write/],
  ['disturb nic0 --direction up', /in and out/],
  ['disturb nic0 --direction in', /needs/],
  ['move disk0', /--to FILE/],
  ['share disk0 --overlay', /--command/],
  ['list --machine -x', /machine/],
  ['watch disk0 --for 2h', /at most an hour/],
] as const) {
  test(`"io ${line}" makes no sense`, () => {
    assert.throws(
      () => parseIoOptions(line.split(' ')),
      (error) => error instanceof UsageError && complaint.test(error.message),
    );
  });
}

test('answers in words, whatever is in them', () => {
  const device = { id: 'nic0', kind: 'nic', mode: 'direct', user: null, counters: { interposed: 1, steppedAway: 2 } };
  assert.match(showDevices({ machine: 'web', devices: [device, 7] }), /nic0 +nic +direct +– +3/);
  assert.equal(
    showSwitch({ device: 'nic0', mode: 'direct', waitMs: 0.25, switchMs: 1.5 }),
    'nic0 is direct: waited 0.250 ms, switched in 1.50 ms\n',
  );
  assert.equal(
    showRecord({ at: 1500, kind: 'read', sector: 8, sectors: 2, ms: 0.5, ok: false }),
    '1.500 read sector 8 +2 0.500 ms I/O error\n',
  );
  assert.equal(showCounts({ counts: { read: 1 }, bytes: { read: 512 } }), 'requests: read 1\nbytes: read 512\n');
});
