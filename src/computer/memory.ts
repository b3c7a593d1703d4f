/**
 * Machine memory: one shared WebAssembly memory per computer, in frames of 4 KiB.
 *
 *   0           unused, so that offset 0 can mean "nothing"
 *   FRAME_WORDS one 32-bit word per frame (see `FRAME_CODE` in hart/state.ts)
 *   ZEROS       a frame that stays clear: what is read of memory that nobody has touched
 *   …           frames: hart blocks, page maps, device state pages, mailboxes, and
 *               the memory of OS instances, all handed out by `Frames`
 *
 * A frame's number is its byte offset >> 12.
 */
import { ComputerError } from './errors.js';
import { FRAME_CODE } from '../hart/state.js';
import { Frames } from './frames.js';
import type { WasmMemory } from '../wasm/host.js';

export const FRAME_SIZE = 4096;
const WASM_PAGE = 65536;
/** What 32-bit offsets reach. */
const MAX_BYTES = 2 ** 32 - WASM_PAGE;

/** Drops what was decoded or translated from frames that somebody other than a hart has written to. */
export function noteWritten(words: Int32Array, frameWords: number, offset: number, length: number): void {
  const last = Math.floor((offset + length - 1) / FRAME_SIZE);
  for (let frame = Math.floor(offset / FRAME_SIZE); frame <= last; frame++) {
    const at = (frameWords >>> 2) + frame;
    if ((Atomics.load(words, at) & FRAME_CODE) === 0) continue;
    Atomics.and(words, at, ~FRAME_CODE);
    Atomics.add(words, at, 2);
  }
}

/** All memory of a computer, shared by its threads, and its frames. */
export class MachineMemory {
  readonly memory: WasmMemory;
  readonly buffer: SharedArrayBuffer;
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly view: DataView;
  readonly frames: Frames;
  /** Byte offset of the frame words. */
  readonly frameWords = FRAME_SIZE;
  /** Byte offset of a frame of zeros that nobody writes. */
  readonly zeros: number;

  private constructor(memory: WasmMemory) {
    this.memory = memory;
    this.buffer = memory.buffer as unknown as SharedArrayBuffer;
    this.bytes = new Uint8Array(this.buffer);
    this.words = new Int32Array(this.buffer);
    this.view = new DataView(this.buffer);
    const total = this.buffer.byteLength / FRAME_SIZE;
    const zeros = 1 + Math.ceil((total * 4) / FRAME_SIZE);
    this.zeros = zeros * FRAME_SIZE;
    this.frames = new Frames(this.bytes, zeros + 1, total, (frame) =>
      noteWritten(this.words, this.frameWords, frame * FRAME_SIZE, FRAME_SIZE),
    );
  }

  /** Limits of a memory of at least `bytes` bytes, in 64 KiB pages; code modules are built for them. */
  static limits(bytes: number): { initial: number; maximum: number } {
    // The frame words come on top.
    const pages = Math.ceil((bytes + bytes / 1024 + 3 * FRAME_SIZE) / WASM_PAGE);
    if (pages * WASM_PAGE > MAX_BYTES) {
      throw new ComputerError('too-large', `a computer has at most 4 GiB of memory, ${bytes} bytes were asked for`);
    }
    return { initial: pages, maximum: pages };
  }

  static create(limits: { initial: number; maximum: number }): MachineMemory {
    try {
      return new MachineMemory(new WebAssembly.Memory({ ...limits, shared: true }));
    } catch (cause) {
      const size = `${(limits.initial * WASM_PAGE) >>> 20} MiB`;
      throw new ComputerError('memory', `the host gave no ${size} of shared memory; ask for less`, { cause });
    }
  }
}
