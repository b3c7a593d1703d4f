/** Linux with more memory than there is for it: what becomes of who takes too much, and of its neighbours. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { launch } from '../../src/domain/tree/launch.js';
import { readText } from '../../src/domain/linux/os.js';
import { Computer } from '../../src/index.js';
import { compilePrograms } from '../domain/programs.js';
import { nextLine, Stage } from '../domain/stage.js';
import { turnOf } from '../domain/undone.js';
import { MIB, testImage } from '../testing/images.js';

test('Linux has only the frames that it has touched', async () => {
  const image = await testImage('trixie');
  const computer = await Computer.create({ memory: 300 * MIB, harts: 2, network: false });
  try {
    const free = computer.freeMemory;
    const guest = await computer.boot({ image, memory: 256 * MIB, guaranteed: 32 * MIB, network: false });
    const shell = await guest.shell();
    const command = 'head -c 12000000 /dev/urandom > /tmp/a; cp /tmp/a /tmp/b; cmp /tmp/a /tmp/b && echo same';
    assert.match((await shell.run(command)).output, /^same/m);
    const has = (guest.os.partition.space.resident * 4096) / MIB;
    assert.ok(has > 60 && has < 170, `${has} MiB of 256`);
    assert.ok(free - computer.freeMemory < 200 * MIB);
    await guest.shutdown();
    assert.equal(computer.freeMemory, free);
    const { bytes, zeros } = computer.vmm.machine;
    assert.ok(
      bytes.subarray(zeros, zeros + 4096).every((byte) => byte === 0),
      'nobody has written to the frame of zeros',
    );
  } finally {
    await computer.close();
  }
});

test('a guest that eats more than the computer has is told so; its neighbour goes on and has its guarantee', async () => {
  const computer = await Computer.create({ memory: 480 * MIB, harts: 2, network: false });
  try {
    const image = await testImage('trixie');
    const [greedy, modest] = await Promise.all([
      computer.boot({ image, name: 'greedy', memory: 440 * MIB, guaranteed: 64 * MIB }),
      computer.boot({ image, name: 'modest', memory: 440 * MIB, guaranteed: 200 * MIB }),
    ]);
    const [a, b] = await Promise.all([greedy.shell(), modest.shell()]);
    // Its kernel ends the process that eats, if it hears in time that there is less memory; or it is ended itself.
    const eats = a.run(
      `sh -c 'echo 1000 > /proc/self/oom_score_adj; exec dd if=/dev/zero of=/dev/null bs=400M count=2'`,
      { timeout: 120_000 },
    );
    const outcome = await Promise.race([
      eats.then(
        ({ status }) => (status === 0 ? 'ate' : 'process ended'),
        () => greedy.ended.then(({ kind }) => kind),
      ),
      greedy.ended.then(({ kind }) => kind),
    ]);
    assert.ok(outcome === 'process ended' || outcome === 'out-of-frames', outcome);

    // Nobody has touched what the other was promised.
    const sums = await b.check('head -c 100000000 /dev/urandom > /tmp/kept; sha1sum < /tmp/kept; sha1sum < /tmp/kept');
    const [first, second] = sums.trim().split('\n');
    assert.equal(first, second);
    assert.equal(await b.check('dmesg | grep -ciE "oops|bug:|out of memory" || true'), '0\n');
  } finally {
    await computer.close();
  }
});

test('a domain moves between OS instances that have only what they have touched, and back', async () => {
  const { memory = new Uint8Array() } = compilePrograms(['memory']);
  const stage = await Stage.open({ '/opt/memory': { data: memory, mode: 0o755 } }, [512, 512], 64);
  try {
    const spaces = stage.sides.map(({ instance }) => instance.os.partition.space);
    assert.ok(spaces.every(({ resident, pages }) => resident < pages / 2));
    let domain = await launch(
      stage.sides[0].hands,
      { name: 'memory' },
      { argv: ['/opt/memory', 'memory'], output: '/tmp/memory.out' },
    );
    const line = async (): Promise<string> => nextLine(domain.hands, '/tmp/memory.out');
    let turn = turnOf(await line());
    for (let hop = 0; hop < 4; hop++) {
      const moved = await stage.move(domain);
      assert.ok(moved.report.framesFlipped > 0);
      domain = moved.domain;
      await line();
      const next = turnOf(await nextLine(domain.hands, '/tmp/memory.out', await line()));
      assert.ok(next > turn);
      turn = next;
    }
    assert.doesNotMatch((await readText(domain.hands, '/tmp/memory.out')) ?? '', /broken/);
    assert.ok(spaces.every(({ resident, pages }) => resident < pages));
    await domain.anchor.cgroup.kill();
  } finally {
    await stage.close();
  }
});
