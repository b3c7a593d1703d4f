/**
 * Datagram sockets for the outside network.
 *
 * The operating system tells only a connected socket that a datagram was refused (ICMP, "port unreachable"). So a
 * socket that wants to know is connected to its first peer, as long as that is its only one:
 *
 *   fresh ── first datagram ──▶ connecting ──▶ connected ── another peer ──▶ open
 *
 * It keeps its port over that, because it was bound to one by number: a peer outside may have been told it.
 */
import { createSocket, type Socket } from 'node:dgram';
import type { DatagramsRefused, HostDatagrams } from '../../net/sockets.js';
import type { NetError } from '../../net/errors.js';
import { codeOf } from './stream.js';

/** Bytes that may wait in a socket for the operating system. */
const MAX_UNSENT = 1024 * 1024;
/** Dynamic ports (RFC 6335, 6). */
const FIRST_DYNAMIC = 49_152;
const DYNAMIC = 16_384;
const ATTEMPTS = 20;

type Receive = (payload: Uint8Array, address: string, port: number) => void;
type CannotOpen = (error: Error) => NetError;

/** Rejects with what `cannotOpen` makes of the system's error. */
export async function openDatagrams(
  address: string,
  port: number,
  receive: Receive,
  refused: DatagramsRefused | undefined,
  cannotOpen: CannotOpen,
): Promise<HostDatagrams> {
  if (refused === undefined || port !== 0) return new NodeDatagrams(await bind(address, port, receive, cannotOpen));
  for (let attempt = 1; ; attempt++) {
    const [random] = crypto.getRandomValues(new Uint16Array(1));
    try {
      const socket = await bind(address, FIRST_DYNAMIC + (random % DYNAMIC), receive, cannotOpen);
      return new NodeDatagrams(socket, refused);
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
    }
  }
}

function bind(address: string, port: number, receive: Receive, cannotOpen: CannotOpen): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4', (payload, from) => receive(payload, from.address, from.port));
    socket.once('error', (error) => {
      socket.close();
      reject(cannotOpen(error));
    });
    socket.bind({ address, port, exclusive: true }, () => {
      socket.removeAllListeners('error');
      resolve(socket);
    });
  });
}

interface Datagram {
  readonly payload: Uint8Array;
  readonly address: string;
  readonly port: number;
}

class NodeDatagrams implements HostDatagrams {
  readonly port: number;
  readonly #socket: Socket;
  readonly #refused: DatagramsRefused | undefined;
  #state: 'fresh' | 'connecting' | 'connected' | 'open';
  /** The only peer so far. */
  #peer: { readonly address: string; readonly port: number } | undefined;
  /** While connecting. */
  #waiting: Datagram[] = [];
  #unsent = 0;
  #closed = false;

  constructor(socket: Socket, refused?: DatagramsRefused) {
    this.#socket = socket;
    this.#refused = refused;
    this.#state = refused === undefined ? 'open' : 'fresh';
    this.port = socket.address().port;
    socket.on('error', (error) => this.#failed(error));
  }

  send(payload: Uint8Array, address: string, port: number): void {
    // What the operating system does not take is dropped, as datagrams are.
    if (this.#closed || this.#unsent + payload.length > MAX_UNSENT) return;
    if (this.#state === 'fresh') this.#connect(address, port);
    this.#unsent += payload.length;
    const datagram = { payload, address, port };
    if (this.#state === 'connecting') this.#waiting.push(datagram);
    else this.#send(datagram);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#waiting = [];
    this.#socket.close();
  }

  #connect(address: string, port: number): void {
    this.#state = 'connecting';
    this.#peer = { address, port };
    // Errors come to the listener as well.
    this.#socket.connect(port, address, () => {
      if (this.#closed || this.#state !== 'connecting') return;
      this.#state = 'connected';
      this.#flush();
    });
  }

  #flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const datagram of waiting) this.#send(datagram);
  }

  #send({ payload, address, port }: Datagram): void {
    const sent = (error: Error | null): void => {
      this.#unsent -= payload.length;
      if (error !== null) this.#failed(error);
    };
    if (this.#state === 'connected' && !this.#isPeer(address, port)) {
      this.#socket.disconnect();
      this.#state = 'open';
    }
    if (this.#state === 'connected') this.#socket.send(payload, sent);
    else this.#socket.send(payload, port, address, sent);
  }

  #isPeer(address: string, port: number): boolean {
    return this.#peer?.address === address && this.#peer.port === port;
  }

  /** Errors of single datagrams lose that datagram; some are for whoever sent it. */
  #failed(error: Error): void {
    if (this.#closed) return;
    if (this.#state === 'connecting') {
      this.#state = 'open';
      this.#flush();
    }
    if (this.#peer === undefined || this.#state === 'open') return;
    const { address, port } = this.#peer;
    const code = codeOf(error);
    if (code === 'ECONNREFUSED') this.#refused?.(address, port, 'refused');
    else if (code === 'EHOSTUNREACH' || code === 'ENETUNREACH') this.#refused?.(address, port, 'unreachable');
  }
}
