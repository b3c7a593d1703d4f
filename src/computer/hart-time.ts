/**
 * Where a hart's time goes, in its block: when its thread began, how long it has waited since, and since when it waits now
 * (doubles, milliseconds of `hostNow`). Counted where it waits, which costs nothing while it runs.
 */
import * as S from '../hart/state.js';
import { BEGAN, WAITED, WAITS_SINCE } from '../hart/state.js';
import { hostNow } from './clock.js';
import { AtomicWords } from './handshake.js';

/** The shared words as a hart's own thread uses them: it counts how long it waits. */
export class CountingWords extends AtomicWords {
  readonly #doubles: Float64Array;
  readonly #block: number;

  constructor(words: Int32Array, block: number) {
    super(words);
    this.#doubles = new Float64Array(words.buffer);
    this.#block = block;
    this.#put(BEGAN, hostNow());
  }

  override wait(at: number, value: number, milliseconds: number): void {
    const since = hostNow();
    this.#put(WAITS_SINCE, since);
    super.wait(at, value, milliseconds);
    this.#put(WAITED, this.#doubles[(this.#block + WAITED) >>> 3] + hostNow() - since);
    this.#put(WAITS_SINCE, 0);
  }

  /** The thread has done with the hart, which waits from now on. */
  end(): void {
    this.#put(WAITS_SINCE, hostNow());
  }

  #put(at: number, value: number): void {
    this.#doubles[(this.#block + at) >>> 3] = value;
  }
}

/** Milliseconds that a hart has run, and waited for something to do, since its thread began. */
export interface HartTime {
  readonly ran: number;
  readonly waited: number;
}

/** As another thread sees it at `now` (`hostNow`), which may be in the middle of a change: never less than nothing. */
export function hartTime(view: DataView, block: number, now: number): HartTime {
  const get = (at: number): number => view.getFloat64(block + at, true);
  const began = get(BEGAN);
  if (began === 0) return { ran: 0, waited: 0 };
  const since = get(WAITS_SINCE);
  const waited = get(WAITED) + (since === 0 ? 0 : Math.max(0, now - since));
  return { ran: Math.max(0, now - began - waited), waited };
}

/**
 * What a hart does: `absent` (the instance has it not), `stopped` (its kernel runs nothing on it), `idle` (it waits for an
 * interrupt), `running` (or waits for its turn, if it is shared), `paused`.
 */
export type HartState = 'absent' | 'stopped' | 'idle' | 'running' | 'paused';

export function hartState(words: Int32Array, block: number): HartState {
  const hsm = Atomics.load(words, (block + S.HSM) >>> 2);
  if (hsm === S.HSM_ABSENT) return 'absent';
  const state = Atomics.load(words, (block + S.RUN_STATE) >>> 2);
  if (state === S.RUN_STATE_PAUSED) return 'paused';
  if (hsm !== S.HSM_STARTED || state === S.RUN_STATE_STOPPED) return 'stopped';
  return state === S.RUN_STATE_IDLE ? 'idle' : 'running';
}
