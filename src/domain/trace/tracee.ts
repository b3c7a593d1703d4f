import { Batch, type Arg, type BatchResult, type Buf, type Ref } from '../../guest/hands/batch.js';
import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { DomainError } from '../errors.js';
import { NT_PRFPREG, NT_PRSTATUS, PTRACE, SIG, WNOHANG } from '../linux/flags.js';
import { check } from '../linux/os.js';
import { AT_IDENTIFY, WAIT_TRACEE } from './runner.js';
import { allBut, only, STOP_SIGNAL } from './stop-signal.js';

/** `struct user_regs_struct`: pc in the place of x0, then x1 … x31. */
export type Registers = BigUint64Array;
export const PC = 0;
export const REG = {
  ra: 1,
  sp: 2,
  gp: 3,
  tp: 4,
  s0: 8,
  s1: 9,
  a0: 10,
  a1: 11,
  a2: 12,
  a3: 13,
  a4: 14,
  a5: 15,
  a7: 17,
} as const;

/** 32 × f (u64), fcsr (u32): `struct __riscv_d_ext_state`. */
export const FP_SIZE = 264;

/** How long one step of a tracee may take before it counts as lost. */
const STEP_LIMIT_MS = 20_000;

/** How a tracee stopped, from wait4's status. */
export interface Stop {
  readonly kind: 'stopped' | 'exited' | 'killed';
  /** The signal, or the exit status. */
  readonly value: number;
  /** PTRACE_EVENT_*, or 0. */
  readonly event: number;
}

export function parseStatus(status: number): Stop {
  if ((status & 0xff) === 0x7f) return { kind: 'stopped', value: (status >> 8) & 0xff, event: (status >> 16) & 0xff };
  if ((status & 0x7f) === 0) return { kind: 'exited', value: (status >> 8) & 0xff, event: 0 };
  return { kind: 'killed', value: status & 0x7f, event: 0 };
}

/** What makes system calls in a process (running.ts), as its threads know it. */
export interface CallRunner {
  /** Where it lies in the process's address space. */
  readonly area: number;
  /** What its threads stop by: see stop-signal.ts. */
  signal: number;
  /**
   * Has a thread make the calls of a batch. Answers undefined if it ended in the event `until` instead. Throws `lost` if
   * it stops for anything else.
   */
  run(tracee: Tracee, batch: Batch, until?: number): Promise<BatchResult | undefined>;
}

/**
 * One thread of a guest process, stopped under ptrace by the hands. It can be looked at, and told to
 * make system calls in its own name.
 */
export class Tracee {
  constructor(
    readonly hands: Hands,
    /** Thread id in the hands' PID namespace. */
    readonly tid: number,
    /** The runner in its process, if there is one. */
    public runner?: CallRunner,
  ) {}

  /** Where the runner lies in its address space, or -1. */
  get area(): number {
    return this.runner?.area ?? -1;
  }

  /** Begins to trace a running or frozen thread and stops it. No signal stays unblocked; {@link setSignalMask} puts the mask back. */
  static async seize(hands: Hands, tid: number, options: number): Promise<Tracee> {
    const b = hands.batch();
    const seized = b.must(SYS.ptrace, PTRACE.SEIZE, tid, 0, options);
    b.must(SYS.ptrace, PTRACE.INTERRUPT, tid, 0, 0);
    check((await b.run()).value(seized), `tracing thread ${tid}`);
    const tracee = new Tracee(hands, tid);
    await tracee.awaitStop();
    return tracee;
  }

