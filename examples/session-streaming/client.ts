/**
 * A player that knows several servers, and keeps its session for them. When one
 * goes away it plays on at another, from the seal that came with the last frame.
 */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { formatMessage, MessageReader } from './messages.js';
import type { Message } from './messages.js';

/** What happens while playing. */
export interface PlayerEvents {
  /** A frame has arrived; after the promise the next is taken. */
  frame(data: Buffer, port: number): void | Promise<void>;
  /** A server was lost, another is tried. */
  moved?(from: number, to: number): void;
}

/** One connection, as a sequence of messages that ends when it does. */
async function* messagesOf(socket: Socket): AsyncGenerator<Message> {
  const reader = new MessageReader();
  try {
    for await (const chunk of socket) yield* reader.push(chunk as Buffer);
  } catch (error) {
    // A server that was killed resets the connection: the same to us as an orderly end.
    if (!(error instanceof Error && 'code' in error)) throw error;
  }
}

/**
 * Plays a track to its end.
 *
 * @param ports - servers, in the order in which they are tried
 * @param length - frames of the track
 * @throws Error when no server is left, or one refuses the session
 */
export async function playTrack(
  ports: readonly number[],
  track: string,
  length: number,
  events: PlayerEvents,
): Promise<void> {
  let seal: string | undefined;
  let received = 0;
  for (const [i, port] of ports.entries()) {
    const socket = connect(port, '127.0.0.1');
    let cseq = 0;
    const request = (method: string): void => {
      const headers: Record<string, string> = { CSeq: String(++cseq) };
      if (seal !== undefined) headers['Session'] = seal;
      socket.write(formatMessage(`${method} stream://any/${track} RTSP/1.0`, headers));
    };
    request(seal === undefined ? 'SETUP' : 'PLAY');
    for await (const message of messagesOf(socket)) {
      const [first, status, text] = message.start;
      if (first === 'RTSP/1.0') {
        if (status !== '200') throw new Error(`${status} ${text}`);
        // Nothing new was received by an answer: only a session that did not exist begins with one.
        if (seal !== undefined) continue;
        seal = message.headers.get('session');
        request('PLAY');
        continue;
      }
      await events.frame(message.body, port);
      received++;
      seal = message.headers.get('session');
      if (received === length) {
        request('TEARDOWN');
        socket.end();
        return;
      }
    }
    socket.destroy();
    if (i + 1 < ports.length) events.moved?.(port, ports[i + 1]);
  }
  throw new Error(`no server is left after ${received} frames`);
}
