/** A boot that is refused, for whatever reason and however late, has taken nothing. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { nodeSystem } from '../adapters/node/system.js';
import { hartThread } from '../adapters/node/platform.js';
import { MemoryDisk } from '../computer/virtio/block-backend.js';
import { BARE_MEMORY, bareKernel, COUNTING } from '../guest/testing/bare-kernel.js';
import type { HartThread } from '../partition/hart.js';
import { SystemComputer as Computer, type BootOptions, type KernelBoot } from './index.js';

const MIB = 2 ** 20;
type Refusal = 'nothing' | 'randomness' | 'threads';
const HARTS = 3;
const kernel = bareKernel(COUNTING);
const good = { kernel, memory: BARE_MEMORY, harts: 2 } as const;

let folder = '';
let computer: Computer;
/** What the platform is to refuse next. */
let refusing: Refusal = 'nothing';
/** Ports of the switch that OS instances have. */
let cables = 0;

const fail = (): never => {
  throw Object.assign(new Error('injected'), { code: 'injected' });
};

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'understudy-refused-'));
  writeFileSync(join(folder, 'disk.img'), new Uint8Array(MIB));
  const platform = {
    ...nodeSystem,
    randomBytes: (into: Uint8Array) => (refusing === 'randomness' ? fail() : nodeSystem.randomBytes(into)),
    startHartThread: (): HartThread => {
      const thread = hartThread();
      return {
        assign: (...of) => (refusing === 'threads' ? fail() : thread.assign(...of)),
        terminate: () => thread.terminate(),
      };
    },
  };
  computer = new Computer(platform, { memory: 4 * BARE_MEMORY, harts: HARTS });
  const { network } = computer;
  assert.ok(network);
  const attach = network.attach.bind(network);
  network.attach = (...of) => {
    const port = attach(...of);
    const close = port.close.bind(port);
    cables++;
    port.close = () => {
      cables--;
      close();
    };
    return port;
  };
});
after(async () => {
  await computer.close();
  rmSync(folder, { recursive: true });
});

/** Everything a boot takes. Listening again is how one learns whether a port is free. */
function state() {
  const { network } = computer;
  assert.ok(network);
  const place = network.takePlace();
  network.leavePlace(place);
  return {
    harts: computer.freeHarts,
    memory: computer.freeMemory,
    running: computer.instances.length,
    place: place.index,
    cables,
    descriptors: descriptors(),
  };
}

/** Files of the folder, and sockets, that this process has open; threads that begin have others. */
function descriptors(): readonly string[] {
  const open = readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      // The one that the folder was read with.
      return [];
    }
  });
  return open.filter((path) => path.startsWith(folder) || path.startsWith('socket:')).sort();
}

const disk = (): { path: string } => ({ path: join(folder, 'disk.img') });
const disks = (count: number): MemoryDisk[] => Array.from({ length: count }, () => new MemoryDisk(new Uint8Array(512)));
const brokenDisk = new Proxy(new MemoryDisk(new Uint8Array(512)), {
  get: (of, key) => (key === 'sectors' ? fail() : (Reflect.get(of, key) as unknown)),
});

