// Ten thousand switches of a disk, and of a network card, under load, and what they cost.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Computer } from '../../src/index.js';
import {
  check,
  echo,
  echoServer,
  percentile,
  runLoad,
  summary,
  Switcher,
  type Load,
} from '../interposition/workload.js';
import { MIB, testImage } from '../testing/images.js';
import { connectSoon } from '../testing/redis.js';

const SWITCHES = 10_000;
/** Now and then at once, mostly a moment later. */
const pause = (): number => (Math.random() < 0.5 ? 0 : Math.random() * 3);

/** Loose, for a machine that does much else; what is measured is said. */
function checkTimes(switchMs: readonly number[]): void {
  assert.ok(percentile(switchMs, 0.5) < 1, summary(switchMs));
  assert.ok(percentile(switchMs, 0.99) < 20, summary(switchMs));
}

test('10,000 switches of a disk under verified writes with flushes', { timeout: 900_000 }, async (t) => {
  const load: Load = { harts: 2, rounds: 40_000, mebibytes: 16, kinds: ['disk'], pause, most: SWITCHES };
  const run = await runLoad(load);
  check(run, load);
  assert.equal(run.switches, SWITCHES);
  checkTimes(run.switchMs);
  assert.doesNotMatch(run.text, /i\/o error|reset|timed? ?out/i);
  t.diagnostic(`wait ${summary(run.waitMs)} ms, switch ${summary(run.switchMs)} ms`);
});

test('10,000 switches of a network card under Redis traffic and a bulk transfer', { timeout: 900_000 }, async (t) => {
  const { server, port } = await echoServer();
  const computer = await Computer.create({ memory: 512 * MIB, harts: 1 });
  try {
    const guest = await computer.boot({
      image: await testImage('trixie', 'redis'),
      memory: 384 * MIB,
      harts: 1,
      files: { '/opt/echo': { data: echo, mode: 0o755 } },
      run: [
        '/usr/bin/redis-server --bind 0.0.0.0 --protected-mode no --save "" >/dev/null &',
        `while /opt/echo 10.0.2.2 ${port} 8; do :; done`,
      ].join(' '),
    });
    const forward = await guest.forward({ guestPort: 6379 });
    let broken = 0;
    const client = await connectSoon(forward.port, () => {
      broken++;
    });
    const nic = guest.os.devices.find(({ kind }) => kind === 'nic');
    assert.ok(nic);
    const switcher = new Switcher(pause);
    let over = false;
    const switching = switcher.run(nic, SWITCHES).finally(() => (over = true));
    let asked = 0;
    const talk = async (me: number): Promise<void> => {
      for (let n = 0; !over; n++) {
        assert.equal(await client.incr(`count:${me}`), n + 1, 'each command is done once, in order');
        await client.set(`key:${me}:${n % 100}`, `${me} ${n} ${'x'.repeat(n % 2000)}`);
        assert.equal(await client.get(`key:${me}:${n % 100}`), `${me} ${n} ${'x'.repeat(n % 2000)}`);
        asked += 3;
      }
    };
    await Promise.all([switching, ...Array.from({ length: 8 }, (_, me) => talk(me))]);
    assert.equal(broken, 0, 'no connection breaks');
    assert.equal(nic.counters.monitorEntriesWhenDirect, 0);
    const echoes = [...guest.console.text.matchAll(/echo: (\d+) bytes, wrong: (\d+)/g)];
    assert.ok(echoes.length > 0);
    for (const [line, bytes, wrong] of echoes) assert.deepEqual([Number(bytes), wrong], [8 * MIB, '0'], line);
    assert.doesNotMatch(guest.console.text, /NETDEV WATCHDOG|transmit queue/);
    assert.equal(switcher.switchMs.length, SWITCHES);
    checkTimes(switcher.switchMs);
    t.diagnostic(
      `${asked} commands, ${echoes.length} transfers: wait ${summary(switcher.waitMs)} ms, switch ${summary(switcher.switchMs)} ms`,
    );
    client.destroy();
  } finally {
    server.close();
    await computer.close();
  }
});
