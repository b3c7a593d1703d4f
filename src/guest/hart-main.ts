/**
 * What a hart's worker thread does, whatever kind of thread the platform gives it: it
 * waits to be told which OS instance it is a hart of, runs until it is to stop, and
 * waits again.
 */
import { boardDebugConsole, boardRegions, freeLocks, type BoardOptions } from '../computer/board.js';
import { Clock } from '../computer/clock.js';
import { AbsentPages } from '../computer/absent-pages.js';
import type { DmaSpace } from '../computer/dma.js';
import type { LocalFile } from '../computer/virtio/local-disk.js';
import { emptyProfile } from '../computer/hart-profile.js';
import { HartRunner } from '../computer/hart-runner.js';
import { MmioBus } from '../computer/mmio-bus.js';
import { SeatTable } from '../computer/seat-table.js';
import { lockAs } from '../computer/state-page.js';
import { createEngine, type EngineHost } from '../hart/engine.js';
import { SlotDecoder } from '../hart/slot-decoder.js';
import * as S from '../hart/state.js';
import { holderOf, type HartAssignment, type HartMessage, type HartReport } from '../partition/assignment.js';
import { Sbi } from '../partition/sbi.js';
import { GuestMemoryView } from '../partition/guest-memory-view.js';
import { Mailbox } from './hands/mailbox.js';
import { ring, type HartView } from './hands/ring.js';

/** What only some platforms can do for a hart. */
export interface HartPlatform extends Pick<EngineHost, 'optimizeAfter'> {
  /** The disk that the main thread knows by this handle (`Loan`), for this thread to read and write at once. */
  openLocal?(handle: number): LocalFile | undefined;
}

/** Runs one assignment to its end. */
export function runHart(
  assignment: HartAssignment,
  send: (message: HartMessage) => void,
  platform: HartPlatform = {},
): void {
  const holder = holderOf(assignment.harts[assignment.hartId]);
  lockAs(holder);
  try {
    send({ type: 'stopped', report: new AssignedHart(assignment, send, platform).run() });
  } catch (error) {
    // The main thread may wait for one of these before it can hear of anything.
    const buffer = assignment.memory.buffer as unknown as SharedArrayBuffer;
    freeLocks(buffer, assignment.board, holder, assignment.hartId);
    if (assignment.seatTable !== undefined) new SeatTable(buffer, assignment.seatTable).abandon(holder);
    send({ type: 'failed', message: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
}

class AssignedHart {
  readonly #runner: HartRunner;
  readonly #buffer: SharedArrayBuffer;

  constructor(
    private readonly assignment: HartAssignment,
    private readonly send: (message: HartMessage) => void,
    private readonly platform: HartPlatform,
  ) {
    const { harts, hartId, epoch, memory, seatTable } = assignment;
    this.#buffer = memory.buffer as unknown as SharedArrayBuffer;
    const siblings = harts.filter((_, id) => id !== hartId);
    const seats = seatTable === undefined ? undefined : new SeatTable(this.#buffer, seatTable);
    this.#runner = new HartRunner(this.#buffer, harts[hartId], siblings, new Clock(epoch), seats);
  }

  run(): HartReport {
    const { assignment } = this;
    const runner = this.#runner;
    const absent = new AbsentPages(this.#buffer, runner.h, {
      doorbell: () => this.#doorbell(),
      nap: (still) => runner.nap(still),
      outOfFrames: () => this.send({ type: 'out-of-frames' }),
    });
    const guestMemory = new GuestMemoryView(this.#buffer, runner.h, (page) => absent.fill(page), assignment.zeros);
    const host: EngineHost = {
      ...runner.imports(this.#bus(guestMemory), new SlotDecoder(this.#buffer), absent),
      ...(this.platform.optimizeAfter && { optimizeAfter: this.platform.optimizeAfter }),
    };
    const engine = createEngine(assignment.core, assignment.memory, runner.h, host, assignment.engine);
    const debugConsole = boardDebugConsole(this.#boardOptions());
    const sbi = new Sbi(runner, {
      harts: assignment.harts,
      hartId: assignment.hartId,
      bytes: new Uint8Array(this.#buffer),
      offsetOf: (address, write) => guestMemory.offsetOf(address, write),
      mayWrite: (address) => guestMemory.mayWrite(address),
      debugConsole: (text) => debugConsole.write(text),
      debugConsoleFull: () => debugConsole.full(),
      reset: (kind) => {
        // The guest must not go on behind its own reset; the host stops every hart when it hears of it.
        Atomics.store(runner.words, (runner.h + S.HSM) >>> 2, S.HSM_STOPPED);
        this.send({ type: 'reset', kind });
      },
    });
    const mailbox = new Mailbox(this.#buffer, assignment.mailbox);
    const view = this.#hartView(guestMemory);
    const profile = assignment.profile ? emptyProfile() : undefined;
    runner.run(
      engine,
      {
        sbi: () => sbi.call(),
        ring: () => ring(mailbox, view, () => this.#doorbell()) === 'handled',
      },
      profile,
    );
    const instructions = Number(new DataView(this.#buffer).getBigUint64(runner.h + S.INSTRET, true));
    return { hartId: assignment.hartId, instructions, translator: engine.counters, ...(profile && { profile }) };
  }

  #bus(dma: DmaSpace): MmioBus {
    const nap = (still: () => boolean): void => this.#runner.nap(still);
    const { openLocal } = this.platform;
    const hart = this.assignment.hartId;
    return new MmioBus(boardRegions({ ...this.#boardOptions(), dma, hart, nap, openLocal }));
  }

  #boardOptions(): BoardOptions {
    const { board, harts } = this.assignment;
    return { buffer: this.#buffer, offset: board, harts, doorbell: () => this.#doorbell() };
  }

  /** Wakes the main thread; many rings before it looks are one message. */
  #doorbell(): void {
    if (Atomics.exchange(this.#runner.words, this.assignment.doorbell >>> 2, 1) === 0) this.send({ type: 'doorbell' });
  }

  #hartView(guestMemory: GuestMemoryView): HartView {
    const runner = this.#runner;
    const { h } = runner;
    const view = new DataView(this.#buffer);
    return {
      x: new BigInt64Array(this.#buffer, h + S.X, 32),
      getPc: () => runner.pc,
      setPc: (pc) => {
        runner.pc = pc;
      },
      get satp() {
        return view.getBigUint64(h + S.SATP, true);
      },
      translate: (va, write) => guestMemory.translate(va, write),
      memory: new Uint8Array(this.#buffer),
    };
  }
}
