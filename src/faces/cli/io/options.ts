/** The command line of `understudy io`. */
import { resolve } from 'node:path';
import { isName, type DeviceRequest, type DiskKind } from '../control/protocol.js';
import { parseCount } from '../run-options.js';
import { parseCommandLine, UsageError } from '../usage.js';
import { parseByteRate, parseRate, parseShare, parseTime } from './quantities.js';

export const IO_USAGE = `Usage: understudy io COMMAND [DEVICE] [options]

Devices of a machine that runs in another terminal, started with "understudy run --name NAME": the monitor steps in
between the guest and a device, does something there, and steps away again. The guest does not notice.

  list                        the machine's devices: who drives them, who has them
  interpose DEVICE            the monitor takes the device's place
  step-away DEVICE            the guest drives it directly again
    --timeout TIME            how long it may wait for what goes on; 5s unless told
  watch DEVICE                a line for each request of a disk; counts of a network card's frames
    --pcap FILE               frames of a network card, for Wireshark; "-" is standard output
    --count                   nothing but the counts by kind, at the end
  limit DEVICE                what is more waits
    --bytes RATE              such as 10M/s
    --operations RATE         such as 500/s
  disturb DEVICE
    --latency TIME            each request or frame takes so much longer
    --jitter TIME             and so much more or less, by chance
    --errors SHARE            of a disk's requests, such as 0.01 or 1%, fail
    --requests KINDS          only these: read,write,flush,discard,zero
    --first N --sectors N     only requests to these sectors of 512 bytes
    --loss SHARE              of a network card's frames get lost
    --duplicate SHARE         come twice
    --direction in|out        only those to the guest, or from it
  move DEVICE --to FILE       the disk moves to another file, while it is used; the file is made if it is not there
    --overwrite               although the file holds something
  share DEVICE --command SCRIPT
                              a second guest runs the shell script, and has the disk as /dev/vda or a card of its
                              own on the same one; "run --beside" leaves room for it; its exit status is ours.
                              Of a disk, one of these:
    --overlay                 the disk as it is now; what the second writes is gone at its end
    --read-only               what the first writes is seen as it comes
    --first N --sectors N     a range of its own; the first cannot write there meanwhile

Options of all:
  --machine NAME              which machine, where several run
  --for TIME                  watch, limit, disturb: so long, such as 30s; until Ctrl-C unless told
  --json                      JSON on standard output, an object a line
  --help

A use lasts as long as the command; then the monitor steps away, unless it was there before.
`;

export interface IoOptions {
  readonly request: DeviceRequest;
  readonly machine?: string;
  /** Milliseconds. */
  readonly lasts?: number;
  readonly pcap?: string;
  readonly json: boolean;
}

