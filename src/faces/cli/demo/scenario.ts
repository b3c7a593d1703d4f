/**
 * The demonstration itself, on the library: what a reader would do who wants the same. Everything is measured from
 * outside, by clients of the host that know nothing of it.
 */
import { asError } from './failure.js';
import { randomInt } from 'node:crypto';
import { launch, type RunningDomain } from '../../../domain/tree/launch.js';
import type { MigrationReport } from '../../../remapping/migrate.js';
import { readText, readTexts } from '../../../domain/linux/os.js';
import { Computer, type Forward, type PreparedImage } from '../../../index.js';
import { Carrier, Maintenance, type MaintenanceEvent } from '../../../maintenance/index.js';
import { connectSoon, type RedisConnection } from './connection.js';
import { DataSet } from './data.js';
import type { DemoOptions } from './options.js';
import type { Chronicle, DemoResult, Span } from './result.js';
import { SteadyClient } from './steady-client.js';
import type { Telling } from './telling.js';

const MIB = 2 ** 20;
/** Machine memory, and what each OS instance gets of it, by MiB of data. */
const SIZES = {
  16: { computer: 1024, instance: 384 },
  64: { computer: 1024, instance: 384 },
  256: { computer: 1536, instance: 704 },
} as const;

const ADDRESS = '10.0.2.100';
const REDIS_PORT = 6379;
const SPEC = {
  name: 'redis',
  hostname: 'redis',
  // The instance's own NIC: nothing else in it needs one.
  network: { nic: 'eth0', mac: '52:54:00:00:01:00', address: `${ADDRESS}/24`, gateway: '10.0.2.2' },
} as const;
const LOG = '/var/log/redis.log';
const REDIS = [
  '/usr/bin/redis-server',
  ...['--port', String(REDIS_PORT), '--bind', '0.0.0.0', '--protected-mode', 'no'],
  // Nothing is written to a disk: all there is is in memory.
  ...['--save', '', '--appendonly', 'no'],
] as const;
/** For a client to get used to how long answers take while nothing moves (ms). */
const CALM = 1500;

export interface Images {
  readonly a: PreparedImage;
  readonly b: PreparedImage;
}

/** A failure that is part of the demonstration's options. */
class InjectedFailure extends Error {
  readonly code = 'injected';
}

export class Scenario {
  readonly result: DemoResult;
  readonly #steady = new SteadyClient();
  readonly #data: DataSet;
  readonly #steps: { step: Chronicle['steps'][number]['step']; at: number }[] = [];
  readonly #lanes: { name: string; kernel: string; spans: Span[] }[] = [];
  readonly #started = performance.now();
  #computer: Computer | undefined;
  #forward: Forward | undefined;
  #keeper: RedisConnection | undefined;
  #keeperBroken = 0;
  #calmFrom = Infinity;
  #moveFrom = 0;
  #moveTo = 0;

  constructor(
    private readonly options: DemoOptions,
    private readonly telling: Telling,
  ) {
    this.#data = new DataSet(options.memory, randomInt(2 ** 31));
    this.result = emptyResult(options.memory);
  }

