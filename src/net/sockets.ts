/**
 * What the gateway needs of its host: streams, datagrams and names. An adapter per platform implements it
 * (src/adapters/node/sockets.ts for Node). Addresses are dotted IPv4 text; ports are numbers.
 */

/** Why a host stream ended badly; `refused` and `unreachable` occur only while connecting. */
export type StreamFault = 'refused' | 'unreachable' | 'reset' | 'timeout' | 'failed';

/** The gateway's ears on a host stream. Assign all of them before control returns to the event loop. */
export interface StreamEvents {
  /** An outgoing stream is connected. Never called for an accepted one. */
  connected(): void;
  /** Bytes from the host's peer. The receiver keeps the array: it must not be written again. */
  data(chunk: Uint8Array): void;
  /** The peer sends no more. The other direction goes on. */
  end(): void;
  /** `bytes` more of what was written have been handed to the operating system. */
  written(bytes: number): void;
  /** The stream is gone; `fault` is absent when both directions had ended in order. Last call. */
  closed(fault?: StreamFault): void;
}

/** A TCP stream of the host. */
export interface HostStream {
  /** Queues bytes for the peer; the array must not change any more. Flow control is by `written`. */
  write(chunk: Uint8Array): void;
  /** Sends no more, after what is queued. */
  end(): void;
  /** Stops and restarts `data` events. */
  pause(): void;
  resume(): void;
  /** Drops the stream at once; the peer sees a reset. `closed` is still to come, nothing else. */
  reset(): void;
}

/** A TCP port of the host that is listened on. */
export interface Listener {
  readonly port: number;
  close(): Promise<void>;
}

/** The host was told that what was sent to `address` and `port` arrives nowhere. */
export type DatagramsRefused = (address: string, port: number, why: 'refused' | 'unreachable') => void;

/** A UDP socket of the host. */
export interface HostDatagrams {
  readonly port: number;
  send(payload: Uint8Array, address: string, port: number): void;
  close(): void;
}

/** Sockets of the host, as the gateway needs them. */
export interface Sockets {
  /** How many streams and datagram sockets guests may have open together, if the host has a bound. */
  readonly descriptors?: number;
  /** Starts to connect; the outcome is `connected` or `closed(fault)`. Does not throw. */
  connect(address: string, port: number, events: StreamEvents): HostStream;
  /**
   * Listens. `accept` is called per stream with the stream paused, and gives the events it wants.
   * Rejects with NetError `PORT_IN_USE`, `PORT_DENIED`, `NO_SUCH_ADDRESS` or `HOST_SOCKET`. Port 0 lets the host choose.
   */
  listen(address: string, port: number, accept: (stream: HostStream) => StreamEvents): Promise<Listener>;
  /** Opens a datagram socket. Rejects like `listen`. `refused` is told as far as the host can tell. */
  datagrams(
    address: string,
    port: number,
    receive: (payload: Uint8Array, address: string, port: number) => void,
    refused?: DatagramsRefused,
  ): Promise<HostDatagrams>;
  /**
   * Sends a DNS message (RFC 1035, 4.1) to the host's own resolver, over TCP if `stream`; gives the reply. Rejects when
   * no server answers, and at once, with everything closed, when `signal` is aborted.
   */
  dnsExchange(query: Uint8Array, stream: boolean, signal?: AbortSignal): Promise<Uint8Array>;
  /** The addresses in the host's own table of names for a name in lower case; empty when it has none. */
  lookup(name: string, family: 4 | 6): Promise<string[]>;
}