const CASES: readonly (readonly [name: string, code: string, options: () => BootOptions])[] = [
  ['a kernel that is not there', 'not-readable', () => ({ ...good, kernel: join(folder, 'none') })],
  ['a kernel that is none', 'kernel-image', () => ({ ...good, kernel: new Uint8Array(MIB), disks: [disk()] })],
  ['an initramfs that is not there', 'not-readable', () => ({ ...good, initramfs: join(folder, 'none') })],
  ['too little memory', 'too-little-memory', () => ({ ...good, memory: 4 * MIB, disks: [disk()] })],
  ['more memory than there is', 'no-frames', () => ({ ...good, memory: 1024 * MIB, disks: [disk()] })],
  ['nearly all memory, so that pages for devices are missing', 'no-frames', () => ({ ...good, memory: nearlyAll() })],
  ['more harts than there are', 'no-hart', () => ({ ...good, harts: HARTS + 1, disks: [disk()] })],
  ['no number of pages', 'invalid', () => ({ ...good, memory: BARE_MEMORY + 1 })],
  ['a command line that is too long', 'command-line', () => ({ ...good, bootArguments: 'a'.repeat(1000) })],
  ['two command lines', 'invalid', () => ({ ...good, bootArguments: 'a', commandLine: 'b' })],
  ['too many disks', 'too-many-devices', () => ({ ...good, disks: disks(29) })],
  ['far too many disks', 'too-many-devices', () => ({ ...good, disks: disks(100) })],
  ['too many ports', 'too-many-devices', () => ({ ...good, ports: Array.from({ length: 15 }, () => ({})) })],
  [
    'a disk that is not there behind one that is',
    'missing',
    () => ({ ...good, disks: [disk(), join(folder, 'none')] }),
  ],
  ['a disk that fails when it is plugged in', 'injected', () => ({ ...good, disks: [disk(), brokenDisk] })],
  [
    'a port that is taken behind one that is free',
    'PORT_IN_USE',
    () => ({ ...good, forwards: [{ guestPort: 80 }, { port: taken(), guestPort: 80 }] }),
  ],
  [
    'a host that is none',
    'HOST_SOCKET',
    () => ({ ...good, forwards: [{ guestPort: 80 }, { host: 'none', guestPort: 80 }] }),
  ],
  ['a forward without a network', 'no-network', () => ({ ...good, network: false, forwards: [{ guestPort: 80 }] })],
  ['no randomness', 'injected', () => ({ ...good, disks: [disk()] })],
  ['threads that take no work', 'injected', () => ({ ...good, disks: [disk()], forwards: [{ guestPort: 80 }] })],
];
const REFUSING: Readonly<Record<string, Refusal>> = {
  'no randomness': 'randomness',
  'threads that take no work': 'threads',
};

const blocker = createServer();
const taken = (): number => (blocker.address() as AddressInfo).port;
const nearlyAll = (): number => Math.floor((computer.freeMemory - MIB) / 4096) * 4096;

describe('a boot that is refused', () => {
  before(() => new Promise<void>((resolve) => void blocker.listen(0, '127.0.0.1', resolve)));
  after(() => blocker.close());

  for (const [name, code, options] of CASES) {
    test(`takes nothing: ${name}`, { timeout: 60_000 }, async () => {
      const fresh = state();
      for (let round = 0; round < 3; round++) {
        refusing = REFUSING[name] ?? 'nothing';
        await assert.rejects(computer.boot({ ...options(), name: 'refused' }), (error: unknown) => {
          assert.ok(error instanceof Error && 'code' in error, String(error));
          assert.equal(error.code, code, error.message);
          return true;
        });
        refusing = 'nothing';
        assert.deepEqual(state(), fresh);
      }
    });
  }

  test('and everything that can be had can be had afterwards', { timeout: 60_000 }, async () => {
    const fresh = state();
    const options: KernelBoot = {
      ...good,
      harts: HARTS,
      disks: [...disks(27), disk()],
      ports: Array.from({ length: 14 }, () => ({})),
    };
    const guest = await computer.boot({ ...options, forwards: [{ guestPort: 80 }] });
    await guest.destroy();
    assert.deepEqual(state(), fresh);
  });

  test('many at once, of which some are refused, leave each other alone', { timeout: 60_000 }, async () => {
    const fresh = state();
    const options = CASES.filter(([name]) => REFUSING[name] === undefined).map(([, , make]) => make());
    const one = { kernel, memory: BARE_MEMORY, harts: 1 };
    const ends = await Promise.allSettled(
      [one, ...options.slice(0, 12), one, ...options.slice(12)].map((o) => computer.boot(o)),
    );
    const guests = ends.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []));
    assert.ok(
      guests.length >= 1,
      ends.map((end) => (end.status === 'rejected' ? String(end.reason) : 'booted')).join('\n'),
    );
    assert.equal(new Set(guests.map(({ address }) => address)).size, guests.length);
    await Promise.all(guests.map((guest) => guest.destroy()));
    assert.deepEqual(state(), fresh);
  });
});

test('a computer that cannot be made leaves no thread', async () => {
  let threads = 0;
  const platform = {
    ...nodeSystem,
    startHartThread: (): HartThread => {
      if (threads === 3) fail();
      const thread = hartThread();
      threads++;
      return {
        assign: (...of) => thread.assign(...of),
        terminate: async () => {
          await thread.terminate();
          threads--;
        },
      };
    },
  };
  assert.throws(() => new Computer(platform, { memory: 16 * MIB, harts: 5 }), /injected/);
  for (let tries = 0; threads > 0; tries++) {
    assert.ok(tries < 1000, `${threads} threads are left`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
});
