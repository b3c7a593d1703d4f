/**
 * Harts without a computer around them: shared memory, hart blocks, a flat map of RAM and
 * nothing else, for tests that look at single instructions and at the privileged architecture.
 *
 *   0x0001_0000  frame words
 *   0x0007_0000  reserve of frames for absent pages
 *   0x0008_0000  page map
 *   0x0010_0000  hart blocks, one after the other
 *   ram          frames of guest RAM, 64 KiB aligned
 */
import { Reserve } from '../../computer/reserve.js';
import type { MemoryLimits } from '../../wasm/module.js';
import type { Core } from '../core/index.js';
import type { EngineHost } from '../engine.js';
import { SlotDecoder } from '../slot-decoder.js';
import { EXIT_SIGNAL } from '../exits.js';
import * as S from '../state.js';
import { HART_BLOCK_SIZE } from '../tlb.js';
import { engineName, engineNamed, type Engine } from './engines.js';

const FRAME_WORDS_AT = 0x10000;
const RESERVE_AT = 0x70000;
const PAGE_MAP_AT = 0x80000;
const HARTS_AT = 0x100000;
const WASM_PAGE = 0x10000;
/** The page map lies between its start and the hart blocks. */
const MOST_PAGES = (HARTS_AT - PAGE_MAP_AT) / 4;

const align = (value: number, to: number): number => Math.ceil(value / to) * to;
const blockAt = (index: number): number => HARTS_AT + index * align(HART_BLOCK_SIZE, 0x1000);

/** Where everything lies: enough for another thread to join in. */
export interface BareMemory {
  readonly memory: WebAssembly.Memory;
  readonly limits: MemoryLimits;
  /** Byte offset of guest RAM in the memory, its guest-physical base, and its 4 KiB pages. */
  readonly ram: number;
  readonly ramBase: bigint;
  readonly ramPages: number;
  readonly harts: number;
}

export function bareMemory({ ramBase = 0x8000_0000n, ramPages = 1024, harts = 1 } = {}): BareMemory {
  if (ramPages > MOST_PAGES) throw new RangeError(`at most ${MOST_PAGES} pages of RAM`);
  const ram = align(blockAt(harts), WASM_PAGE);
  const pages = align(ram + ramPages * 4096, WASM_PAGE) / WASM_PAGE;
  const limits = { initial: pages, maximum: pages };
  const memory = new WebAssembly.Memory({ ...limits, shared: true });
  const words = new Int32Array(memory.buffer);
  for (let i = 0; i < ramPages; i++) {
    words[(PAGE_MAP_AT >> 2) + i] = (((ram >> 12) + i) << 8) | S.PAGE_PRESENT | S.PAGE_WRITABLE;
  }
  return { memory, limits, ram, ramBase, ramPages, harts };
}

/** Maps the state page of a hart (state.ts) at a guest-physical page of RAM: for guest code that does what other threads do. */
export function mapHartState({ memory, ramBase }: BareMemory, index: number, physical: bigint): void {
  const at = (PAGE_MAP_AT >> 2) + Number((physical - ramBase) >> 12n);
  new Int32Array(memory.buffer)[at] = ((blockAt(index) >> 12) << 8) | S.PAGE_PRESENT | S.PAGE_WRITABLE;
}

/** Devices and clock of a bare hart; what is absent is not there. */
export interface BareDevices {
  /** Reads 2^width bytes, or undefined if nothing is there. */
  load?(address: number, width: number): bigint | undefined;
  /** True if something took the value. */
  store?(address: number, width: number, value: bigint): boolean;
  time?(): number;
  /** What comes of an absent page (`CoreImports.fillPage`); `give` gives it a frame, as is done unless told. */
  fill?(page: number, give: () => number): number;
  /** The other harts are asked to stop writing to a frame. */
  shootDownWrites?(frame: number): void;
}

export class BareHart {
  readonly core: Core;
  readonly view: DataView;
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
  readonly h: number;
  /** Frames whose write permission this hart asked the others to give up. */
  readonly shotDown: number[] = [];

