/** What `understudy run` boots, as its two modes share it: a person before a terminal, a command without one. */
import type { Computer, ImageBoot, Instance, KernelBoot, OsEnd } from '../../index.js';
import type { HartReport } from '../../partition/assignment.js';
import type { Interruption } from './interruption.js';
import type { RunOptions } from './run-options.js';

/** As of timeout(1). */
export const TIMED_OUT = 124;

/** What a mode needs to boot the guest, again if it reboots. */
export interface Guest {
  readonly computer: Computer;
  readonly options: RunOptions;
  readonly boot: ImageBoot | KernelBoot;
  readonly interruption: Interruption;
  /** To be called with each instance that begins to run. */
  began(instance: Instance): void;
  /** To be called with what the harts reported when an OS instance has ended. */
  ended(reports: readonly HartReport[]): void;
}

/** A guest can have as many faults as it likes; a person has read enough of them then. */
const MOST_FAULTS = 20;

/** Tells of what its devices complain of, which the guest sees as errors without a reason. */
export function tellFaults({ os }: Instance, tell: (line: string) => void): void {
  let left = MOST_FAULTS;
  os.onDeviceFault = (message) => {
    if (left === 0) return;
    left--;
    tell(`understudy: ${message}${left === 0 ? ' (what follows of the kind is not told)' : ''}`);
  };
}

/** What to say of an end that nobody wished for; undefined for one that is in order. */
export function describeEnd(end: OsEnd): string | undefined {
  switch (end.kind) {
    case 'hart-failed':
      return `a hart failed, which is a mistake of Understudy: ${end.message}`;
    case 'device-failed':
      return `what runs its ${end.device} failed: ${end.message}`;
    case 'out-of-frames':
      return `it ran out of memory: ${end.message}`;
    case 'failure':
      return 'the guest says that it failed';
    default:
      return undefined;
  }
}