  /** Waits until the thread stops, or is gone. */
  async awaitStop(): Promise<Stop> {
    const deadline = STEP_LIMIT_MS / 1000;
    for (let turn = 0; turn < deadline; turn++) {
      // A look first: the stop may have been announced together with another's.
      const b = this.hands.batch();
      const early = b.out(8);
      const first = b.call(SYS.wait4, this.tid, early, WNOHANG | WAIT_TRACEE, 0);
      const r1 = await b.run();
      if (check(r1.value(first), `waiting for thread ${this.tid}`) > 0)
        return parseStatus(r1.view(early).getInt32(0, true));
      const again = this.hands.batch();
      const { status, got } = lookForStop(again, this.tid);
      const r2 = await again.run();
      if (check(r2.value(got), `waiting for thread ${this.tid}`) > 0)
        return parseStatus(r2.view(status).getInt32(0, true));
    }
    throw new DomainError('lost', `thread ${this.tid} does not stop`);
  }

  /** Lets the thread go on with a ptrace request and waits for its next stop. */
  async resume(request: number, signal = 0): Promise<Stop> {
    const b = this.hands.batch();
    const { go, status, got } = goOn(b, this.tid, request, signal);
    const r = await b.run();
    check(r.value(go), `resuming thread ${this.tid}`);
    return r.value(got) > 0 ? parseStatus(r.view(status).getInt32(0, true)) : this.awaitStop();
  }

  async registers(): Promise<Registers> {
    const bytes = await this.#getRegset(NT_PRSTATUS, 256);
    return new BigUint64Array(bytes.buffer, 0, 32);
  }

  fpRegisters(): Promise<Uint8Array> {
    return this.#getRegset(NT_PRFPREG, FP_SIZE);
  }

