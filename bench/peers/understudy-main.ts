/**
 * The child process of our own machine: one OS instance, its console on standard input and output.
 *
 *   node understudy-main.js KERNEL INITRAMFS MEBIBYTES HARTS [BOOT ARGUMENTS]
 */
import { readFileSync } from 'node:fs';
import { nodePlatform } from '../../src/adapters/node/platform.js';
import { dedicateProcess } from '../../src/adapters/node/tiering.js';
import { OsInstance } from '../../src/guest/os-instance.js';
import { INSTRET } from '../../src/hart/state.js';
import { Vmm } from '../../src/partition/vmm.js';

// As the command line does.
dedicateProcess();

const [kernel, initramfs, mebibytes, hartsText, bootArguments = ''] = process.argv.slice(2);
const memory = Number(mebibytes) * 2 ** 20;
const harts = Number(hartsText);

const vmm = new Vmm(nodePlatform, { memory, harts });
const os = new OsInstance(vmm, {
  name: 'bench',
  kernel: readFileSync(kernel),
  initramfs: readFileSync(initramfs),
  memory,
  harts,
  bootArguments,
});
os.onDeviceFault = (message) => process.stderr.write(`device: ${message}\n`);
os.debugConsole.onData = (bytes) => process.stdout.write(bytes);
os.terminal.onData = (bytes) => process.stdout.write(bytes);
process.stdin.on('data', (bytes: Buffer) => os.terminal.write(bytes));
// Whoever started us is gone.
process.stdin.on('end', () => process.exit(1));

process.on('message', (question) => {
  if (question === 'memory') {
    process.send?.(vmm.machine.view.byteLength);
    return;
  }
  let instructions = 0n;
  for (const block of os.partition.blocks) instructions += vmm.machine.view.getBigUint64(block + INSTRET, true);
  process.send?.(Number(instructions));
});

os.start();
const end = await os.ended;
if (end.kind === 'hart-failed') process.stderr.write(`${end.message}\n`);
process.exit(end.kind === 'hart-failed' ? 1 : 0);
