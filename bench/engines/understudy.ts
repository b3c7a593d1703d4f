/** Our own machine. */
import { fileURLToPath } from 'node:url';
import type { MachineCommand } from '../machine.js';
import type { GuestFiles } from '../guest.js';

export function understudyCommand(guest: GuestFiles, harts = 1): MachineCommand {
  const main = fileURLToPath(new URL('./understudy-main.js', import.meta.url));
  return {
    name: 'understudy',
    command: process.execPath,
    args: [
      main,
      guest.kernel,
      guest.initramfs,
      String(guest.mebibytes),
      String(harts),
      `console=hvc0 ${guest.arguments}`,
    ],
    counts: true,
  };
}
