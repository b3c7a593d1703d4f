/** Brings together what is to be measured: programs, guests, peers. What cannot be had is missing, with the reason. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { nodeCache } from '../src/adapters/node/cache.js';
import { nodeCommands } from '../src/adapters/node/commands.js';
import { buildCpio, concatCpio, prepareImage, shellProfile, type OnProgress } from '../src/image/index.js';
import { buildPrograms, type Processor } from './compile.js';
import { BOOT_ARGUMENTS, MEBIBYTES, runnerFiles, userland, type GuestFiles } from './guest.js';
import type { MachineCommand } from './console-process.js';
import { I386_KERNEL_RELEASE, Packages, RELEASE } from './packages.js';
import { nativeCommand, nativeDebianCommand } from './peers/native.js';
import { prepareQemu } from './peers/qemu.js';
import { understudyCommand } from './peers/understudy.js';
import { prepareV86 } from './peers/v86.js';
import { programsFolder } from './places.js';

/** How to start a machine: without Debian's programs, which boots quicker, or with them. */
export interface Contender {
  readonly small: MachineCommand;
  readonly large: MachineCommand;
}

export interface Contenders {
  readonly native: Contender;
  readonly understudy: Contender;
  /** Our machine with two harts. */
  readonly twoHarts: MachineCommand;
  readonly qemu: Contender | undefined;
  readonly v86: Contender | undefined;
  /** Versions, for the report. */
  readonly versions: Readonly<Record<string, string>>;
  /** Why something is missing. */
  readonly missing: readonly string[];
}

export interface PrepareOptions {
  /** A folder for what is built for this run. */
  readonly work: string;
  /** Whether Debian's programs are wanted. */
  readonly debian: boolean;
  readonly wanted: (machine: 'qemu' | 'v86') => boolean;
  readonly refresh: boolean;
  readonly onProgress: OnProgress;
  readonly signal: AbortSignal;
}

export async function prepare(options: PrepareOptions): Promise<Contenders> {
  const { work, debian, onProgress, signal, refresh } = options;
  const missing: string[] = [];
  const versions: Record<string, string> = { node: process.version };
  /** A peer or what it needs is not to be had: the others go on. */
  const attempt = async <T>(what: string, make: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await make();
    } catch (error) {
      if (signal.aborted || !(error instanceof Error)) throw error;
      missing.push(`${what}: ${error.message}`);
      return undefined;
    }
  };
  const source = (architecture: string, release: string): Packages =>
    new Packages(architecture, release, { onProgress, signal, refresh });
  const host = source('amd64', RELEASE);

  const build = (processor: Processor): Promise<string> => buildPrograms(processor, programsFolder, work, host);
  const executable = await build('native');
  const nativeSmall = nativeCommand(executable);
  const nativeLarge = debian
    ? await attempt('native Debian programs', () => nativeDebianCommand(executable, host))
    : undefined;

  const image = await prepareImage(shellProfile('trixie'), {
    cache: nodeCache(),
    commands: nodeCommands,
    onProgress,
    signal,
    refresh,
  });
  versions['kernel'] = image.kernelVersion;
  const riscv64 = await guests(source('riscv64', RELEASE), image.kernel, await build('riscv64'), work);

  const qemu = options.wanted('qemu') ? await attempt('qemu', () => prepareQemu(host)) : undefined;
  if (qemu !== undefined) versions['qemu'] = qemu.version;
  const v86 = options.wanted('v86')
    ? await attempt('v86', async () => {
        const machine = await prepareV86(source('i386', I386_KERNEL_RELEASE));
        return { machine, guests: await guests(source('i386', RELEASE), machine.kernel, await build('i386'), work) };
      })
    : undefined;
  if (v86 !== undefined) {
    versions['v86'] = v86.machine.version;
    versions['v86 kernel'] = v86.machine.kernelVersion;
  }
  const contender = (command: (guest: GuestFiles) => MachineCommand, both: Guests): Contender => ({
    small: command(both.small),
    large: command(both.large),
  });
  return {
    native: { small: nativeSmall, large: nativeLarge ?? nativeSmall },
    understudy: contender((guest) => understudyCommand(guest), riscv64),
    twoHarts: understudyCommand(riscv64.small, 2),
    qemu: qemu === undefined ? undefined : contender((guest) => qemu.command(guest), riscv64),
    v86: v86 === undefined ? undefined : contender((guest) => v86.machine.command(guest), v86.guests),
    versions,
    missing,
  };
}

interface Guests {
  readonly small: GuestFiles;
  readonly large: GuestFiles;
}

async function guests(packages: Packages, kernel: string, executable: string, work: string): Promise<Guests> {
  const runner = buildCpio(runnerFiles(executable));
  const archives = await userland(packages);
  const guest = (size: 'small' | 'large'): GuestFiles => {
    const initramfs = join(work, `${packages.architecture}-${size}.cpio`);
    writeFileSync(initramfs, concatCpio([readFileSync(archives[size]), runner]));
    return { kernel, initramfs, mebibytes: MEBIBYTES, arguments: BOOT_ARGUMENTS };
  };
  return { small: guest('small'), large: guest('large') };
}
