import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, type RunningDomain } from '../src/domain/tree/launch.js';
import { DomainError } from '../src/domain/errors.js';
import { SYS } from '../src/guest/hands/syscalls.js';
import { PTRACE } from '../src/domain/linux/flags.js';
import { STEPS } from '../src/remapping/migrate.js';
import { readDir, readText } from '../src/domain/linux/os.js';
import { compilePrograms, programNames } from './domain/programs.js';
import { nextLine, Stage, writeFile } from './domain/stage.js';
import { assertLives, belongings, turnOf } from './domain/undone.js';

// DOMAIN_PROGRAMS=tcp,unix runs some of them only.
const PROGRAMS = programNames(process.env['DOMAIN_PROGRAMS']?.split(','));
/** Milliseconds that a domain needs after its moves until all it began before is verified. */
const SETTLE: Readonly<Record<string, number>> = { calls: 4000 };
const KIB = 1024;
/** Bytes of memory that may be copied: `files` has processes share a private mapping of a file that goes along. */
const MOST_COPIED = 16 * KIB;

let stage: Stage;
before(async () => {
  const programs = compilePrograms(PROGRAMS);
  stage = await Stage.open(
    Object.fromEntries(Object.entries(programs).map(([n, data]) => [`/opt/${n}`, { data, mode: 0o755 }])),
  );
});
after(() => stage?.close());

/** Where the domain of that name writes. */
const output = (domain: RunningDomain): string => `/tmp/${domain.spec.name}.out`;

async function start(name: string, program: string, ...args: string[]): Promise<RunningDomain> {
  const domain = await launch(
    stage.sides[0].hands,
    { name },
    { argv: [`/opt/${program}`, ...args], output: `/tmp/${name}.out` },
  );
  await nextLine(domain.hands, output(domain));
  return domain;
}

/** What each test domain keeps and verifies is said at the top of its source. */
for (const program of PROGRAMS.filter((p) => !['refused', 'restless', 'mappings', 'many'].includes(p))) {
  test(`${program} goes from one kernel to the other and back, twice, and never notices`, async () => {
    let domain = await start(program, program);
    let turn = turnOf(await nextLine(domain.hands, output(domain)));
    const pids = await stage.pids(domain);
    for (let hop = 0; hop < 4; hop++) {
      const moved = await stage.move(domain);
      assert.ok(moved.report.framesFlipped > 0, 'its memory was flipped');
      const { memoryBytesCopied } = moved.report;
      assert.ok(memoryBytesCopied <= MOST_COPIED, `${memoryBytesCopied} bytes were copied`);
      assert.ok(moved.report.pids.includes(2));
      domain = moved.domain;
      const line = await nextLine(domain.hands, output(domain), await nextLine(domain.hands, output(domain)));
      assert.ok(turnOf(line) > turn, `it counts on: ${line}`);
      turn = turnOf(line);
    }
    if (SETTLE[program] !== undefined) await new Promise((resolve) => setTimeout(resolve, SETTLE[program]));
    assert.doesNotMatch((await readText(domain.hands, output(domain))) ?? '', /broken/, 'no process of it found fault');
    assert.deepEqual(await stage.pids(domain), pids, 'its processes are the same');
    await domain.anchor.cgroup.kill();
    await domain.anchor.cgroup.remove();
  });
}

/** By the argument of `refused`: the name with which it is refused. */
const REFUSED: Readonly<Record<string, RegExp>> = {
  multipath: /Multipath TCP/,
  vfork: /a wait that cannot be interrupted/,
  traced: /a debugger/,
  leaderless: /a process whose first thread has ended/,
};
for (const [what, name] of Object.entries(REFUSED)) {
  test(`${what}: refused by name before anything is frozen`, async () => {
    const domain = await start(`refused-${what}`, 'refused', what);
    const steps: string[] = [];
    await assert.rejects(
      stage.move(domain, (s) => void steps.push(s)),
      (e) => e instanceof DomainError && name.test(e.resource ?? ''),
    );
    await assertNobodyTraced(domain, what);
    assert.ok(!steps.includes('freeze'), `it was refused at ${steps.at(-1)}`);
    const line = await nextLine(domain.hands, output(domain));
    assert.ok(turnOf(await nextLine(domain.hands, output(domain), line)) > turnOf(line), 'and it counts on');
    await domain.anchor.cgroup.kill();
    await domain.anchor.cgroup.remove();
  });
}

