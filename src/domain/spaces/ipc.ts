import type { Hands } from '../../guest/hands/hands.js';
import { unsupported } from '../errors.js';
import { mountQueues } from '../kinds/mqueue/queues.js';
import { readInside } from '../kinds/sysv/inside-files.js';
import { changedSettings, settle } from '../kinds/sysv/sysctls.js';
import { FILES, parseTable } from '../kinds/sysv/tables.js';
import { CLONE } from '../linux/flags.js';
import { whileOpen } from '../linux/making.js';
import { readDir } from '../linux/os.js';
import { readMounts } from '../mounts/look.js';
import { allMounts } from '../mounts/state.js';
import { statAll } from '../mounts/tree.js';
import { together } from '../together.js';
import { spaceSort } from './space.js';

type Settings = readonly (readonly [path: string, value: string])[];

/** Settings of an IPC namespace in which there is nothing. */
export const ipc = spaceSort<Settings>({
  name: 'ipc',
  flag: CLONE.NEWIPC,
  async look({ hands, anchor, mountSpaces }, at) {
    const [tables, settings, dev, mounts] = await together([
      readInside(hands, at, FILES),
      changedSettings(hands, at),
      noQueues(hands, at),
      readMounts({ hands, anchor }),
    ]);
    if (tables.some((text) => parseTable(text).length > 0))
      throw unsupported('System V IPC in an IPC namespace of its own', 'the domain');
    const mounted = allMounts({ mounts, spaces: mountSpaces }).find((m) => m.dev === dev);
    if (mounted !== undefined)
      throw unsupported('message queues of an IPC namespace of its own that are mounted', mounted.point);
    return settings;
  },
  // What is not said of it is as in a new one.
  fits: (before, now) => before.every(([path]) => now.some(([p]) => p === path)),
  give: ({ hands }, at, settings) => settle(hands, at, settings),
});

/** Refuses message queues; answers the device of their file system. */
async function noQueues(hands: Hands, at: string): Promise<string> {
  const folder = await mountQueues(hands, at);
  return whileOpen(hands, folder, async () => {
    const [names, [top]] = await together([readDir(hands, `/proc/self/fd/${folder}`), statAll(hands, folder, [''])]);
    if (names === undefined || names.length > 0)
      throw unsupported('message queues in an IPC namespace of its own', 'the domain');
    return top?.dev ?? '';
  });
}
