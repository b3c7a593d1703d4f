/**
 * The demonstration while it goes on. On a terminal a picture that is drawn again ten times a second; elsewhere a line
 * for each switch, or for some of many.
 */
import type { ComputerDevice } from '../../../../interposition/device.js';
import { styleFor, type Style } from '../style.js';
import { Telling } from '../telling.js';
import type { Audience, Live } from './scenario.js';
import type { SwitchEvent } from './switcher.js';

/** Milliseconds between two pictures, and what each mark of a line stands for. */
const EVERY = 100;
const LEVELS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const LAST_SWITCHES = 5;
/** Lines for a log, whatever the number of switches. */
const MOST_LINES = 100;
const LABEL = 14;

const milliseconds = (ms: number): string => `${ms.toFixed(ms < 1 ? 3 : 2)} ms`;

export function describeSwitch({ device, mode, waitMs, switchMs }: SwitchEvent): string {
  const what = mode === 'interposed' ? 'the monitor steps in at' : 'the monitor steps away from';
  return `${what} ${device}: waited ${milliseconds(waitMs)}, switched in ${milliseconds(switchMs)}`;
}

export class Screen implements Audience {
  readonly #stream: NodeJS.WriteStream;
  readonly #telling: Telling;
  readonly #style: Style;
  #live: Live | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #events: SwitchEvent[] = [];
  #count = 0;
  /** Requests and bytes in each stretch of time, and whether each device was interposed then. */
  #requests: number[] = [];
  #bytes: number[] = [];
  readonly #modes = new Map<ComputerDevice, boolean[]>();
  #before = { requests: 0, bytes: 0, at: 0 };
  #height = 0;

  constructor(stream: NodeJS.WriteStream = process.stderr) {
    this.#stream = stream;
    this.#telling = new Telling(stream);
    this.#style = styleFor(stream);
  }

  say(text: string): void {
    this.#telling.say(text);
  }

  begins(live: Live): void {
    this.#live = live;
    this.#before = { requests: live.ledger.counts.requests, bytes: live.transfers.bytes, at: performance.now() };
    this.#timer = setInterval(() => this.#tick(), EVERY);
  }

  switched(event: SwitchEvent): void {
    this.#count++;
    this.#events = [...this.#events, event].slice(-LAST_SWITCHES);
    const every = Math.ceil((this.#live?.switches ?? 1) / MOST_LINES);
    if (!this.#stream.isTTY && this.#count % every === 0) {
      const last = this.#requests.at(-1);
      this.say(`${describeSwitch(event)}${last === undefined ? '' : `; ${last.toFixed(0)} requests/s`}`);
    }
  }

  ends(): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#tick();
  }

  end(): void {
    this.ends();
    this.#telling.end();
  }

  #tick(): void {
    const live = this.#live;
    if (live === undefined) return;
    const { requests } = live.ledger.counts;
    const { bytes } = live.transfers;
    const at = performance.now();
    const seconds = Math.max(0.001, (at - this.#before.at) / 1000);
    const width = Math.max(20, Math.min(100, (this.#stream.columns || 80) - LABEL - 20));
    const keep = <T>(list: readonly T[], value: T): T[] => [...list, value].slice(-width);
    this.#requests = keep(this.#requests, (requests - this.#before.requests) / seconds);
    this.#bytes = keep(this.#bytes, (bytes - this.#before.bytes) / seconds);
    for (const device of live.devices) {
      this.#modes.set(device, keep(this.#modes.get(device) ?? [], device.mode === 'interposed'));
    }
    this.#before = { requests, bytes, at };
    if (!this.#stream.isTTY) return;
    const lines = this.#draw(live);
    const up = this.#height > 0 ? `\x1b[${this.#height}A` : '\r';
    this.#stream.write(`${up}${lines.map((line) => `\x1b[K${line}\n`).join('')}`);
    this.#height = lines.length;
  }

  #draw({ devices, ledger, transfers, switches }: Live): string[] {
    const style = this.#style;
    const { requests, lost, doubled, reordered } = ledger.counts;
    const row = (label: string, text: string): string => ` ${label.padEnd(LABEL)} ${text}`;
    const table = devices.map((device) => {
      const { id, kind, mode, user = '–', counters } = device;
      const who = mode === 'interposed' ? style('yellow', mode.padEnd(11)) : style('green', mode.padEnd(11));
      const made = counters.interposed + counters.steppedAway;
      const cells = [id.padEnd(LABEL), kind.padEnd(8), who, user.padEnd(6), String(made).padStart(8)];
      return ` ${[...cells, String(counters.monitorEntries).padStart(16)].join(' ')}`;
    });
    const head = ['device'.padEnd(LABEL), 'kind    ', 'driven     ', 'user  ', 'switches', '   monitor ran'];
    const bars = [...this.#modes]
      .filter(([{ counters }]) => counters.interposed > 0)
      .map(([{ id }, modes]) => row(id, style('yellow', modes.map((on) => (on ? '█' : '·')).join(''))));
    const last = Array.from({ length: LAST_SWITCHES }, (_, i) => this.#events[i]).map((event) =>
      event === undefined ? '' : style('dim', ` ${describeSwitch(event)}`),
    );
    const rate = (list: readonly number[]): number => list.at(-1) ?? 0;
    return [
      '',
      style('bold', ` ${head.join(' ')}`),
      ...table,
      '',
      row('requests/s', `${style('cyan', levels(this.#requests))} ${rate(this.#requests).toFixed(0)}`),
      row('MB/s', `${style('cyan', levels(this.#bytes))} ${(rate(this.#bytes) / 1e6).toFixed(1)}`),
      ...bars,
      row('', style('dim', '█ the monitor stands between   · the guest drives it directly')),
      '',
      ...last,
      row('switches', `${this.#count} of ${switches}`),
      row('ledger', `${requests} requests, ${lost} lost, ${doubled} doubled, ${reordered} reordered`),
      row('transfers', `${transfers.good}, ${(transfers.bytes / 1e6).toFixed(0)} MB, ${transfers.differing} differ`),
    ];
  }
}

function levels(values: readonly number[]): string {
  const most = Math.max(1, ...values);
  return values.map((n) => (n === 0 ? ' ' : LEVELS[Math.min(7, Math.floor((n / most) * 8))])).join('');
}
