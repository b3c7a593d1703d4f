/**
 * Two servers with nothing in common but the key ring, a client in the middle
 * of a stream, one server killed: the other goes on at the right frame.
 */
import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { rotate } from '../../src/session/index.js';
import { changeRingFile, openRing } from '../../src/session/node/index.js';
import { playTrack } from './client.js';
import { frameOf, TRACK_LENGTH } from './server.js';

type Child = ChildProcessByStdio<null, Readable, null>;

async function spawnServer(keys: string): Promise<{ child: Child; port: number }> {
  const program = fileURLToPath(new URL('./server.js', import.meta.url));
  const child = spawn(process.execPath, [program, keys], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, port: Number(String(line)) };
}

/** What came of it. */
export interface Outcome {
  /** Frames that each server played, by its place. */
  readonly played: readonly number[];
  /** Whether every frame came once, in order, with the right content. */
  readonly whole: boolean;
}

/**
 * @param killAfter - frames after which the first server is killed
 * @param log - told what happens
 */
export async function tellStory(killAfter: number, log: (line: string) => void): Promise<Outcome> {
  const folder = await mkdtemp(join(tmpdir(), 'session-streaming-'));
  const keys = join(folder, 'keys.json');
  await openRing(keys, { create: true });
  const servers = await Promise.all([spawnServer(keys), spawnServer(keys)]);
  try {
    const ports = servers.map((server) => server.port);
    log(`two servers, on ports ${ports.join(' and ')}, share ${keys}`);
    const played = [0, 0];
    let whole = true;
    let count = 0;
    await playTrack(ports, 'intro', TRACK_LENGTH, {
      async frame(data, port) {
        whole &&= data.equals(frameOf('intro', count));
        played[ports.indexOf(port)]++;
        count++;
        if (count === killAfter) {
          log(`frame ${count} has arrived: the server on port ${port} is killed, and the keys are rotated`);
          servers[0].child.kill('SIGKILL');
          const now = Date.now();
          await changeRingFile(keys, (content) => {
            if (content === undefined) throw new Error('the ring is gone');
            return rotate(content, now, (bytes) => void randomFillSync(bytes), { immediately: true }).content;
          });
        }
      },
      moved: (from, to) => log(`port ${from} is silent: playing on at port ${to}, from frame ${count}`),
    });
    log(`${count} frames, ${whole ? 'each once and in order' : 'NOT as they should be'}`);
    return { played, whole: whole && count === TRACK_LENGTH };
  } finally {
    for (const { child } of servers) child.kill('SIGKILL');
    await rm(folder, { recursive: true });
  }
}
