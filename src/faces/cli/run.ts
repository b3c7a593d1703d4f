/** `understudy run`: a guest in this terminal, or a command in a guest. */
import {
  BlockError,
  Computer,
  PROFILES,
  shellProfile,
  type ImageBoot,
  type KernelBoot,
  type PreparedImage,
} from '../../index.js';
import type { Machine } from './control/actions.js';
import { ControlServer } from './control/server.js';
import { obtainImages } from './images.js';
import { catchSignals, type Interruption } from './interruption.js';
import type { Guest } from './guest.js';
import { describeReports } from './profile.js';
import { parseRunOptions, RUN_USAGE, type RunOptions } from './run-options.js';
import { runScript } from './run-script.js';
import { runTerminal } from './run-terminal.js';
import { UsageError } from './usage.js';

/** Of the guest, and of its machine. */
const DEFAULT_NAME = 'understudy';
/** Bytes that a second guest needs beside its memory: pages of its board, its hart, its devices. */
const SECOND_GUEST = 16 * 2 ** 20;

/**
 * Runs `understudy run ARGS`.
 *
 * @returns 0 when the guest switched itself off or was left, the command's status with --command, 1 when it failed,
 * 124 when the time was over, 128 + n after signal n.
 */
export async function runCommand(args: string[]): Promise<number> {
  const options = parseRunOptions(args);
  if (options === 'help') {
    process.stdout.write(RUN_USAGE);
    return 0;
  }
  if (!Object.hasOwn(PROFILES, options.image)) {
    throw new UsageError(`--image ${options.image}: there are ${Object.keys(PROFILES).join(', ')}`);
  }
  const interruption = catchSignals();
  try {
    return await run(options, interruption);
  } catch (error) {
    // What a signal breaks off is no failure to be told of.
    if (interruption.status !== undefined) return interruption.status;
    // The library speaks of `disks`; who typed the command knows the option, and the file is named in either.
    if (error instanceof BlockError && error.cause instanceof BlockError) {
      throw new BlockError(error.code, `--disk: ${error.cause.message}`, { cause: error });
    }
    throw error;
  } finally {
    interruption.end();
  }
}

async function run(options: RunOptions, interruption: Interruption): Promise<number> {
  const boot = await whatToBoot(options, interruption.signal);
  const { beside, name } = options;
  const room =
    beside === undefined ? undefined : { image: await shellImage(options, interruption.signal), memory: beside };
  const computer = await Computer.create({
    memory: options.memory + (beside === undefined ? 0 : beside + SECOND_GUEST),
    harts: options.harts + (beside === undefined ? 0 : 1),
    profile: options.profile,
    ...(options.network ? {} : { network: false }),
  });
  const machine: Machine = { name: name ?? DEFAULT_NAME, computer, instance: undefined, room, atEnd: [] };
  let control: ControlServer | undefined;
  try {
    if (name !== undefined) control = await ControlServer.open(machine);
    const guest: Guest = {
      computer,
      options,
      boot,
      interruption,
      began: (instance) => {
        machine.instance = instance;
      },
      ended: (reports) => {
        machine.instance = undefined;
        if (options.profile) process.stderr.write(describeReports(reports));
      },
    };
    return await (options.command === undefined ? runTerminal(guest) : runScript(guest, options.command));
  } finally {
    await control?.close();
    await computer.close();
    for (const end of machine.atEnd) await end();
  }
}

async function shellImage({ debian }: RunOptions, signal: AbortSignal): Promise<PreparedImage> {
  const [image] = await obtainImages([shellProfile(debian)], { signal });
  return image;
}

async function whatToBoot(options: RunOptions, signal: AbortSignal): Promise<ImageBoot | KernelBoot> {
  const { memory, harts, cpu, disks, forwards, network, append, cmdline } = options;
  const common = {
    name: options.name ?? DEFAULT_NAME,
    memory,
    harts,
    disks,
    forwards,
    network,
    ...(cpu !== undefined && { cpu }),
    ...(append !== undefined && { bootArguments: append }),
    ...(cmdline !== undefined && { commandLine: cmdline }),
  };
  if (options.kernel !== undefined) {
    const { kernel, initrds: initramfs, console } = options;
    return { ...common, kernel, initramfs, ...(console && { console }) };
  }
  const profile = (PROFILES[options.image] ?? shellProfile)(options.debian);
  const [image] = await obtainImages([profile], { signal });
  return { ...common, image };
}
