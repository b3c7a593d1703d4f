/**
 * The child process of our own machine: one OS instance with a disk and a network card, its console on standard
 * input and output.
 *
 *   node understudy-main.js KERNEL INITRAMFS MEBIBYTES DISK BOOT-ARGUMENTS
 */
import { dedicateProcess } from '../../src/adapters/node/tiering.js';
import { Computer } from '../../src/index.js';

// As the command line does.
dedicateProcess();

const [kernel, initramfs, mebibytes, disk, bootArguments] = process.argv.slice(2);
const memory = Number(mebibytes) * 2 ** 20;
const computer = await Computer.create({ memory: memory + 16 * 2 ** 20, harts: 1 });
const guest = await computer.boot({
  kernel,
  initramfs,
  memory,
  disks: [disk],
  bootArguments,
  console: 'hvc0',
});
const { terminal } = guest.os;
terminal.onData = (bytes) => process.stdout.write(bytes);
process.stdin.on('data', (bytes: Buffer) => terminal.write(bytes));
// Whoever started us is gone.
process.stdin.on('end', () => process.exit(1));
const end = await guest.ended;
if (end.kind === 'hart-failed') process.stderr.write(`${end.message}\n`);
process.exit(end.kind === 'hart-failed' ? 1 : 0);
