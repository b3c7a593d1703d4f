/**
 * The demonstration of devices that change hands, on the library: what a reader would do who wants the same. Requests
 * are counted where the guest asks for them and where they arrive, and nothing in between takes part in the counting.
 */
import { mkdtemp, open, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Computer, FileDisk, type Instance, type PreparedImage } from '../../../../index.js';
import type { ComputerDevice } from '../../../../interposition/device.js';
import { Ledger } from '../../../../interposition/ledger.js';
import { BLOCK_SIZE, LedgerDisk, stampOf } from '../../../../interposition/ledger-disk.js';
import { resetsBetween, viewOf, type DeviceView } from '../../../../interposition/witness.js';
import { guestScript, laneName, LINES } from './guest-script.js';
import { Lane, LaneError, settleLanes } from './lanes.js';
import type { DemoIoOptions } from './options.js';
import { emptyResult, OF_TIME, spreadOf } from './result.js';
import { switchAtRandom, type SwitchEvent } from './switcher.js';
import { Transfers } from './transfers.js';
import { FIRST_BLOCK, isAsWritten, LANE_BLOCKS, workload } from './workload.js';

const MIB = 2 ** 20;
const MEMORY = { computer: 384 * MIB, instance: 256 * MIB };
const LANES = 3;
const BLOCKS = FIRST_BLOCK + LANES * LANE_BLOCKS;
/** Where a guest finds this host (docs/network.md). */
const HOST = '10.0.2.2';
/** For everything in the guest to begin, and to come to its end (ms). */
const PATIENCE = 120_000;

/** Who hears of it as it goes on. */
export interface Audience {
  say(text: string): void;
  /** The workload goes on from now on. */
  begins(view: Live): void;
  switched(event: SwitchEvent): void;
  ends(): void;
}

/** What goes on, to look at. */
export interface Live {
  readonly devices: readonly ComputerDevice[];
  readonly ledger: Ledger;
  readonly transfers: Transfers;
  /** Switches that are to be made. */
  readonly switches: number;
}

class DemoIoError extends Error {
  override readonly name = 'DemoIoError';
  readonly code = 'failed';
}

export class IoScenario {
  readonly result = emptyResult();
  readonly #ledger = new Ledger();
  readonly #events: SwitchEvent[] = [];
  #computer: Computer | undefined;
  #transfers: Transfers | undefined;
  #folder: string | undefined;
  #file: FileDisk | undefined;

  constructor(
    private readonly options: DemoIoOptions,
    private readonly audience: Audience,
  ) {}

  /** What happened, in order. */
  get events(): readonly SwitchEvent[] {
    return this.#events;
  }

