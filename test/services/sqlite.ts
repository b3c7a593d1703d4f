import { ownFolders } from './folders.js';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Service } from './service.js';

/** Each turn another process writes a row, and asks how many there are and whether the file is in order. */
const SCRIPT = `db=/tmp/rows.db
sqlite3 $db 'pragma journal_mode=wal; create table rows(n integer primary key, text)' > /dev/null
n=0
while :; do
  n=$((n + 1))
  sqlite3 $db "insert into rows values($n, hex(randomblob(500))); select count(*) || ' ' || (select integrity_check from pragma_integrity_check) from rows"
done`;

export const sqlite: Service = {
  name: 'sqlite',
  run: { argv: ['/bin/sh', '-c', SCRIPT], folders: ownFolders() },
  async begin({ lines }) {
    for (const end = performance.now() + 60_000; lines().length < 2; await sleep(100)) {
      if (performance.now() > end) throw new Error(`it writes ${JSON.stringify(lines())}`);
    }
    return {
      finish: () => {
        const all = lines();
        const wrong = all.findIndex((line, i) => line !== `${i + 1} ok`);
        return Promise.resolve(wrong < 0 ? [] : [`turn ${wrong + 1}: ${all[wrong]}`]);
      },
    };
  },
};
