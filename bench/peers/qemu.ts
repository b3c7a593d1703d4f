/** QEMU's system emulation with its translator (TCG), as Debian packages it. */
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { GuestFiles } from '../guest.js';
import type { MachineCommand } from '../console-process.js';
import type { Packages } from '../packages.js';

export interface Qemu {
  /** What it says of itself. */
  readonly version: string;
  /** @param devices further arguments, in place of a machine without a disk and a network card. */
  command(guest: GuestFiles, devices?: readonly string[]): MachineCommand;
}

/**
 * The newest QEMU of the release or its backports, unpacked beside the system, with its own C library:
 * it runs whatever the machine's release is.
 */
export async function prepareQemu(packages: Packages): Promise<Qemu> {
  const { folder } = await packages.once('qemu', '2', async (into) => {
    await packages.preferBackports('src:qemu src:opensbi');
    // One package for many processors until Debian 12, one of its own later.
    const all = await packages.names('qemu-system-');
    const emulator = ['qemu-system-riscv', 'qemu-system-misc'].find((name) => all.includes(name)) ?? 'qemu-system-misc';
    return packages.unpack([emulator, 'qemu-system-common', 'qemu-system-data', 'opensbi'], into, 'libraries');
  });
  const libraries = join(folder, 'usr/lib/x86_64-linux-gnu');
  const folders = [libraries, ...subfolders(libraries)].join(':');
  const loader = join(folder, 'usr/lib64/ld-linux-x86-64.so.2');
  const start = ['--library-path', folders, join(folder, 'usr/bin/qemu-system-riscv64')];
  const [version] = execFileSync(loader, [...start, '--version'], { encoding: 'utf8' }).split('\n');
  return {
    version,
    command: (guest, devices = ['-nic', 'none']) => ({
      name: 'qemu',
      command: loader,
      args: [
        ...start,
        ...['-L', join(folder, 'usr/share/qemu')],
        ...['-M', 'virt', '-accel', 'tcg', '-smp', '1', '-m', `${guest.mebibytes}M`],
        ...['-bios', join(folder, 'usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin')],
        ...['-display', 'none', '-monitor', 'none', '-serial', 'stdio', '-no-reboot', ...devices],
        ...['-kernel', guest.kernel, '-initrd', guest.initramfs, '-append', `console=ttyS0 ${guest.arguments}`],
      ],
    }),
  };
}

/** Some libraries live one folder deeper (PulseAudio's). */
function subfolders(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(folder, entry.name));
}
