/** What the host writes to a domain's program, and what its terminal shows, before, during and after a move. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import {
  Carrier,
  Computer,
  Domain,
  DomainError,
  prepareImages,
  shellProfile,
  type DomainOptions,
} from '../../src/index.js';

const MIB = 2 ** 20;
let computer: Computer;
let carriers: readonly [Carrier, Carrier];
before(async () => {
  const images = await prepareImages([shellProfile('trixie'), shellProfile('backports')]);
  computer = await Computer.create({ memory: 664 * MIB, harts: 2 });
  const boot = (name: string, image: (typeof images)[number]): Promise<Carrier> =>
    Carrier.boot(computer, { name, image, memory: 300 * MIB });
  carriers = [await boot('a', images[0]), await boot('b', images[1])];
});
after(() => computer?.close());

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const start = (name: string, script: string, more: Partial<DomainOptions>): Promise<Domain> =>
  Domain.run(carriers[0], { name, argv: ['sh', '-c', script], ...more });
const said = (domain: Domain): string => new TextDecoder().decode(domain.logs());
const refused = (code: string) => (error: unknown) => error instanceof DomainError && error.code === code;

async function until(domain: Domain, pattern: RegExp): Promise<void> {
  for (const end = performance.now() + 30_000; !pattern.test(said(domain)); await sleep(20)) {
    if (performance.now() > end) throw new Error(`it has said ${JSON.stringify(said(domain))}`);
  }
}

async function thereAndBack(domain: Domain): Promise<void> {
  for (const to of [carriers[1], carriers[0]]) await domain.move(to);
}

test('an iterable is the input, to its end, over moves', async () => {
  const hash = createHash('md5');
  let moved = false;
  async function* lines(): AsyncGenerator<string> {
    for (let n = 0; !moved; n++) {
      const line = `${n} ${'x'.repeat(n % 3000)}\n`;
      hash.update(line);
      yield line;
      await sleep(1);
    }
  }
  const domain = await start('iterable', 'md5sum', { stdin: lines() });
  await thereAndBack(domain);
  moved = true;
  assert.deepEqual(await domain.ended, { kind: 'exited', status: 0 });
  assert.equal(said(domain), `${hash.digest('hex')}  -\n`);
});

test('what nobody reads waits, goes along, and says so when nobody will', async () => {
  const domain = await start('open', 'read go; exec md5sum', { stdin: 'open' });
  const { stdin } = domain;
  assert.ok(stdin);
  // More than a pipe holds: the rest follows.
  const much = Buffer.alloc(300_000, 'abcdefg');
  await stdin.write('go');
  const written = stdin.write(much);
  await thereAndBack(domain);
  await stdin.write('\n').catch(() => undefined);
  await written;
  await stdin.end();
  await assert.rejects(stdin.write('x'), refused('state'));
  assert.deepEqual(await domain.ended, { kind: 'exited', status: 0 });
  const deaf = await start('deaf', 'exec <&-; while :; do sleep 0.1; done', { stdin: 'open' });
  await assert.rejects(async () => {
    for (;;) await deaf.stdin?.write('x');
  }, refused('state'));
  await deaf.move(carriers[1]);
  await deaf.stop({ timeout: 0 });
  await assert.rejects(async () => deaf.stdin?.write('x'), refused('ended'));
});

test('a terminal has its size, its owner, what it shows, and who is told of it, over moves', async () => {
  const script =
    'trap "stty size" WINCH; tty; id -u; [ -O /dev/pts/0 ] && echo owned; while :; do read a && echo "<$a>" && [ "$a" = two ] && break; done; cat; /usr/bin/env echo after; exit 6';
  const domain = await start('terminal', script, { tty: { columns: 99, rows: 33 }, user: 'user' });
  await until(domain, /\/dev\/pts\/0\r\n1000\r\nowned\r\n$/);
  await domain.stdin?.write('one\n');
  await until(domain, /one\r\n<one>\r\n$/);
  await thereAndBack(domain);
  await domain.resize({ columns: 120, rows: 40 });
  await until(domain, /40 120\r\n$/);
  await domain.move(carriers[1]);
  await domain.stdin?.write('two\n');
  await until(domain, /two\r\n<two>\r\n$/);
  await domain.stdin?.end();
  assert.deepEqual(await domain.ended, { kind: 'exited', status: 6 });
  // Programs that it starts have the terminal too.
  assert.match(said(domain), /after\r\n$/);
  await assert.rejects(domain.resize({ columns: 1, rows: 1 }), refused('ended'));
});

test('what a terminal shows comes whole, also where it stands when it is not taken', async () => {
  let open: () => void = () => undefined;
  const room = new Promise<void>((resolve) => (open = resolve));
  const script = 'stty -opost; read go; i=0; while [ $i -lt 30000 ]; do i=$((i + 1)); echo $i; done';
  const domain = await start('shower', script, { tty: { columns: 80, rows: 24 } });
  let seen = '';
  domain.onOutput((bytes) => {
    seen += Buffer.from(bytes).toString();
    return room;
  });
  await domain.stdin?.write('go\n');
  await sleep(1000);
  assert.equal(domain.end, undefined, 'it waits');
  await thereAndBack(domain);
  open();
  assert.deepEqual(await domain.ended, { kind: 'exited', status: 0 });
  const all = Array.from({ length: 30000 }, (_, i) => `${i + 1}\n`).join('');
  assert.equal(seen.slice(seen.indexOf('1\n')), all);
});

test('what a terminal shows last is there when its program has ended, also for who is slow', async () => {
  const double = 'x=0123456789abcdef; for i in 1 2 3 4 5 6 7 8 9 10; do x=$x$x; done';
  const last = `${'0123456789abcdef'.repeat(1024)}last\n`;
  for (const hops of [0, 0, 2]) {
    const script = `stty -opost -echo; ${double}; echo ready; read go; printf %s "$x"; echo last`;
    const domain = await start('hasty', script, { tty: { columns: 80, rows: 24 } });
    await until(domain, /ready\n$/);
    if (hops > 0) await thereAndBack(domain);
    let seen = '';
    domain.onOutput((bytes) => {
      seen += Buffer.from(bytes).toString();
      return sleep(1500);
    });
    await domain.stdin?.write('\r');
    assert.deepEqual(await domain.ended, { kind: 'exited', status: 0 });
    assert.equal(seen, last);
    assert.equal(said(domain), `ready\n${last}`);
  }
});

test('what cannot be is refused before anything is made', async () => {
  await assert.rejects(start('no', 'true', { tty: { columns: 0, rows: 1 } }), refused('state'));
  await assert.rejects(start('no', 'true', { stdin: 'open', input: '/dev/null' }), refused('state'));
  const plain = await start('no', 'sleep 100', {});
  assert.equal(plain.stdin, undefined);
  await assert.rejects(plain.resize({ columns: 1, rows: 1 }), refused('state'));
  await plain.stop({ timeout: 0 });
});