  async #getRegset(which: number, size: number): Promise<Uint8Array> {
    const b = this.hands.batch();
    const out = b.out(size);
    const n = b.call(SYS.ptrace, PTRACE.GETREGSET, this.tid, which, b.iovec(out));
    const r = await b.run();
    check(r.value(n), `reading registers of thread ${this.tid}`);
    return r.bytes(out);
  }

  async setRegisters(regs: Registers, fp?: Uint8Array): Promise<void> {
    const b = this.hands.batch();
    const refs = [this.addSetRegisters(b, regs)];
    if (fp !== undefined) refs.push(b.call(SYS.ptrace, PTRACE.SETREGSET, this.tid, NT_PRFPREG, b.iovec(b.bytes(fp))));
    const r = await b.run();
    for (const ref of refs) check(r.value(ref), `setting registers of thread ${this.tid}`);
  }

  addSetRegisters(b: Batch, regs: Registers): ReturnType<Batch['call']> {
    const bytes = new Uint8Array(regs.buffer, regs.byteOffset, 256).slice();
    return b.call(SYS.ptrace, PTRACE.SETREGSET, this.tid, NT_PRSTATUS, b.iovec(b.bytes(bytes)));
  }

  async signalMask(): Promise<bigint> {
    const b = this.hands.batch();
    const out = b.out(8);
    const n = b.call(SYS.ptrace, PTRACE.GETSIGMASK, this.tid, 8, out);
    const r = await b.run();
    check(r.value(n), `reading the signal mask of thread ${this.tid}`);
    return r.view(out).getBigUint64(0, true);
  }

  async setSignalMask(mask: bigint): Promise<void> {
    const b = this.hands.batch();
    const n = b.call(
      SYS.ptrace,
      PTRACE.SETSIGMASK,
      this.tid,
      8,
      b.bytes(new Uint8Array(new BigUint64Array([mask]).buffer)),
    );
    check((await b.run()).value(n), `setting the signal mask of thread ${this.tid}`);
  }

  /** Blocks all signals but the one that a runner stops its threads by. */
  blockSignals(but: number = STOP_SIGNAL): Promise<void> {
    return this.setSignalMask(allBut(but));
  }

  /** Reads memory of the process; short where it is not mapped. */
  async peek(address: number, length: number): Promise<Uint8Array> {
    const b = this.hands.batch();
    const out = b.out(length);
    const n = b.call(SYS.process_vm_readv, this.tid, b.iovec(out), 1, b.iovec([address, length]), 1, 0);
    const r = await b.run();
    return r.bytes(out, Math.max(0, r.value(n)));
  }

  /** Writes memory of the process that the process itself may write. */
  async poke(address: number, bytes: Uint8Array): Promise<void> {
    const b = this.hands.batch();
    const data = b.bytes(bytes);
    const n = b.call(SYS.process_vm_writev, this.tid, b.iovec(data), 1, b.iovec([address, bytes.length]), 1, 0);
    if ((await b.run()).value(n) !== bytes.length)
      throw new DomainError('guest', `cannot write memory of thread ${this.tid} at ${address.toString(16)}`);
  }

  /**
   * One system call made at an `ecall` that already stands in the process at `ecallAt`. Registers are
   * left as the call leaves them.
   */
  async inject(ecallAt: number, nr: number, ...args: (number | bigint)[]): Promise<number> {
    const b = this.hands.batch();
    const result = this.addInject(b, ecallAt, nr, args);
    return result(await b.run());
  }

  /** As {@link inject}. What comes after it in the batch is left out if the call was not made at once. */
  addInject(
    b: Batch,
    ecallAt: number,
    nr: number,
    args: readonly (number | bigint)[],
  ): (r: BatchResult) => Promise<number> {
    const regs = new BigUint64Array(32);
    regs[PC] = BigInt(ecallAt);
    regs[REG.a7] = BigInt(nr);
    for (let i = 0; i < 6; i++) regs[REG.a0 + i] = BigInt.asUintN(64, BigInt(args[i] ?? 0));
    const set = this.addSetRegisters(b, regs);
    // It stops before the call and after it.
    const steps = [0, 1].map(() => goOn(b, this.tid, PTRACE.SYSCALL));
    const out = b.out(256);
    const read = b.call(SYS.ptrace, PTRACE.GETREGSET, this.tid, NT_PRSTATUS, b.iovec(out));
    return async (r) => {
      check(r.value(set), `setting registers of thread ${this.tid}`);
      let late = false;
      for (const { status, got } of steps) {
        const seen = r.value(got) > 0 ? parseStatus(r.view(status).getInt32(0, true)) : undefined;
        // Where one look came too early the calls after it were left out.
        const stop = seen ?? (late ? await this.resume(PTRACE.SYSCALL) : await this.awaitStop());
        late ||= seen === undefined;
        if (stop.kind !== 'stopped' || stop.value !== (SIG.TRAP | 0x80)) {
          throw new DomainError('lost', `thread ${this.tid} did not make system call ${nr}: ${describeStop(stop)}`);
        }
      }
      const after = late ? await this.registers() : new BigUint64Array(r.bytes(out).buffer, 0, 32);
      if (!late) check(r.value(read), `reading registers of thread ${this.tid}`);
      return Number(BigInt.asIntN(64, after[REG.a0] ?? 0n));
    };
  }

  /** An empty batch of calls for this process to make; its `run()` is {@link run}. */
  batch(): Batch {
    return new Batch((b) => this.run(b));
  }

  async syscall(nr: number, ...args: Arg[]): Promise<number> {
    const b = this.batch();
    const ref = b.call(nr, ...args);
    return (await b.run()).value(ref);
  }

  /** Threads and processes born during the last {@link run}, stopped, ids in the hands' namespace. */
  born: number[] = [];

  /** As {@link run}, for a last call that does not return when it succeeds: answers undefined if it ended in the event. */
  async runUntilEvent(batch: Batch, event: number): Promise<BatchResult | undefined> {
    return this.#itsRunner.run(this, batch, event);
  }

  /** Has the process make the calls of a batch. Throws `lost` if it stops for anything else. */
  async run(batch: Batch): Promise<BatchResult> {
    const result = await this.#itsRunner.run(this, batch);
    if (result === undefined) throw new DomainError('lost', `thread ${this.tid} did not finish its calls`);
    return result;
  }

  get #itsRunner(): CallRunner {
    if (this.runner === undefined) throw new DomainError('state', `thread ${this.tid} has no runner`);
    return this.runner;
  }

  /** Whom the event that stopped it is about (PTRACE_GETEVENTMSG). */
  async eventMessage(): Promise<number> {
    const b = this.hands.batch();
    const out = b.out(8);
    const n = b.call(SYS.ptrace, PTRACE.GETEVENTMSG, this.tid, 0, out);
    const r = await b.run();
    check(r.value(n), 'PTRACE_GETEVENTMSG');
    return Number(r.view(out).getBigUint64(0, true));
  }

  /** Has the process show a nonce to the VMM by the ring instruction; see MailboxTransport.identify. */
  async showNonce(nonce: Uint8Array): Promise<void> {
    const b = this.hands.batch();
    const shown = this.addShow(b, this.#itsRunner, nonce);
    await shown(await b.run());
  }

  /** Adds what {@link showNonce} does, by a runner that it may not know yet. */
  addShow(b: Batch, { area, signal }: CallRunner, nonce: Uint8Array): (r: BatchResult) => Promise<void> {
    const view = new DataView(nonce.buffer, nonce.byteOffset, 16);
    const regs = new BigUint64Array(32);
    regs[PC] = BigInt(area + AT_IDENTIFY);
    regs[REG.s1] = BigInt(signal);
    regs[REG.a0] = view.getBigUint64(0, true);
    regs[REG.a1] = view.getBigUint64(8, true);
    const set = this.addSetRegisters(b, regs);
    const { go, status, got } = goOn(b, this.tid, PTRACE.CONT);
    return async (r) => {
      check(r.value(set), `setting registers of thread ${this.tid}`);
      check(r.value(go), `resuming thread ${this.tid}`);
      const stop = r.value(got) > 0 ? parseStatus(r.view(status).getInt32(0, true)) : await this.awaitStop();
      if (!isRunnerStop(stop, signal))
        throw new DomainError('lost', `thread ${this.tid} could not identify itself: ${describeStop(stop)}`);
    };
  }
}

