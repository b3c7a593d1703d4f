/** Whatever is said where a number, a word or a disk is wanted is refused, in words, before anything is taken. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { nodeSystem } from '../adapters/node/system.js';
import { MemoryDisk } from '../computer/virtio/block-backend.js';
import { BARE_MEMORY, bareKernel, COUNTING } from '../guest/testing/bare-kernel.js';
import type { DiskDevice } from '../interposition/kinds/disk.js';
import { Computer } from './computer.js';
import type { Instance } from './instance.js';

const ODD = {
  NaN,
  '-1': -1,
  '0': 0,
  '1.5': 1.5,
  Infinity,
  '2**53': 2 ** 53,
  "'1'": '1',
  "''": '',
  true: true,
  null: null,
  '{}': {},
  '[]': [],
  '10n': 10n,
  symbol: Symbol('odd'),
  date: new Date(1),
  NUL: '\0',
  long: 'a'.repeat(1e6),
} as const;
type Odd = keyof typeof ODD;

/** A sentence, and not what was given. */
const LONGEST_MESSAGE = 300;
const kernel = bareKernel(COUNTING);

let computer: Computer;
let guest: Instance;
let disk: DiskDevice;

before(async () => {
  computer = new Computer(nodeSystem, { memory: 4 * BARE_MEMORY, maxMemory: 5 * BARE_MEMORY, harts: 2, maxHarts: 3 });
  disk = await computer.addDisk(new MemoryDisk(new Uint8Array(4096)));
  const sizes = { memory: BARE_MEMORY, maxMemory: 2 * BARE_MEMORY, maxHarts: 2 };
  guest = await computer.boot({ kernel, name: 'odd', ...sizes, weight: 100 });
});
after(() => computer.close());

/** Everything that something said could take, or change. */
const state = (): unknown => {
  const { weight, cpu } = guest.share ?? {};
  const taken = [...computer.devices].map(({ id }) => id);
  return [computer.freeMemory, computer.freeHarts, taken, computer.instances.length, guest.harts, weight, cpu];
};

const bootWith = async (options: object): Promise<void> => {
  const booted = await computer.boot({ kernel, memory: BARE_MEMORY, weight: 100, ...options });
  await booted.destroy();
};
const boots =
  (key: string) =>
  (value: unknown): Promise<void> =>
    bootWith({ [key]: value });
const makes =
  (key: string) =>
  async (value: unknown): Promise<void> => {
    const made = new Computer(nodeSystem, { memory: BARE_MEMORY, harts: 1, [key]: value });
    await made.close();
  };
const adds =
  (key: string) =>
  async (value: unknown): Promise<void> =>
    computer.devices.remove(computer.addNic({ [key]: value }));
const file = (key: string) => async (value: unknown) => computer.addDisk({ path: '/nowhere/disk.img', [key]: value });

/** What is not refused as `invalid`: it means something, or another says what is wrong with it (the code). */
type Meaning = Partial<Record<Odd, 'means something' | (string & {})>>;
const means = (...odd: Odd[]): Meaning => Object.fromEntries(odd.map((each) => [each, 'means something']));
const every = (code: string, ...odd: Odd[]): Meaning => Object.fromEntries(odd.map((each) => [each, code]));
const SHARE = every('BAD_CONFIG', ...(Object.keys(ODD) as Odd[]));
const OBJECT = { ...means('{}') };
const TIME = every('no-hands', '0', '1.5', 'Infinity', '2**53');
const PATH = every('missing', "'1'");

