/**
 * The state of a device is one 4 KiB page of plain words in shared memory, all
 * zero when new. A hart's thread works on it directly when the guest touches a
 * register; the main thread works on it when the outside world moves. Where a
 * sequence must not be interleaved, both take the page's lock word.
 */

export const STATE_PAGE_SIZE = 4096;

/** A state page that came from outside cannot be what it says it is. */
export class StateError extends Error {
  override readonly name = 'StateError';
  constructor(
    readonly code: 'size' | 'kind' | 'value',
    message: string,
  ) {
    super(message);
  }
}

/** The holder does a few dozen instructions; beyond this many tries it has lost its core. */
const SPINS_BEFORE_NAP = 2000;
/** A browser's main thread may not wait. */
let mayWait = true;

/** Takes the lock at word `index`. Not reentrant; hold it for a few dozen instructions only. */
export function lock(words: Int32Array, index: number): void {
  let spins = 0;
  while (Atomics.compareExchange(words, index, 0, 1) !== 0) {
    if (++spins < SPINS_BEFORE_NAP || !mayWait) continue;
    try {
      Atomics.wait(words, index, 1, 1);
    } catch {
      mayWait = false;
    }
  }
}

export function unlock(words: Int32Array, index: number): void {
  Atomics.store(words, index, 0);
}

/** A copy of the state page at `offset`, with its lock word (at `lockAt` in the page) free. Take it while nobody changes the page. */
export function takePage(buffer: SharedArrayBuffer, offset: number, lockAt: number): Uint8Array {
  const page = new Uint8Array(STATE_PAGE_SIZE);
  page.set(new Uint8Array(buffer, offset, STATE_PAGE_SIZE));
  page.fill(0, lockAt, lockAt + 4);
  return page;
}

/** Puts a page back. The caller has validated what is in it. Throws StateError('size'). */
export function putPage(buffer: SharedArrayBuffer, offset: number, page: Uint8Array): void {
  if (page.length !== STATE_PAGE_SIZE) {
    throw new StateError('size', `a device state has ${STATE_PAGE_SIZE} bytes, this one has ${page.length}`);
  }
  new Uint8Array(buffer, offset, STATE_PAGE_SIZE).set(page);
}