/** How long a thread is waited for at a time: `struct timespec`. */
const PATIENCE = new Uint8Array(new BigInt64Array([1n, 0n]).buffer);
const NO_TIME = new Uint8Array(16);
const CHILD_SIGNAL = only(SIG.CHLD);

/**
 * Adds a ptrace request that lets a thread go on, and the wait for its next stop. An announcement that is left over
 * from an earlier stop is put away first: it would end the wait at once.
 */
export function goOn(
  b: Batch,
  tid: number,
  request: number,
  signal = 0,
): { readonly go: Ref; readonly status: Buf; readonly got: Ref } {
  b.call(SYS.rt_sigtimedwait, b.bytes(CHILD_SIGNAL), 0, b.bytes(NO_TIME), 8);
  const go = b.must(SYS.ptrace, request, tid, 0, signal);
  return { go, ...lookForStop(b, tid) };
}

/** Adds the wait for a thread that was told to go on. What comes after it in the batch is left out if the thread is not found stopped. */
function lookForStop(b: Batch, tid: number): { readonly status: Buf; readonly got: Ref } {
  const status = b.out(8);
  b.call(SYS.rt_sigtimedwait, b.bytes(CHILD_SIGNAL), 0, b.bytes(PATIENCE), 8);
  return { status, got: b.mustFind(SYS.wait4, tid, status, WNOHANG | WAIT_TRACEE, 0) };
}

export function isRunnerStop(s: Stop, signal: number): boolean {
  return s.kind === 'stopped' && s.value === signal && s.event === 0;
}

export function describeStop(s: Stop): string {
  if (s.kind === 'exited') return `it exited with ${s.value}`;
  if (s.kind === 'killed') return `signal ${s.value} killed it`;
  return `signal ${s.value} stopped it${s.event === 0 ? '' : `, event ${s.event}`}`;
}
