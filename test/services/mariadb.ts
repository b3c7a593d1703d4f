import { setTimeout as sleep } from 'node:timers/promises';
import { ownFolders } from './folders.js';
import { Connection, repeat } from './line-client.js';
import type { Service } from './service.js';

/** Capabilities: long passwords, protocol 4.1, its authentication, plugins for that. */
const CAPABILITIES = 0x1 | 0x200 | 0x8000 | 0x80000;
const UTF8 = 33;
const [OK, END, FAILED] = [0x00, 0xfe, 0xff];
const COM_QUERY = 3;

/** A connection by MariaDB's own protocol: queries as texts, the first column of each row as a text. */
class MariaDb {
  #sequence = 0;
  private constructor(readonly connection: Connection) {}

  static async connect(port: number): Promise<MariaDb> {
    for (const end = performance.now() + 180_000; ; await sleep(500)) {
      const db = new MariaDb(await Connection.soon(port));
      try {
        await db.#take();
        const head = Buffer.alloc(32);
        head.writeUInt32LE(CAPABILITIES, 0);
        head.writeUInt32LE(2 ** 24, 4);
        head[8] = UTF8;
        // No password.
        db.#give(Buffer.concat([head, Buffer.from('root\0\0mysql_native_password\0')]));
        for (let answer = await db.#take(); answer[0] !== OK; answer = await db.#take()) {
          if (answer[0] === FAILED) throw new Error(answer.subarray(3).toString());
          db.#give(Buffer.alloc(0));
        }
        return db;
      } catch (error) {
        db.connection.close();
        // It may be starting up.
        if (performance.now() > end) throw error;
      }
    }
  }

  async query(sql: string): Promise<string[]> {
    this.#sequence = 0;
    this.#give(Buffer.concat([Buffer.from([COM_QUERY]), Buffer.from(sql)]));
    const first = await this.#take();
    if (first[0] === FAILED) throw new Error(first.subarray(3).toString());
    if (first[0] === OK) return [];
    const isEnd = (packet: Buffer): boolean => packet[0] === END && packet.length < 9;
    while (!isEnd(await this.#take()));
    const rows: string[] = [];
    for (let row = await this.#take(); !isEnd(row); row = await this.#take()) {
      if (row[0] === FAILED) throw new Error(row.subarray(3).toString());
      rows.push(row.subarray(1, 1 + (row[0] ?? 0)).toString());
    }
    return rows;
  }

  #give(payload: Buffer): void {
    const head = Buffer.alloc(4);
    head.writeUIntLE(payload.length, 0, 3);
    head[3] = this.#sequence++;
    this.connection.send(Buffer.concat([head, payload]));
  }

  async #take(): Promise<Buffer> {
    const packet = await this.connection.take((got) => {
      const length = got.length < 4 ? Infinity : 4 + got.readUIntLE(0, 3);
      return got.length < length ? undefined : length;
    });
    this.#sequence = (packet[3] ?? 0) + 1;
    return packet.subarray(4);
  }
}

const INSTALL = `mkdir -m 755 /run/data && chown mysql /run/data &&
mariadb-install-db --no-defaults --user=mysql --datadir=/run/data --innodb-log-file-size=4M --skip-test-db > /run/install 2>&1`;

/** Every commit that was answered is there afterwards; a transaction stays open over all moves, and then commits. */
export const mariadb: Service = {
  name: 'mariadb',
  run: {
    argv: [
      ...(['mariadbd', '--no-defaults', '--user=mysql', '--datadir=/run/data', '--skip-grant-tables'] as const),
      ...['--skip-networking=0', '--bind-address=0.0.0.0', '--socket=/tmp/mysqld.sock', '--pid-file=/run/data/pid'],
      '--skip-name-resolve',
      ...['--innodb-log-file-size=4M', '--innodb-buffer-pool-size=16M', '--skip-log-bin', '--tmpdir=/tmp'],
    ],
    folders: ownFolders(),
    cwd: '/run',
    before: [['/bin/sh', '-c', INSTALL]],
  },
  port: 3306,
  async begin({ port }) {
    const [a, b] = [await MariaDb.connect(port), await MariaDb.connect(port)];
    await a.query('create database d');
    await a.query('create table d.t(n int primary key, t text) engine=innodb');
    await a.query('create table d.o(n int) engine=innodb');
    await b.query('begin');
    await b.query('insert into d.o values (1)');
    let committed = 0;
    const work = repeat('mariadb', async (n) => {
      await a.query('begin');
      await a.query(`insert into d.t values (${n}, repeat(md5('${n}'), 20))`);
      await a.query('commit');
      committed = n + 1;
    });
    return {
      finish: async () => {
        const wrong = await work.stop();
        if (wrong.length > 0) return wrong;
        await b.query('insert into d.o values (2)');
        await b.query('commit');
        const [count] = await a.query("select concat(count(*), ' ', sum(t <> repeat(md5(n), 20))) from d.t");
        const [other] = await a.query('select sum(n) from d.o');
        for (const db of [a, b]) db.connection.close();
        return [
          ...(count === `${committed} 0`
            ? []
            : [`${committed} rows were committed, and there are (with wrong ones) ${count}`]),
          ...(other === '3' ? [] : [`the transaction that was open brought ${other}`]),
        ];
      },
    };
  },
};
