import { Batch, BatchResult, type Buf, type LaidOut, type Ref } from '../../guest/hands/batch.js';
import { Gathering } from '../../guest/hands/gathering.js';
import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError, unsupported } from '../errors.js';
import { AT_FDCWD, EACCES, EEXIST, ENOMEM, O, PROT, PTRACE } from '../linux/flags.js';
import { check } from '../linux/os.js';
import { findHole } from '../proc/maps.js';
import { AREA_SIZE, NO_ROOM, AT_RUN, LIST, ROW, encodeList, listSize, runnerCode } from './runner.js';
import { describeStop, goOn, isRunnerStop, parseStatus, PC, REG } from './tracee.js';
import { STOP_SIGNAL } from './stop-signal.js';
import type { CallRunner, Stop, Tracee } from './tracee.js';

/** Calls of the hands for one thread's list. */
const CALLS_EACH = 7;
const MOST_CALLS = 600;
/** Whoever makes one of these may stop before its list is done, and nothing may overwrite the list then. */
const BEARING: readonly number[] = [SYS.clone, SYS.clone3, SYS.execve];
/** The result of a call that was left out (guest/hands/batch.ts). */
const LEFT_OUT = -125;

interface Work {
  readonly tracee: Tracee;
  readonly batch: Batch;
  /** PTRACE_EVENT_* in which the last call ends if it succeeds. */
  readonly until?: number;
}

/** What one thread is to do, with the calls of the hands for it. */
interface Turn {
  readonly tracee: Tracee;
  readonly batches: readonly Batch[];
  readonly layout: LaidOut;
  readonly until: number;
}
interface Asked {
  readonly put: Ref;
  readonly go: Ref;
  readonly status: Buf;
  readonly got: Ref;
  readonly rows: Buf;
  readonly data: Buf;
  readonly back: Ref;
}

/** Where the runner can lie in a process that has these mappings. Throws `unsupported`. */
export function roomForRunner(mappings: readonly { start: number; end: number }[]): number {
  const area = findHole(mappings, AREA_SIZE, LOWEST_AREA);
  if (area < 0)
    throw new DomainError('unsupported', 'no free address range for the runner', {
      resource: 'the whole address space',
    });
  return area;
}
const LOWEST_AREA = 0x8_0000_0000;

/**
 * Places the runner into the process of a stopped thread at a free address, by an `ecall` that stands there already.
 * `nonce`: is shown to the VMM by the way, as {@link Tracee.showNonce} does. `signal`: what its threads stop by.
 */
export async function plantRunner(
  tracee: Tracee,
  ecallAt: number,
  area: number,
  nonce?: Uint8Array,
  signal: number = STOP_SIGNAL,
): Promise<void> {
  const { hands, tid } = tracee;
  const runner = new SyscallRunner(hands, area, signal);
  const b = hands.batch();
  const mapped = tracee.addInject(b, ecallAt, SYS.mmap, [area, AREA_SIZE, 7, 0x100022, -1, 0]);
  const code = b.bytes(runnerCode);
  const put = b.must(SYS.process_vm_writev, tid, b.iovec(code), 1, b.iovec([area, code.length]), 1, 0);
  const shown = nonce === undefined ? undefined : tracee.addShow(b, runner, nonce);
  const r = await b.run();
  const at = await mapped(r);
  // Its mappings are not as they were seen: another look finds room.
  if (at === -EEXIST) throw new DomainError('changed', `process ${tid} has mapped other memory`, { passing: true });
  if (at === -EACCES) return plantApart(tracee, ecallAt, runner, nonce);
  if (at === -ENOMEM) throw unsupported(NO_ROOM, `process ${tid}`);
  if (at !== area) throw new DomainError('guest', `no room for the runner at ${area.toString(16)}: ${at}`);
  tracee.runner = runner;
  const atOnce = r.value(put) === runnerCode.length;
  if (!atOnce) await tracee.poke(area, runnerCode);
  if (nonce === undefined || shown === undefined) return;
  if (atOnce) await shown(r);
  else await tracee.showNonce(nonce);
}

