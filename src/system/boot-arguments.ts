/**
 * Kernel arguments for a quick boot. What each saves, measured from kernel start to
 * /init on Debian's kernels: docs/guests.md.
 */

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

const VIRTIO_CONSOLE = new TextEncoder().encode('virtio_console\0');
const VIRTIO_PCI = new TextEncoder().encode('virtio-pci\0');

/**
 * The console that a kernel nobody has told us about most likely has: the names of
 * built-in drivers stand in its image.
 */
export function guessConsole(kernel: Uint8Array): ConsoleDevice {
  return includes(kernel, VIRTIO_CONSOLE) && includes(kernel, VIRTIO_PCI) ? 'hvc0' : 'ttyS0';
}

const SYSRQ = new TextEncoder().encode('sysrq_always_enabled\0');

/**
 * Whether a kernel that is booted with these arguments takes Ctrl-O on hvc0, and the key after it, for a magic SysRq
 * key: if it has such keys (the name of one of their arguments stands in its image), and hvc0 is a console of its own
 * (drivers/tty/hvc/hvc_console.c, hvc_poll).
 */
export function takesSysRq(kernel: Uint8Array, bootArguments: string): boolean {
  return /(^|\s)console=hvc0(,|\s|$)/.test(bootArguments) && includes(kernel, SYSRQ);
}

function includes(bytes: Uint8Array, pattern: Uint8Array): boolean {
  for (let at = bytes.indexOf(pattern[0]); at >= 0; at = bytes.indexOf(pattern[0], at + 1)) {
    if (pattern.every((byte, i) => bytes[at + i] === byte)) return true;
  }
  return false;
}