for (const what of ['mapping', 'reading']) {
  test(`${what} a file that holds something else in the other system: refused, until it is the same`, async () => {
    const page = new Uint8Array(4096).fill('x'.charCodeAt(0));
    // Not by the domain: what it writes itself goes along.
    for (const side of stage.sides) await writeFile(side.hands, '/tmp/must-be-same', page);
    const domain = await start(`same-${what}`, 'refused', what);
    const { hands } = stage.other(domain.hands);
    page[4095] = 0;
    await writeFile(hands, '/tmp/must-be-same', page);
    await assert.rejects(
      stage.move(domain),
      (e) => e instanceof DomainError && e.code === 'mismatch' && e.resource === '/tmp/must-be-same',
    );
    page[4095] = 'x'.charCodeAt(0);
    await writeFile(hands, '/tmp/must-be-same', page);
    const { domain: moved } = await stage.move(domain);
    const line = await nextLine(moved.hands, output(moved));
    assert.ok(turnOf(await nextLine(moved.hands, output(moved), line)) > turnOf(line));
    await moved.anchor.cgroup.kill();
    await moved.anchor.cgroup.remove();
  });
}

for (const program of ['counter', 'unix'].filter((p) => PROGRAMS.includes(p))) {
  test(`${program}: a failure before any step leaves the domain where it was, and nothing in the other system`, async () => {
    const domain = await start(`failures-${program}`, program);
    // Once through, so that what the kernel makes only once is there.
    await assert.rejects(
      stage.move(domain, (s) => {
        if (s === 'resume') fail();
      }),
      /injected/,
    );
    const has = await belongings(stage, domain);
    const reversible = STEPS.slice(0, STEPS.indexOf('resume') + 1);
    for (const step of reversible) {
      await assert.rejects(
        stage.move(domain, (s) => {
          if (s === step) fail();
        }),
        /injected/,
      );
      await assertLives(stage, domain, `after a failure at ${step}`);
      assert.deepEqual(await belongings(stage, domain), has, `nothing is left after ${step}`);
    }
    // From here on it does not fail any more.
    const { domain: moved, report } = await stage.move(domain, (s) => {
      if (s === 'bury') fail();
    });
    assert.deepEqual(
      report.untidied.map((u) => u.why),
      ['injected'],
    );
    await assertLives(stage, moved, 'and then it can still be moved');
    assert.deepEqual(await belongings(stage, moved), has, 'nothing is left but the domain');
    await moved.anchor.cgroup.kill();
    await moved.hands.syscall(SYS.close, moved.anchor.netns);
    await moved.anchor.cgroup.remove();
  });
}

for (const [fate, calls] of [
  ['refused', 'the thaw is refused'],
  ['not-begun', 'nobody takes the thaw up'],
] as const) {
  test(`resuming, ${calls}: nothing has run, and the domain goes on where it was`, async () => {
    const domain = await start('unthawed', 'counter');
    const [, { saboteur }] = stage.from(domain);
    await assert.rejects(
      stage.move(domain, (s) => {
        if (s !== 'resume') return;
        // Of a domain without connections nothing else is written then.
        let done = false;
        const once = (is: boolean): boolean => {
          if (done || !is) return false;
          done = true;
          return true;
        };
        saboteur.refuses = (nr) => fate === 'refused' && once(nr === SYS.write);
        saboteur.fate = (numbers) => (fate === 'not-begun' && once(numbers.includes(SYS.write)) ? fate : 'answered');
      }),
      fate === 'refused' ? /thawing .* failed/ : /nobody took it up/,
    );
    saboteur.relent();
    await assertLives(stage, domain, `after ${calls}`);
    await domain.anchor.cgroup.kill();
    await domain.hands.syscall(SYS.close, domain.anchor.netns);
    await domain.anchor.cgroup.remove();
  });
}

