/** A person before a guest: the terminal is the guest's, except for what follows Ctrl-A. */
import { setTimeout as delay } from 'node:timers/promises';
import { Terminal } from '../../adapters/node/terminal.js';
import type { Instance, OsEnd } from '../../index.js';
import { escapeKeys } from './escape-keys.js';
import { describeEnd, tellFaults, TIMED_OUT, type Guest } from './guest.js';

const KEYS = `
  Ctrl-A X   switches the guest off and leaves
  Ctrl-A S   has the guest shut down
  Ctrl-A C   what the machine is and does
  Ctrl-A A   Ctrl-A for the guest
  Ctrl-A H   this
`;
/** Ctrl-D: the end of what is typed, for a program that reads a terminal. */
const END_OF_INPUT = '\x04';
/** How often it is said (ms). */
const END_AGAIN = 500;
/** After this time one is told that the guest goes on (ms). */
const END_IGNORED = 20_000;
const NEWLINE = 0x0a;

type Outcome = { readonly left: true } | { readonly left: false; readonly end: OsEnd };

export async function runTerminal(guest: Guest): Promise<number> {
  const { interruption } = guest;
  const terminal = new Terminal();
  const { timeout } = guest.options;
  const expiry = new AbortController();
  const timer = timeout === undefined ? undefined : setTimeout(() => expiry.abort(), timeout);
  try {
    for (;;) {
      const outcome = await session(guest, terminal, expiry.signal);
      if (interruption.status !== undefined) return interruption.status;
      if (expiry.signal.aborted) {
        terminal.release();
        process.stderr.write(`\nunderstudy: the time of ${(timeout ?? 0) / 1000} s was over\n`);
        return TIMED_OUT;
      }
      if (outcome.left) return 0;
      const problem = describeEnd(outcome.end);
      if (problem !== undefined) {
        terminal.release();
        process.stderr.write(`\nunderstudy: ${problem}\n`);
        return 1;
      }
      if (outcome.end.kind !== 'reboot') return 0;
    }
  } finally {
    clearTimeout(timer);
    terminal.release();
  }
}

/** One boot, to its end or until the person leaves. */
async function session(
  { computer, boot, interruption, began, ended }: Guest,
  terminal: Terminal,
  expiry: AbortSignal,
): Promise<Outcome> {
  const started = performance.now();
  const instance = await computer.boot({ ...boot, ...terminal.size });
  began(instance);
  tellFaults(instance, (line) => {
    if (terminal.interactive) void terminal.write(`\r\n${line}\r\n`);
    else process.stderr.write(`${line}\n`);
  });
  if (terminal.interactive) greet(instance, terminal);
  instance.console.listen((bytes) => terminal.write(bytes));

  let leave: () => void = () => undefined;
  const left = new Promise<void>((resolve) => {
    leave = resolve;
  });
  for (const signal of [interruption.signal, expiry]) {
    signal.addEventListener('abort', leave, { once: true });
    if (signal.aborted) leave();
  }

  let pending = Promise.resolve();
  const feed = escapeKeys({
    onData: (bytes) => {
      // The array is the input's, and it waits until the guest has room.
      const copy = bytes.slice();
      pending = pending.then(() => instance.console.write(copy));
    },
    onKey: (letter) => {
      if (letter === 'x') leave();
      else if (letter === 's') instance.shutdown().catch(leave);
      else if (letter === 'c') void terminal.write(status(instance, performance.now() - started));
      else if (letter === 'h' || letter === '?') void terminal.write(KEYS.replaceAll('\n', '\r\n'));
    },
  });
  let last = NEWLINE;
  terminal.attach(
    (bytes) => {
      last = bytes.at(-1) ?? last;
      if (terminal.interactive) feed(bytes);
      else pending = pending.then(() => instance.console.write(bytes));
      return pending;
    },
    () => void pending.then(() => endInput(instance, last)),
    ({ columns, rows }) => instance.console.resize(columns, rows),
  );
  try {
    return await Promise.race([
      left.then(async (): Promise<Outcome> => {
        await instance.destroy();
        return { left: true };
      }),
      instance.ended.then((end): Outcome => ({ left: false, end })),
    ]);
  } finally {
    for (const signal of [interruption.signal, expiry]) signal.removeEventListener('abort', leave);
    terminal.release();
    ended(instance.os.reports);
  }
}

/**
 * The end of the input is what every program finds that reads from now on, the guest's shell at last. One is not
 * enough: a program takes it, or it is lost on the way from one terminal mode to another. Nor is it heeded behind the beginning of a line, so a last line
 * without its end gets that first. What works on without reading may do so: only a `--timeout` ends it.
 */
async function endInput(instance: Instance, last: number): Promise<void> {
  let ended = false;
  const tell = setTimeout(() => {
    process.stderr.write('\nunderstudy: the input is at its end, but the guest goes on; --timeout would limit it\n');
  }, END_IGNORED);
  void instance.ended.then(() => {
    ended = true;
    clearTimeout(tell);
  });
  if (last !== NEWLINE) await instance.console.write('\n');
  while (!ended) {
    await instance.console.write(END_OF_INPUT);
    await Promise.race([instance.ended, delay(END_AGAIN)]);
  }
}

function greet(instance: Instance, terminal: Terminal): void {
  void terminal.write(`${describe(instance)}; Ctrl-A X leaves, Ctrl-A H helps\r\n`);
}

function describe({ os, address, forwards }: Instance): string {
  const parts = [`${os.partition.space.size / 2 ** 20} MiB`, `${os.harts} hart${os.harts > 1 ? 's' : ''}`];
  if (address !== undefined) parts.push(address);
  for (const f of forwards) parts.push(`${f.protocol} ${f.host}:${f.port} leads to port ${f.guestPort}`);
  return parts.join(', ');
}

function status(instance: Instance, milliseconds: number): string {
  return `\r\n${describe(instance)}; on for ${(milliseconds / 1000).toFixed(1)} s\r\n`;
}
