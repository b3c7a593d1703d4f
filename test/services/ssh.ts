import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ownFolders } from './folders.js';
import { repeat } from './line-client.js';
import type { Service } from './service.js';

const CURVE = 'nistp256';
const KIND = `ecdsa-sha2-${CURVE}`;
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });

/** As `authorized_keys` has it: each part with its length before it (RFC 5656). */
function authorized(): string {
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' });
  const point = Buffer.concat([Buffer.of(4), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
  const parts = [Buffer.from(KIND), Buffer.from(CURVE), point].flatMap((part) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(part.length);
    return [length, part];
  });
  return `${KIND} ${Buffer.concat(parts).toString('base64')}`;
}

const PREPARE = `mkdir -p /run/sshd; ssh-keygen -q -t ed25519 -N '' -f /run/host_key; echo "$1" > /run/keys`;
const SERVER = ['AuthorizedKeysFile=/run/keys', 'StrictModes=no', 'UsePAM=no', 'PermitRootLogin=yes'];
const CLIENT = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR', 'ServerAliveInterval=0'];
const PATIENCE = 60_000;
/** How the shell ends in the end. */
const STATUS = 7;

/** `-o` before each. */
const options = (all: readonly string[]): string[] => all.flatMap((one) => ['-o', one]);

/** The host's client with a shell at a terminal of the server's: what it shows, and how it ends. */
class Session {
  #shown = '';
  #said = '';
  #ended = false;
  readonly #client: ChildProcessWithoutNullStreams;

  constructor(key: string, port: number) {
    const where = ['-i', key, '-p', String(port), 'root@127.0.0.1', 'sh'];
    this.#client = spawn('ssh', ['-tt', '-F', '/dev/null', ...options(CLIENT), ...where]);
    this.#client.stdout.on('data', (bytes: Buffer) => void (this.#shown += bytes.toString()));
    this.#client.stderr.on('data', (bytes: Buffer) => void (this.#said += bytes.toString()));
    this.#client.stdin.on('error', () => undefined);
    this.#client.on('error', (error) => {
      this.#said += error.message;
      this.#ended = true;
    });
    this.#client.on('close', () => void (this.#ended = true));
  }

  type(line: string): void {
    this.#client.stdin.write(`${line}\r`);
  }

  async until(text: string): Promise<void> {
    for (const end = performance.now() + PATIENCE; !this.#shown.includes(text); await sleep(20)) {
      if (this.#ended || performance.now() > end)
        throw new Error(`${this.#ended ? 'it has ended' : 'no answer'}: ${this.#said} ${this.#shown.slice(-200)}`);
    }
    this.#shown = '';
  }

  /** What was not as it should be at its end. */
  async end(): Promise<string[]> {
    this.type(`exit ${STATUS}`);
    for (const end = performance.now() + PATIENCE; !this.#ended && performance.now() < end; await sleep(20));
    const { exitCode } = this.#client;
    this.#client.kill();
    return exitCode === STATUS ? [] : [`the session ended with ${exitCode}: ${this.#said}`];
  }

  /** The server may not listen yet. */
  static async soon(key: string, port: number): Promise<Session> {
    for (const end = performance.now() + PATIENCE; ; await sleep(500)) {
      const session = new Session(key, port);
      try {
        await session.until('# ');
        return session;
      } catch (error) {
        if (performance.now() > end) throw error;
      }
    }
  }
}

/** A shell at a terminal of the server's, driven line by line by the host's client: one session over all moves. */
export const ssh: Service = {
  name: 'ssh',
  run: {
    argv: ['/usr/sbin/sshd', '-D', '-e', '-f', '/dev/null', '-h', '/run/host_key', ...options(SERVER)],
    folders: ownFolders(),
    before: [['/bin/sh', '-c', PREPARE, 'prepare', authorized()]],
  },
  port: 22,
  async begin({ port }) {
    const folder = mkdtempSync(join(tmpdir(), 'understudy-ssh-'));
    const key = join(folder, 'key');
    writeFileSync(key, privateKey.export({ type: 'sec1', format: 'pem' }), { mode: 0o600 });
    const session = await Session.soon(key, port);
    // Each turn the shell adds by itself, and starts a program at its terminal.
    const work = repeat('ssh', async (n) => {
      session.type(`echo "<$((${n} * 3))>$(env tty)"`);
      await session.until(`<${n * 3}>/dev/pts/`);
    });
    return {
      finish: async () => {
        const wrong = await work.stop();
        wrong.push(...(await session.end()));
        rmSync(folder, { recursive: true, force: true });
        return wrong;
      },
    };
  },
};
