/**
 * A stream of the outside network over a Node socket. What is written in one turn of the event loop goes to the socket
 * as one vector: the guest's segments are small, a system call for each would cost more than all else. While the socket
 * is still busy with the vector before, the next one waits and grows.
 */
import type { Socket } from 'node:net';
import type { HostStream, StreamEvents, StreamFault } from '../../net/sockets.js';
import { Outbox } from './outbox.js';

export class NodeStream implements HostStream {
  readonly #socket: Socket;
  readonly #outbox = new Outbox();
  #events: StreamEvents | undefined;
  /** The socket has a vector that it has not reported on, or will get one when the turn is over. */
  #busy = false;
  #ending = false;
  #reset = false;
  #fault: StreamFault | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  listen(events: StreamEvents): void {
    this.#events = events;
    this.#socket
      .on('data', (chunk: Uint8Array) => {
        if (!this.#reset) events.data(chunk);
      })
      .on('end', () => {
        if (!this.#reset) events.end();
      })
      .on('error', (error) => (this.#fault ??= faultOf(error)))
      .on('close', () => events.closed(this.#fault));
  }

  write(chunk: Uint8Array): void {
    if (this.#reset || this.#ending || this.#socket.destroyed) return;
    this.#outbox.push(chunk);
    if (this.#busy) return;
    this.#busy = true;
    queueMicrotask(() => this.#flush());
  }

  end(): void {
    this.#ending = true;
    if (!this.#busy && !this.#reset) this.#socket.end();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#reset) this.#socket.resume();
  }

  /**
   * A socket whose FIN is just being sent cannot be reset: Node drops its handle then without closing it, and the
   * process can never end. The FIN is out when the turn of the event loop is.
   */
  reset(): void {
    const socket = this.#socket;
    if (this.#reset || socket.destroyed) return;
    this.#reset = true;
    this.#fault ??= 'reset';
    this.#outbox.take();
    // Before it is connected there is nobody to be told.
    if (socket.connecting) socket.destroy();
    else if (socket.writableEnded && !socket.writableFinished && socket.writableLength === 0) {
      socket.pause();
      socket.once('finish', () => {
        if (!socket.destroyed) socket.resetAndDestroy();
      });
    } else socket.resetAndDestroy();
  }

  #flush(): void {
    this.#busy = false;
    const bytes = this.#outbox.bytes;
    const chunks = this.#outbox.take();
    const last = chunks.pop();
    if (last === undefined || this.#socket.destroyed) return;
    this.#busy = true;
    this.#socket.cork();
    for (const chunk of chunks) this.#socket.write(chunk);
    this.#socket.write(last, (error) => {
      this.#busy = false;
      if (error !== undefined && error !== null) return;
      if (this.#outbox.bytes > 0) this.#flush();
      else if (this.#ending && !this.#reset) this.#socket.end();
      if (!this.#reset) this.#events?.written(bytes);
    });
    this.#socket.uncork();
  }
}

function faultOf(error: Error): StreamFault {
  switch (codeOf(error)) {
    case 'ECONNREFUSED':
      return 'refused';
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'EADDRNOTAVAIL':
      return 'unreachable';
    case 'ETIMEDOUT':
      return 'timeout';
    case 'ECONNRESET':
    case 'EPIPE':
      return 'reset';
    default:
      return 'failed';
  }
}

/** The system's name of an error, `` if it has none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}
