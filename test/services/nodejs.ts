import { createHash } from 'node:crypto';
import { ownFolders } from './folders.js';
import { Connection, repeat } from './line-client.js';
import type { Service } from './service.js';

/** A server whose worker thread hashes and counts in code that gets hot; each answer comes by way of the worker. */
const APP = `
const { Worker, isMainThread, parentPort } = require('node:worker_threads');
if (!isMainThread) {
  const { createHash } = require('node:crypto');
  const sum = (n) => { let s = 0; for (let i = 0; i < 20000; i++) s = (s + ((i ^ n) % 7)) | 0; return s; };
  parentPort.on('message', ({ id, n }) => parentPort.postMessage({ id, text: createHash('md5').update(String(n)).digest('hex') + ' ' + sum(n) }));
} else {
  const worker = new Worker(__filename);
  const waiting = new Map();
  let next = 0;
  worker.on('message', ({ id, text }) => { waiting.get(id)(text); waiting.delete(id); });
  require('node:http').createServer(async (request, response) => {
    const n = Number(request.url.slice(1));
    const text = await new Promise((done) => { waiting.set(++next, done); worker.postMessage({ id: next, n }); });
    require('node:fs').writeFile('/tmp/last', text, () => response.end('<' + text + '>'));
  }).listen(80, '0.0.0.0');
}
`;
function sumOf(n: number): number {
  let s = 0;
  for (let i = 0; i < 20000; i++) s = (s + ((i ^ n) % 7)) | 0;
  return s;
}

/** Node with its JIT, a worker thread, its thread pool for files: every answer is right, over one connection. */
export const nodejs: Service = {
  name: 'node',
  run: {
    argv: ['node', '/run/app.js'],
    folders: ownFolders(),
    before: [['/bin/sh', '-c', `printf '%s' "$1" > /run/app.js`, 'write', APP]],
  },
  port: 80,
  async begin({ port }) {
    const c = await Connection.soon(port);
    const work = repeat('node', async (n) => {
      c.send(`GET /${n} HTTP/1.1\r\nHost: test\r\n\r\n`);
      await c.until('<');
      const body = await c.until('>');
      const wanted = `${createHash('md5').update(String(n)).digest('hex')} ${sumOf(n)}>`;
      if (body !== wanted) throw new Error(`${body} in place of ${wanted}`);
    });
    return {
      finish: async () => {
        const wrong = [...(await work.stop()), ...c.broken];
        c.close();
        return wrong;
      },
    };
  },
};
