/** `understudy keys`: the life of the keys that seal sessions, in a file. */
import { randomFillSync } from 'node:crypto';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import {
  createKey,
  DEFAULT_POLICY,
  formatKeyId,
  formatRingForEnvironment,
  keyState,
  revoke,
  rotate,
  SessionError,
} from '../../session/index.js';
import { makeFolderOf } from '../../session/node/folders.js';
import type { RingContent, RingPolicy } from '../../session/index.js';
import { changeRingFile, readRingFile } from '../../session/node/index.js';
import { table as aligned } from './control/showing.js';
import { parseCommandLine, UsageError } from './usage.js';

const HELP = `understudy keys: the keys that seal sessions

  understudy keys list               every key and where in its life it is
  understudy keys create             a new key; makes the ring when there is none
  understudy keys rotate             a new key that replaces the others
  understudy keys revoke ID ...      these keys open nothing from now on
  understudy keys revoke --all       every session ends
  understudy keys export             the ring on one line, for an environment variable: SECRET

  --file PATH            the ring's file (or UNDERSTUDY_KEYS_FILE; else ~/.config/understudy/session-keys.json)
  --now                  create, rotate: the new key seals at once, without the propagation delay
  --propagation SECONDS  create, for a new ring: time for a new key to reach every server
  --lifetime SECONDS     create, for a new ring: how long a key seals
  --overlap SECONDS      create, for a new ring: how long it opens after that
  --json                 list: as JSON, without secrets
  --read-only            list, export: the file is a mounted secret, which others may read (Docker: mode 0444;
                         Kubernetes: 0440, 0644) as long as none may write it
`;

const OPTIONS = {
  file: { type: 'string' },
  now: { type: 'boolean' },
  all: { type: 'boolean' },
  json: { type: 'boolean' },
  'read-only': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  propagation: { type: 'string' },
  lifetime: { type: 'string' },
  overlap: { type: 'string' },
} as const;

/** Where the command writes and what it reads its environment from. */
export interface KeysIo {
  readonly out: (text: string) => void;
  readonly error: (text: string) => void;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly now: () => number;
}

const PROCESS_IO: KeysIo = {
  out: (text) => void process.stdout.write(text),
  error: (text) => void process.stderr.write(text),
  environment: process.env,
  now: Date.now,
};

function random(bytes: Uint8Array): void {
  randomFillSync(bytes);
}

const parse = (args: string[]) => parseCommandLine({ args, options: OPTIONS, allowPositionals: true });

type Values = ReturnType<typeof parse>['values'];

function seconds(text: string | undefined, name: string, otherwise: number): number {
  if (text === undefined) return otherwise;
  if (!/^\d{1,10}$/.test(text)) throw new UsageError(`--${name}: a whole number of seconds`);
  return Number(text);
}

function policyOf(values: Values): RingPolicy {
  return {
    propagation: seconds(values.propagation, 'propagation', DEFAULT_POLICY.propagation),
    lifetime: seconds(values.lifetime, 'lifetime', DEFAULT_POLICY.lifetime),
    overlap: seconds(values.overlap, 'overlap', DEFAULT_POLICY.overlap),
  };
}

function table(content: RingContent, now: number): string {
  const iso = (ms: number) => new Date(ms).toISOString().slice(0, 16).replace('T', ' ');
  const rows = content.keys.map((key) => [
    formatKeyId(key.id),
    keyState(key, content.policy, now),
    iso(key.created),
    iso(key.activates),
    iso(key.expires),
    key.revoked === undefined ? '' : iso(key.revoked),
  ]);
  rows.unshift(['KEY', 'STATE', 'CREATED', 'SEALS FROM', 'SEALS UNTIL', 'REVOKED']);
  return aligned(rows);
}

