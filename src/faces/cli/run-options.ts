/** The command line of `understudy run`. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { ConsoleDevice, DiskOptions, ForwardRequest } from '../../index.js';
import { mostMemory } from '../../partition/limits.js';
import { isName } from './control/protocol.js';
import { parseCommandLine, UsageError } from './usage.js';

const mib = (bytes: number): number => bytes / 2 ** 20;

export const RUN_USAGE = `Usage: understudy run [options]

Boots Debian to a shell in this terminal. Ctrl-A X leaves, Ctrl-A H shows the other keys.

What to boot:
  --debian RELEASE        13 (Linux 6.12, the default) or backports (Linux 7.2); made of Debian
                          packages at the first use, see "understudy images"
  --image IMAGE           shell (the default) or redis (with Redis installed)
  --kernel FILE           a RISC-V Linux "Image" of yours instead, uncompressed
  --initrd FILE           its initramfs; several are put together
  --append ARGUMENTS      kernel arguments, behind ours
  --cmdline ARGUMENTS     the kernel's command line, exactly this, in place of ours
  --console DEVICE        where a kernel of yours has its console: hvc0 or ttyS0; guessed unless told

The machine:
  --memory SIZE           MiB, or with a unit: 512M, 2G; 512M unless told; at most
                          ${mib(mostMemory(1))} MiB with one hart, ${mib(mostMemory(64))} with 64
  --harts N               hardware threads, 1 to 64; 1 unless told
  --cpu N                 at most so much of a hart's time (or of several harts'), as --cpus of containers: 0.5
  --disk FILE[,ro|,discard[=SIZE]][,raw][,nolock]
                          a raw disk image or a block device, as /dev/vda and so on; ro: read-only;
                          discard: what is written is kept in memory, at most SIZE of it (1G unless
                          told, or a quarter of the host's memory), and forgotten at the end;
                          raw: it is raw although it begins like another format;
                          nolock: others may use it at the same time
  --forward [PROTOCOL:][ADDRESS:]PORT:GUESTPORT
                          a port of this host that leads to the guest: tcp:8080:80; tcp and
                          127.0.0.1 unless told; PORT 0: any that is free
  --no-network            no network card
  --name NAME             the guest's name; from another terminal "understudy io" reaches its devices under it
  --beside SIZE           with --name: so much memory, and a hart, are left for a second guest ("understudy io share")

Without a person:
  --command SCRIPT        runs the shell script in the guest; its input and output are ours, and its exit
                          status too
  --timeout SECONDS       gives up after that, with exit status 124
  --profile               at the end, on standard error: where guest and host time went
  --json                  with --command: one JSON object on standard output
  --help
`;

export interface RunOptions {
  readonly debian: 'trixie' | 'backports';
  readonly image: string;
  readonly kernel?: string;
  readonly initrds: readonly string[];
  readonly append?: string;
  readonly cmdline?: string;
  readonly console?: ConsoleDevice;
  /** Bytes. */
  readonly memory: number;
  readonly harts: number;
  /** Harts' worth of time, at most. */
  readonly cpu?: number;
  readonly disks: readonly DiskOptions[];
  readonly forwards: readonly ForwardRequest[];
  readonly network: boolean;
  readonly name?: string;
  /** Bytes that are left for a second guest. */
  readonly beside?: number;
  readonly command?: string;
  /** Milliseconds. */
  readonly timeout?: number;
  readonly json: boolean;
  readonly profile: boolean;
}

const OPTIONS = {
  debian: { type: 'string', default: '13' },
  image: { type: 'string', default: 'shell' },
  kernel: { type: 'string', short: 'k' },
  initrd: { type: 'string', short: 'i', multiple: true },
  append: { type: 'string' },
  cmdline: { type: 'string' },
  console: { type: 'string' },
  memory: { type: 'string', short: 'm', default: '512M' },
  harts: { type: 'string', default: '1' },
  cpu: { type: 'string' },
  disk: { type: 'string', short: 'd', multiple: true },
  forward: { type: 'string', short: 'f', multiple: true },
  'no-network': { type: 'boolean', default: false },
  name: { type: 'string' },
  beside: { type: 'string' },
  command: { type: 'string', short: 'c' },
  timeout: { type: 'string' },
  json: { type: 'boolean', default: false },
  profile: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

/** Throws UsageError. */
export function parseRunOptions(args: string[]): RunOptions | 'help' {
  const values = read(args);
  if (values.help) return 'help';
  const { kernel, command, append, cmdline, initrd: initrds = [], disk: disks = [], forward: forwards = [] } = values;
  if (kernel === undefined && initrds.length > 0) throw new UsageError('--initrd goes with a --kernel of yours');
  if (kernel === undefined && values.console !== undefined) throw new UsageError('--console goes with --kernel');
  if (kernel !== undefined && command !== undefined) {
    throw new UsageError('--command needs our own user space: it does not go with --kernel');
  }
  if (append !== undefined && cmdline !== undefined) {
    throw new UsageError('--cmdline is all there is: it does not go with --append');
  }
  const memory = parseSize('memory', values.memory);
  const harts = parseCount('harts', values.harts, 1, 64);
  if (memory > mostMemory(harts)) {
    const beside = harts === 1 ? 'one hart' : `${harts} harts`;
    throw new UsageError(`--memory ${values.memory}: at most ${mib(mostMemory(harts))} MiB with ${beside}`);
  }
  const { name } = values;
  if (name !== undefined && !isName(name)) throw new UsageError(`--name ${name}: letters, digits and -_. only`);
  if (values.beside !== undefined && name === undefined) throw new UsageError('--beside goes with --name');
  const beside = values.beside === undefined ? undefined : parseSize('beside', values.beside);
  // The pages of a second guest and of its devices come on top.
  if (beside !== undefined && memory + beside > mostMemory(harts + 1)) {
    throw new UsageError(`--beside ${values.beside}: at most ${mib(mostMemory(harts + 1))} MiB together`);
  }
  if (values.json && command === undefined) throw new UsageError('--json goes with --command');
  if (values['no-network'] && forwards.length > 0) {
    throw new UsageError('--forward needs the network that --no-network takes away');
  }
  return {
    debian: oneOf('debian', values.debian, { '13': 'trixie', trixie: 'trixie', backports: 'backports' } as const),
    image: values.image,
    profile: values.profile,
    initrds,
    memory,
    harts,
    disks: parseDisks(disks),
    forwards: forwards.map(parseForward),
    network: !values['no-network'],
    json: values.json,
    ...(values.cpu !== undefined && { cpu: parseCpu(values.cpu) }),
    ...(name !== undefined && { name }),
    ...(beside !== undefined && { beside }),
    ...(kernel !== undefined && { kernel }),
    ...(append !== undefined && { append }),
    ...(cmdline !== undefined && { cmdline }),
    ...(command !== undefined && { command }),
    ...(values.console !== undefined && {
      console: oneOf('console', values.console, { hvc0: 'hvc0', ttyS0: 'ttyS0' } as const),
    }),
    ...(values.timeout !== undefined && { timeout: parseCount('timeout', values.timeout, 1, 10 ** 6) * 1000 }),
  };
}

const read = (args: string[]) => parseCommandLine({ args, options: OPTIONS }).values;

function oneOf<T extends string>(option: string, text: string, choices: Readonly<Record<string, T>>): T {
  if (Object.hasOwn(choices, text)) return choices[text];
  throw new UsageError(`--${option} ${text}: there are ${Object.keys(choices).join(', ')}`);
}

/** Throws UsageError. */
function parseCpu(text: string): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN;
  if (value >= 0.01 && value <= 64) return value;
  throw new UsageError(`--cpu ${text}: a number from 0.01 to 64, such as 0.5`);
}

