/** SIGINT, SIGTERM and SIGHUP as something one can wait for, so that everything is cleaned up before the end. */
const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

/** Time for a reader to take what was still said (ms). */
const LINGER = 500;

export interface Interruption {
  readonly signal: AbortSignal;
  /** 128 + the signal's number, once it has come. */
  readonly status: number | undefined;
  /** Signals end the process again at once; and one that has come ends it soon, whoever may not read what it says. */
  end(): void;
}

export function catchSignals(): Interruption {
  const controller = new AbortController();
  let status: number | undefined;
  const handlers = Object.entries(SIGNALS).map(([name, number]) => {
    const handler = (): void => {
      status ??= 128 + number;
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

/** Rejects with `reason()` when the signal fires before `work` is done; `work` goes on in the background then. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal, reason: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(reason());
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