type Row = readonly [option: string, say: (value: never) => unknown, meaning?: Meaning];
const ROWS: readonly Row[] = [
  ...['memory', 'maxMemory', 'harts', 'maxHarts'].map((key): Row => [`computer ${key}`, makes(key)]),
  ['computer profile', makes('profile'), means('true')],
  ['computer network', makes('network'), OBJECT],
  ...['memory', 'maxMemory', 'harts', 'maxHarts', 'weight', 'columns', 'rows'].map((key): Row => [key, boots(key)]),
  ['guaranteed', boots('guaranteed'), means('0')],
  ['cpu', boots('cpu'), means('1.5', 'Infinity', '2**53')],
  ['name', boots('name'), means("'1'")],
  ['network', boots('network'), means('true', '{}')],
  ['network bandwidth', (bandwidth) => bootWith({ network: { bandwidth } }), { ...SHARE, ...means('1.5', '2**53') }],
  ['network weight', (weight) => bootWith({ network: { weight } }), { ...SHARE, ...means('1.5') }],
  ['kernel', boots('kernel'), every('not-readable', "'1'", "''", 'NUL', 'long')],
  ['initramfs', boots('initramfs'), { ...every('not-readable', "'1'", "''", 'NUL', 'long'), ...means('[]') }],
  ['image', boots('image')],
  ['bootArguments', boots('bootArguments'), { ...means("'1'", "''"), ...every('command-line', 'NUL', 'long') }],
  ['commandLine', boots('commandLine'), { ...means("'1'", "''"), ...every('command-line', 'NUL', 'long') }],
  ['disks', boots('disks'), means('[]')],
  ['disks[0]', (value) => bootWith({ disks: [value] }), { ...PATH, "''": 'missing', long: 'host' }],
  ['forwards', boots('forwards'), means('[]')],
  ['forwards[0]', (value) => bootWith({ forwards: [value] }), every('BAD_CONFIG', '{}')],
  ['ports', boots('ports'), means('[]')],
  ['ports[0]', (value) => bootWith({ ports: [value] }), OBJECT],
  ['what is booted', (value) => computer.boot(value)],
  ['addDisk', (value) => computer.addDisk(value), { ...PATH, "''": 'missing', long: 'host' }],
  ['addDisk path', file('path'), { ...PATH, "''": 'missing', long: 'host' }],
  ...['readOnly', 'raw', 'lock', 'discardChanges'].map((key): Row => [key, file(key), every('missing', 'true')]),
  ['mostChanges', file('mostChanges'), every('missing', '0')],
  ['addNic', async (value) => computer.devices.remove(computer.addNic(value)), OBJECT],
  ['addNic bandwidth', adds('bandwidth'), { ...SHARE, ...means('1.5', '2**53') }],
  ['addNic weight', adds('weight'), { ...SHARE, ...means('1.5') }],
  ['inspect', (value) => computer.inspect(value), OBJECT],
  ['inspect map', (map) => computer.inspect({ map }), means('true')],
  ['addMemory', (value) => computer.addMemory(value)],
  ['addHarts', (value) => computer.addHarts(value)],
  ['setHarts', (value) => guest.setHarts(value)],
  ['setHarts timeout', (timeout) => guest.setHarts(2, { timeout }), TIME],
  ['setHarts options', (value) => guest.setHarts(2, value), every('no-hands', '{}')],
  ['setMemory', (value) => guest.setMemory(value)],
  ['setMemory timeout', (timeout) => guest.setMemory(0, { timeout })],
  ['setMemory options', (value) => guest.setMemory(0, value)],
  ['setShare', (value) => guest.setShare(value), OBJECT],
  ['setShare weight', (weight) => guest.setShare({ weight })],
  ['give', (value) => guest.give(value)],
  ['give timeout', (timeout) => guest.give(disk, { timeout }), TIME],
  ['give options', (value) => guest.give(disk, value), every('no-hands', '{}')],
  ['takeBack', (value) => guest.takeBack(value)],
  ['takeBack timeout', (timeout) => guest.takeBack(disk, { timeout }), TIME],
  ['takeBack options', (value) => guest.takeBack(disk, value), every('no-hands', '{}')],
  ['console columns', (columns) => guest.console.resize(columns, 24)],
  ['console rows', (rows) => guest.console.resize(80, rows)],
];

async function outcome(say: () => unknown): Promise<unknown> {
  try {
    await say();
    return undefined;
  } catch (error) {
    return error;
  }
}

describe('something odd that is said is refused, and nothing is taken', () => {
  for (const [option, say, meaning = {}] of ROWS) {
    test(option, { timeout: 60_000 }, async () => {
      const fresh = state();
      for (const odd of Object.keys(ODD) as Odd[]) {
        const expected = meaning[odd] ?? 'invalid';
        const error = await outcome(() => say(ODD[odd] as never));
        if (expected === 'means something') assert.equal(error, undefined, `${odd}: ${String(error)}`);
        else {
          assert.ok(error instanceof Error && 'code' in error, `${odd}: ${String(error)}`);
          assert.equal(error.code, expected, `${odd}: ${error.message}`);
          if (expected === 'invalid') {
            assert.equal(error.name, 'SystemError');
            assert.match(error.message, / is .*, not ./);
            assert.ok(error.message.length < LONGEST_MESSAGE, `${odd}: ${error.message.length} characters`);
          }
        }
        assert.deepEqual(state(), fresh, odd);
      }
    });
  }
});

void test('a limit of time that means something is taken over, and what is odd changes nothing of it', () => {
  for (const cpu of [1.5, Infinity]) {
    guest.setShare({ cpu });
    for (const odd of ['NaN', '-1', '0', "'1'", 'true', 'null', 'date', '10n'] as const) {
      assert.throws(() => guest.setShare({ cpu: ODD[odd] as never }), { name: 'SystemError', code: 'invalid' });
      assert.equal(guest.share?.cpu, cpu);
    }
  }
});

void test('a name is a word that a guest can have for its host name', async () => {
  for (const name of ['a b', 'a\n', '\t', 'a'.repeat(65), 'ä'.repeat(33), '\ud800']) {
    await assert.rejects(bootWith({ name }), { name: 'SystemError', code: 'invalid' });
  }
  for (const name of ['os-1.example', 'a'.repeat(64), 'ä'.repeat(32), 'Größe_✓']) await bootWith({ name });
});