  /** Runs everything. Throws what went wrong; `result` holds what is known by then. */
  async run(images: Images): Promise<void> {
    const { telling, result, options } = this;
    const size = SIZES[options.memory];
    const computer = await Computer.create({ memory: size.computer * MIB, harts: 2 });
    this.#computer = computer;
    telling.say(`a computer with 2 harts and ${size.computer} MiB of memory`);
    const before = { harts: computer.freeHarts, bytes: computer.freeMemory };

    const port = await this.#openPort(computer);
    const a = await this.#boot(computer, images.a, size.instance * MIB);
    const taken = { harts: before.harts - computer.freeHarts, bytes: before.bytes - computer.freeMemory };
    const domain = await this.#serve(a, port);
    const keeper = await this.#fill(a);
    const identity = await identify(keeper);
    result.pids = await pidsInside(domain);

    const maintenance = new Maintenance({
      computer,
      active: a,
      domains: [domain],
      onEvent: (event) => this.#on(event),
    });
    const b = await maintenance.bootUnderstudy({ name: 'b', image: images.b, memory: size.instance * MIB });
    result.bootSeconds.b = round(b.bootSeconds);
    this.#calmFrom = performance.now();
    await sleep(CALM);

    this.#moveFrom = performance.now();
    let failure: Error | undefined;
    let reports: readonly MigrationReport[] = [];
    try {
      reports = await maintenance.takeOver();
    } catch (error) {
      failure = asError(error);
    }
    await sleep(CALM);
    const [here] = maintenance.domains;
    if (here === undefined) throw failure ?? new TypeError('a move that is done has a domain');
    result.kernelAfter = maintenance.active.kernel;
    const after = await pidsInside(here);
    result.pidsKept = after.length > 0 && after.join() === result.pids.join();
    for (const report of reports) this.#take(report);

    if (failure === undefined) {
      const free = { harts: computer.freeHarts, bytes: computer.freeMemory };
      await maintenance.retire();
      result.returnedToPool = { harts: computer.freeHarts - free.harts, bytes: computer.freeMemory - free.bytes };
    }
    result.untidied = maintenance.untidied.map(({ what, why }) => `${what}: ${why}`);
    result.sameProcess = (await identify(keeper)) === identity;
    await this.#verify(keeper);
    await this.#steady.finish();
    this.#settle();
    result.ok = failure === undefined && this.#allIsWell(taken);
    if (failure !== undefined) throw failure;
    this.#endLane('b');
  }

  /** What the timeline is drawn from. */
  chronicle(): Chronicle {
    return {
      start: this.#started,
      end: performance.now(),
      lanes: this.#lanes,
      replies: this.#steady.replies,
      steps: this.#steps,
    };
  }

  /** Lets go of everything, whatever state it is in. Nothing runs afterwards. */
  async close(): Promise<void> {
    this.#steady.close();
    if (this.#keeper?.isOpen === true) this.#keeper.destroy();
    await this.#forward?.close();
    await this.#computer?.close();
  }

  async #boot(computer: Computer, image: PreparedImage, memory: number): Promise<Carrier> {
    const from = performance.now();
    this.telling.say(`a boots: Linux ${image.kernelVersion}, 1 hart, ${memory / MIB} MiB`);
    const a = await Carrier.boot(computer, { name: 'a', image, memory });
    this.telling.say(`a is up after ${a.bootSeconds.toFixed(1)} s: Linux ${a.kernel}`);
    this.#lanes.push({ name: 'a', kernel: a.kernel, spans: [{ what: 'boot', from, to: performance.now() }] });
    this.result.bootSeconds.a = round(a.bootSeconds);
    this.result.kernelBefore = a.kernel;
    return a;
  }

