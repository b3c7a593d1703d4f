/** The command line of `understudy demo`. */
import { STEPS, type Step } from '../../../remapping/migrate.js';
import { parseCount } from '../run-options.js';
import { parseCommandLine, UsageError } from '../usage.js';

export const DEMO_USAGE = `Usage: understudy demo [options]
       understudy demo io [options]     devices change hands while they are in use: "understudy demo io --help"
       understudy demo partition [options]    who owns what: "understudy demo partition --help"

Redis keeps its clients while the kernel under it changes. One computer, two Debian systems: "a" with
Linux 6.12 serves, "b" with Linux 7.2 boots beside it, and the running redis-server moves from a to b by
exchanging frames of machine memory. A client that was connected before is connected afterwards.

  --memory MIB      data in Redis: 16, 64 (the default) or 256
  --port PORT       the port of this host that leads to Redis; any that is free unless told
  --every MS        the steady client sends a command that often; 5 unless told
  --json            one JSON object on standard output, and nothing else there
  --help

What it does is told on standard error. The exit status is 0 only if everything went as it should.
`;

export interface DemoOptions {
  /** MiB. */
  readonly memory: 16 | 64 | 256;
  /** 0: any. */
  readonly port: number;
  /** Milliseconds between the steady client's commands. */
  readonly every: number;
  readonly json: boolean;
  /** The move fails before this step, to show what happens then. */
  readonly failAt?: Step;
}

const OPTIONS = {
  memory: { type: 'string', short: 'm', default: '64' },
  port: { type: 'string', default: '0' },
  every: { type: 'string', default: '5' },
  json: { type: 'boolean', default: false },
  'fail-at': { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

/** Throws UsageError. */
export function parseDemoOptions(args: string[]): DemoOptions | 'help' {
  const { values } = parseCommandLine({ args, options: OPTIONS });
  if (values.help) return 'help';
  const memory = Number(values.memory);
  if (memory !== 16 && memory !== 64 && memory !== 256) {
    throw new UsageError(`--memory ${values.memory}: there are 16, 64 and 256`);
  }
  const failAt = values['fail-at'];
  // From the resumption on the domain lives in the destination: there is nothing to be taken back.
  const steps = STEPS.slice(0, STEPS.indexOf('resume') + 1);
  const step = steps.find((s) => s === failAt);
  if (failAt !== undefined && step === undefined) {
    throw new UsageError(`--fail-at ${failAt}: there are ${steps.join(', ')}`);
  }
  return {
    memory,
    port: parseCount('port', values.port, 0, 65535),
    every: parseCount('every', values.every, 1, 1000),
    json: values.json,
    ...(step !== undefined && { failAt: step }),
  };
}
