import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Computer } from '../../../index.js';
import type { Machine } from './actions.js';
import { ask } from './client.js';
import { controlFolder, machinesIn, socketPath } from './folder.js';
import { lineReader } from './lines.js';
import { parseAnswer, parseRequest, writeRequest, type Request } from './protocol.js';
import { ControlServer } from './server.js';

const folder = join(mkdtempSync(join(tmpdir(), 'understudy-control-')), 'sockets');
after(() => rmSync(join(folder, '..'), { recursive: true }));

const good: readonly Request[] = [
  { do: 'list' },
  { do: 'interpose', device: 'nic0' },
  { do: 'step-away', device: 'nic0', timeout: 100 },
  { do: 'watch', device: 'disk0', what: 'count' },
  { do: 'limit', device: 'disk0', rule: { bytesPerSecond: 1e6, operationsPerSecond: 10 } },
  { do: 'disturb', device: 'disk0', rule: { errors: 0.5, requests: ['read', 'flush'], first: 0, sectors: 8 } },
  { do: 'move', device: 'disk0', path: '/tmp/x', overwrite: false },
  { do: 'share', device: 'disk0', rule: { overlay: true }, script: 'true' },
];

test('a request is read as it was written', () => {
  for (const request of good) assert.deepEqual(parseRequest(writeRequest(request).trim()), request);
});

for (const [what, request] of [
  ['no JSON', 'nonsense'],
  ['no object', '[1]'],
  ['another version', '{"version":2,"do":"list"}'],
  ['nothing to do', '{"version":1}'],
  ['what there is not', '{"version":1,"do":"fly"}'],
  ['what every object has', '{"version":1,"do":"constructor"}'],
  ['a device that is no name', '{"version":1,"do":"interpose","device":"../x"}'],
  ['no device', '{"version":1,"do":"interpose"}'],
  ['more than is known', '{"version":1,"do":"list","more":1}'],
  ['a share beyond 1', '{"version":1,"do":"disturb","device":"disk0","rule":{"errors":2}}'],
  ['a rule with something unknown', '{"version":1,"do":"disturb","device":"disk0","rule":{"__proto__x":2}}'],
  ['a number that is none', '{"version":1,"do":"limit","device":"disk0","rule":{"bytesPerSecond":"1"}}'],
  ['a relative path', '{"version":1,"do":"move","device":"disk0","path":"x","overwrite":false}'],
  ['a kind that is none', '{"version":1,"do":"disturb","device":"disk0","rule":{"requests":["x"]}}'],
] as const) {
  test(`${what} is refused`, () => assert.throws(() => parseRequest(request), { code: 'invalid' }));
}

test('an answer is an event, the end or an error, and nothing else', () => {
  assert.deepEqual(parseAnswer('{"event":{"a":1}}'), { event: { a: 1 } });
  assert.deepEqual(parseAnswer('{"done":{}}'), { done: {} });
  assert.deepEqual(parseAnswer('{"error":{"code":"busy","message":"m"}}'), { error: { code: 'busy', message: 'm' } });
  for (const line of ['{}', '{"error":{}}', '{"done":1}', '7']) {
    assert.throws(() => parseAnswer(line), { code: 'invalid' });
  }
});

test('lines are read however they are cut, and have a bound', () => {
  const lines: string[] = [];
  const read = lineReader((line) => void lines.push(line), 8);
  for (const part of ['on', 'e\ntwo\nth', 'ree', '\n\n']) read(Buffer.from(part));
  assert.deepEqual(lines, ['one', 'two', 'three', '']);
  assert.throws(() => read(Buffer.from('123456789')), { code: 'invalid' });
  assert.throws(() => lineReader(() => undefined, 8)(Buffer.from('123456789\n')), { code: 'invalid' });
});

