/** The demonstration itself, on the library. */
import { readText } from '../../../../domain/linux/os.js';
import { shortFolder } from '../../../../guest/hands/files.js';
import { rescan } from '../../../../guest/hot-plug.js';
import { SYS } from '../../../../guest/hands/syscalls.js';
import { proberKernel } from '../../../../guest/prober/kernel.js';
import { Prober } from '../../../../guest/prober/prober.js';
import { answersIn, firstDifference } from '../../../../guest/prober/transcript.js';
import { Carrier, Computer, Domain, MemoryDisk, type Instance, type PreparedImage } from '../../../../index.js';
import { makeBooks } from '../../../../partition/books.js';
import type { DemoPartitionOptions } from './options.js';
import { emptyResult, isAsItShouldBe, type DemoPartitionResult } from './result.js';
import type { PartitionScreen } from './screen.js';

const MIB = 2 ** 20;
const OF_PROBER = 32 * MIB;
const OF_LINUX = 192 * MIB;
const WEIGHTS = { a: 300, b: 100 } as const;
const BUSY = ['/bin/sh', '-c', 'while :; do :; done'] as const;
/** Times that a sleeper is woken, and milliseconds between them. */
const WAKES = 200;
const BETWEEN = 5;
const DISK = 8 * MIB;
/** What comes into the computer while it runs. */
const ADDED = { memory: 64 * MIB, harts: 1 };
const ONLINE = '/sys/devices/system/cpu/online';
const BUS = '/sys/bus/pci/devices';

type Name = keyof typeof WEIGHTS;

/** Each frame has one owner, and with nobody there but the VMM itself none is missing. */
function balances({ vmm }: Computer): boolean {
  const { frames } = vmm.machine;
  const own = vmm.own.reduce((sum, { count }) => sum + count, 0);
  return makeBooks(vmm).problems.length === 0 && frames.free === frames.total - own;
}

export class PartitionScenario {
  readonly result: DemoPartitionResult = emptyResult();
  readonly #computers: Computer[] = [];
  /** Transcripts of the first round, and of all later ones, on a computer that has nothing else. */
  #alone: readonly Uint8Array[] = [];
  #prober!: Prober;

  constructor(
    private readonly options: DemoPartitionOptions,
    private readonly screen: PartitionScreen,
  ) {}

  /** Throws what goes wrong, or the signal's reason; what was found until then is in `result`. */
  async run(image: PreparedImage, signal: AbortSignal): Promise<void> {
    const { result, screen } = this;
    const begin = performance.now();
    await this.#probeAlone();
    signal.throwIfAborted();
    const memory = OF_PROBER + 2 * OF_LINUX + DISK;
    const computer = await this.#computer(memory, 2, ADDED);
    screen.show(computer);
    const probed = await this.#bootProber(computer);
    screen.say('two Debian systems boot beside the prober; they share a hart, with weights of 3 : 1');
    const [a, b] = await this.#whileProbing(
      Promise.all([this.#boot(computer, image, 'a'), this.#boot(computer, image, 'b')]),
      signal,
    );
    result.kernel = a.kernel;
    screen.say(`Linux ${a.kernel} is up in both; the prober has found nothing of them`);
    await this.#share({ a, b }, signal);
    await this.#wake(a, b, signal);
    await this.#hide(computer, b, signal);
    screen.say('they end, one of them at once');
    await this.#whileProbing(Promise.all([a.instance.destroy(), b.shutdown()]), signal);
    await this.#probe('when they have ended');
    result.refusedDmas = probed.os.refusedDmas;
    await probed.destroy();
    result.booksBalance = balances(computer);
    result.seconds = Math.round((performance.now() - begin) / 100) / 10;
    result.ok = isAsItShouldBe(result);
  }

  /** Whatever state it is in: no thread remains. */
  async close(): Promise<void> {
    this.screen.end();
    await Promise.all(this.#computers.map((computer) => computer.close()));
  }

  async #computer(memory: number, harts: number, more = { memory: 0, harts: 0 }): Promise<Computer> {
    const most = { maxMemory: memory + more.memory, maxHarts: harts + more.harts };
    const computer = await Computer.create({ memory, harts, ...most, network: false });
    this.#computers.push(computer);
    return computer;
  }

  async #bootProber(computer: Computer): Promise<Instance> {
    const instance = await computer.boot({
      name: 'prober',
      kernel: proberKernel(),
      memory: OF_PROBER,
      console: 'ttyS0',
    });
    this.#prober = new Prober(instance.os.partition.space);
    return instance;
  }

