/** SIGINT, SIGTERM and SIGHUP as something one can wait for, so that everything is cleaned up before the end. */
const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

/** Time for a reader to take what was still said (ms). */
const LINGER = 500;
/** A signal this soon after the first is the same one: npx and its like pass on what the terminal sent to all (ms). */
const SAME = 100;

export interface Interruption {
  readonly signal: AbortSignal;
  /** 128 + the signal's number, once it has come. */
  readonly status: number | undefined;
  /** Signals end the process again at once; and one that has come ends it soon, whoever may not read what it says. */
  end(): void;
}

/** A second signal ends the process at once, whatever the first is waiting for. */
export function catchSignals(): Interruption {
  const controller = new AbortController();
  let status: number | undefined;
  let first = 0;
  const handlers = Object.entries(SIGNALS).map(([name, number]) => {
    const handler = (): void => {
      if (status !== undefined) {
        if (performance.now() - first >= SAME) endAtOnce(name);
        return;
      }
      status = 128 + number;
      first = performance.now();
      controller.abort();
    };
    process.on(name, handler);
    return { name, handler };
  });
  return {
    signal: controller.signal,
    get status() {
      return status;
    },
    end: () => {
      for (const { name, handler } of handlers) process.off(name, handler);
      if (status !== undefined) setTimeout(() => process.exit(status), LINGER).unref();
    },
  };
}

/** As the signal itself does: `process.exit` would wait for the threads of a file system that hangs. */
function endAtOnce(signal: string): void {
  if (process.stdin.isTTY) process.stdin.setRawMode(false);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
}

/** Rejects with `reason()` when the signal fires before `work` is done; `work` goes on in the background then. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal, reason: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(reason());
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
