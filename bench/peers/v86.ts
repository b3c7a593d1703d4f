/** v86: an i386 machine in JavaScript and WebAssembly, from the npm registry, with Debian's last i386 kernel. */
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BenchError } from '../errors.js';
import type { GuestFiles } from '../guest.js';
import type { MachineCommand } from '../console-process.js';
import type { Packages } from '../packages.js';

export interface V86 {
  readonly version: string;
  /** Path of the kernel's bzImage. */
  readonly kernel: string;
  readonly kernelVersion: string;
  command(guest: GuestFiles): MachineCommand;
}

/** @param kernels packages for i386 of a release that has kernels for it. @param firmware of any architecture. */
export async function prepareV86(kernels: Packages): Promise<V86> {
  const version = packageVersion();
  const { folder, versions } = await kernels.once('v86', '1', async (into) => {
    const [meta] = await kernels.show('linux-image-686-pae');
    const name = meta?.depends.find((dependency) => /^linux-image-\d/.test(dependency));
    if (name === undefined) throw new BenchError('missing', 'the mirror has no kernel for i386');
    const [record] = await kernels.show(name);
    const files = await kernels.only(record, (path) => path.startsWith('boot/vmlinuz-'));
    const [bios] = await kernels.show('seabios');
    const firmware = await kernels.only(bios, (path) => /\/seabios\/(bios|vgabios-stdvga)\.bin$/.test(path));
    for (const { path, data } of [...files, ...firmware]) {
      writeFileSync(join(into, path.startsWith('boot/') ? 'bzImage' : path.slice(path.lastIndexOf('/') + 1)), data);
    }
    return [`${record.name} ${record.version}`, `${bios.name} ${bios.version}`];
  });
  const main = fileURLToPath(new URL('./v86-main.js', import.meta.url));
  return {
    version,
    kernel: join(folder, 'bzImage'),
    kernelVersion: versions.find((v) => v.startsWith('linux-image-'))?.slice('linux-image-'.length) ?? 'unknown',
    command: (guest) => ({
      name: 'v86',
      command: process.execPath,
      args: [main, folder, guest.kernel, guest.initramfs, String(guest.mebibytes), `console=ttyS0 ${guest.arguments}`],
    }),
  };
}

function packageVersion(): string {
  try {
    const value: unknown = createRequire(import.meta.url)('v86/package.json');
    return typeof value === 'object' && value !== null && 'version' in value ? String(value.version) : 'unknown';
  } catch (error) {
    throw new BenchError('missing', 'the package v86 is not installed (npm install)', { cause: error });
  }
}
