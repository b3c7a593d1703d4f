import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ownFolders } from './folders.js';
import { repeat } from './line-client.js';
import type { Service } from './service.js';

const SAVE = '\x13';
const LEAVE = '\x18';
const ENV = { TERM: 'xterm', LANG: 'C.UTF-8', SHELL: '/bin/sh', SCREENDIR: '/tmp/screens' };

/** An editor in a terminal multiplexer, at a terminal of the host's: every key that is pressed is in the file afterwards. */
const editorIn = (name: string, command: string): Service => ({
  name,
  run: {
    argv: ['/bin/sh', '-c', `${command}; md5sum < /tmp/text`],
    env: ENV,
    folders: ownFolders(),
    tty: { columns: 80, rows: 24 },
    before: [['/bin/sh', '-c', 'mkdir -m 700 /tmp/screens']],
  },
  async begin({ domain, text }) {
    const { stdin } = domain;
    if (stdin === undefined) throw new Error('it has no terminal');
    for (const end = performance.now() + 60_000; !text().includes('GNU nano'); await sleep(100)) {
      if (performance.now() > end) throw new Error(`it shows ${JSON.stringify(text())}`);
    }
    let typed = '';
    const work = repeat(name, async (n) => {
      const line = `line ${n}`;
      for (const key of line) {
        await stdin.write(key);
        await sleep(10);
      }
      await stdin.write('\r');
      typed += `${line}\n`;
      await sleep(50);
    });
    return {
      finish: async () => {
        const wrong = await work.stop();
        await stdin.write(SAVE);
        await sleep(1000);
        await stdin.write(LEAVE);
        await Promise.race([domain.ended, sleep(60_000)]);
        const sum = createHash('md5').update(typed).digest('hex');
        return text().includes(sum)
          ? wrong
          : [...wrong, `the file of ${typed.length} keys is another: ${text().slice(-200)}`];
      },
    };
  },
});

export const tmux = editorIn('tmux', "tmux new-session 'nano -I -L /tmp/text'");
export const screen = editorIn('screen', 'screen nano -I -L /tmp/text');
