/**
 * The mailbox: where the host's thread leaves batches of system calls for the ring handler on the
 * hart's thread, and finds the results. One per OS instance, in shared memory the guest cannot reach.
 *
 *     0x0000  control words (i32), below; written by both sides, with atomics
 *     0x0080  token          2 × u64   shown by the hands at their first ring
 *     0x0090  nonce          2 × u64   shown by a process that is asked to identify itself
 *     0x00a0  identified     u64       satp of the process that showed the nonce
 *     0x00a8  bound satp     u64       the hands' own address space
 *     0x00b0  ring pc        u64       where the hands' ring instruction stands
 *     0x00b8  scratch base   u64       guest address of the hands' scratch memory
 *     0x1000  calls, MAX_CALLS × CALL_SIZE:
 *               +0 number i64   +8 a0…a5 6 × i64   +56 result i64
 *               +64 refs 6 × u16 (1 + index of the call whose result is this argument, or 0)
 *               +76 u16: the call to go on with if this one fails, or 0: the next; bit 15: 0 is a failure   +78 padding
 *     0x10000 data, DATA_SIZE: copied to scratch memory before the first call, and back after the last
 */
export const MAILBOX_SIZE = 0x100000;

/** Control words, as i32 indices. */
export const STATE = 0;
export const BOUND = 1;
export const COUNT = 2;
/** The call of the batch that is being made; NOT_BEGUN until the hands have taken the batch up. */
export const NEXT = 3;
export const IN_LENGTH = 4;
export const OUT_START = 5;
export const OUT_END = 6;
/** Descriptor the hands sleep on while there is nothing to do, or -1: then they ring again and again. */
export const WAKE_FD = 7;
/** 1 while the hands sleep in that read and must be woken by a byte. */
export const ASLEEP = 8;
/** How long, in microseconds, the handler waits for the next batch before it lets the hands sleep. */
export const LINGER = 9;
export const NONCE_STATE = 10;
/** What the hands are doing, a PHASE_* value; the ring handler's own. */
export const PHASE = 11;
/** 1 once the host has given the hands up. */
export const CLOSED = 12;
/** 1 while the handler shall not wait for work: the host wants the hart to stand still. */
export const RESTLESS = 13;

export const NOT_BEGUN = -1;

/** STATE values. */
export const STATE_IDLE = 0;
export const STATE_POSTED = 1;
export const STATE_DONE = 2;

/** NONCE_STATE values. */
export const NONCE_NONE = 0;
export const NONCE_ASKED = 1;
export const NONCE_SHOWN = 2;

/** PHASE values. */
export const PHASE_READY = 0;
export const PHASE_IN_CALL = 1;
export const PHASE_IN_SLEEP = 2;

/** Byte offsets. */
export const TOKEN = 0x80;
export const NONCE = 0x90;
export const IDENTIFIED = 0xa0;
export const BOUND_SATP = 0xa8;
export const RING_PC = 0xb0;
export const SCRATCH_BASE = 0xb8;
export const CALLS = 0x1000;
export const CALL_SIZE = 80;
export const MAX_CALLS = 700;
export const DATA = 0x10000;
/** The last 8 bytes of the scratch memory are the wake byte's. */
export const SCRATCH_SIZE = MAILBOX_SIZE - DATA;
export const DATA_SIZE = SCRATCH_SIZE - 8;

/** Views of one mailbox. */
export class Mailbox {
  #words: Int32Array;
  #view: DataView;
  #bytes: Uint8Array;

  /** `buffer`: the shared memory. `offset`: where the mailbox starts, 8-byte aligned. */
  constructor(buffer: ArrayBufferLike, offset: number) {
    this.#words = new Int32Array(buffer, offset, 32);
    this.#view = new DataView(buffer, offset, MAILBOX_SIZE);
    this.#bytes = new Uint8Array(buffer, offset, MAILBOX_SIZE);
  }

  get words(): Int32Array {
    return this.#words;
  }
  get view(): DataView {
    return this.#view;
  }
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /**
   * Its memory will be somebody else's: from now on it is a copy of its own, to which whoever still has business with it
   * may write without harm.
   */
  retire(): void {
    const { buffer } = this.#bytes.slice();
    this.#words = new Int32Array(buffer, 0, 32);
    this.#view = new DataView(buffer);
    this.#bytes = new Uint8Array(buffer);
  }

  get(word: number): number {
    return Atomics.load(this.words, word);
  }

  set(word: number, value: number): void {
    Atomics.store(this.words, word, value);
  }

  u64(at: number): bigint {
    return this.view.getBigUint64(at, true);
  }

  setU64(at: number, value: bigint): void {
    this.view.setBigUint64(at, value, true);
  }

  /** Makes the mailbox ready for hands that will show `token` (16 bytes). */
  reset(token: Uint8Array): void {
    this.bytes.fill(0, 0, CALLS);
    this.bytes.set(token, TOKEN);
    this.set(WAKE_FD, -1);
  }
}
