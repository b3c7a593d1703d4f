/**
 * Kernel arguments for a quick boot. What each saves, measured from kernel start to
 * /init on Debian's kernels: docs/guests.md.
 */

import { imageHolds } from '../guest/kernel-image.js';

/** The console a kernel writes to: virtio (hvc0) or the serial port (ttyS0). */
export type ConsoleDevice = 'hvc0' | 'ttyS0';

/** For any kernel: a console from the first line on. */
export function consoleArguments(device: ConsoleDevice): string {
  return device === 'hvc0' ? 'console=hvc0 earlycon=sbi' : 'console=ttyS0 earlycon=sbi';
}

/** Start-up work that a Debian kernel does and a guest has no use for. */
const NEEDLESS = [
  // Tests the jitter entropy source for half a second; there is a virtio entropy device.
  'jent_mod_init',
  'init_kprobe_trace',
  // Keys for signed modules: ours are stripped, which removes their signatures.
  'load_system_certificate_list',
  // Measures misaligned accesses on every hart.
  'check_unaligned_access_all_cpus',
  'wakeup_sources_init',
];

/** For the Debian kernels of our images. */
export const DEBIAN_ARGUMENTS = [
  'cryptomgr.notests=1',
  'nokaslr',
  `initcall_blacklist=${NEEDLESS.join(',')}`,
  // Shutting down asks the kernel through the console, see Instance.shutdown.
  'sysrq_always_enabled',
].join(' ');

/**
 * The console that a kernel nobody has told us about most likely has: the names of
 * built-in drivers stand in its image.
 */
export function guessConsole(kernel: Uint8Array): ConsoleDevice {
  return imageHolds(kernel, 'virtio_console') && imageHolds(kernel, 'virtio-pci') ? 'hvc0' : 'ttyS0';
}

/**
 * Whether a kernel that is booted with these arguments takes Ctrl-O on hvc0, and the key after it, for a magic SysRq
 * key: if it has such keys (the name of one of their arguments stands in its image), and hvc0 is a console of its own
 * (drivers/tty/hvc/hvc_console.c, hvc_poll).
 */
export function takesSysRq(kernel: Uint8Array, bootArguments: string): boolean {
  return /(^|\s)console=hvc0(,|\s|$)/.test(bootArguments) && imageHolds(kernel, 'sysrq_always_enabled');
}

/** Less memory than that is small (bytes). */
const SMALL = 512 * 2 ** 20;

/**
 * For a kernel that sets memory aside for devices that need much of it in one piece (CMA; Debian's 7.2 takes 128 MiB):
 * none of ours does, and what is set aside is no use to the kernel itself, which cannot come up with what is left.
 */
export function memoryArguments(kernel: Uint8Array, memory: number): string {
  return memory < SMALL && imageHolds(kernel, CMA_IN_MEMINFO) ? 'cma=0' : '';
}
/** A line of /proc/meminfo that only a kernel with CMA has. */
const CMA_IN_MEMINFO = 'CmaTotal:       ';

/** A kernel that may get harts later need not try, and complain, that they are not there yet. */
export function hartArguments({ harts = 1, maxHarts = harts }: { harts?: number; maxHarts?: number }): string {
  return maxHarts > harts ? `maxcpus=${harts}` : '';
}
