import { ZERO_FAILS } from './batch.js';
import * as M from './mailbox.js';
import type { Mailbox } from './mailbox.js';

/** What the ring handler needs to see of the hart that rang; its thread stands still meanwhile. */
export interface HartView {
  /** x0 … x31. */
  readonly x: BigInt64Array;
  getPc(): bigint;
  setPc(pc: bigint): void;
  readonly satp: bigint;
  /**
   * Byte offset in `memory` of the guest-virtual address, through the page tables `satp` names, valid to the end of its
   * 4 KiB page; -1 where no page is present, or with `write` where none may be written.
   */
  translate(va: bigint, write: boolean): number;
  /** The computer's whole shared memory. */
  readonly memory: Uint8Array;
}

/**
 * What a ring came to.
 * - `handled`: registers and pc are set; the hart goes on.
 * - `illegal`: nobody the VMM planted rang; the hart raises an illegal-instruction exception.
 */
export type RingOutcome = 'handled' | 'illegal';

const SYS_READ = 63n;
const SYS_CLONE = 220n;
const SYS_CLONE3 = 435n;
const EFAULT = -14n;
const NOT_RUN = -125n;

const A0 = 10;
const A1 = 11;
const A2 = 12;
const A7 = 17;

/** Where the hands' code goes on, in bytes from the ring instruction (code.ts). */
export const AT_CALL = 4n;
export const AT_CLONE = 12n;

/** satp without its ASID: translation mode and root page number. */
const ADDRESS_SPACE = ~(0xffffn << 44n) & 0xffff_ffff_ffff_ffffn;

/**
 * Answers one ring, on the hart's own thread. `doorbell` tells the host's thread that the mailbox has
 * something for it.
 *
 * The hands are bound at their first ring, by the token that was put into their executable: from then
 * on only that address space at that program counter is them. A process that was asked to identify
 * itself shows a nonce instead, once. Any other ring is illegal.
 */
export function ring(mailbox: Mailbox, hart: HartView, doorbell: () => void): RingOutcome {
  const space = hart.satp & ADDRESS_SPACE;
  const pc = hart.getPc();
  const u64 = (r: number): bigint => BigInt.asUintN(64, hart.x[r] ?? 0n);

  if (mailbox.get(M.BOUND) === 0) {
    // No token yet: no hands are expected.
    if (mailbox.u64(M.TOKEN) === 0n && mailbox.u64(M.TOKEN + 8) === 0n) return 'illegal';
    if (u64(A0) !== mailbox.u64(M.TOKEN) || u64(A1) !== mailbox.u64(M.TOKEN + 8)) return 'illegal';
    mailbox.setU64(M.BOUND_SATP, space);
    mailbox.setU64(M.RING_PC, pc);
    mailbox.setU64(M.SCRATCH_BASE, u64(A2));
    mailbox.set(M.PHASE, M.PHASE_READY);
    mailbox.set(M.BOUND, 1);
    doorbell();
  }

  if (space === mailbox.u64(M.BOUND_SATP) && pc === mailbox.u64(M.RING_PC)) {
    takeTurn(mailbox, hart, pc, doorbell);
    return 'handled';
  }

  if (
    mailbox.get(M.NONCE_STATE) === M.NONCE_ASKED &&
    u64(A0) === mailbox.u64(M.NONCE) &&
    u64(A1) === mailbox.u64(M.NONCE + 8)
  ) {
    mailbox.setU64(M.IDENTIFIED, BigInt.asUintN(64, hart.satp));
    mailbox.set(M.NONCE_STATE, M.NONCE_SHOWN);
    hart.setPc(pc + 4n);
    return 'handled';
  }
  return 'illegal';
}

function takeTurn(mailbox: Mailbox, hart: HartView, pc: bigint, doorbell: () => void): void {
  const phase = mailbox.get(M.PHASE);
  if (phase === M.PHASE_IN_CALL) {
    const next = mailbox.get(M.NEXT);
    mailbox.view.setBigInt64(M.CALLS + next * M.CALL_SIZE + 56, hart.x[A0] ?? 0n, true);
    if (proceed(mailbox, hart, pc, next + 1, doorbell)) return;
  } else if (phase === M.PHASE_IN_SLEEP) {
    mailbox.set(M.ASLEEP, 0);
  }

  mailbox.set(M.PHASE, M.PHASE_READY);
  const posted = awaitWork(mailbox);
  // The hart looks at what is asked of it between two rings.
  if (!posted && mailbox.get(M.RESTLESS) !== 0) return;
  if (posted) {
    const length = mailbox.get(M.IN_LENGTH);
    const fits = copyIn(mailbox, hart, length);
    if (!fits) failAll(mailbox, doorbell);
    else proceed(mailbox, hart, pc, 0, doorbell);
    return; // without a call set up the hands ring again at once
  }
  sleep(mailbox, hart, pc);
}

/** True when a batch is posted, after waiting a little for one. */
function awaitWork(mailbox: Mailbox): boolean {
  if (mailbox.get(M.STATE) === M.STATE_POSTED) return true;
  const state = mailbox.get(M.STATE);
  const noSleep = mailbox.get(M.WAKE_FD) < 0;
  const linger = noSleep ? 1000 : mailbox.get(M.LINGER);
  if (mailbox.get(M.RESTLESS) !== 0) return false;
  if (linger > 0 && state !== M.STATE_POSTED) Atomics.wait(mailbox.words, M.STATE, state, linger / 1000);
  return mailbox.get(M.STATE) === M.STATE_POSTED;
}

