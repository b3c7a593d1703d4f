import { ownFolders } from './folders.js';
import { Connection, repeat } from './line-client.js';
import type { Service } from './service.js';

const BIN = '/usr/lib/postgresql/17/bin/postgres';
const DATA = '/var/lib/postgresql/17/main';

/** A connection by PostgreSQL's own protocol: queries as texts, rows as texts. */
class Postgres {
  private constructor(readonly connection: Connection) {}

  static async connect(port: number): Promise<Postgres> {
    for (const end = performance.now() + 90_000; ;) {
      const c = await Connection.soon(port);
      const parameters = Buffer.from('user\0postgres\0database\0postgres\0\0');
      const head = Buffer.alloc(8);
      head.writeInt32BE(8 + parameters.length, 0);
      head.writeInt32BE(0x30000, 4);
      c.send(Buffer.concat([head, parameters]));
      const pg = new Postgres(c);
      try {
        await pg.#answer();
        return pg;
      } catch (error) {
        c.close();
        // It may be starting up.
        if (performance.now() > end) throw error;
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
    }
  }

  query(sql: string): Promise<string[]> {
    const text = Buffer.from(`${sql}\0`);
    const head = Buffer.from('Q\0\0\0\0');
    head.writeInt32BE(4 + text.length, 1);
    this.connection.send(Buffer.concat([head, text]));
    return this.#answer();
  }

  /** Messages up to ReadyForQuery; the first column of each row. */
  async #answer(): Promise<string[]> {
    const rows: string[] = [];
    let failure: string | undefined;
    for (;;) {
      const message = await this.connection.take((got) => {
        const length = got.length < 5 ? Infinity : 1 + got.readInt32BE(1);
        return got.length < length ? undefined : length;
      });
      const kind = String.fromCharCode(message[0] ?? 0);
      if (kind === 'E') {
        failure = message.subarray(5).toString().replaceAll('\0', ' ');
        if (rows.length === 0 && /FATAL/.test(failure)) throw new Error(failure);
      }
      if (kind === 'D') rows.push(message.subarray(11, 11 + message.readInt32BE(7)).toString());
      if (kind !== 'Z') continue;
      if (failure !== undefined) throw new Error(failure);
      return rows;
    }
  }
}

/** Every commit that was answered is there afterwards; a transaction stays open over all moves, and then commits. */
export const postgresql: Service = {
  name: 'postgresql',
  run: {
    argv: [
      BIN,
      ...['-D', DATA, '-c', 'config_file=/etc/postgresql/17/main/postgresql.conf', '-c', 'hba_file=/run/hba.conf'],
      ...[
        '-c',
        'listen_addresses=*',
        '-c',
        'unix_socket_directories=/tmp',
        '-c',
        'ssl=off',
        '-c',
        'external_pid_file=',
      ],
      ...['-c', 'logging_collector=off', '-c', 'shared_buffers=32MB', '-c', 'max_connections=20'],
    ],
    user: 'postgres',
    folders: ownFolders('/var/lib/postgresql'),
    cwd: '/',
    before: [['/bin/sh', '-c', 'echo "host all all 0.0.0.0/0 trust" > /run/hba.conf']],
  },
  port: 5432,
  async begin({ port }) {
    const [a, b] = [await Postgres.connect(port), await Postgres.connect(port)];
    await a.query('create table rows(n int primary key, t text); create table other(n int)');
    await b.query('begin');
    await b.query('insert into other values (1)');
    let committed = 0;
    const work = repeat('postgresql', async (n) => {
      await a.query(`begin; insert into rows values (${n}, repeat(md5('${n}'), 20)); commit`);
      committed = n + 1;
    });
    return {
      finish: async () => {
        const wrong = await work.stop();
        if (wrong.length > 0) return wrong;
        await b.query('insert into other values (2)');
        await b.query('commit');
        const [count] = await a.query(
          "select count(*) || ' ' || sum(case when t = repeat(md5(n::text), 20) then 0 else 1 end) from rows",
        );
        const [other] = await a.query('select sum(n) from other');
        a.connection.close();
        b.connection.close();
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
