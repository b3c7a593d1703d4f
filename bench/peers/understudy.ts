/** Our own machine. */
import { fileURLToPath } from 'node:url';
import type { GuestFiles } from '../guest.js';
import type { MachineCommand } from '../console-process.js';

export function understudyCommand(guest: GuestFiles, harts = 1): MachineCommand {
  const main = fileURLToPath(new URL('./understudy-main.js', import.meta.url));
  const { kernel, initramfs, mebibytes } = guest;
  return {
    name: 'understudy',
    command: process.execPath,
    args: [main, kernel, initramfs, String(mebibytes), String(harts), `console=hvc0 ${guest.arguments}`],
    counts: true,
  };
}