/** Lets the hands block in a read on their wake port. */
function sleep(mailbox: Mailbox, hart: HartView, pc: bigint): void {
  const fd = mailbox.get(M.WAKE_FD);
  if (fd < 0) return;
  mailbox.set(M.ASLEEP, 1);
  if (mailbox.get(M.STATE) === M.STATE_POSTED) {
    // Posted between the look and the flag: whoever posted may or may not send a byte; a stray byte only wakes us once more.
    mailbox.set(M.ASLEEP, 0);
    return;
  }
  mailbox.set(M.PHASE, M.PHASE_IN_SLEEP);
  // The last word of the scratch memory is the wake byte's: batches never reach it.
  const wakeByte = mailbox.u64(M.SCRATCH_BASE) + BigInt(M.DATA_SIZE);
  setCall(hart, pc + AT_CALL, SYS_READ, [BigInt(fd), wakeByte, 1n]);
}

function setCall(hart: HartView, pc: bigint, nr: bigint, args: readonly bigint[]): void {
  for (let i = 0; i < 6; i++) hart.x[A0 + i] = args[i] ?? 0n;
  hart.x[A7] = nr;
  hart.setPc(pc);
}

/** Sets up call `index`, or ends the batch. True if the hands have a call to make. */
function proceed(mailbox: Mailbox, hart: HartView, pc: bigint, index: number, doorbell: () => void): boolean {
  const { view } = mailbox;
  const count = Math.min(mailbox.get(M.COUNT), M.MAX_CALLS);
  if (index > 0) {
    const done = M.CALLS + (index - 1) * M.CALL_SIZE;
    const result = view.getBigInt64(done + 56, true);
    const word = view.getUint16(done + 76, true);
    const onFailure = Math.min(word & ~ZERO_FAILS, count);
    const failed = (result < 0n && result >= -4095n) || (result === 0n && (word & ZERO_FAILS) !== 0);
    if (failed && onFailure > index) {
      for (let i = index; i < onFailure; i++) view.setBigInt64(M.CALLS + i * M.CALL_SIZE + 56, NOT_RUN, true);
      index = onFailure;
    }
  }
  if (index >= count) {
    copyOut(mailbox, hart);
    finish(mailbox, doorbell);
    return false;
  }
  const at = M.CALLS + index * M.CALL_SIZE;
  const args: bigint[] = [];
  for (let i = 0; i < 6; i++) {
    const ref = view.getUint16(at + 64 + 2 * i, true);
    args.push(view.getBigInt64(ref === 0 ? at + 8 + 8 * i : M.CALLS + (ref - 1) * M.CALL_SIZE + 56, true));
  }
  const nr = view.getBigInt64(at, true);
  mailbox.set(M.NEXT, index);
  mailbox.set(M.PHASE, M.PHASE_IN_CALL);
  setCall(hart, pc + (nr === SYS_CLONE || nr === SYS_CLONE3 ? AT_CLONE : AT_CALL), nr, args);
  return true;
}

function finish(mailbox: Mailbox, doorbell: () => void): void {
  mailbox.set(M.PHASE, M.PHASE_READY);
  mailbox.set(M.STATE, M.STATE_DONE);
  doorbell();
}

/** The scratch memory is not there: every call fails with EFAULT, and none is made. */
function failAll(mailbox: Mailbox, doorbell: () => void): void {
  const count = Math.min(mailbox.get(M.COUNT), M.MAX_CALLS);
  for (let i = 0; i < count; i++) mailbox.view.setBigInt64(M.CALLS + i * M.CALL_SIZE + 56, EFAULT, true);
  finish(mailbox, doorbell);
}

/**
 * Copies between the mailbox's data and scratch memory, page by page: the kernel may have moved a page
 * since the last time, so each is looked up for each copy.
 */
function eachPage(
  mailbox: Mailbox,
  hart: HartView,
  start: number,
  end: number,
  write: boolean,
  copy: (guest: number, data: number, length: number) => void,
): boolean {
  const base = mailbox.u64(M.SCRATCH_BASE);
  for (let at = start; at < end;) {
    const va = base + BigInt(at);
    const length = Math.min(end - at, 4096 - Number(va & 0xfffn));
    const offset = hart.translate(va, write);
    if (offset < 0) return false;
    copy(offset, M.DATA + at, length);
    at += length;
  }
  return true;
}

function copyIn(mailbox: Mailbox, hart: HartView, length: number): boolean {
  return eachPage(mailbox, hart, 0, length, true, (guest, data, n) => {
    hart.memory.set(mailbox.bytes.subarray(data, data + n), guest);
  });
}

function copyOut(mailbox: Mailbox, hart: HartView): void {
  eachPage(mailbox, hart, mailbox.get(M.OUT_START), mailbox.get(M.OUT_END), false, (guest, data, n) => {
    mailbox.bytes.set(hart.memory.subarray(guest, guest + n), data);
  });
}
