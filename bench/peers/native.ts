/** This machine itself, without emulation: what the others are measured against. */
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolders } from '../../src/adapters/node/files.js';
import { debianPackages } from '../guest.js';
import type { MachineCommand } from '../console-process.js';
import { inRoot, type Packages } from '../packages.js';

/** The runner alone: enough for the programs that are our own. */
export const nativeCommand = (executable: string): MachineCommand => ({
  name: 'native',
  command: executable,
  args: [],
  native: true,
});

/** The runner with Debian's programs of the guests' release beside it, in a root folder of their own. */
export async function nativeDebianCommand(executable: string, packages: Packages): Promise<MachineCommand> {
  const { folder } = await packages.once('native', '1', async (into) => {
    const versions = await packages.unpack(await debianPackages(packages), into, 'libraries');
    // Programs want to open it; that it keeps what they write does no harm.
    writeFileSync(join(into, 'dev/null'), '');
    return versions;
  });
  await makeFolders(join(folder, 'bench'));
  copyFileSync(executable, join(folder, 'bench/bench'));
  const [command, ...args] = inRoot(folder, '/bench/bench', []);
  // Redis refuses a locale that its root folder does not have.
  return { name: 'native', command, args, native: true, env: { LC_ALL: 'C' } };
}