  constructor(
    readonly space: BareMemory = bareMemory(),
    index = 0,
    devices: BareDevices = {},
    engine: string | Engine = engineName,
  ) {
    const { memory, limits } = space;
    const buffer = memory.buffer as unknown as SharedArrayBuffer;
    this.view = new DataView(buffer);
    this.words = new Int32Array(buffer);
    this.bytes = new Uint8Array(buffer);
    this.h = blockAt(index);
    const make = typeof engine === 'string' ? engineNamed(engine) : engine;
    this.core = make(memory, limits, this.h, this.imports(buffer, devices));
    this.reset();
    this.set(S.HART_ID, index, 'i32');
  }

  private imports(buffer: SharedArrayBuffer, devices: BareDevices): EngineHost {
    const decoder = new SlotDecoder(buffer);
    const time = devices.time?.bind(devices) ?? ((): number => 0);
    return {
      mmioLoad: (h, address, width) => {
        const value = devices.load?.(address, width);
        if (value === undefined) return 1;
        this.view.setBigUint64(h + S.EXIT_A, value, true);
        return 0;
      },
      mmioStore: (h, address, width) => {
        const value = BigInt.asUintN(8 << width, this.view.getBigUint64(h + S.EXIT_A, true));
        return devices.store?.(address, width, value) === true ? 0 : 1;
      },
      time,
      timer: (h) => {
        const due = this.view.getBigUint64(h + S.STIMECMP, true) <= BigInt(Math.floor(time()));
        S.setPending(this.words, h, S.STIP, due);
      },
      decode: (slots, host, count) => decoder.decode(slots, host, count),
      decodeStraddle: (slots, low, high) => decoder.decodeStraddle(slots, low, high),
      shootDownWrites: (_h, frame) => {
        this.shotDown.push(frame);
        devices.shootDownWrites?.(frame);
      },
      fillPage: (_h, page) => {
        const give = (): number => new Reserve(this.words, RESERVE_AT).fill((PAGE_MAP_AT >> 2) + page);
        return devices.fill?.(page, give) ?? give();
      },
    };
  }

  /** Supervisor mode, no translation, floating point on, all registers zero. */
  reset(): void {
    const { h, space, words } = this;
    const signal = this.bytes.subarray(h, h + S.HART_STATE_SIZE);
    // What belongs to the engine, not to the architecture, outlives a reset.
    const kept = [S.HOT_THRESHOLD, S.LAST_EPOCH, S.LAST_GENERATION].map((at) => [at, words[(h + at) >> 2]] as const);
    signal.fill(0);
    for (const [at, value] of kept) words[(h + at) >> 2] = value;
    this.set(S.RAM_BASE, space.ramBase);
    words[(h + S.RAM_PAGES) >> 2] = space.ramPages;
    words[(h + S.PAGE_MAP) >> 2] = PAGE_MAP_AT;
    words[(h + S.FRAME_WORDS) >> 2] = FRAME_WORDS_AT;
    words[(h + S.PRIVILEGE) >> 2] = 1;
    words[(h + S.RESERVATION) >> 2] = -1;
    words[(h + S.TLB_FILLED) >> 2] = 1;
    this.set(S.SSTATUS, 3n << 13n);
    this.set(S.STIMECMP, -1n);
    this.core.flush(h);
    this.core.selectMode(h);
  }

  /** A 64-bit word of the hart's state, by its offset in `state.ts`; sign-extended. */
  get(offset: number): bigint {
    return this.view.getBigInt64(this.h + offset, true);
  }
  get32(offset: number): number {
    return this.view.getInt32(this.h + offset, true);
  }
  set(offset: number, value: bigint | number, size: 'i32' | 'i64' = 'i64'): void {
    if (size === 'i32') this.view.setInt32(this.h + offset, Number(value), true);
    else this.view.setBigInt64(this.h + offset, BigInt(value), true);
  }

  x(n: number): bigint {
    return this.get(S.X + 8 * n);
  }
  setX(n: number, value: bigint): void {
    if (n !== 0) this.set(S.X + 8 * n, value);
  }

