/**
 * Shutting a guest down through its kernel, without anything of ours in it: magic SysRq
 * keys on its console (Linux, Documentation/admin-guide/sysrq.rst).
 *
 *   9 e          everything that the kernel says is shown; all processes are told to end
 *   s            file systems are written out; "Emergency Sync complete"
 *   u            they are made read-only;      "Emergency Remount complete"
 *   o            the machine is switched off
 *
 * The kernel only begins what a key asks for: the next key is for when it says that it
 * has done so. Switching off at once would overtake the writing out.
 */
import type { OsInstance } from '../guest/os-instance.js';
import type { Console } from './console.js';
import { startTimer } from './timeout.js';

/** A guest that does nothing for so long has no process left that is about to end (ms). */
const QUIET = 500;
/** How often one looks whether it does something (ms). */
const LOOK = 25;
/** Samples of a quiet time that may find it busy: timers go on. */
const FEW = 2;
/** A key whose answer does not come is pressed again (ms). */
const AGAIN = 2000;
/** Of the time there is, what processes may take. */
const FOR_PROCESSES = 0.5;

/** A move holds an instance still for less than that (ms). */
const HELD_BRIEFLY = 1000;

/** What the kernel says when it has done what a key asks for. */
const ANSWERS = { s: 'Emergency Sync complete', u: 'Emergency Remount complete' } as const;

/**
 * Resolves when the guest has ended, or when the time is over. Data that was written in the guest is on its disks then
 * if it ended.
 */
export async function shutDown(os: OsInstance, console: Console, timeout: number): Promise<void> {
  const deadline = performance.now() + timeout;
  const said = new Said(console);
  let ended = false;
  const end = os.ended.then(() => void (ended = true));
  const pause = async (milliseconds: number): Promise<void> => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const time = new Promise<void>((resolve) => (timer = startTimer(resolve, milliseconds)));
    await Promise.race([end, time]);
    clearTimeout(timer);
  };
  const isOver = (): boolean => ended || performance.now() >= deadline;

  try {
    console.pressSysRq('9');
    console.pressSysRq('e');
    const patience = performance.now() + FOR_PROCESSES * timeout;
    let looks: boolean[] = [];
    while (!isOver() && performance.now() < patience) {
      looks = [...looks, os.idle].slice(-QUIET / LOOK);
      if (looks.length >= QUIET / LOOK && looks.filter((idle) => !idle).length <= FEW) break;
      await pause(LOOK);
    }
    for (const key of ['s', 'u'] as const) {
      let pressed = -Infinity;
      said.forget();
      while (!isOver() && !said.has(ANSWERS[key])) {
        if (performance.now() - pressed > AGAIN) {
          console.pressSysRq(key);
          pressed = performance.now();
        }
        await pause(LOOK);
      }
    }
    if (isOver()) return;
    console.pressSysRq('o');
    await pause(deadline - performance.now());
  } finally {
    said.close();
  }
}

/** Whether somebody holds it still, and for longer than the monitor itself does for a moment. */
export async function staysPaused({ partition }: OsInstance): Promise<boolean> {
  const deadline = performance.now() + HELD_BRIEFLY;
  while (partition.paused && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, LOOK));
  return partition.paused;
}

/** What has been on a console since the last `forget`. */
class Said {
  readonly #decoder = new TextDecoder();
  readonly close: () => void;
  #text = '';

  constructor(console: Console) {
    this.close = console.listen((bytes) => {
      // Much more than an answer, which is a line; who writes without end shall not fill the memory.
      this.#text = (this.#text + this.#decoder.decode(bytes, { stream: true })).slice(-65_536);
    });
  }

  forget(): void {
    this.#text = '';
  }

  has(text: string): boolean {
    return this.#text.includes(text);
  }
}