  async #probeAlone(): Promise<void> {
    this.screen.say('a prober asks a computer for everything that there could be; the computer has nothing else');
    const computer = await this.#computer(OF_PROBER + 2 * MIB, 1);
    await this.#bootProber(computer);
    this.#alone = [await this.#prober.round(), await this.#prober.round()];
    const [first] = this.#alone;
    this.screen.say(`${first === undefined ? 0 : answersIn(first).length} answers; from now on they are compared`);
    await computer.close();
  }

  /** One round, compared with the same round of a prober that is alone. */
  async #probe(when: string): Promise<void> {
    const { result } = this;
    const transcript = await this.#prober.round();
    const expected = this.#alone[Math.min(result.rounds, 1)] ?? new Uint8Array(0);
    result.rounds++;
    result.probes += answersIn(transcript).length;
    const difference = firstDifference(transcript, expected);
    if (difference === undefined) return;
    result.transcriptsEqual = false;
    const { at, one, other } = difference;
    result.difference ??= `${when}, record ${at}: ${one ?? 'over'}, but alone ${other ?? 'over'}`;
    this.screen.say(`the prober has found something: ${result.difference}`);
  }

  /** Probes, again and again, until the work is done. */
  async #whileProbing<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
    const done = { yet: false };
    const over = work.finally(() => (done.yet = true));
    over.catch(() => undefined);
    do {
      await this.#probe('while others are busy');
      signal.throwIfAborted();
    } while (!done.yet);
    return over;
  }

  #boot(computer: Computer, image: PreparedImage, name: Name): Promise<Carrier> {
    return Carrier.boot(computer, {
      name,
      image,
      memory: OF_LINUX,
      weight: WEIGHTS[name],
      maxHarts: 2,
      network: false,
    });
  }

  /** Both compute; how much of the hart has each? */
  async #share(carriers: Readonly<Record<Name, Carrier>>, signal: AbortSignal): Promise<void> {
    const { result, screen, options } = this;
    const names: readonly Name[] = ['a', 'b'];
    const domains = await Promise.all(
      names.map((name) => Domain.run(carriers[name], { name: 'busy', argv: [...BUSY] })),
    );
    screen.say(`both compute for ${options.seconds} s`);
    const used = (name: Name): number => carriers[name].instance.share?.used ?? 0;
    const before = names.map(used);
    await this.#whileProbing(new Promise((resolve) => setTimeout(resolve, 1000 * options.seconds)), signal);
    const had = names.map((name, n) => used(name) - (before[n] ?? 0));
    const all = had.reduce((x, y) => x + y, 0);
    names.forEach((name, n) => {
      const got = Math.round((1000 * (had[n] ?? 0)) / all) / 1000;
      result.shares[name] = { asked: WEIGHTS[name] / (WEIGHTS.a + WEIGHTS.b), got };
    });
    screen.say(names.map((name) => `${name} had ${((result.shares[name]?.got ?? 0) * 100).toFixed(1)} %`).join(', '));
    // One goes on.
    await domains[1]?.stop({ timeout: 2000 });
  }

  /** One computes, the other sleeps, and is woken now and then. */
  async #wake(busy: Carrier, sleeper: Carrier, signal: AbortSignal): Promise<void> {
    const { result, screen } = this;
    const times: number[] = [];
    for (let n = 0; n < WAKES; n++) {
      await new Promise((resolve) => setTimeout(resolve, BETWEEN));
      signal.throwIfAborted();
      const begin = performance.now();
      await sleeper.hands.syscall(SYS.getpid);
      times.push(performance.now() - begin);
    }
    times.sort((x, y) => x - y);
    const at = (part: number): number => Math.round(1000 * (times[Math.floor(part * (times.length - 1))] ?? 0)) / 1000;
    result.wakeMs = { p50: at(0.5), p99: at(0.99) };
    const { p50, p99 } = result.wakeMs;
    screen.say(
      `${sleeper.name} sleeps beside ${busy.name} that computes, and answers in ${p50} ms, at p99 in ${p99} ms`,
    );
  }

  /** A disk, a hart and memory come into the computer, and later disk and hart to the instance. */
  async #hide(computer: Computer, carrier: Carrier, signal: AbortSignal): Promise<void> {
    const { result, screen } = this;
    const { hands, instance } = carrier;
    const bus = async (): Promise<string> => [...((await shortFolder(hands, BUS)) ?? [])].sort().join(' ');
    const online = async (): Promise<string> => (await readText(hands, ONLINE)) ?? '';
    const before = await bus();
    const disk = await computer.addDisk(new MemoryDisk(new Uint8Array(DISK)));
    computer.addHarts(ADDED.harts);
    computer.addMemory(ADDED.memory);
    screen.say(`${disk.id}, a hart and memory are added to the computer; ${carrier.name} looks and finds nothing new`);
    await this.#whileProbing(rescan(hands), signal);
    const isHidden = (await bus()) === before && (await online()) === '0\n';
    const { pci, name } = await instance.give(disk);
    result.given = name ?? '';
    const isFound = name !== undefined && (await bus()) === `${before} ${pci}`;
    screen.say(`the disk is given to ${carrier.name}, which finds it: ${name ?? 'nothing'} at ${pci}`);
    await instance.setHarts(2);
    result.hiddenUntilGiven = isHidden && isFound && (await online()) === '0-1\n';
    screen.say(`${carrier.name} is given a second hart, and runs on it`);
    await this.#probe('when a disk and a hart were given to another');
    await instance.setHarts(1);
    await instance.takeBack(disk);
    screen.say(`${carrier.name} has let go of both`);
    await computer.devices.remove(disk);
  }
}
