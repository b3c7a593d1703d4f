/**
 * The child process of our own machine: one OS instance with a disk and a network card, its console on standard
 * input and output.
 *
 *   node understudy-main.js KERNEL INITRAMFS MEBIBYTES DISK BOOT-ARGUMENTS
 *
 * Told so over Node's channel, the monitor steps in between the instance and its disk and network card, and away again.
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
/** The milliseconds of the longest of the two switches; -1: one failed. */
async function both(interpose: boolean): Promise<number> {
  const switched = guest.os.devices
    .filter(({ kind }) => kind === 'disk' || kind === 'nic')
    .map((device) => (interpose ? device.interpose() : device.stepAway()));
  return Math.max(...(await Promise.all(switched)).map(({ switchMs }) => switchMs));
}
process.on('message', (question) => {
  both(question === 'interpose').then(
    (longest) => process.send?.(longest),
    (error: unknown) => {
      process.stderr.write(`${String(error)}\n`);
      process.send?.(-1);
    },
  );
});
// Whoever started us is gone.
process.stdin.on('end', () => process.exit(1));
const end = await guest.ended;
if (end.kind === 'hart-failed') process.stderr.write(`${end.message}\n`);
process.exit(end.kind === 'hart-failed' ? 1 : 0);