const OPTIONS = {
  machine: { type: 'string' },
  timeout: { type: 'string' },
  pcap: { type: 'string' },
  count: { type: 'boolean' },
  bytes: { type: 'string' },
  operations: { type: 'string' },
  latency: { type: 'string' },
  jitter: { type: 'string' },
  errors: { type: 'string' },
  requests: { type: 'string' },
  first: { type: 'string' },
  sectors: { type: 'string' },
  loss: { type: 'string' },
  duplicate: { type: 'string' },
  direction: { type: 'string' },
  to: { type: 'string' },
  overwrite: { type: 'boolean' },
  overlay: { type: 'boolean' },
  'read-only': { type: 'boolean' },
  command: { type: 'string', short: 'c' },
  for: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

type Values = ReturnType<typeof read>['values'];
type Name = keyof Values;
type Command = DeviceRequest['do'];

/** Options that go with each command, beside those of all. */
const TAKES: Readonly<Record<Command, readonly Name[]>> = {
  list: [],
  interpose: ['timeout'],
  'step-away': ['timeout'],
  watch: ['pcap', 'count', 'for'],
  limit: ['bytes', 'operations', 'for'],
  disturb: ['latency', 'jitter', 'errors', 'requests', 'first', 'sectors', 'loss', 'duplicate', 'direction', 'for'],
  move: ['to', 'overwrite'],
  share: ['command', 'overlay', 'read-only', 'first', 'sectors'],
};

const isCommand = (text: string): text is Command => Object.hasOwn(TAKES, text);

const read = (args: string[]) => parseCommandLine({ args, options: OPTIONS, allowPositionals: true });

/** Throws UsageError. */
export function parseIoOptions(args: string[]): IoOptions | 'help' {
  const { values, positionals } = read(args);
  if (values.help === true) return 'help';
  const [command, device, ...more] = positionals;
  if (command === undefined) throw new UsageError(`what is to be done? There are ${Object.keys(TAKES).join(', ')}`);
  if (!isCommand(command))
    throw new UsageError(`there is no "io ${command}"; there are ${Object.keys(TAKES).join(', ')}`);
  const surplus = command === 'list' ? device : more[0];
  if (surplus !== undefined) throw new UsageError(`"io ${command}" takes no ${surplus}`);
  const allowed: readonly string[] = ['machine', 'json', ...TAKES[command]];
  const wrong = Object.keys(values).find((name) => !allowed.includes(name));
  if (wrong !== undefined) throw new UsageError(`"io ${command}" takes no --${wrong}`);
  const { machine, pcap } = values;
  if (machine !== undefined && !isName(machine)) throw new UsageError(`--machine ${machine}: that is no name`);
  if (pcap !== undefined && !/^nic\d/.test(device ?? '')) {
    throw new UsageError('--pcap is for a network card');
  }
  if (pcap !== undefined && values.count === true) throw new UsageError('either --pcap or --count');
  if (pcap === '-' && values.json === true) throw new UsageError('either --pcap - or --json: both are standard output');
  return {
    request: requestOf(command, device, values),
    json: values.json === true,
    ...(machine !== undefined && { machine }),
    ...(pcap !== undefined && { pcap }),
    ...(values.for !== undefined && { lasts: parseTime('for', values.for) }),
  };
}

function requestOf(command: Command, device: string | undefined, values: Values): DeviceRequest {
  if (command === 'list') return { do: command };
  if (device === undefined) throw new UsageError(`"io ${command}" needs a device; "io list" shows them`);
  if (!isName(device)) throw new UsageError(`"${device}" is no device`);
  const option = optionsOf(values);
  switch (command) {
    case 'interpose':
    case 'step-away':
      return { do: command, device, ...option('timeout', 'timeout', parseTime) };
    case 'watch':
      return { do: command, device, what: values.count === true ? 'count' : 'all' };
    case 'limit': {
      const rule = {
        ...option('bytes', 'bytesPerSecond', parseByteRate),
        ...option('operations', 'operationsPerSecond', parseRate),
      };
      if (Object.keys(rule).length === 0) throw new UsageError('"io limit" needs --bytes, --operations or both');
      return { do: command, device, rule };
    }
    case 'disturb': {
      const rule = {
        ...option('latency', 'latency', parseTime),
        ...option('jitter', 'jitter', parseTime),
        ...option('errors', 'errors', parseShare),
        ...option('requests', 'requests', parseKinds),
        ...option('first', 'first', parseSector),
        ...option('sectors', 'sectors', parseSector),
        ...option('loss', 'loss', parseShare),
        ...option('duplicate', 'duplicate', parseShare),
        ...option('direction', 'direction', parseDirection),
      };
      const does = ['latency', 'jitter', 'errors', 'loss', 'duplicate'].some((name) => Object.hasOwn(rule, name));
      if (!does) throw new UsageError('"io disturb" needs --latency, --jitter, --errors, --loss or --duplicate');
      return { do: command, device, rule };
    }
    case 'move':
      if (values.to === undefined || values.to === '') throw new UsageError('"io move" needs --to FILE');
      return { do: command, device, path: resolve(values.to), overwrite: values.overwrite === true };
    case 'share': {
      const { command: script, overlay, 'read-only': readOnly } = values;
      if (script === undefined || script === '') throw new UsageError('"io share" needs --command SCRIPT');
      const range = { ...option('first', 'first', parseSector), ...option('sectors', 'sectors', parseSector) };
      const rule = { ...range, ...(overlay === true && { overlay }), ...(readOnly === true && { readOnly }) };
      return { do: command, device, rule, script };
    }
  }
}

/** An option under the name that the protocol has for it, if it was given. */
const optionsOf =
  (values: Values) =>
  <K extends string, T>(name: Name, as: K, parse: (option: string, text: string) => T): { [P in K]?: T } => {
    const text = values[name];
    return typeof text === 'string' ? ({ [as]: parse(name, text) } as { [P in K]: T }) : {};
  };

const KINDS: readonly DiskKind[] = ['read', 'write', 'flush', 'discard', 'zero'];

function parseKinds(option: string, text: string): DiskKind[] {
  return text.split(',').map((word) => {
    const kind = KINDS.find((k) => k === word);
    if (kind === undefined) throw new UsageError(`--${option} ${text}: there are ${KINDS.join(', ')}`);
    return kind;
  });
}

function parseDirection(option: string, text: string): 'in' | 'out' {
  if (text === 'in' || text === 'out') return text;
  throw new UsageError(`--${option} ${text}: there are in and out`);
}

const parseSector = (option: string, text: string): number => parseCount(option, text, 0, Number.MAX_SAFE_INTEGER);
