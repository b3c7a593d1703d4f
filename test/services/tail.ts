import { setTimeout as sleep } from 'node:timers/promises';
import { ownFolders } from './folders.js';
import type { Service } from './service.js';

/** A shell appends to a file, with a command that ends every tenth of a second; `tail -f` writes out what comes. */
const SCRIPT = `(i=0; while :; do i=$((i + 1)); echo $i >> /tmp/lines; sleep 0.1; done) &
sleep 0.5
exec tail -n +1 -f /tmp/lines`;

export const tail: Service = {
  name: 'tail',
  run: { argv: ['/bin/sh', '-c', SCRIPT], folders: ownFolders() },
  async begin({ lines }) {
    for (const end = performance.now() + 60_000; lines().length < 3; await sleep(100)) {
      if (performance.now() > end) throw new Error(`it writes ${JSON.stringify(lines())}`);
    }
    return {
      finish: async () => {
        const before = lines().length;
        await sleep(2000);
        const all = lines();
        const wrong = all.findIndex((line, i) => line !== String(i + 1));
        if (wrong >= 0) return [`line ${wrong + 1} is ${JSON.stringify(all[wrong])}`];
        return all.length > before ? [] : ['nothing new comes'];
      },
    };
  },
};
