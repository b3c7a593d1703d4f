/**
 * Connections by their four numbers. Keys are small integers (a string or a bigint per segment would cost more than the
 * rest of the look-up); what collides hangs in one list. The seed keeps a peer from aiming at one list.
 */
import type { TcpConnection } from './connection.js';

export class FlowTable {
  readonly #lists = new Map<number, TcpConnection[]>();
  readonly #seed = crypto.getRandomValues(new Int32Array(1))[0];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  find(local: number, localPort: number, remote: number, remotePort: number): TcpConnection | undefined {
    const list = this.#lists.get(this.#key(local, localPort, remote, remotePort));
    if (list === undefined) return undefined;
    for (const connection of list) {
      const e = connection.tcb.ends;
      if (
        e.remotePort === remotePort &&
        e.localPort === localPort &&
        e.remoteAddress === remote &&
        e.localAddress === local
      ) {
        return connection;
      }
    }
    return undefined;
  }

  add(connection: TcpConnection): void {
    const key = this.#keyOf(connection);
    const list = this.#lists.get(key);
    if (list === undefined) this.#lists.set(key, [connection]);
    else list.push(connection);
    this.#size++;
  }

  delete(connection: TcpConnection): void {
    const key = this.#keyOf(connection);
    const list = this.#lists.get(key);
    const at = list?.indexOf(connection) ?? -1;
    if (list === undefined || at < 0) return;
    list.splice(at, 1);
    if (list.length === 0) this.#lists.delete(key);
    this.#size--;
  }

  *[Symbol.iterator](): Generator<TcpConnection> {
    for (const list of this.#lists.values()) yield* list;
  }

  #keyOf({ tcb: { ends } }: TcpConnection): number {
    return this.#key(ends.localAddress, ends.localPort, ends.remoteAddress, ends.remotePort);
  }

  #key(local: number, localPort: number, remote: number, remotePort: number): number {
    let h = Math.imul(local ^ this.#seed, 0x9e3779b1);
    h = Math.imul((h ^ (h >>> 15) ^ remote) | 0, 0x85ebca6b);
    h = Math.imul((h ^ (h >>> 13) ^ (localPort << 16) ^ remotePort) | 0, 0xc2b2ae35);
    return (h ^ (h >>> 16)) >> 2;
  }
}
