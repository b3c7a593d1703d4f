/**
 * Where things go in a guest's memory, and whether it is enough:
 *
 *   text offset          kernel, with the zeroed data behind its file
 *   next 2 MiB           device tree
 *   2 MiB further        initramfs
 *   …                    what the kernel needs for itself
 *
 * A kernel with too little memory says so late, or not at all: it panics before it has a
 * console, or it kills all processes. So what it needs is reckoned before it is begun.
 */
import { RAM_START } from '../partition/address-space.js';
import { GuestError } from './errors.js';
import { imageHolds, readKernelHeader } from './kernel-image.js';

export interface Layout {
  /** Guest-physical addresses. */
  readonly kernel: number;
  readonly deviceTree: number;
  readonly initramfs: number;
  /** Bytes with which its kernel comes up, and cannot do with less. */
  readonly least: number;
}

export interface LayoutRequest {
  readonly kernel: Uint8Array;
  readonly initramfs?: Uint8Array;
  readonly bootArguments?: string;
  /** Bytes. */
  readonly memory: number;
  /** Bytes that its device tree says, of which its balloon keeps the difference; `memory` unless told. */
  readonly maxMemory?: number;
  readonly harts?: number;
}

const MIB = 2 ** 20;
const ALIGNMENT = 0x200000;
/** COMMAND_LINE_SIZE of riscv kernels since 5.13 (arch/riscv/include/uapi/asm/setup.h), the NUL at the end included. */
const COMMAND_LINE_SIZE = 1024;

/** What a kernel needs for itself. Measured, with the least memory in which a shell came up: docs/guests.md. */
const FOR_ITSELF = 16 * MIB;
/** What it has of that left for the file system of an initramfs, which may fill half of its memory. */
const BESIDE_FILES = 8 * MIB;
const FOR_EACH_FURTHER_HART = MIB;
/** Of memory that only its balloon has it keeps account all the same: 64 bytes (struct page) for each page of 4096. */
const ACCOUNT_PART = 64;
/** A kernel with sparse memory (every large one) has a table of all sections that there could be, in one piece. */
const SECTION_TABLE = 36 * MIB;
const SPARSE_MEMORY = 'memblocks_present';

/** Throws GuestError `kernel-image`, `command-line`, or `too-little-memory`. */
export function layOut({
  kernel,
  initramfs,
  bootArguments = '',
  memory,
  maxMemory = memory,
  harts = 1,
}: LayoutRequest): Layout {
  const { textOffset, imageSize } = readKernelHeader(kernel);
  checkCommandLine(bootArguments);
  const up = (address: number): number => Math.ceil(address / ALIGNMENT) * ALIGNMENT;
  const archive = initramfs?.length ?? 0;
  const at = RAM_START + textOffset;
  const deviceTree = up(at + imageSize);
  const behind = deviceTree + ALIGNMENT;
  const least =
    behind -
    RAM_START +
    archive +
    Math.max(archive + FOR_ITSELF, 2 * archive + BESIDE_FILES) +
    (harts - 1) * FOR_EACH_FURTHER_HART +
    (maxMemory - memory) / ACCOUNT_PART +
    (imageHolds(kernel, SPARSE_MEMORY) ? SECTION_TABLE : 0) +
    reserved(bootArguments);
  if (memory >= least) return { kernel: at, deviceTree, initramfs: behind, least };
  const needed = Math.ceil(least / MIB);
  throw new GuestError(
    'too-little-memory',
    `${Math.floor(memory / MIB)} MiB are too little for this kernel and initramfs: give it at least ${needed} MiB`,
    { needed: needed * MIB },
  );
}

/** What `cma=SIZE` takes away for devices that need much in one piece. */
function reserved(bootArguments: string): number {
  const [, digits, unit = ''] = [...bootArguments.matchAll(/(?:^|\s)cma=(\d+)([KMG]?)/gi)].at(-1) ?? [];
  const units: Readonly<Record<string, number>> = { K: 2 ** 10, M: MIB, G: 2 ** 30 };
  return digits === undefined ? 0 : Number(digits) * (units[unit.toUpperCase()] ?? 1);
}

function checkCommandLine(text: string): void {
  if (text.includes('\0')) throw new GuestError('command-line', 'kernel arguments with a NUL character in them');
  const { length } = new TextEncoder().encode(text);
  if (length < COMMAND_LINE_SIZE) return;
  throw new GuestError(
    'command-line',
    `the kernel's command line has ${length} bytes, of which a kernel reads ${COMMAND_LINE_SIZE - 1}: give it fewer arguments`,
  );
}
