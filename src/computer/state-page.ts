/**
 * The state of a device is one 4 KiB page of plain words in shared memory, all
 * zero when new. A hart's thread works on it directly when the guest touches a
 * register; the main thread works on it when the outside world moves. Where a
 * sequence must not be interleaved, both take the page's lock word.
 */

export const STATE_PAGE_SIZE = 4096;

/** A state page that came from outside cannot be what it says it is; or, `lock`, its lock is not given back. */
export class StateError extends Error {
  override readonly name = 'StateError';
  constructor(
    readonly code: 'size' | 'kind' | 'value' | 'lock',
    message: string,
  ) {
    super(message);
  }
}

/** The holder does a few dozen instructions; beyond this many tries it has lost its core. */
const SPINS_BEFORE_NAP = 2000;
/** A browser's main thread may not wait. */
let mayWait = true;

/** The main thread's name as a holder of locks. */
export const MAIN_THREAD = 1;
/** This thread's name, which a lock word shows while the thread holds it. */
let me = MAIN_THREAD;

/** Names this thread, so that its locks can be taken from it should it die: any number but 0 and MAIN_THREAD. */
export function lockAs(name: number): void {
  me = name;
}

/** What names this thread, see `lockAs`. */
export function threadName(): number {
  return me;
}

/**
 * The main thread waits so long for one holder (ms), counted in looks: time in which the process stood still does not
 * count. That the holder's thread is dead can be heard on the main thread only, and not while that waits.
 */
const PATIENCE = 2000;
const MOST_PER_LOOK = 2;

/**
 * A bit beside the holder's name: the main thread waits, and comes next. A guest whose harts take a lock again and
 * again would else keep it from the main thread, on which all guests depend.
 */
const MAIN_WAITS = 1 << 30;

/** Takes the lock at word `index`. Not reentrant; hold it for a few dozen instructions only. Throws StateError `lock`. */
export function lock(words: Int32Array, index: number): void {
  if (Atomics.compareExchange(words, index, 0, me) !== 0) waitForLock(words, index);
}

function waitForLock(words: Int32Array, index: number): void {
  let spins = 0;
  let waited = 0;
  let last = 0;
  let looked = performance.now();
  const free = me === MAIN_THREAD ? MAIN_WAITS : 0;
  for (;;) {
    if (free !== 0) Atomics.or(words, index, free);
    const holder = Atomics.compareExchange(words, index, free, me);
    if (holder === free) return;
    if (++spins < SPINS_BEFORE_NAP) continue;
    if (mayWait) {
      try {
        Atomics.wait(words, index, holder, 1);
      } catch {
        mayWait = false;
      }
    }
    const now = performance.now();
    waited = holder === last ? waited + Math.min(now - looked, MOST_PER_LOOK) : 0;
    last = holder;
    looked = now;
    if (me === MAIN_THREAD && waited > PATIENCE) {
      Atomics.and(words, index, ~MAIN_WAITS);
      throw new StateError('lock', `thread ${holder & ~MAIN_WAITS} holds a device's lock and does not give it back`);
    }
  }
}

/** Takes a lock from a thread that is dead, or has left in the middle. What it guards may be half done. */
export function freeLock(words: Int32Array, index: number, holder: number): void {
  for (const waits of [0, MAIN_WAITS]) {
    if (Atomics.compareExchange(words, index, holder | waits, waits) === (holder | waits)) Atomics.notify(words, index);
  }
}

export function unlock(words: Int32Array, index: number): void {
  if ((Atomics.and(words, index, MAIN_WAITS) & MAIN_WAITS) !== 0) Atomics.notify(words, index);
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