  get pc(): bigint {
    return BigInt.asUintN(64, this.get(S.PC));
  }
  set pc(value: bigint) {
    this.set(S.PC, value);
  }

  get privilege(): 'U' | 'S' {
    return this.get32(S.PRIVILEGE) === 0 ? 'U' : 'S';
  }
  set privilege(mode: 'U' | 'S') {
    this.set(S.PRIVILEGE, mode === 'S' ? 1 : 0, 'i32');
    this.core.selectMode(this.h);
  }

  /** Host offset of a guest-physical address. */
  host(physical: bigint): number {
    const offset = Number(physical - this.space.ramBase);
    if (offset < 0 || offset >= this.space.ramPages * 4096)
      throw new RangeError(`0x${physical.toString(16)} is not RAM`);
    return this.space.ram + offset;
  }
  /** Copies bytes to guest-physical memory and makes code that lay there stale, as DMA and a fence.i would. */
  load(physical: bigint, bytes: Uint8Array): void {
    const host = this.host(physical);
    this.bytes.set(bytes, host);
    for (let frame = host >> 12; frame << 12 < host + bytes.length; frame++) {
      const at = (FRAME_WORDS_AT >> 2) + frame;
      if ((this.words[at] & S.FRAME_CODE) !== 0) this.words[at] = (this.words[at] & ~S.FRAME_CODE) + 2;
    }
    this.core.fenceI(this.h);
  }
  read(physical: bigint, length: number): Uint8Array {
    const at = this.host(physical);
    return this.bytes.slice(at, at + length);
  }
  read64(physical: bigint): bigint {
    return this.view.getBigUint64(this.host(physical), true);
  }
  write64(physical: bigint, value: bigint): void {
    this.view.setBigInt64(this.host(physical), value, true);
  }

  /** Word index of a page's entry in the page map. */
  private mapEntry(physical: bigint): number {
    return (PAGE_MAP_AT >> 2) + Number((physical - this.space.ramBase) >> 12n);
  }

  /** Has two guest-physical pages change their frames, as a flip of the VMM does. */
  swapPages(one: bigint, other: bigint): void {
    const [a, b] = [this.mapEntry(one), this.mapEntry(other)];
    [this.words[a], this.words[b]] = [this.words[b], this.words[a]];
    this.core.flush(this.h);
  }

  /** Takes away or gives flags of a RAM page in the map below the guest's own page tables. */
  mapPage(physical: bigint, flags: number): void {
    const at = this.mapEntry(physical);
    this.words[at] = (this.words[at] & ~0xff) | flags;
    this.core.flush(this.h);
  }

  /** Makes a page of RAM absent; its frame, cleared, waits for whoever touches an absent page first. */
  takeAway(physical: bigint): void {
    const at = this.mapEntry(physical);
    const frame = this.words[at] >>> 8;
    this.bytes.fill(0, frame << 12, (frame + 1) << 12);
    this.words[at] = S.PAGE_ABSENT;
    new Reserve(this.words, RESERVE_AT).put([frame]);
    this.core.flush(this.h);
  }
  /** Host offset of a guest-physical address through the page map, -1 if the page is absent. */
  mapped(physical: bigint): number {
    const entry = this.words[this.mapEntry(physical)];
    return entry === S.PAGE_ABSENT ? -1 : ((entry >>> 8) << 12) + Number(physical & 0xfffn);
  }

  /** Runs until the hart exits for a reason, or the budget (in instructions) is used up: then EXIT_SIGNAL. */
  run(budget = 100_000): number {
    for (let left = budget; left > 0; left -= 10_000) {
      const reason = this.core.run(this.h, Math.min(left, 10_000));
      if (reason !== EXIT_SIGNAL) return reason;
      // As the worker does before it looks at what the signal was about.
      Atomics.store(this.words, (this.h + S.SIGNAL) >> 2, 0);
    }
    return EXIT_SIGNAL;
  }
}
