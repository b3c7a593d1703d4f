/** The same guest in our machine and in QEMU, each with a disk of its own and a network card. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nodeCache } from '../../src/adapters/node/cache.js';
import { nodeCommands } from '../../src/adapters/node/commands.js';
import { buildCpio, concatCpio, prepareImage, shellProfile, type OnProgress } from '../../src/image/index.js';
import { buildPrograms } from '../compile.js';
import type { MachineCommand } from '../console-process.js';
import { BOOT_ARGUMENTS, MEBIBYTES, type GuestFiles } from '../guest.js';
import { Packages, RELEASE } from '../packages.js';
import { prepareQemu } from '../peers/qemu.js';
import { ioProgramsFolder } from '../places.js';

/** Bytes of a disk: more than a guest can keep in its memory. */
export const DISK_SIZE = 512 * 2 ** 20;
/** Where the guest finds the host: the same address in our network and in QEMU's. */
export const HOST = '10.0.2.2';

export type ContenderName = 'understudy' | 'qemu';
/** What is measured: our machine in two ways, and QEMU. */
export type Mode = 'direct' | 'interposed' | 'qemu';

export interface Contender {
  readonly name: ContenderName;
  readonly command: MachineCommand;
  /** Path of its disk. */
  readonly disk: string;
}

export interface Prepared {
  readonly contenders: readonly Contender[];
  readonly versions: Readonly<Record<string, string>>;
  readonly missing: readonly string[];
}

export interface PrepareOptions {
  /** A folder for what is built for this run, the disks among it. */
  readonly work: string;
  readonly wanted: ReadonlySet<ContenderName>;
  readonly refresh: boolean;
  readonly onProgress: OnProgress;
  readonly signal: AbortSignal;
}

export async function prepare({ work, wanted, refresh, onProgress, signal }: PrepareOptions): Promise<Prepared> {
  const host = new Packages('amd64', RELEASE, { onProgress, signal, refresh });
  const executable = await buildPrograms('riscv64', ioProgramsFolder, work, host);
  const image = await prepareImage(shellProfile('trixie'), {
    cache: nodeCache(),
    commands: nodeCommands,
    onProgress,
    signal,
    refresh,
  });
  const initramfs = join(work, 'io.cpio');
  const added = buildCpio([
    { path: 'bench/io', mode: 0o755, data: readFileSync(executable) },
    { path: 'etc/understudy/run', mode: 0o644, data: 'exec /bench/io\n' },
    // Both networks give a guest this address; neither needs to be asked.
    { path: 'etc/understudy/network', mode: 0o644, data: '10.0.2.15 255.255.255.0 10.0.2.2 10.0.2.3\n' },
  ]);
  writeFileSync(initramfs, concatCpio([readFileSync(image.initramfs), added]));
  const guest: GuestFiles = { kernel: image.kernel, initramfs, mebibytes: MEBIBYTES, arguments: BOOT_ARGUMENTS };

  const versions: Record<string, string> = { node: process.version, kernel: image.kernelVersion };
  const missing: string[] = [];
  const contenders: Contender[] = [];
  if (wanted.has('understudy')) {
    const disk = makeDisk(join(work, 'understudy.img'));
    contenders.push({ name: 'understudy', command: understudy(guest, disk), disk });
  }
  if (wanted.has('qemu')) {
    try {
      const qemu = await prepareQemu(host);
      versions['qemu'] = qemu.version;
      const disk = makeDisk(join(work, 'qemu.img'));
      contenders.push({ name: 'qemu', command: qemu.command(guest, devices(disk)), disk });
    } catch (error) {
      if (signal.aborted || !(error instanceof Error)) throw error;
      missing.push(`qemu: ${error.message}`);
    }
  }
  return { contenders, versions, missing };
}

/** QEMU's devices over PCI, as ours are; its caches as they are unless told. */
const devices = (disk: string): string[] => [
  ...['-drive', `file=${disk},format=raw,if=none,id=disk`, '-device', 'virtio-blk-pci,drive=disk'],
  ...['-netdev', 'user,id=net', '-device', 'virtio-net-pci,netdev=net,romfile='],
];

function understudy(guest: GuestFiles, disk: string): MachineCommand {
  const main = fileURLToPath(new URL('./understudy-main.js', import.meta.url));
  const { kernel, initramfs, mebibytes } = guest;
  return {
    name: 'understudy',
    counts: true,
    command: process.execPath,
    args: [main, kernel, initramfs, String(mebibytes), disk, guest.arguments],
  };
}

/** Every page of it says which it is. */
function makeDisk(path: string): string {
  const bytes = new Uint32Array(DISK_SIZE / 4);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Math.imul(i, 0x9e37_79b1) >>> 0;
  writeFileSync(path, new Uint8Array(bytes.buffer));
  return path;
}
