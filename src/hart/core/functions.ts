import type { I32, I64, Callable } from '../../wasm/expr.js';
import type { FloatFunctions } from '../float/index.js';

type I64Function = Callable<typeof I64>;
type I32Function = Callable<typeof I32>;
type Procedure = Callable<undefined>;

/** Functions of the core module that the meanings of instructions call. `h` is always the hart block. */
export interface CoreFunctions {
  /** (a, b): high 64 bits of the unsigned product. */
  readonly mulhu: I64Function;
  /** (h, pc, va, `slowAccess`): host offset to load from, in memory or of EXIT_A; 0 after taking a trap. */
  readonly loadSlow: I32Function;
  /**
   * (h, pc, va, value, `slowAccess`): host offset to store the value to, in memory, or of EXIT_A if it has been
   * stored already; 0 after taking a trap.
   */
  readonly storeSlow: I32Function;
  /**
   * (h, pc, va, `reachAccess`): fills the TLB for the first of several accesses; 0 if their bytes lie in one page of
   * memory that reads, and if asked writes, are allowed to. Else 1, and the hart's state says that it goes on at pc and why.
   * Takes no trap.
   */
  readonly reach: I32Function;
  /** (to, from, bytes): copies between host offsets whose bytes do not overlap; see bulk.ts. */
  readonly copyBytes: Procedure;
  /** (to, pattern, bytes): fills with 8 bytes repeated. */
  readonly fillBytes: Procedure;
  /** (h, pc, va, log2 of the bytes, ACCESS_*): host offset for an atomic access, or -1 after taking a trap. */
  readonly atomicHost: I32Function;
  /** (h, pc, va): clears the 64-byte block around va; 1 after taking a trap. */
  readonly cboZero: I32Function;
  /**
   * (h, pc, instruction bits, CSR_*, source, writes, `Context.uncounted`): old value in EXIT_A, or 1 after taking a
   * trap.
   */
  readonly csr: I32Function;
  /** (h, pc, scause, stval): sets the hart's pc to the handler. An instruction that traps has been counted, and is not. */
  readonly trap: Procedure;
  /** (h): returns the pc to go on at. */
  readonly sret: I64Function;
  readonly float: FloatFunctions;
  /** (h, va, all addresses, ASID, all ASIDs): forgets translations. */
  readonly sfenceVma: Procedure;
  /** (h): makes stores to code visible to this hart's fetches. */
  readonly fenceI: Procedure;
}

/** Which of them are given a pc, behind the hart block. */
const takesPc: Readonly<Record<Exclude<keyof CoreFunctions, 'float'>, boolean>> = {
  mulhu: false,
  loadSlow: true,
  storeSlow: true,
  reach: true,
  copyBytes: false,
  fillBytes: false,
  atomicHost: true,
  cboZero: true,
  csr: true,
  trap: true,
  sret: false,
  sfenceVma: false,
  fenceI: false,
};
/** Names of those that are given a pc. */
export const WITH_PC: ReadonlySet<string> = new Set(
  Object.entries(takesPc).flatMap(([name, does]) => (does ? [name] : [])),
);

/** What the core module asks of the worker that runs the hart. Addresses and times are f64: exact up to 2^53. */
export interface CoreImports {
  /** Reads 2^width bytes at a guest-physical address outside memory into EXIT_A; 1 if nothing is there. */
  mmioLoad(h: number, address: number, width: number): number;
  /** Writes EXIT_A's low 2^width bytes; 1 if nothing is there. */
  mmioStore(h: number, address: number, width: number): number;
  /** The computer's clock in ticks (the `time` CSR). */
  time(): number;
  /** stimecmp has changed. */
  timer(h: number): void;
  /** Decodes from host offset `host` into the slots at `slots`, at most `count` slots. */
  decode(slots: number, host: number, count: number): void;
  /** Decodes the instruction whose halves are at two host offsets into the straddle slots. */
  decodeStraddle(slots: number, hostLow: number, hostHigh: number): void;
  /** The place at the hart's pc has become hot. */
  hot(h: number): void;
  /** A region has been left STRADDLES times before accesses that lie in two pages, the last time at the hart's pc. */
  straddles(h: number): void;
  /** A page has got an empty predecoded page: what was translated from it must be linked again. */
  predecoded(hostPage: number): void;
  /** Other harts of the OS instance must stop writing to `frame` past the frame word. */
  shootDownWrites(h: number, frame: number): void;
  /**
   * Gives an absent page, counted from the start of RAM, a cleared frame: its entry of the page map then. 0: there is no
   * frame now, the instruction is to be begun again; PAGE_ABSENT: there will be none.
   */
  fillPage(h: number, page: number): number;
}
