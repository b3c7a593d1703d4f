/** The command line of `understudy demo partition`. */
import { parseCount } from '../../run-options.js';
import { parseCommandLine, UsageError } from '../../usage.js';

export const DEMO_PARTITION_USAGE = `Usage: understudy demo partition [options]

Who owns what of a computer, and what each finds of it. A prober, which believes nobody and asks a computer for everything,
runs beside two Debian systems that boot, share a hart 3 : 1, sleep and wake, get a disk and a hart that were hidden from them, and end;
what it finds is compared, byte for byte, with what it finds on a computer that has nothing else.

  --seconds S       so long the two compute, for their shares to be measured; 3 unless told
  --kernel KERNEL   trixie (Linux 6.12, the default) or backports (Linux 7.2)
  --json            one JSON object on standard output, and nothing else there
  --help

What it does is told on standard error, and drawn there on a terminal. The exit status is 0 only if the prober found the same
all the time, nobody saw the disk before it was given it, and the shares are what was asked for.
`;

export interface DemoPartitionOptions {
  readonly seconds: number;
  readonly kernel: 'trixie' | 'backports';
  readonly json: boolean;
}

const OPTIONS = {
  seconds: { type: 'string', default: '3' },
  kernel: { type: 'string', short: 'k', default: 'trixie' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

/** Throws UsageError. */
export function parseDemoPartitionOptions(args: string[]): DemoPartitionOptions | 'help' {
  const { values } = parseCommandLine({ args, options: OPTIONS });
  if (values.help) return 'help';
  const { kernel } = values;
  if (kernel !== 'trixie' && kernel !== 'backports') {
    throw new UsageError(`--kernel ${kernel}: there are trixie and backports`);
  }
  return { seconds: parseCount('seconds', values.seconds, 1, 3600), kernel, json: values.json };
}
