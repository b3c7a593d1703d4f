/** The command line of `understudy demo io`. */
import { parseCount } from '../../run-options.js';
import { parseCommandLine, UsageError } from '../../usage.js';

export const DEMO_IO_USAGE = `Usage: understudy demo io [options]

The monitor steps in between a running Linux and its devices, and away again, and nothing is lost. One Debian guest
writes, reads and flushes numbered blocks on a disk and verifies them, and transfers data through its network card,
while the monitor takes each device's place at random moments and gives it back.

  --switches N      steps in and away, of both devices together; 100 unless told
  --seconds S       over so many seconds; 10 unless told; it takes longer if the switches do
  --kernel KERNEL   trixie (Linux 6.12, the default) or backports (Linux 7.2)
  --json            one JSON object on standard output, and nothing else there
  --help

What it does is told on standard error. The exit status is 0 only if no request was lost, done twice or out of order,
no device was reset, and everything holds what was written.
`;

export interface DemoIoOptions {
  readonly switches: number;
  readonly seconds: number;
  readonly kernel: 'trixie' | 'backports';
  readonly json: boolean;
}

const OPTIONS = {
  switches: { type: 'string', default: '100' },
  seconds: { type: 'string', default: '10' },
  kernel: { type: 'string', short: 'k', default: 'trixie' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

/** Throws UsageError. */
export function parseDemoIoOptions(args: string[]): DemoIoOptions | 'help' {
  const { values } = parseCommandLine({ args, options: OPTIONS });
  if (values.help) return 'help';
  const { kernel } = values;
  if (kernel !== 'trixie' && kernel !== 'backports') {
    throw new UsageError(`--kernel ${kernel}: there are trixie and backports`);
  }
  return {
    switches: parseCount('switches', values.switches, 1, 10 ** 6),
    seconds: parseCount('seconds', values.seconds, 1, 86_400),
    kernel,
    json: values.json,
  };
}