  /** The way in from this host. It comes first: a port that is taken shall be known at once. */
  async #openPort(computer: Computer): Promise<number> {
    if (computer.network === undefined) throw new TypeError('the computer has a network');
    const { port } = this.options;
    this.#forward = await computer.network.gateway.forward({ port, guest: ADDRESS, guestPort: REDIS_PORT });
    return this.#forward.port;
  }

  async #serve(a: Carrier, port: number): Promise<RunningDomain> {
    a.keepAddresses(SPEC.network);
    const domain = await launch(a.hands, SPEC, { argv: REDIS, cwd: '/var/lib/redis', output: LOG });
    try {
      this.#keeper = await connectSoon(port, () => {
        this.#keeperBroken++;
      });
    } catch (cause) {
      const log = (await readText(a.hands, LOG)) ?? '';
      const said = `Its log: ${log}\nOf a: ${a.instance.console.lastWords()}`;
      throw new Error(`redis-server does not answer. ${said}`, { cause });
    }
    this.telling.say(`redis-server runs in a; this host reaches it as 127.0.0.1:${port}`);
    await this.#steady.start(port, this.options.every);
    return domain;
  }

  async #fill(a: Carrier): Promise<RedisConnection> {
    const keeper = this.#keeper;
    if (keeper === undefined) throw new TypeError('the data need a connection');
    const { memory } = this.options;
    const text = `filling it with ${memory} MiB in ${this.#data.keys} keys`;
    this.result.keysWritten = await this.#data.fill(keeper, (n) => this.telling.progress(text, n, this.#data.keys));
    this.telling.say(`${this.result.keysWritten} keys are in Redis, in ${a.name}`);
    return keeper;
  }

  async #verify(keeper: RedisConnection): Promise<void> {
    const { keys } = this.#data;
    const text = 'reading every key again';
    this.result.keysVerified = await this.#data.verify(keeper, (n) => this.telling.progress(text, n, keys));
    this.telling.say(`${this.result.keysVerified} of ${keys} keys hold what was written`);
  }

  #on(event: MaintenanceEvent): void {
    const { telling } = this;
    switch (event.type) {
      case 'booting':
        this.#bootFrom = event.at;
        return telling.say(`${event.name} boots beside it, while a serves`);
      case 'rehearsing':
        this.#bootTo = event.at;
        return telling.say(`${event.name} runs; a small domain moves there and back to see that it can take over`);
      case 'booted': {
        const { name, kernel, bootSeconds } = event.understudy;
        this.#lanes.push({ name, kernel, spans: [{ what: 'boot', from: this.#bootFrom, to: this.#bootTo }] });
        return telling.say(`${name} is ready: Linux ${kernel}, up after ${bootSeconds.toFixed(1)} s`);
      }
      case 'moving':
        return telling.say(`redis-server moves from ${event.from} to ${event.to}`);
      case 'step':
        this.#steps.push({ step: event.step, at: event.at });
        if (event.step === this.options.failAt) {
          throw new InjectedFailure(`a failure was asked for before the step "${event.step}"`);
        }
        return;
      case 'moved':
        this.#moveTo = event.at;
        this.#steps.push({ step: 'end', at: event.at });
        return telling.say(`it has moved; it stood still for ${event.report.pauseMs.toFixed(0)} ms`);
      case 'move-failed':
        this.#moveTo = event.at;
        this.#steps.push({ step: 'end', at: event.at });
        return telling.say(
          event.stays === undefined
            ? 'it could not be moved, and it goes on nowhere'
            : `it could not be moved and goes on in ${event.stays}`,
        );
      case 'retiring':
        this.#endLane(event.name, 'shutdown');
        return telling.say(`${event.name} shuts down`);
      case 'retired': {
        const lane = this.#lanes.find((l) => l.name === event.name);
        const last = lane?.spans.pop();
        if (lane !== undefined && last !== undefined) lane.spans.push({ ...last, to: event.at });
        return telling.say(
          `${event.name} is gone: ${event.freeHarts} hart and ${Math.floor(event.freeMemory / MIB)} MiB are free`,
        );
      }
    }
  }

  #bootFrom = 0;
  #bootTo = 0;

  /** The instance has served until now; `then`: what it does from now on. */
  #endLane(name: string, then?: Span['what']): void {
    const lane = this.#lanes.find((l) => l.name === name);
    if (lane === undefined) return;
    const now = performance.now();
    const booted = lane.spans.at(-1)?.to ?? now;
    const resumed = this.#steps.find((s) => s.step === 'resume')?.at ?? this.#moveTo;
    if (then === undefined) {
      lane.spans.push({ what: 'ready', from: booted, to: resumed }, { what: 'serve', from: resumed, to: now });
    } else {
      lane.spans.push({ what: 'serve', from: booted, to: resumed }, { what: 'ready', from: resumed, to: now });
      lane.spans.push({ what: then, from: now, to: now });
    }
  }

  #take(report: MigrationReport): void {
    const { result } = this;
    result.movePauseMs = round(report.pauseMs);
    result.pauseParts = Object.fromEntries(Object.entries(report.pauseParts).map(([k, v]) => [k, round(v)]));
    result.framesFlipped += report.framesFlipped;
    result.domainBytes += report.domainBytes;
    result.bytesCopied += report.memoryBytesCopied;
    result.kernelBytesCopied += report.kernelBytesCopied;
  }

  #settle(): void {
    const { result } = this;
    const steady = this.#steady;
    result.commandsSent = steady.sent;
    result.commandsAnswered = steady.answered;
    result.wrongAnswers = steady.wrong;
    result.connectionsBroken = steady.broken + this.#keeperBroken;
    const frozen = this.#steps.find((s) => s.step === 'freeze')?.at ?? this.#moveFrom;
    result.pauseMs = round(steady.longestGap(frozen, this.#moveTo).ms);
    result.longestGapMs = round(steady.longestGap().ms);
    const usual = steady.usualGaps(this.#calmFrom, this.#moveFrom);
    const at = (share: number): number => round(usual[Math.floor(share * (usual.length - 1))] ?? 0);
    result.usualGapMs = { median: at(0.5), p99: at(0.99) };
    result.totalSeconds = round((performance.now() - this.#started) / 1000);
  }

  /** `taken`: what `a` had been given. */
  #allIsWell(taken: { harts: number; bytes: number }): boolean {
    const { result } = this;
    return (
      result.pidsKept &&
      result.sameProcess &&
      result.kernelAfter !== result.kernelBefore &&
      result.keysWritten === this.#data.keys &&
      result.keysVerified === this.#data.keys &&
      result.commandsSent > 0 &&
      result.commandsAnswered === result.commandsSent &&
      result.wrongAnswers === 0 &&
      result.connectionsBroken === 0 &&
      result.framesFlipped * 4096 >= this.options.memory * MIB &&
      result.returnedToPool.harts === taken.harts &&
      result.returnedToPool.bytes === taken.bytes
    );
  }
}

/** Ids of the domain's processes, as they see them themselves, in order. */
async function pidsInside(domain: RunningDomain): Promise<number[]> {
  const outside = (await domain.anchor.cgroup.processes()).filter((pid) => pid !== domain.anchor.pid);
  const texts = await readTexts(
    domain.hands,
    outside.map((pid) => `/proc/${pid}/status`),
  );
  return texts.map((text) => Number(/^NSpid:.*\t(\d+)$/m.exec(text ?? '')?.[1])).sort((x, y) => x - y);
}

/** What a Redis that was started anew would have another of. */
async function identify(client: RedisConnection): Promise<string> {
  const info = await client.info('server');
  return ['process_id', 'run_id'].map((name) => new RegExp(`^${name}:(.*)$`, 'm').exec(info)?.[1]?.trim()).join(' ');
}

function emptyResult(memoryMiB: number): DemoResult {
  return {
    ok: false,
    kernelBefore: '',
    kernelAfter: '',
    pidsKept: false,
    pids: [],
    sameProcess: false,
    keysWritten: 0,
    keysVerified: 0,
    commandsSent: 0,
    commandsAnswered: 0,
    wrongAnswers: 0,
    connectionsBroken: 0,
    pauseMs: 0,
    movePauseMs: 0,
    pauseParts: {},
    longestGapMs: 0,
    usualGapMs: { median: 0, p99: 0 },
    framesFlipped: 0,
    domainBytes: 0,
    bytesCopied: 0,
    kernelBytesCopied: 0,
    bootSeconds: { a: 0, b: 0 },
    returnedToPool: { harts: 0, bytes: 0 },
    untidied: [],
    memoryMiB,
    totalSeconds: 0,
  };
}

const round = (n: number): number => Math.round(n * 100) / 100;
const sleep = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));