test('a move is undone, and a thread cannot be let go at once: it is let go later', async () => {
  const domain = await start('held', 'counter');
  const [{ saboteur }] = stage.from(domain);
  let detached = 0;
  await assert.rejects(
    stage.move(domain, (s) => {
      if (s !== 'shape') return;
      // The first is the domain's first process, which nobody would miss.
      saboteur.refuses = (nr, request) => nr === SYS.ptrace && request === PTRACE.DETACH && ++detached === 2;
      throw new Error('injected');
    }),
    /injected/,
  );
  saboteur.relent();
  assert.equal(detached, 3, 'it was tried again');
  await assertLives(stage, domain, 'after it was let go');
  await domain.anchor.cgroup.kill();
  await domain.hands.syscall(SYS.close, domain.anchor.netns);
  await domain.anchor.cgroup.remove();
});

test('resuming, the answer to the thaw does not come: the domain has gone on, and the report says what is not known', async () => {
  const before = await start('unanswered', 'counter');
  const [, { saboteur }] = stage.from(before);
  let done = false;
  const { domain, report } = await stage.move(before, (s) => {
    if (s !== 'resume') return;
    saboteur.fate = (numbers) => {
      if (done || !numbers.includes(SYS.write)) return 'answered';
      done = true;
      return 'unanswered';
    };
  });
  saboteur.relent();
  assert.deepEqual(
    report.untidied.map((u) => u.what),
    ['letting the domain go on'],
  );
  await assertLives(stage, domain, 'in the destination');
  await domain.anchor.cgroup.kill();
  await domain.hands.syscall(SYS.close, domain.anchor.netns);
  await domain.anchor.cgroup.remove();
});

test('a domain that never comes to rest moves or is refused in time, and goes on either way', async () => {
  let domain = await start('restless', 'restless');
  let moves = 0;
  for (let turn = 0; turn < 4; turn++) {
    const began = performance.now();
    try {
      ({ domain } = await stage.move(domain));
      moves++;
    } catch (e) {
      assert.ok(e instanceof DomainError && (e.passing || e.code === 'unsupported' || e.code === 'changed'), String(e));
    }
    // Eight attempts of a second, each with all that is made ready before.
    assert.ok(performance.now() - began < 40_000, 'and it takes no time without end');
    const line = await nextLine(domain.hands, output(domain));
    assert.ok(turnOf(await nextLine(domain.hands, output(domain), line)) > turnOf(line), 'it counts on');
    await assertNobodyTraced(domain, `after move ${turn}`);
  }
  assert.doesNotMatch((await readText(domain.hands, output(domain))) ?? '', /broken/, 'no process of it found fault');
  assert.ok(moves > 0, 'it can be moved at all');
  await domain.anchor.cgroup.kill();
  await domain.anchor.cgroup.remove();
});

/** No thread of the domain is still traced by the hands, or stands in a stop of theirs. */
async function assertNobodyTraced(domain: RunningDomain, when: string): Promise<void> {
  const { hands, anchor } = domain;
  const own = await hands.syscall(SYS.getpid);
  for (const pid of await anchor.cgroup.processes()) {
    for (const tid of (await readDir(hands, `/proc/${pid}/task`)) ?? []) {
      const status = (await readText(hands, `/proc/${pid}/task/${tid}/status`)) ?? '';
      assert.notEqual(/^TracerPid:\t(\d+)$/m.exec(status)?.[1], String(own), `${when}: thread ${tid} is not traced`);
    }
  }
}

test('what waits when a move fails waits no longer for that', async () => {
  const domain = await start('patience', 'calls');
  for (let turn = 0; turn < 3; turn++) {
    await assert.rejects(
      stage.move(domain, (s) => {
        if (s === 'resume') fail();
      }),
      /injected/,
    );
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  const { domain: moved } = await stage.move(domain);
  await new Promise((resolve) => setTimeout(resolve, SETTLE['calls']));
  assert.doesNotMatch((await readText(moved.hands, output(moved))) ?? '', /broken/);
  await moved.anchor.cgroup.kill();
  await moved.anchor.cgroup.remove();
});

function fail(): never {
  throw new Error('injected');
}
