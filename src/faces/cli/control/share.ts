/** A second guest beside the first of a machine, which uses a device of the first: it runs a script and is gone. */
import type { BootOptions, PreparedImage } from '../../../index.js';
import type { Use } from '../../../interposition/device.js';
import { DiskDevice } from '../../../interposition/kinds/disk.js';
import type { NicDevice } from '../../../interposition/kinds/nic.js';
import type { Machine } from './actions.js';
import type { Caller } from './caller.js';
import { ControlError } from './errors.js';
import type { JsonObject } from './lines.js';
import type { Request } from './protocol.js';

/** What a machine keeps free for a second guest. */
export interface Room {
  readonly image: PreparedImage;
  /** Bytes. */
  readonly memory: number;
}

type Share = Extract<Request, { do: 'share' }>;

/** Ports: standard output and error together, and the exit status. */
const RUN = `for p in 1 2; do until [ -c /dev/vport0p$p ]; do sleep 0.01; done; done
. /etc/profile
exec 8> /dev/vport0p2
sh /etc/understudy/command < /dev/null > /dev/vport0p1 2>&1 8>&-
echo $? >&8
`;

export async function shareDevice(
  device: DiskDevice | NicDevice,
  { rule, script }: Share,
  machine: Machine,
  caller: Caller,
): Promise<JsonObject> {
  const { room, computer } = machine;
  if (room === undefined || computer.freeHarts === 0) {
    throw new ControlError(
      'no-room',
      `${machine.name} has no room for a second guest; "run --beside 256M" leaves some`,
    );
  }
  if (device instanceof DiskDevice) {
    const view = await device.share(rule);
    return beside(room, { disks: [view], network: false }, { device, use: view, script, machine, caller });
  }
  const [wrong] = Object.keys(rule).filter((name) => name !== 'weight');
  if (wrong !== undefined) throw new ControlError('invalid', `"${wrong}" is for a disk, and ${device.id} is none`);
  const card = await device.share(rule);
  return beside(room, { network: card }, { device, use: card, script, machine, caller });
}

interface Second {
  readonly device: DiskDevice | NicDevice;
  readonly use: Use;
  readonly script: string;
  readonly machine: Machine;
  readonly caller: Caller;
}

/** Boots the second guest with what is shared, and waits for its end. */
async function beside(
  room: Room,
  devices: Pick<BootOptions, 'disks' | 'network'>,
  { device, use, script, machine, caller }: Second,
): Promise<JsonObject> {
  try {
    const second = await machine.computer.boot({
      image: room.image,
      memory: room.memory,
      ...devices,
      bootArguments: 'quiet panic=-1',
      run: RUN,
      files: { '/etc/understudy/command': script },
      ports: [{ name: 'out' }, { name: 'status' }],
    });
    const stop = (): void => void second.destroy();
    caller.enough.addEventListener('abort', stop, { once: true });
    if (caller.enough.aborted) stop();
    let status = '';
    second.os.port('out').onData = (bytes) => caller.tell({ output: Buffer.from(bytes).toString('base64') });
    second.os.port('status').onData = (bytes) => void (status += Buffer.from(bytes).toString());
    const { kind } = await second.ended;
    caller.enough.removeEventListener('abort', stop);
    caller.checkPace();
    const code = /^(\d+)\n$/.exec(status)?.[1];
    return { device: device.id, guest: second.name, ended: kind, status: code === undefined ? null : Number(code) };
  } finally {
    await use.end();
  }
}