/**
 * As {@link plantRunner}, in a process that may have no memory that is both written and executed (PR_SET_MDWE): the code
 * has memory that only a tracer can write.
 */
async function plantApart(
  tracee: Tracee,
  ecallAt: number,
  runner: SyscallRunner,
  nonce: Uint8Array | undefined,
): Promise<void> {
  const { hands, tid } = tracee;
  const { area } = runner;
  const lists = await tracee.inject(ecallAt, SYS.mmap, area, AREA_SIZE, PROT.READ | PROT.WRITE, 0x100022, -1, 0);
  const code = await tracee.inject(ecallAt, SYS.mmap, area, LIST, PROT.READ | PROT.EXEC, 0x32, -1, 0);
  if (lists !== area || code !== area)
    throw new DomainError('guest', `no room for the runner at ${area.toString(16)}: ${lists}, ${code}`);
  const b = hands.batch();
  const memory = b.must(SYS.openat, AT_FDCWD, b.str(`/proc/${tid}/mem`), O.RDWR | O.CLOEXEC, 0);
  const put = b.call(SYS.pwrite64, memory, b.bytes(runnerCode), runnerCode.length, area);
  b.call(SYS.close, memory);
  const r = await b.run();
  if (r.value(put) !== runnerCode.length)
    throw new DomainError('guest', `cannot write the runner into process ${tid}: ${r.value(memory)}, ${r.value(put)}`);
  tracee.runner = runner;
  if (nonce !== undefined) await tracee.showNonce(nonce);
}

/**
 * The runner in one process, shared by its threads: takes lists of system calls to them (runner.ts), one list at a
 * time, as they share the place where it stands. What several callers want of the process goes in one conversation
 * with the hands.
 */
