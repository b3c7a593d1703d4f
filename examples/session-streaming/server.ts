/**
 * A streaming server that keeps nothing about anybody between two messages but
 * the connection it plays to. Another one with the same keys can go on.
 *
 * As a program: node server.js KEYS [FRAMES_PER_SECOND]; prints its port.
 */
import { createHash } from 'node:crypto';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { pathToFileURL } from 'node:url';
import { createSessionsSync, openRing } from '../../src/session/node/index.js';
import type { KeyRing, Session } from '../../src/session/index.js';
import { formatMessage, MessageReader, ProtocolError } from './messages.js';
import type { Message } from './messages.js';

/** Where a client is in which track. */
export interface Playing {
  track: string;
  position: number;
}

/** Frames of a track. */
export const TRACK_LENGTH = 200;

/** What a track holds at a position: any server has the same film. */
export function frameOf(track: string, position: number): Buffer {
  return createHash('sha256').update(`${track}/${position}`).digest();
}

type State = Session<Playing, null>;

/** Starts a server on a free port of this computer. */
export function startServer(ring: KeyRing, framesPerSecond = 200): Promise<Server> {
  const sessions = createSessionsSync<Playing, null>({
    ring,
    purpose: 'streaming',
    limits: { maxAge: 6 * 3600, idle: 600, size: 8000 },
  });

  const seal = (session: State): string => {
    const sealed = sessions.seal(session);
    if (!sealed.ok) throw new Error(`the session was not sealed: ${sealed.reason}`);
    return sealed.seal;
  };

  const serve = (socket: Socket): void => {
    const reader = new MessageReader();
    let session: State | undefined;
    let timer: NodeJS.Timeout | undefined;

    const answer = (request: Message, status: string): void => {
      const headers: Record<string, string> = { CSeq: request.headers.get('cseq') ?? '0' };
      if (session !== undefined) headers['Session'] = seal(session);
      socket.write(formatMessage(`RTSP/1.0 ${status}`, headers));
    };
    const stop = (): void => clearInterval(timer);
    const play = (): void => {
      if (session === undefined) return;
      const { track, position } = session.activity;
      if (position === TRACK_LENGTH) {
        stop();
        return;
      }
      // The frame and the seal that says it has arrived travel together: whoever has the one has the other.
      session = sessions.advance(session, { activity: { track, position: position + 1 } });
      socket.write(
        formatMessage(`FRAME stream://any/${track} RTSP/1.0`, { Session: seal(session) }, frameOf(track, position)),
      );
    };
    const handle = (request: Message): void => {
      const [method, uri] = request.start;
      stop();
      if (method === 'SETUP') {
        const track = /^stream:\/\/[^/]+\/(\w{1,40})$/.exec(uri)?.[1];
        session = track === undefined ? undefined : sessions.create({ activity: { track, position: 0 }, data: null });
        answer(request, session === undefined ? '404 Not Found' : '200 OK');
        return;
      }
      // Any other request says by its seal who asks and where he is. While playing this server knows better than
      // the client, whose seal is of the last frame that has got there.
      const opened = sessions.open(request.headers.get('session') ?? '');
      if (!opened.ok) {
        session = undefined;
        answer(request, '454 Session Not Found');
        return;
      }
      if (session?.id !== opened.session.id || session.counter < opened.session.counter) session = opened.session;
      session = sessions.advance(session);
      answer(request, ['PLAY', 'PAUSE', 'TEARDOWN'].includes(method) ? '200 OK' : '405 Method Not Allowed');
      if (method === 'PLAY') timer = setInterval(play, 1000 / framesPerSecond);
      if (method === 'TEARDOWN') socket.end();
    };

    socket.on('data', (chunk) => {
      try {
        for (const message of reader.push(chunk)) handle(message);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        socket.destroy();
      }
    });
    socket.on('error', stop);
    socket.on('close', stop);
  };

  const server = createServer(serve);
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [keys, framesPerSecond] = process.argv.slice(2);
  const server = await startServer(await openRing(keys, { refresh: 0.1 }), Number(framesPerSecond ?? 200));
  console.log((server.address() as AddressInfo).port);
}