/** Throws UsageError for anything but a whole number within the bounds. */
export function parseCount(option: string, text: string, least: number, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  throw new UsageError(`--${option} ${text}: a whole number from ${least} to ${most}`);
}

const UNITS: Readonly<Record<string, number>> = { '': 2 ** 20, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

/** `512` (MiB), `512M`, `2G`: bytes, a multiple of 4096. */
export function parseSize(option: string, text: string, most = 2 ** 32): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)([KMG]?)(?:i?B)?$/i.exec(text) ?? [];
  const bytes = digits === undefined ? NaN : Math.floor((Number(digits) * UNITS[unit.toUpperCase()]) / 4096) * 4096;
  if (bytes > 0 && bytes <= most) return bytes;
  throw new UsageError(`--${option} ${text}: a size such as 512M or 2G, at most ${most / 2 ** 30}G`);
}

/** More memory than that no host has. */
const MOST_CHANGES = 2 ** 42;

type FileOptions = ReturnType<typeof parseDisk>;

function parseDisk(text: string) {
  const [, path, flags] = /^(.*?)((?:,(?:ro|discard(?:=[^,]*)?|raw|nolock))*)$/s.exec(text) ?? [];
  if (path === undefined || path === '') throw new UsageError(`--disk ${text}: which file?`);
  const flag = path.slice(path.lastIndexOf(',') + 1);
  // A file's name may have a comma.
  if (flag !== path && !existsSync(path)) {
    throw new UsageError(`--disk ${text}: there is no flag "${flag}" (ro, discard, raw, nolock) and no file "${path}"`);
  }
  const has = (flag: string): boolean => flags.split(',').includes(flag);
  const most = /,discard=([^,]*)/.exec(flags)?.[1];
  const discardChanges = has('discard') || most !== undefined;
  if (has('ro') && discardChanges) throw new UsageError(`--disk ${text}: either ro or discard`);
  return {
    path,
    readOnly: has('ro'),
    discardChanges,
    raw: has('raw'),
    lock: !has('nolock'),
    ...(most !== undefined && { mostChanges: parseSize('disk discard', most, MOST_CHANGES) }),
  };
}

/** Throws UsageError also for a file that two disks would have while one of them writes it. */
function parseDisks(texts: readonly string[]): FileOptions[] {
  const disks = texts.map(parseDisk);
  disks.forEach((disk, i) => {
    const before = disks.slice(0, i).find(({ path }) => resolve(path) === resolve(disk.path));
    if (before === undefined || !before.lock || !disk.lock) return;
    if (!isRead(before) || !isRead(disk))
      throw new UsageError(`--disk ${disk.path}: given twice, and not only to read`);
  });
  return disks;
}

const isRead = ({ readOnly, discardChanges }: FileOptions): boolean => readOnly || discardChanges;

const FORWARD = /^(?:(tcp|udp):)?(?:(\d+\.\d+\.\d+\.\d+):)?(\d+):(\d+)$/;

export function parseForward(text: string): ForwardRequest {
  const [matched, protocol, host, port, guestPort] = FORWARD.exec(text) ?? [];
  if (matched === undefined) throw new UsageError(`--forward ${text}: it looks like tcp:8080:80`);
  return {
    ...(protocol !== undefined && { protocol: protocol === 'udp' ? 'udp' : 'tcp' }),
    ...(host !== undefined && { host }),
    port: parseCount('forward', port, 0, 65535),
    guestPort: parseCount('forward', guestPort, 1, 65535),
  };
}
