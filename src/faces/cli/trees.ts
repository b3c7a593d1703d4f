/** Trees for the commands: made and found with Node's adapters, progress on standard error. */
import { nodeCache } from '../../adapters/node/cache.js';
import { nodeCommands } from '../../adapters/node/commands.js';
import { nodeSystem } from '../../adapters/node/system.js';
import type { Mirrors } from '../../image/index.js';
import { SystemComputer } from '../../system/index.js';
import { prepareTree, type PreparedTree } from '../../trees/index.js';
import { progressPrinter } from './progress.js';

export interface TreeRequest {
  readonly install: readonly string[];
  readonly name?: string;
  readonly signal?: AbortSignal;
  readonly refresh?: boolean;
  readonly mirrors?: Mirrors;
}

export async function obtainTree({ install, ...options }: TreeRequest): Promise<PreparedTree> {
  const progress = progressPrinter();
  try {
    return await prepareTree(install, {
      ...options,
      cache: nodeCache(),
      commands: nodeCommands,
      computer: (need) => Promise.resolve(new SystemComputer(nodeSystem, { ...need, network: false })),
      onProgress: progress.report,
    });
  } finally {
    progress.end();
  }
}