  /** Runs everything. Throws what went wrong; `result` holds what is known by then. */
  async run(image: PreparedImage, signal: AbortSignal): Promise<void> {
    const { result, audience, options } = this;
    const transfers = (this.#transfers = await Transfers.listen());
    const { disk, file } = await this.#makeDisk();
    const harts = Math.min(2, availableParallelism());
    const computer = (this.#computer = await Computer.create({ memory: MEMORY.computer, harts }));
    audience.say(`a computer with ${harts} hart${harts > 1 ? 's' : ''}; Linux ${image.kernelVersion} boots`);
    const booted = performance.now();
    const guest = await computer.boot({
      name: 'a',
      image,
      memory: MEMORY.instance,
      harts,
      disks: [disk],
      bootArguments: 'quiet panic=-1',
      run: guestScript(LANES, HOST, transfers.port),
      files: { '/usr/bin/workload': { data: workload(), mode: 0o755 } },
      ports: [{ name: LINES }, ...Array.from({ length: LANES }, (_, lane) => ({ name: laneName(lane) }))],
    });
    const faults: string[] = [];
    guest.os.onDeviceFault = (message) => void faults.push(message);
    const { lanes, begun, end } = this.#listen(guest, transfers);
    const over = guest.ended.then((how) => {
      throw new DemoIoError(`the guest ended (${how.kind}): ${guest.console.text.slice(-500)}`);
    });
    over.catch(() => undefined);
    const soon = <T>(work: Promise<T>, what: string): Promise<T> => Promise.race([work, over, within(what, signal)]);

    await soon(begun, 'the workload has not begun');
    result.harts = harts;
    result.bootSeconds = rounded((performance.now() - booted) / 1000);
    audience.say(`Linux ${result.kernel} is up; ${LANES} programs work on the disk, one on the network card`);

    const devices = guest.os.devices.filter(({ kind }) => kind === 'disk' || kind === 'nic');
    const before = devices.map(viewOf);
    audience.begins({ devices: guest.os.devices, ledger: this.#ledger, transfers, switches: options.switches });
    const begin = performance.now();
    const switching = switchAtRandom(devices, {
      switches: options.switches,
      milliseconds: options.seconds * 1000,
      signal,
      onSwitch: (event) => {
        this.#events.push(event);
        audience.switched(event);
      },
    });
    result.refused = await Promise.race([switching, over]);
    result.seconds = rounded((performance.now() - begin) / 1000);
    audience.ends();

    audience.say('that was the last switch; the guest reads once more all that it wrote');
    for (const lane of lanes) lane.stop();
    const settled = await soon(settleLanes(lanes, this.#ledger), 'the workload has not come to its end');
    transfers.stop();
    await soon(end, 'the guest has not come to its end');
    result.failed = settled.failed + this.#ledger.counts.givenUp;
    result.differing = settled.differing + transfers.differing + disk.strange + (await verify(file));
    result.kernelMessages.push(...faults);
    this.#takeDevices(guest.os.devices, devices, before);
    this.#judge(transfers);
    if (settled.failed > 0) throw new LaneError(`the guest's program failed: errno ${settled.errno}`);
  }

  /** Lets go of everything, whatever state it is in. Nothing runs afterwards. */
  async close(): Promise<void> {
    this.#transfers?.close();
    await this.#computer?.close();
    await this.#file?.close();
    if (this.#folder !== undefined) await rm(this.#folder, { recursive: true, force: true });
  }

  async #makeDisk(): Promise<{ readonly disk: LedgerDisk; readonly file: FileDisk }> {
    this.#folder = await mkdtemp(join(tmpdir(), 'understudy-demo-io-'));
    const path = join(this.#folder, 'disk.img');
    const handle = await open(path, 'w', 0o600);
    await handle.truncate(BLOCKS * BLOCK_SIZE);
    await handle.close();
    const file = (this.#file = await FileDisk.open(path, { raw: true }));
    const range = { first: FIRST_BLOCK, count: LANES * LANE_BLOCKS };
    return { disk: new LedgerDisk(file, this.#ledger, range), file };
  }

  #listen(guest: Instance, transfers: Transfers) {
    let begin: () => void = () => undefined;
    let finish: () => void = () => undefined;
    const begun = new Promise<void>((resolve) => (begin = resolve));
    const end = new Promise<void>((resolve) => (finish = resolve));
    let waiting = LANES + 1;
    const beginOne = (): void => {
      if (--waiting === 0) begin();
    };
    const lanes = Array.from({ length: LANES }, (_, n) => new Lane(n, guest.os.port(laneName(n)), beginOne));
    let rest = '';
    let any = false;
    guest.os.port(LINES).onData = (bytes) => {
      const lines = (rest + new TextDecoder().decode(bytes)).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const [what, ...words] = line.split(' ');
        if (what === 'kernel') this.result.kernel = words[0] ?? '';
        else if (what === 'up') transfers.expect(words[0] ?? '');
        else if (what === 'said' && !OF_TIME.test(line)) this.result.kernelMessages.push(words.join(' '));
        else if (what === 'end') finish();
        else if (what === 'down') {
          transfers.confirm(Number(words[0]), words[1] ?? '');
          if (!any) beginOne();
          any = true;
        }
      }
    };
    return { lanes, begun, end };
  }

  #takeDevices(
    all: readonly ComputerDevice[],
    switched: readonly ComputerDevice[],
    before: readonly DeviceView[],
  ): void {
    const { result } = this;
    for (const { id, counters } of all) {
      const switches = counters.interposed + counters.steppedAway;
      result.devices[id] = { switches, monitorEntries: counters.monitorEntries };
      result.switches += switches;
      result.monitorEntriesWhenDirect += counters.monitorEntriesWhenDirect;
    }
    switched.forEach((device, i) => (result.resets += resetsBetween(before[i], viewOf(device))));
  }

  #judge(transfers: Transfers): void {
    const { result } = this;
    result.waitMs = spreadOf(this.#events.map(({ waitMs }) => waitMs));
    result.switchMs = spreadOf(this.#events.map(({ switchMs }) => switchMs));
    const { requests, lost, doubled, reordered } = this.#ledger.counts;
    Object.assign(result, { requests, reordered, lost: lost + transfers.lost, doubled: doubled + transfers.doubled });
    result.transfers = transfers.good;
    result.transferredBytes = transfers.bytes;
    const none = ['lost', 'doubled', 'reordered', 'resets', 'monitorEntriesWhenDirect', 'differing', 'failed'] as const;
    result.ok =
      none.every((count) => result[count] === 0) &&
      result.kernelMessages.length === 0 &&
      result.switches === this.options.switches &&
      requests > 0 &&
      result.transfers > 0;
  }
}

/** Blocks of the disk that were written and do not hold what their stamp says. */
async function verify(file: FileDisk): Promise<number> {
  let differing = 0;
  const block = new Uint8Array(BLOCK_SIZE);
  for (let index = FIRST_BLOCK; index < BLOCKS; index++) {
    await file.read(index * 8, block);
    if (block.every((byte) => byte === 0)) continue;
    const stamp = stampOf(block, index);
    const lane = Math.floor((index - FIRST_BLOCK) / LANE_BLOCKS);
    if (stamp?.lane !== lane || !isAsWritten(block, index, stamp.number)) differing++;
  }
  return differing;
}

/** Rejects when it has taken too long, or with the signal. */
function within(what: string, signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    setTimeout(() => reject(new DemoIoError(`${what} after ${PATIENCE / 1000} s`)), PATIENCE).unref();
    signal.addEventListener('abort', () => reject(new DemoIoError('interrupted')), { once: true });
  });
}

const rounded = (value: number): number => Number(value.toFixed(3));
