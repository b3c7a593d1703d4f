/** The workload's programs in the guest, from outside: what they say, and their end. */
import type { ConsolePort } from '../../../../computer/virtio/console-port.js';
import type { Ledger } from '../../../../interposition/ledger.js';
import { parseReport, REPORT_SIZE, type LaneReport } from './workload.js';

/** A lane that says what is no report. */
export class LaneError extends Error {
  override readonly name = 'LaneError';
  readonly code = 'workload';
}

export class Lane {
  /** What it said last. */
  report: LaneReport | undefined;
  /** When it has said its last; rejects with LaneError. */
  readonly ended: Promise<LaneReport>;
  readonly #port: ConsolePort;
  #rest = new Uint8Array(0);

  constructor(
    readonly number: number,
    port: ConsolePort,
    /** Told when it has said something for the first time. */
    onBegin: () => void,
  ) {
    this.#port = port;
    this.ended = new Promise((resolve, reject) => {
      port.onData = (bytes) => {
        const all = new Uint8Array(this.#rest.length + bytes.length);
        all.set(this.#rest);
        all.set(bytes, this.#rest.length);
        let at = 0;
        for (; at + REPORT_SIZE <= all.length; at += REPORT_SIZE) {
          const report = parseReport(all.subarray(at, at + REPORT_SIZE));
          if (report === undefined) return reject(new LaneError(`lane ${number} says what is no report`));
          if (this.report === undefined) onBegin();
          this.report = report;
          if (report.isLast) resolve(report);
        }
        this.#rest = all.slice(at);
      };
    });
    // Whoever waits for it hears of it.
    this.ended.catch(() => undefined);
  }

  /** Has it read all that it wrote once more, and end. */
  stop(): void {
    this.#port.write(Uint8Array.of(0x78));
  }
}

/** The lanes' last reports go into the ledger; answers what they found themselves. */
export async function settleLanes(
  lanes: readonly Lane[],
  ledger: Ledger,
): Promise<{ readonly differing: number; readonly failed: number; readonly errno: number }> {
  const reports = await Promise.all(lanes.map((lane) => lane.ended));
  reports.forEach(({ writes, reads, flushes }, i) => ledger.settle(lanes[i].number, { writes, reads, flushes }));
  const sum = (of: (report: LaneReport) => number): number => reports.reduce((all, report) => all + of(report), 0);
  return {
    differing: sum((r) => r.differing),
    failed: sum((r) => r.failed),
    errno: Math.max(0, ...reports.map((r) => r.errno)),
  };
}
