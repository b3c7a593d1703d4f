/** What a program hangs behind a guest's devices throws: that guest ends with the reason, its neighbour goes on. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Computer, MemoryDisk, type Instance, type InstanceEnd, type Shell } from '../src/index.js';
import { MIB, testImage } from './testing/images.js';

const failure = new Error('thrown by a test');
/** The last byte of the MAC address of the second place on the network. */
const SECOND = 2;

let computer: Computer;
let honest: Instance;
let shell: Shell;

before(async () => {
  computer = await Computer.create({ memory: 512 * MIB, harts: 2 });
  honest = await computer.boot({ image: await testImage('trixie'), memory: 224 * MIB });
  shell = await honest.shell({ timeout: 180_000 });
});
after(() => computer.close());

async function failsAlone(guest: Instance): Promise<InstanceEnd> {
  const end = await guest.ended;
  assert.equal((await shell.run('echo "still here"')).output, 'still here\n');
  assert.equal(computer.freeHarts, 1);
  assert.deepEqual(computer.instances, [honest]);
  return end;
}

describe('a throw', () => {
  test('in a disk’s backend', async () => {
    class Throwing extends MemoryDisk {
      override read(): Promise<void> {
        throw failure;
      }
    }
    const disk = new Throwing(new Uint8Array(MIB));
    const image = await testImage('trixie');
    const end = await failsAlone(await computer.boot({ image, memory: 224 * MIB, disks: [disk] }));
    assert.deepEqual(end.kind === 'device-failed' && [end.device, end.error], ['disk 0', failure]);
  });

  test('in a port of the switch that a guest’s frame comes to', async () => {
    const port = computer.network?.switch.attach({ name: 'throws' });
    assert.ok(port);
    port.onFrame = (frame) => {
      if (frame[11] === SECOND) throw failure;
      return true;
    };
    const image = await testImage('trixie');
    const guest = await computer.boot({ image, memory: 224 * MIB, run: 'ping -c 3 10.0.2.77; sleep 1000' });
    const end = await failsAlone(guest);
    port.close();
    assert.deepEqual(end.kind === 'device-failed' && [end.device, end.error], ['network card 0', failure]);
  });

  test('afterwards a guest has the hart and the memory, and works', async () => {
    const guest = await computer.boot({ image: await testImage('trixie'), memory: 224 * MIB });
    const other = await guest.shell({ timeout: 180_000 });
    assert.equal((await other.run('echo $((6 * 7))')).output, '42\n');
    await guest.destroy();
  });
});
