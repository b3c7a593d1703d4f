import type { HartProfile } from '../computer/hart-profile.js';
import type { CoreCode } from '../hart/core/index.js';
import type { EngineOptions } from '../hart/engine.js';
import type { TranslatorCounters } from '../hart/translator/translator.js';
import type { ResetKind } from './sbi.js';
import type { MachineMemory } from '../computer/memory.js';

/** The name by which the thread of a hart holds a device's lock (computer/state-page.ts), by byte offset of its block. */
export const holderOf = (block: number): number => block >>> 12;

/** Sent to a hart's thread; all of it survives structured cloning. */
export interface HartAssignment {
  readonly memory: MachineMemory['memory'];
  readonly core: CoreCode;
  readonly engine: EngineOptions;
  /** Keep account of where the time goes. */
  readonly profile: boolean;
  /** Hart blocks of the OS instance by hart id, and which of them this thread runs. */
  readonly harts: readonly number[];
  readonly hartId: number;
  /** If it shares harts of the computer: byte offset of the table of seats. */
  readonly seatTable: number | undefined;
  /** `hostNow()` when the computer's clock was 0. */
  readonly epoch: number;
  /** Byte offset of the board's pages. */
  readonly board: number;
  readonly mailbox: number;
  /** Byte offset of a word: 1 while a doorbell message is on its way. */
  readonly doorbell: number;
  /** Byte offset of a frame of zeros that nobody writes. */
  readonly zeros: number;
}

/** What a hart did in an assignment. */
export interface HartReport {
  readonly hartId: number;
  readonly instructions: number;
  readonly translator: TranslatorCounters;
  /** Only if the assignment asked for it. */
  readonly profile?: HartProfile;
}

/** What a hart's thread says. */
export type HartMessage =
  | { readonly type: 'doorbell' }
  | { readonly type: 'reset'; readonly kind: ResetKind }
  /** The kernel has touched an absent page, and the computer has had no frame for it for a while. */
  | { readonly type: 'out-of-frames' }
  /** The last word of an assignment. */
  | { readonly type: 'stopped'; readonly report: HartReport }
  | { readonly type: 'failed'; readonly message: string };