test('where sockets lie', () => {
  assert.equal(controlFolder({ XDG_RUNTIME_DIR: '/run/user/7' }), '/run/user/7/understudy');
  assert.equal(controlFolder({ XDG_RUNTIME_DIR: 'relative', UNDERSTUDY_CACHE: '/c' }), '/c/run');
  assert.throws(() => socketPath('/run', '../x'), { code: 'invalid' });
  assert.throws(() => socketPath(`/${'x'.repeat(100)}`, 'name'), { code: 'folder' });
});

/** A machine without a guest. */
async function machine(name: string): Promise<Machine> {
  const computer = await Computer.create({ memory: 16 * 2 ** 20, harts: 1, network: false });
  return { name, computer, instance: undefined, room: undefined, atEnd: [] };
}

const never = new AbortController().signal;
const asking = { machine: undefined, enough: never, onEvent: () => undefined, folder };

test('a machine has a socket of this user alone, several have one each, and none remains', async () => {
  const [a, b] = [await machine('a'), await machine('b')];
  await assert.rejects(ask({ do: 'list' }, asking), { code: 'no-machine' });
  const first = await ControlServer.open(a, folder);
  assert.deepEqual([statSync(first.path).mode & 0o777, statSync(folder).mode & 0o777], [0o600, 0o700]);
  await assert.rejects(ControlServer.open(a, folder), { code: 'name-taken' });
  await assert.rejects(ask({ do: 'list' }, asking), { code: 'no-guest' });
  const second = await ControlServer.open(b, folder);
  assert.deepEqual(await machinesIn(folder), ['a', 'b']);
  await assert.rejects(ask({ do: 'list' }, asking), { code: 'which' });
  await assert.rejects(ask({ do: 'list' }, { ...asking, machine: 'c' }), { code: 'no-machine' });
  await Promise.all([first.close(), second.close()]);
  assert.deepEqual(await machinesIn(folder), []);
  assert.throws(() => statSync(first.path), { code: 'ENOENT' });
  await Promise.all([a.computer.close(), b.computer.close()]);
});

test('the socket of a machine that was killed is taken over, and a file in its place is not', async () => {
  const path = socketPath(folder, 'killed');
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  assert.equal(spawnSync(process.execPath, ['-e', script]).signal, 'SIGKILL');
  assert.ok(statSync(path).isSocket());
  const killed = await machine('killed');
  const server = await ControlServer.open(killed, folder);
  assert.deepEqual(await machinesIn(folder), ['killed']);
  await server.close();
  writeFileSync(path, 'mine');
  await assert.rejects(ControlServer.open(killed, folder), { code: 'folder' });
  assert.equal(statSync(path).size, 4);
  rmSync(path);
  await killed.computer.close();
});

test('who sends garbage, or too much, or nothing is answered with an error, and others are served', async () => {
  const one = await machine('one');
  const server = await ControlServer.open(one, folder);
  const say = async (text: string): Promise<string> => {
    const socket = connect({ path: server.path, allowHalfOpen: true });
    socket.on('error', () => undefined);
    socket.end(text);
    let answer = '';
    socket.on('data', (bytes) => void (answer += bytes.toString()));
    await once(socket, 'end');
    socket.destroy();
    return answer;
  };
  for (const text of ['garbage\n', '', '{"version":1,"do":"list"', 'x'.repeat(2 ** 21)]) {
    assert.match(await say(text), /^\{"error":\{"code":"invalid",/);
  }
  await assert.rejects(ask({ do: 'list' }, asking), { code: 'no-guest' });
  await server.close();
  await one.computer.close();
});

test('a machine that ends in the middle, or answers garbage, is an error', async () => {
  for (const [said, code] of [
    ['', 'gone'],
    ['{"event":{}}\n', 'gone'],
    ['nonsense\n', 'invalid'],
  ] as const) {
    const path = socketPath(folder, 'odd');
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.resume().end(said);
    }).listen(path);
    await once(server, 'listening');
    await assert.rejects(ask({ do: 'list' }, { ...asking, machine: 'odd' }), { code });
    server.close();
    await once(server, 'close');
  }
});