function json(content: RingContent, now: number): string {
  const keys = content.keys.map((key) => ({
    id: formatKeyId(key.id),
    state: keyState(key, content.policy, now),
    created: new Date(key.created).toISOString(),
    activates: new Date(key.activates).toISOString(),
    expires: new Date(key.expires).toISOString(),
    ...(key.revoked === undefined ? {} : { revoked: new Date(key.revoked).toISOString() }),
  }));
  return JSON.stringify({ policy: content.policy, keys }, null, 2) + '\n';
}

function existing(content: RingContent | undefined, path: string): RingContent {
  if (content !== undefined) return content;
  throw new SessionError('file', `key ring ${path}: does not exist: make it with "understudy keys create"`);
}

async function add(path: string, values: Values, io: KeysIo, how: 'create' | 'rotate'): Promise<void> {
  const policyGiven = [values.propagation, values.lifetime, values.overlap].some((value) => value !== undefined);
  const policy = policyOf(values);
  await makeFolderOf(path);
  let note = '';
  await changeRingFile(path, (content) => {
    if (how === 'rotate') existing(content, path);
    if (content !== undefined && policyGiven) {
      throw new UsageError('the ring exists and has its policy: edit "policy" in the file to change it');
    }
    const step = (how === 'rotate' ? rotate : createKey)(content ?? { policy, keys: [] }, io.now(), random, {
      immediately: values.now === true,
    });
    note = `key ${formatKeyId(step.key.id)} seals from ${new Date(step.key.activates).toISOString()}\n`;
    return step.content;
  });
  io.out(note);
}

async function revokeKeys(path: string, ids: string[], values: Values, io: KeysIo): Promise<void> {
  if (ids.length === 0 && values.all !== true) throw new UsageError('revoke: which key? (or --all)');
  for (const id of ids)
    if (!/^[0-9a-f]{8}$/.test(id)) throw new UsageError(`"${id}" is not a key id, 8 hexadecimal digits`);
  const now = io.now();
  await changeRingFile(path, (content) => {
    const ring = existing(content, path);
    const which = values.all === true ? ring.keys.map((key) => key.id) : ids.map((id) => parseInt(id, 16));
    return revoke(ring, which, now, random);
  });
  io.out(table(readRingFile(path), now));
}

async function run(args: string[], io: KeysIo): Promise<void> {
  const { values, positionals } = parse(args);
  const [command, ...rest] = positionals;
  if (values.help === true || command === undefined || command === 'help') {
    io.out(HELP);
    return;
  }
  if (rest.length > 0 && command !== 'revoke') throw new UsageError(`${command}: takes no "${rest[0]}"`);
  const fallback = join(
    io.environment['XDG_CONFIG_HOME'] ?? join(homedir(), '.config'),
    'understudy',
    'session-keys.json',
  );
  const othersMayRead = values['read-only'] === true;
  if (othersMayRead && command !== 'list' && command !== 'export') {
    throw new UsageError(`${command}: --read-only goes with list and export`);
  }
  const path = resolve(values.file ?? io.environment['UNDERSTUDY_KEYS_FILE'] ?? fallback);
  switch (command) {
    case 'list': {
      const content = readRingFile(path, { othersMayRead });
      io.out(values.json === true ? json(content, io.now()) : table(content, io.now()));
      return;
    }
    case 'create':
    case 'rotate':
      return add(path, values, io, command);
    case 'revoke':
      return revokeKeys(path, rest, values, io);
    case 'export':
      io.out(formatRingForEnvironment(readRingFile(path, { othersMayRead })) + '\n');
      return;
    default:
      throw new UsageError(`no command "${command}"`);
  }
}

/**
 * Runs `understudy keys ARGS`.
 *
 * @returns the exit status: 0 done, 1 it failed, 2 the command line makes no sense
 */
export async function keysCommand(args: string[], io: KeysIo = PROCESS_IO): Promise<number> {
  try {
    await run(args, io);
    return 0;
  } catch (error) {
    if (error instanceof UsageError) {
      io.error(`understudy keys: ${error.message}\n\n${HELP}`);
      return 2;
    }
    if (!(error instanceof SessionError)) throw error;
    io.error(`understudy keys: ${error.message}\n`);
    return 1;
  }
}
