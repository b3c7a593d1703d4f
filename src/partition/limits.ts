/** How a computer's 4 GiB of machine memory are shared out between the harts and the OS instances on it. */
import { FRAME_SIZE, MachineMemory } from '../computer/memory.js';
import { hartBlockSize, PREDECODE_PAGES } from '../hart/tlb.js';

/** Blocks of all logical harts together; with many harts each has room for less predecoded code. */
const MOST_FOR_HARTS = 2 ** 30;
/** Page maps, device states, mailboxes: for each of as many OS instances as have harts of their own, with room to spare. */
const CONTROL_BYTES_PER_HART = 4 * 2 ** 20;
/** And for each of those that share harts, if there are as many as can be. */
const CONTROL_BYTES_PER_SHARE = 2 ** 20;
/** Logical harts beyond the computer's own: one more for each, as long as they are few, and some. */
const MOST_DOUBLED = 16;
const MORE = 2;
const MIB = 2 ** 20;
/** For devices' states, and the memory of the monitor's own drivers. What of it is never touched costs the host nothing. */
export const MONITOR_BYTES = 32 * MIB;

export interface MachineShares {
  /** How many logical harts there is room for: all that OS instances have, or may get. */
  readonly logicalHarts: number;
  /** Pages of code that each hart can have predecoded, a power of two. */
  readonly predecodePages: number;
  /** Frames of a hart's block. */
  readonly hartFrames: number;
  /** Bytes for what OS instances need beside their memory, of each hart that the computer has. */
  readonly controlOfHart: number;
  /** Bytes for it of all harts together. */
  readonly controlOfInstances: number;
  /** Limits of the shared memory that has room for `memory` bytes of OS instances beside all that. */
  readonly limits: { initial: number; maximum: number };
}

/** Throws ComputerError `too-large`. */
export function shareMachine(memory: number, harts: number): MachineShares {
  const logicalHarts = harts + Math.min(harts, MOST_DOUBLED) + MORE;
  const { predecodePages, hartFrames } = hartBlock(logicalHarts);
  const forInstances = harts * CONTROL_BYTES_PER_HART + (logicalHarts - harts) * CONTROL_BYTES_PER_SHARE;
  const control = logicalHarts * hartFrames * FRAME_SIZE + forInstances + MONITOR_BYTES;
  const limits = MachineMemory.limits(memory + control + memory / 1024);
  const controlOfHart = CONTROL_BYTES_PER_HART;
  return { logicalHarts, predecodePages, hartFrames, controlOfHart, controlOfInstances: forInstances, limits };
}

/** The most memory for OS instances that a computer with so many harts can have: bytes, whole mebibytes. */
export function mostMemory(harts: number): number {
  let [least, most] = [0, 4096];
  while (most - least > 1) {
    const middle = (least + most) >> 1;
    if (fits(middle * MIB, harts)) least = middle;
    else most = middle;
  }
  return least * MIB;
}

function fits(memory: number, harts: number): boolean {
  try {
    shareMachine(memory, harts);
    return true;
  } catch {
    return false;
  }
}

function hartBlock(logicalHarts: number): Pick<MachineShares, 'predecodePages' | 'hartFrames'> {
  let predecodePages = PREDECODE_PAGES;
  while (predecodePages > 1 && logicalHarts * hartBlockSize(predecodePages) > MOST_FOR_HARTS) predecodePages /= 2;
  return { predecodePages, hartFrames: Math.ceil(hartBlockSize(predecodePages) / FRAME_SIZE) };
}
