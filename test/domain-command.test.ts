/** `understudy domain`: a program as a domain of a machine in another process, from its start to its end. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createHash } from 'node:crypto';
import { inTerminal, start, understudy, understudyCommand, type Running } from './testing/command-line.js';

const folder = mkdtempSync(join(tmpdir(), 'understudy-domain-'));
const env = { XDG_RUNTIME_DIR: folder };
let machine: Running;

const domain = (...args: string[]) => understudy(['domain', ...args], env);

before(async () => {
  machine = start(...understudyCommand(['domain', 'serve', '--name', 'm', '--memory', '300M']), env);
  await machine.until(/is ready/);
});
after(async () => {
  machine.child.kill('SIGINT');
  const { status } = await machine.finished;
  rmSync(folder, { recursive: true, force: true });
  assert.equal(status, 130);
});

test("a program's output and status are the command's", async () => {
  const wrong = await domain('run', '--', 'nosuch');
  assert.deepEqual([wrong.status, wrong.stdout], [1, '']);
  assert.match(wrong.stderr, /there is no program nosuch in \/usr\/local\/sbin:/);
  const whole = await domain('run', '--env', 'WORD=said', '--', 'sh', '-c', 'echo $WORD; exit 7');
  assert.deepEqual([whole.status, whole.stdout], [7, 'said\n']);
  assert.match(whole.stderr, /^sh(-\d)? runs in a\n$/);
});

test('user, limits and folder are as told', async () => {
  const args = ['--user', 'user', '--limit', 'nofile=77:88', '--workdir', '/usr'];
  const { status, stdout } = await domain(
    'run',
    ...args,
    '--',
    '/usr/bin/sh',
    '-c',
    'id -u; ulimit -n; pwd; echo $HOME',
  );
  assert.deepEqual([status, stdout], [0, '1000\n77\n/usr\n/home/user\n']);
});

test('a domain is listed, checked, moved to another kernel and back, heard, and stopped', async () => {
  const script = 'trap "echo bye; exit 5" TERM; while :; do echo turn; sleep 0.2 & wait $!; done';
  const started = await domain('run', '--name', 'turns', '--detach', '--', '/usr/bin/sh', '-c', script);
  assert.deepEqual([started.status, started.stdout], [0, 'turns runs in a\n'], started.stderr);
  assert.match((await domain('run', '--name', 'turns', '--', '/usr/bin/true')).stderr, /runs already/);
  assert.match((await domain('ps')).stdout, /^a: Linux 6\.12[^]*\nturns +a .*sh \(2\)/);
  assert.deepEqual(await domain('check', 'turns').then((r) => [r.status, r.stdout]), [0, 'turns could move\n']);
  const there = await domain('move', 'turns');
  assert.match(there.stdout, /^turns has moved from a to b, Linux 7\.2.* it stood still for \d+ ms$/m, there.stderr);
  const back = JSON.parse(
    (await domain('move', 'turns', '--to', 'trixie', '--json')).stdout.split('\n').at(-2) ?? '',
  ) as {
    to: string;
  };
  assert.equal(back.to, 'a');
  const logs = (await domain('logs', 'turns')).stdout.split('\n').length;
  assert.ok(logs > 2, `${logs} lines`);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  assert.ok((await domain('logs', 'turns')).stdout.split('\n').length > logs, 'it goes on');
  const stopped = await domain('stop', 'turns');
  assert.equal(stopped.stdout, 'turns ended with status 5\n');
  assert.match((await domain('logs', 'turns')).stdout, /bye\n$/);
  assert.match((await domain('ps')).stdout, /turns .* ended with status 5/);
});

test('an empty understudy of another kernel than asked for is replaced, one with a domain in it is not', async () => {
  await domain('run', '--name', 'first', '--detach', '--', '/usr/bin/sleep', '1000');
  const same = await domain('move', 'first', '--to', 'trixie');
  assert.match(same.stdout, /moved from a to b, Linux 6\.12/, same.stderr);
  assert.match((await domain('move', 'first')).stdout, /moved from b to a/);
  await domain('run', '--name', 'second', '--detach', '--', '/usr/bin/sleep', '1000');
  assert.match((await domain('move', 'second')).stdout, /moved from a to b, Linux 6\.12/);
  assert.match((await domain('move', 'first', '--to', 'backports')).stderr, /no room for a third with backports/);
  await domain('stop', 'second', '--timeout', '0');
  const other = await domain('move', 'first', '--to', 'backports');
  assert.match(other.stdout, /moved from a to b, Linux 7\.2/, other.stderr);
  assert.match((await domain('move', 'first')).stdout, /moved from b to a, Linux 6\.12/);
  await domain('stop', 'first', '--timeout', '0');
});

test('what is in the way of a move is told, all of it, and since when', async () => {
  const script = 'exec 7< /dev/mem; exec 8< /dev/kmsg; exec sleep 1000';
  await domain('run', '--name', 'stuck', '--detach', '--', '/usr/bin/sh', '-c', script);
  const check = await domain('check', 'stuck', '--json');
  assert.equal(check.status, 3);
  type Said = { movable: boolean; obstacles: { resource: string; since: string }[] };
  const first = JSON.parse(check.stdout) as Said;
  assert.deepEqual(first.obstacles.map((o) => o.resource).sort(), ['the device /dev/kmsg', 'the device /dev/mem']);
  const again = JSON.parse((await domain('check', 'stuck', '--json')).stdout) as Said;
  assert.deepEqual(again.obstacles, first.obstacles);
  const refused = await domain('move', 'stuck');
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /the device \/dev\//);
  assert.equal((await domain('stop', 'stuck', '--timeout', '0')).stdout, 'stuck ended by signal 9\n');
});

test("what comes to its standard input is the program's, to its end", async () => {
  const all = Buffer.from(Array.from({ length: 700_000 }, (_, i) => (i * 7 + (i >> 8)) & 0xff));
  const running = start(...understudyCommand(['domain', 'run', '--', 'sh', '-c', 'sha256sum; echo end']), env);
  running.child.stdin?.end(all);
  const { status, stdout, stderr } = await running.finished;
  assert.deepEqual([status, stdout], [0, `${createHash('sha256').update(all).digest('hex')}  -\nend\n`], stderr);
  // Who does not read it, or not to its end, ends all the same; and the command does not wait for more.
  const short = start(...understudyCommand(['domain', 'run', '-i', '--', 'sh', '-c', 'read a; echo $a; exit 3']), env);
  short.child.stdin?.write('line\nmore\n');
  assert.deepEqual(await short.finished.then((r) => [r.status, r.stdout]), [3, 'line\n']);
  short.child.stdin?.destroy();
});

test('standard input goes on over a move, and nothing of it is lost', async () => {
  const script = 'n=0; while read a; do n=$((n + 1)); [ "$a" = $n ] || echo "$n: $a"; done; echo "all $n"';
  const running = start(...understudyCommand(['domain', 'run', '--name', 'reader', '--', 'sh', '-c', script]), env);
  await running.until(/runs in a/);
  let n = 0;
  const typing = setInterval(() => running.child.stdin?.write(`${++n}\n`), 3);
  for (const to of ['b', 'a']) {
    const moved = await domain('move', 'reader');
    assert.match(moved.stdout, new RegExp(`has moved from . to ${to}`), moved.stderr);
  }
  clearInterval(typing);
  running.child.stdin?.end();
  assert.deepEqual(await running.finished.then((r) => [r.status, r.stdout]), [0, `all ${n}\n`]);
});

test('a program at a terminal has its size, its keys and its signals, also after a move', async () => {
  const running = inTerminal(['domain', 'run', '-t', '--name', 'term', '--', 'sh'], folder, { env });
  const type = (text: string): void => void running.child.stdin?.write(text);
  await running.until(/# (?:\x1b\[6n)?$/);
  type('tty; stty size; echo $TERM; test -t 1 && echo "at a terminal"\r');
  await running.until(/\/dev\/pts\/0\r+\n30 100\r+\nlinux\r+\nat a terminal\r+\n/);
  const shown = () => running.output().replaceAll(/\x1b\[[0-9;]*[A-Za-z]/g, '');
  for (const to of ['b', 'a']) {
    type('stty raw -echo; dd bs=1 count=2000 2>/dev/null | md5sum; stty sane; echo over\r');
    await running.until(/echo over\r+\n$/);
    const before = shown().length;
    const moving = domain('move', 'term');
    const typed = Array.from({ length: 2000 }, (_, i) => String.fromCharCode(97 + ((i * 7) % 26))).join('');
    for (let at = 0; at < typed.length; at += 5) {
      type(typed.slice(at, at + 5));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.match((await moving).stdout, new RegExp(`has moved from . to ${to}`));
    await running.until(/-[ \r]*\n(?:\x1b\[6n)?over\r+\n[^\n]*# (?:\x1b\[6n)?$/);
    assert.ok(shown().slice(before).includes(createHash('md5').update(typed).digest('hex')), shown().slice(before));
  }
  // Ctrl-C ends what runs in the foreground, not the command.
  type('trap "echo caught" INT; sleep 1000\r');
  await running.until(/sleep 1000\r+\n$/);
  await new Promise((resolve) => setTimeout(resolve, 300));
  type('\x03');
  await running.until(/\^C[^]*# (?:\x1b\[6n)?$/);
  type('exit 9\r');
  const { stdout } = await running.finished;
  assert.match(stdout, /status=9\r+\nterminal-restored/);
});

test('a terminal that becomes larger is larger in the domain, and the program is told', async () => {
  // script(1) has no window: the size of the terminal is set from inside, and the command told as a window would.
  const script = 'trap "stty size; exit 4" WINCH; echo ready; while :; do sleep 0.1; done';
  const running = inTerminal(['domain', 'run', '--tty', '--', 'sh', '-c', script], folder, { env, told: true });
  await running.until(/ready/);
  const pid = Number(/pid=(\d+)/.exec(running.output())?.[1]);
  spawnSync('sh', ['-c', `stty rows 40 cols 120 < /proc/${pid}/fd/0`]);
  const { stdout } = await running.finished;
  assert.match(stdout, /40 120\r+\n/);
  assert.match(stdout, /status=4/);
});

test('a terminal is asked for where there is one', async () => {
  const none = await domain('run', '--tty', '--', 'sh');
  assert.deepEqual([none.status, none.stdout], [2, '']);
  assert.match(none.stderr, /--tty: standard input is no terminal/);
  const detached = await domain('run', '-it', '--detach', '--', 'sh');
  assert.deepEqual([detached.status, detached.stdout], [2, '']);
  assert.match(detached.stderr, /with --detach nobody would type/);
  assert.match((await domain('run', '--tty', '--json', '--', 'sh')).stderr, /no --json/);
});

test('several domains have networks of their own, each its own address', async () => {
  for (const n of [1, 2]) {
    const { status, stderr } = await domain(
      ...['run', '--name', `net-${n}`, '--detach', '--network', `10.0.2.10${n}`, '--', 'sleep', '1000'],
    );
    assert.equal(status, 0, stderr);
  }
  const taken = await domain('run', '--network', '10.0.2.102', '--', 'sleep', '1');
  assert.equal(taken.status, 1);
  assert.match(taken.stderr, /net-2 has the address 10\.0\.2\.102/);
  const third = await domain('run', '--network', '10.0.2.103', '--', 'busybox', 'ip', '-4', 'addr', 'show', 'eth0');
  assert.match(third.stdout, /inet 10\.0\.2\.103\/24/, third.stderr);
  assert.match((await domain('move', 'net-2')).stdout, /net-2 has moved from a to b/);
  for (const n of [1, 2]) assert.equal((await domain('stop', `net-${n}`)).status, 0);
});

test('what has no meaning is said, with status 2 or 1', async () => {
  for (const args of [[], ['fly'], ['run'], ['check'], ['ps', 'x'], ['stop', 'x', '--follow'], ['serve']]) {
    assert.equal((await domain(...args)).status, 2, args.join(' '));
  }
  assert.match((await domain('stop', 'nobody')).stderr, /there is no domain nobody; there are/);
  assert.match((await domain('run', '--tree', 'none', '--', '/bin/true')).stderr, /started without the tree none/);
  assert.match((await domain('run', '--user', 'nemo', '--', '/bin/true')).stderr, /there is no user nemo/);
  assert.match((await domain('run', '--limit', 'x=1', '--', '/bin/true')).stderr, /is no limit/);
  for (const options of [
    ['--limit', 'x=1'],
    ['--env', 'x'],
    ['--name', 'x'.repeat(300)],
    ...['99999:1', '1:99999', 'x'].map((f) => ['--network', '10.0.2.109', '--forward', f]),
  ]) {
    const { status, stderr } = await domain('run', ...options, '--', '/bin/true');
    assert.equal(status, 2, stderr);
  }
  assert.match((await domain('run', '--name', 'x'.repeat(300), '--', '/bin/true')).stderr, /at most 63 characters/);
});

test('nothing starts where a port is taken, and nothing boots of which there is no kernel', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  try {
    const forward = `127.0.0.1:${port}:80`;
    const refused = await domain(
      ...['run', '--name', 'no-port', '--network', '10.0.2.109', '--forward', forward, '--', '/bin/echo', 'started'],
    );
    assert.deepEqual([refused.status, refused.stdout], [1, ''], refused.stderr);
    assert.doesNotMatch((await domain('ps')).stdout, /no-port/);
  } finally {
    server.close();
  }
  assert.equal((await domain('run', '--detach', '--name', 'stays', '--', 'sleep', '1000')).status, 0);
  const moved = await domain('move', 'stays', '--to', '5.10');
  assert.equal(moved.status, 1, moved.stderr);
  assert.doesNotMatch(moved.stderr, /boots/);
  assert.equal((await domain('stop', 'stays')).status, 0);
});

test('what cannot be written is said', async () => {
  assert.equal((await domain('run', '--name', 'writer', '--', '/bin/echo', 'word')).status, 0);
  const [program, args] = understudyCommand(['domain', 'logs', 'writer']);
  const full = openSync('/dev/full', 'w');
  try {
    const written = spawnSync(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', full, 'pipe'] });
    assert.equal(written.status, 1);
    assert.match(String(written.stderr), /standard output: .*ENOSPC/);
  } finally {
    closeSync(full);
  }
});
