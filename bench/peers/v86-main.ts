/**
 * The child process of v86: its first serial port on standard input and output.
 *
 *   node v86-main.js FIRMWARE-FOLDER BZIMAGE INITRAMFS MEBIBYTES BOOT-ARGUMENTS
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { V86 } from 'v86';

const [firmware, kernel, initramfs, mebibytes, cmdline] = process.argv.slice(2);

const file = (path: string): { buffer: ArrayBuffer } => {
  const bytes = readFileSync(path);
  return { buffer: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) };
};

const packageFolder = dirname(createRequire(import.meta.url).resolve('v86/package.json'));
const machine = new V86({
  wasm_path: join(packageFolder, 'build/v86.wasm'),
  bios: file(join(firmware, 'bios.bin')),
  vga_bios: file(join(firmware, 'vgabios-stdvga.bin')),
  bzimage: file(kernel),
  initrd: file(initramfs),
  cmdline,
  memory_size: Number(mebibytes) * 2 ** 20,
  vga_memory_size: 8 * 2 ** 20,
  disable_keyboard: true,
  disable_mouse: true,
  disable_speaker: true,
  autostart: true,
});

// One write a turn, not one a byte.
let waiting: number[] = [];
machine.add_listener('serial0-output-byte', (byte: number) => {
  if (waiting.length === 0) {
    setImmediate(() => {
      process.stdout.write(Uint8Array.from(waiting));
      waiting = [];
    });
  }
  waiting.push(byte);
});
process.stdin.on('data', (bytes: Buffer) => machine.serial_send_bytes(0, bytes));
// Whoever started us is gone.
process.stdin.on('end', () => process.exit(1));
