import { CODE_OFFSET, executable } from '../executable.js';
import { ECALL, RING, auipc, beqz, j, ld, li, words, addi, add } from './code.js';
import { SCRATCH_SIZE } from './mailbox.js';

/**
 * The hands as a file (executable.ts): a page of code at TEXT, and the scratch memory at SCRATCH.
 *
 * The addresses are far from where Linux puts programs and libraries on Sv39.
 */
export const TEXT = 0x10_0000_0000;
export const SCRATCH = 0x10_1000_0000;

/**
 * The code. Every path leads back to the ring; a child of clone() waits, in a system call without
 * end, for the tracer that will tell it what to be.
 *
 *            ld   a0, token ; ld a1, token + 8 ; a2 = SCRATCH
 *     ring:  ring                     pc + 0    AT_RING
 *            ecall                    pc + 4    AT_CALL
 *            j    ring
 *            ecall                    pc + 12   AT_CLONE
 *            beqz a0, child
 *            j    ring
 *     child: ppoll(0, 0, 0, 0, 0) ; j child
 *     token: 16 bytes
 */
function code(token: Uint8Array): Uint8Array {
  const prelude = 7;
  const tokenAt = 4 * (prelude + 6 + 8 + 1); // a word of padding keeps it 8-byte aligned
  const body = words(
    auipc('t0', 0),
    ld('a0', tokenAt, 't0'),
    ld('a1', tokenAt + 8, 't0'),
    // SCRATCH - TEXT is 0x1000_0000: one auipc away, less the 12 bytes that came before it.
    auipc('a2', (SCRATCH - TEXT) >> 12),
    addi('a2', 'a2', -(CODE_OFFSET + 12)),
    add('t1', 'zero', 'zero'),
    add('t1', 'zero', 'zero'),
    RING,
    ECALL,
    j(-8),
    ECALL,
    beqz('a0', 8),
    j(-20),
    li('a0', 0),
    li('a1', 0),
    li('a2', 0),
    li('a3', 0),
    li('a4', 0),
    li('a7', 73),
    ECALL,
    j(-28),
    0,
  );
  const out = new Uint8Array(body.length + 16);
  out.set(body);
  out.set(token, body.length);
  return out;
}

/**
 * Emits the executable. `token`: 16 random bytes by which the VMM knows these hands; install the file
 * for root's eyes only (mode 0700).
 */
export function handsElf(token: Uint8Array): Uint8Array {
  return executable({ at: TEXT, code: code(token), zeroed: { at: SCRATCH, size: SCRATCH_SIZE } });
}
