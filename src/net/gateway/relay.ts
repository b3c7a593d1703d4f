/**
 * Joins a guest's TCP connection with a host stream. Neither side can run ahead of the other: the host stream is paused
 * while the send queue is full, and the guest's window opens only as the host takes what was written.
 *
 *   guest ── TcpConnection ── data ──▶ write ── HostStream ── peer
 *                         ◀── send ── data
 *                         ◀ consumed ─ written
 */
import type { HostStream, StreamEvents, StreamFault } from '../sockets.js';
import type { TcpConnection } from '../tcp/connection.js';
import type { TcpEvents, TcpFault } from '../tcp/tcb.js';

export interface RelayHooks {
  /** The host stream is there: the guest may be answered. */
  streamConnected?(): void;
  /** The host stream could not be opened. The hook has to end the guest's side. */
  streamFailed?(fault: StreamFault): void;
  /** Both sides are gone. */
  done?(): void;
}

export class Relay {
  #connection: TcpConnection | undefined;
  #stream: HostStream | undefined;
  #streamOpen = false;
  #connectionGone = false;
  #streamGone = false;
  /** Whether the host stream delivers: it begins paused where the guest is opened second. */
  #paused = false;

  constructor(readonly hooks: RelayHooks = {}) {}

  readonly streamEvents: StreamEvents = {
    connected: () => {
      this.#streamOpen = true;
      this.hooks.streamConnected?.();
    },
    data: (chunk) => {
      if (this.#connection?.send(chunk) === false) this.#pause();
    },
    end: () => this.#connection?.close(),
    written: (bytes) => this.#connection?.consumed(bytes),
    closed: (fault) => this.#streamClosed(fault),
  };

  readonly tcpEvents: TcpEvents = {
    connected: () => this.#resume(),
    data: (chunk) => this.#stream?.write(chunk),
    end: () => this.#stream?.end(),
    writable: () => this.#resume(),
    closed: (fault) => this.#connectionClosed(fault),
  };

  /** The guest's side of an outgoing connection, or of a forwarded one. */
  set connection(connection: TcpConnection) {
    this.#connection = connection;
  }

  /** The host's side. `open`: it is connected already, and paused. */
  setStream(stream: HostStream, open: boolean): void {
    this.#stream = stream;
    this.#streamOpen = open;
    this.#paused = open;
    if (this.#connectionGone) stream.reset();
  }

  /** Ends both sides at once; a side that is not there yet counts as gone. */
  abort(): void {
    if (this.#connection === undefined) this.#connectionGone = true;
    this.#connection?.abort();
    this.#stream?.reset();
  }

  #pause(): void {
    this.#paused = true;
    this.#stream?.pause();
  }

  #resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#stream?.resume();
  }

  #streamClosed(fault: StreamFault | undefined): void {
    if (this.#streamGone) return;
    this.#streamGone = true;
    if (!this.#connectionGone && fault !== undefined) {
      if (!this.#streamOpen && this.hooks.streamFailed !== undefined) this.hooks.streamFailed(fault);
      else this.#connection?.abort();
    }
    this.#finish();
  }

  #connectionClosed(fault: TcpFault | undefined): void {
    if (this.#connectionGone) return;
    this.#connectionGone = true;
    if (!this.#streamGone && fault !== undefined) this.#stream?.reset();
    this.#finish();
  }

  #finish(): void {
    if (this.#connectionGone && this.#streamGone) this.hooks.done?.();
  }
}
