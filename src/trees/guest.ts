/** A guest that makes a tree out of packages: it boots, works off the script, and is gone. */
import { ImageError } from '../image/errors.js';
import type { OnProgress } from '../image/host.js';
import type { PreparedImage } from '../image/prepare.js';
import type { Instance, SystemComputer } from '../system/index.js';
import { shellProfile, type KernelChoice, type Profile } from '../image/profile.js';

const MIB = 2 ** 20;
/** Of the file system, as `mke2fs` is told. */
const FS_BLOCK = 4096;
export const GUEST_MEMORY = 640 * MIB;
/** Of what the programs write, so much is kept for the message if it fails. */
const LOG_KEPT = 64 * 1024;
const LOG_SHOWN = 30;
/** A guest that says nothing for so long is given up (ms). */
const SILENCE = 15 * 60_000;

/** The guest's own image: a shell, and what makes a file system. */
export function builderProfile(kernel: KernelChoice = 'trixie'): Profile {
  return {
    ...shellProfile(kernel),
    name: 'builder',
    packages: ['e2fsprogs'],
    programs: ['usr/sbin/mke2fs', 'usr/sbin/e2fsck', 'usr/sbin/resize2fs'],
  };
}

export interface GuestWork {
  readonly computer: SystemComputer;
  readonly image: PreparedImage;
  /** Paths: what becomes the tree, and what has the packages. */
  readonly target: string;
  readonly packages: string;
  readonly script: string;
  /** Events that the script and dpkg will tell of, roughly: for the fraction. */
  readonly events: number;
  readonly onProgress: OnProgress;
  readonly signal?: AbortSignal | undefined;
}

export interface Built {
  /** Bytes that the tree's files take. */
  readonly used: number;
  /** Length of the file system; what follows on the disk is of no meaning. */
  readonly bytes: number;
}

/** Throws ImageError `build`, with what was written last, or `aborted`. */
export async function buildInGuest(work: GuestWork): Promise<Built> {
  const { computer, image, signal } = work;
  const instance = await computer.boot({
    image,
    name: 'builder',
    memory: GUEST_MEMORY,
    network: false,
    disks: [
      { path: work.target, raw: true },
      { path: work.packages, raw: true, readOnly: true },
    ],
    bootArguments: 'quiet panic=-1',
    run: work.script,
    ports: [{ name: 'told' }, { name: 'log' }],
  });
  const told = new Told(work);
  const log = new Tail(LOG_KEPT);
  const faults: string[] = [];
  instance.os.port('told').onData = (bytes) => told.take(bytes);
  instance.os.port('log').onData = (bytes) => log.add(bytes);
  instance.os.onDeviceFault = (message) => void faults.push(message);
  const stop = (): void => void instance.destroy();
  signal?.addEventListener('abort', stop, { once: true });
  if (signal?.aborted === true) stop();
  const watch = setInterval(() => {
    if (performance.now() - told.last > SILENCE) stop();
  }, 1000);
  await instance.ended;
  clearInterval(watch);
  signal?.removeEventListener('abort', stop);
  if (signal?.aborted === true) throw new ImageError('aborted', 'making the tree was interrupted');
  if (told.status !== 0 || !(told.bytes > 0)) throw failure(instance, told, log, faults);
  return { used: told.used, bytes: told.bytes };
}

function failure({ console }: Instance, told: Told, log: Tail, faults: readonly string[]): ImageError {
  const all = log.text.trimEnd().split('\n');
  // dpkg goes on after an error: what broke first is not what was said last.
  const first = all.findIndex((line) => /^dpkg: error|error:/.test(line));
  const from = first < 0 ? Math.max(0, all.length - LOG_SHOWN) : Math.max(0, first - LOG_SHOWN / 2);
  const lines = all.slice(from, from + LOG_SHOWN).join('\n');
  const why = told.status === undefined ? `the guest ended early; ${console.lastWords()}` : `status ${told.status}`;
  const disk = faults.length === 0 ? '' : `; ${faults[0]}`;
  return new ImageError('build', `the packages could not be installed, at "${told.at}" (${why}${disk}):\n${lines}`);
}

/** Reads what the script and dpkg tell: a line each. */
class Told {
  last = performance.now();
  status: number | undefined;
  used = 0;
  bytes = 0;
  at = 'booting';
  #rest = '';
  #events = 0;
  readonly #decoder = new TextDecoder();
  constructor(private readonly work: Pick<GuestWork, 'onProgress' | 'events'>) {}

  take(bytes: Uint8Array): void {
    this.last = performance.now();
    const lines = (this.#rest + this.#decoder.decode(bytes, { stream: true })).split('\n');
    this.#rest = (lines.pop() ?? '').slice(-4096);
    for (const line of lines) this.#line(line);
  }

  #line(line: string): void {
    // dpkg(1), --status-fd.
    const [, what, name] = /^processing: (\w+): (\S+)/.exec(line) ?? /^(lay) (\S+)/.exec(line) ?? [];
    const [, word, value] = /^(step|exit|used|blocks) (.*)$/.exec(line) ?? [];
    if (word === 'exit') this.status = Number(value);
    else if (word === 'used') this.used = Number(value) * 1024;
    else if (word === 'blocks') this.bytes = Number(value) * FS_BLOCK;
    else if (word === 'step') this.#tell(value ?? '');
    else if (what === 'install' || what === 'upgrade' || what === 'lay') this.#tell(`unpacking ${name}`);
    else if (what === 'configure') this.#tell(`configuring ${name}`);
  }

  #tell(message: string): void {
    this.at = message;
    const fraction = Math.min(0.99, this.#events++ / this.work.events);
    this.work.onProgress({ step: 'install', message: `in the guest: ${message}`, fraction });
  }
}

/** The end of a text. */
class Tail {
  #text = '';
  readonly #decoder = new TextDecoder();
  constructor(private readonly most: number) {}
  add(bytes: Uint8Array): void {
    this.#text = (this.#text + this.#decoder.decode(bytes, { stream: true })).slice(-this.most);
  }
  get text(): string {
    return this.#text;
  }
}
