/** What a program in a domain finds when it begins to run, how its end is told, and what is in the way of a move. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { DomainError } from '../src/domain/errors.js';
import { readText } from '../src/domain/linux/os.js';
import type { DomainSpec } from '../src/domain/tree/anchor.js';
import { launch, type Program, type RunningDomain } from '../src/domain/tree/launch.js';
import { SYS } from '../src/guest/hands/syscalls.js';
import { findObstacles } from '../src/remapping/survey.js';
import { bury } from './domain/kind-programs.js';
import { Stage } from './domain/stage.js';

let stage: Stage;
before(async () => {
  stage = await Stage.open({ '/opt/input': 'what it reads\n' });
});
after(() => stage?.close());

const PATIENCE = 20_000;
const SIGKILL = 9;
const shell = (script: string): Program['argv'] => ['/usr/bin/sh', '-c', script];

async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  for (const end = performance.now() + PATIENCE; performance.now() < end;) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`waited in vain for ${what}`);
}

async function withDomain(
  spec: DomainSpec,
  program: Program,
  work: (d: RunningDomain) => Promise<RunningDomain>,
): Promise<void> {
  let domain = await launch(stage.sides[0].hands, spec, program);
  try {
    domain = await work(domain);
  } finally {
    await bury(domain);
  }
}

test('user, groups, limits, umask, environment, folder, input, output and errors are as told', () =>
  withDomain(
    { name: 'told', lingers: true },
    {
      argv: shell('id -u; id -G; ulimit -n; ulimit -H -n; umask; pwd; echo $WORD; cat; echo wrong >&2'),
      user: { uid: 1000, gid: 100, groups: [100, 7] },
      limits: { nofile: { soft: 123, hard: 456 } },
      umask: 0o077,
      env: { PATH: '/usr/bin', WORD: 'said' },
      cwd: '/usr',
      input: '/opt/input',
      output: '/tmp/told.out',
      errors: '/tmp/told.err',
    },
    async (domain) => {
      assert.deepEqual(await until('its end', () => domain.anchor.programEnd()), { kind: 'exited', status: 0 });
      const lines = ['1000', '100 7', '123', '456', '0077', '/usr', 'said', 'what it reads', ''];
      assert.equal(await readText(domain.hands, '/tmp/told.out'), lines.join('\n'));
      assert.equal(await readText(domain.hands, '/tmp/told.err'), 'wrong\n');
      return domain;
    },
  ));

test('what prepares a domain runs before the program, as root; if it fails nothing is left', async () => {
  const program = (first: string): Program => ({
    argv: shell('cat /tmp/prepared; id -u; echo $$'),
    before: [shell(first)],
    user: { uid: 1000, gid: 1000 },
    output: '/tmp/before.out',
  });
  await withDomain({ name: 'before', lingers: true }, program('id -u > /tmp/prepared; sleep 0.1'), async (domain) => {
    await until('its end', () => domain.anchor.programEnd());
    assert.equal(await readText(domain.hands, '/tmp/before.out'), '0\n1000\n2\n');
    return domain;
  });
  await assert.rejects(
    launch(stage.sides[0].hands, { name: 'before' }, program('exit 3')),
    (e) => e instanceof DomainError && /ended with status 3/.test(e.message),
  );
  assert.equal(await readText(stage.sides[0].hands, '/sys/fs/cgroup/before/cgroup.events'), undefined);
});

test('how it ended is told where it ended, after a move too', () =>
  withDomain({ name: 'ending', lingers: true }, { argv: shell('sleep 1000 & sleep 1000; exit 7') }, async (domain) => {
    assert.equal(await domain.anchor.programEnd(), undefined);
    const { domain: there } = await stage.move(domain);
    assert.equal(await there.anchor.programEnd(), undefined);
    for (const pid of await there.anchor.cgroup.processes()) {
      const status = (await readText(there.hands, `/proc/${pid}/status`)) ?? '';
      if (/^NSpid:.*\t2$/m.test(status)) await there.hands.syscall(SYS.kill, pid, SIGKILL);
    }
    assert.deepEqual(await until('its end', () => there.anchor.programEnd()), { kind: 'killed', signal: 9 });
    return there;
  }));

test('all that is in the way of a move is told, and nothing is changed', () =>
  withDomain(
    { name: 'ways' },
    { argv: shell('exec 7< /dev/mem; exec 8< /dev/kmsg; sleep 1000 & echo up; wait'), output: '/tmp/ways.out' },
    async (domain) => {
      await until('its word', async () =>
        (await readText(domain.hands, '/tmp/ways.out')) === 'up\n' ? true : undefined,
      );
      const obstacles = await findObstacles(domain, stage.sides[1].hands);
      assert.deepEqual(obstacles.map((o) => o.resource).sort(), ['the device /dev/kmsg', 'the device /dev/mem']);
      assert.ok(obstacles.every((o) => !o.passing && o.message.includes(o.resource)));
      await assert.rejects(stage.move(domain), (e) => e instanceof DomainError && e.code === 'unsupported');
      return domain;
    },
  ));

test('what cannot be given to a program is refused before anything is made', async () => {
  const wrong: Partial<Program>[] = [
    { limits: { nofile: { soft: 5, hard: 4 } } },
    { user: { uid: -1, gid: 0 } },
    { umask: 0o1000 },
    { env: { A: 'b\0c' } },
  ];
  for (const program of wrong) {
    await assert.rejects(launch(stage.sides[0].hands, { name: 'wrong' }, { argv: shell(''), ...program }), {
      code: 'state',
    });
  }
  assert.equal(await readText(stage.sides[0].hands, '/sys/fs/cgroup/wrong/cgroup.events'), undefined);
});