export class SyscallRunner implements CallRunner {
  readonly #gathering = new Gathering<Work, BatchResult | undefined>(
    () => ({ calls: MOST_CALLS, bytes: AREA_SIZE - LIST }),
    ({ batch, until }) => {
      const alone = until !== undefined || batch.has(BEARING);
      const bytes = listSize(batch.length) + batch.size;
      return { calls: alone ? MOST_CALLS : CALLS_EACH, bytes };
    },
    (work) => this.#runAll(work),
  );

  constructor(
    readonly hands: Hands,
    readonly area: number,
    public signal: number = STOP_SIGNAL,
  ) {}

  run(tracee: Tracee, batch: Batch, until?: number): Promise<BatchResult | undefined> {
    return this.#gathering.run({ tracee, batch, ...(until !== undefined && { until }) });
  }

  async #runAll(work: readonly Work[]): Promise<(BatchResult | undefined)[]> {
    const byThread = new Map<Tracee, Work[]>();
    for (const w of work) {
      const sameThread = byThread.get(w.tracee);
      if (sameThread === undefined) byThread.set(w.tracee, [w]);
      else sameThread.push(w);
    }
    const results = new Map<Batch, BatchResult>();
    for (let turns = [...byThread].map(([tracee, own]) => this.#turn(tracee, own)); turns.length > 0;)
      turns = await this.#take(turns, results);
    return work.map((w) => results.get(w.batch));
  }

  #turn(tracee: Tracee, work: readonly Work[]): Turn {
    const batches = work.map((w) => w.batch);
    const count = batches.reduce((n, b) => n + b.length, 0);
    const layout = Batch.layOut(batches, this.area + LIST + listSize(count));
    return { tracee, batches, layout, until: work[0]?.until ?? -1 };
  }

  /** Has the threads do it, one after the other. Answers those whose turn did not come because one before them took long. */
  async #take(turns: readonly Turn[], results: Map<Batch, BatchResult>): Promise<Turn[]> {
    const b = this.hands.batch();
    const asked = turns.map((turn) => this.#ask(b, turn));
    const r = await b.run();
    const left: Turn[] = [];
    for (const [i, turn] of turns.entries()) {
      const a = asked[i];
      if (a === undefined) continue;
      const { tid } = turn.tracee;
      if (r.value(a.put) === LEFT_OUT) {
        left.push(turn);
        continue;
      }
      check(r.value(a.put), `writing calls into thread ${tid}`);
      check(r.value(a.go), `resuming thread ${tid}`);
      const stop = r.value(a.got) > 0 ? parseStatus(r.view(a.status).getInt32(0, true)) : undefined;
      const done = stop !== undefined && isRunnerStop(stop, this.signal) && r.value(a.back) >= a.rows.length;
      if (done) this.#note(turn, r.bytes(a.rows), r.bytes(a.data), results);
      else await this.#finish(turn, stop, results);
    }
    return left;
  }

  #ask(b: Batch, { tracee, layout }: Turn): Asked {
    const list = this.area + LIST;
    const head = listSize(layout.count);
    const image = encodeList(layout);
    const regs = new BigUint64Array(32);
    regs[PC] = BigInt(this.area + AT_RUN);
    regs[REG.s0] = BigInt(list);
    regs[REG.s1] = BigInt(this.signal);

    tracee.born = [];
    const data = b.bytes(image);
    const put = b.must(SYS.process_vm_writev, tracee.tid, b.iovec(data), 1, b.iovec([list, image.length]), 1, 0);
    tracee.addSetRegisters(b, regs);
    const { go, status, got } = goOn(b, tracee.tid, PTRACE.CONT);
    const rowsOut = b.out(head);
    const dataOut = b.out(Math.max(8, layout.outEnd - layout.outStart));
    const remote = b.iovec([list, head], [list + head + layout.outStart, layout.outEnd - layout.outStart]);
    const back = b.call(SYS.process_vm_readv, tracee.tid, b.iovec(rowsOut, dataOut), 2, remote, 2, 0);
    return { put, go, status, got, rows: rowsOut, data: dataOut, back };
  }

  /** For a thread that has not come to the end of its list yet. */
  async #finish(turn: Turn, seen: Stop | undefined, results: Map<Batch, BatchResult>): Promise<void> {
    const { tracee, layout } = turn;
    for (let stop = seen ?? (await tracee.awaitStop()); !isRunnerStop(stop, this.signal);) {
      if (stop.kind === 'stopped' && BIRTHS.includes(stop.event)) {
        tracee.born.push(await tracee.eventMessage());
        stop = await tracee.resume(PTRACE.CONT);
        continue;
      }
      if (stop.kind === 'stopped' && stop.event === turn.until) return;
      const where = stop.kind === 'stopped' ? ` at ${((await tracee.registers())[PC] ?? 0n).toString(16)}` : '';
      throw new DomainError('lost', `thread ${tracee.tid} did not finish its calls: ${describeStop(stop)}${where}`);
    }
    const list = this.area + LIST;
    const head = listSize(layout.count);
    const rows = await tracee.peek(list, head);
    const wanted = layout.outEnd - layout.outStart;
    const output = wanted > 0 ? await tracee.peek(list + head + layout.outStart, wanted) : new Uint8Array(0);
    this.#note(turn, rows, output, results);
  }

  #note({ batches, layout }: Turn, rows: Uint8Array, output: Uint8Array, results: Map<Batch, BatchResult>): void {
    const view = new DataView(rows.buffer, rows.byteOffset, rows.length);
    const values = new BigInt64Array(layout.count);
    for (let i = 0; i < layout.count; i++) values[i] = view.getBigInt64(ROW * i + 56, true);
    for (const result of Batch.results(batches, layout, values, output)) results.set(result.batch, result);
  }
}

const BIRTHS: readonly number[] = [PTRACE.EVENT_CLONE, PTRACE.EVENT_FORK, PTRACE.EVENT_VFORK];
