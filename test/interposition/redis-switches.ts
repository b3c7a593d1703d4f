/** A network card that changes hands at random moments under a Redis whose clients count, and a bulk transfer. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { Computer, type KernelChoice } from '../../src/index.js';
import { NicDevice } from '../../src/interposition/kinds/nic.js';
import { MIB, testImage } from '../testing/images.js';
import { connectSoon } from '../testing/redis.js';

export interface SwitchTimes {
  readonly waitMs: readonly number[];
  readonly switchMs: readonly number[];
}

const CLIENTS = 4;
const HOST = '10.0.2.2';

/** Throws AssertionError if anything was lost, doubled, out of order or broken. */
export async function redisUnderSwitches(kernel: KernelChoice, harts: number, switches: number): Promise<SwitchTimes> {
  const data = new Uint8Array(MIB).map((_, i) => (i * 2654435761) >>> 13);
  const sum = createHash('sha256').update(data).digest('hex');
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end(data);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const computer = await Computer.create({ memory: 400 * MIB, harts });
  try {
    const guest = await computer.boot({ image: await testImage(kernel, 'redis'), memory: 320 * MIB, harts });
    const { port: hostPort } = await guest.forward({ guestPort: 6379 });
    const shell = await guest.shell();
    await shell.check('redis-server --save "" --protected-mode no --bind 0.0.0.0 --daemonize yes >/dev/null');
    await shell.check('dmesg -c >/dev/null');
    const nic = guest.devices.find((device) => device instanceof NicDevice);
    assert.ok(nic instanceof NicDevice);
    const generation = stateOf(nic, computer);

    let over = false;
    const broken: unknown[] = [];
    const client = async (name: string): Promise<number> => {
      const redis = await connectSoon(hostPort, (error) => broken.push(error));
      let count = 0;
      // Each answer is the very next number: none is lost, none comes twice.
      while (!over) assert.equal(await redis.incr(name), ++count);
      redis.removeAllListeners('error');
      redis.on('error', () => undefined);
      await redis.close();
      return count;
    };
    const bulk = async (): Promise<number> => {
      const { port } = server.address() as AddressInfo;
      let count = 0;
      for (; !over; count++) {
        const text = await shell.check(`nc ${HOST} ${port} </dev/null | sha256sum`);
        assert.equal(text.split(' ')[0], sum);
      }
      return count;
    };
    const load = [bulk(), ...Array.from({ length: CLIENTS }, (_, i) => client(`counter${i}`))];
    const times = { waitMs: [] as number[], switchMs: [] as number[] };
    const switching = (async (): Promise<void> => {
      for (let i = 0; i < switches; i++) {
        const { waitMs, switchMs } = await (nic.mode === 'direct' ? nic.interpose() : nic.stepAway());
        times.waitMs.push(waitMs);
        times.switchMs.push(switchMs);
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 4));
      }
      if (nic.mode === 'interposed') await nic.stepAway();
    })();
    try {
      await Promise.race([switching, Promise.all(load)]);
      await switching;
    } finally {
      over = true;
    }
    const counts = await Promise.all(load);
    assert.deepEqual(broken, []);
    assert.ok(Math.min(...counts) > 0, `every client and the transfer went on: ${counts.join(', ')}`);
    assert.equal(nic.counters.monitorEntriesWhenDirect, 0);
    assert.deepEqual(stateOf(nic, computer), generation, 'no reset, the same features and status');
    assert.equal(await shell.check('dmesg'), '', 'not a line of the kernel');
    return times;
  } finally {
    await computer.close();
    server.close();
  }
}

/** Resets so far, status, offered and accepted features. */
function stateOf(nic: NicDevice, { vmm }: Computer): number[] {
  return [0x104, 0x118, 0x12c, 0x130, 0x134, 0x138].map((at) => vmm.machine.view.getInt32(nic.statePage + at, true));
}

export function spread(times: readonly number[]): string {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number): string =>
    (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(3);
  return `p50 ${at(0.5)}, p99 ${at(0.99)}, max ${at(1)}`;
}
