/** A process that is killed: a guest that writes its disk, block by block, and says how far it is. PROGRAM DISK */
import { readFileSync } from 'node:fs';
import { Computer } from '../../src/index.js';
import { MIB, testImage } from '../testing/images.js';

const [program, disk] = process.argv.slice(2);
const computer = await Computer.create({ memory: 320 * MIB, harts: 1, network: false });
const guest = await computer.boot({
  image: await testImage('trixie'),
  memory: 256 * MIB,
  disks: [disk],
  files: { '/opt/blocks': { data: readFileSync(program), mode: 0o755 } },
  run: '/opt/blocks log /dev/vda',
});
guest.os.terminal.onData = (bytes) => process.stdout.write(bytes);
await guest.ended;
